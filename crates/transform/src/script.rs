//! Runs one script, within limits on memory and stack. Time is the business of whoever waits.
//!
//! Each script gets an engine of its own, so that it finds nothing of the one before. The engine
//! has the language and nothing around it: no timers, no modules, no console.

use std::collections::BTreeMap;

use rquickjs::context::intrinsic::{Date, Eval, Json, MapSet, Promise, RegExp, RegExpCompiler};
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Object, Runtime, Value};

use crate::frame::Made;
use hooklatch_core::limits::{TRANSFORM_ERROR_CHARS_MAX, TRANSFORM_OUTPUT_BYTES_MAX};

/// Memory that a script may have, its request included.
const MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Stack that a script may have.
const STACK_BYTES_MAX: usize = 512 * 1024;

type Builtins = (Date, Eval, Json, MapSet, Promise, RegExp, RegExpCompiler);

/// Whether a script can be used: it compiles, runs to its end, and defines the function.
pub(crate) fn check(script: &str) -> Result<(), String> {
    in_engine(|ctx| function(ctx, script).map(drop))
}

/// What a script makes of a request.
pub(crate) fn run(script: &str, request: &str) -> Result<Made, String> {
    in_engine(|ctx| {
        let transform = function(ctx, script)?;
        let request = ctx.json_parse(request);
        let request = caught(ctx, request)?;
        let before = body_of(ctx, &request)?;
        let made: Value<'_> = caught(ctx, transform.call((request,)))?;
        if made.is_promise() {
            return Err("transform must return the request itself, not a promise of it".to_owned());
        }
        let Some(made) = made.as_object().filter(|_| !made.is_array()) else {
            return Err("transform must return the request, an object".to_owned());
        };
        // Whoever forgets a part does not mean to send none of it.
        for part in ["headers", "body"] {
            if !caught(ctx, made.contains_key(part))? {
                return Err(format!("the request that transform returns has no {part}"));
            }
        }
        let body = body_of(ctx, made.as_value())?;
        let made = Made {
            headers: headers_of(ctx, made)?,
            body: (body != before).then_some(body),
        };
        within_limits(made)
    })
}

fn in_engine<T>(work: impl FnOnce(&Ctx<'_>) -> Result<T, String>) -> Result<T, String> {
    let no_engine = |error| format!("the engine did not start: {error}");
    let runtime = Runtime::new().map_err(no_engine)?;
    runtime.set_memory_limit(MEMORY_BYTES_MAX);
    runtime.set_max_stack_size(STACK_BYTES_MAX);
    let context = Context::custom::<Builtins>(&runtime).map_err(no_engine)?;
    context.with(|ctx| work(&ctx))
}

fn function<'js>(ctx: &Ctx<'js>, script: &str) -> Result<Function<'js>, String> {
    caught(ctx, ctx.eval::<Value<'js>, _>(script))?;
    // A function that is declared with `const` is no member of the global object.
    let named = "typeof transform === 'function' ? transform : undefined";
    let found = caught(ctx, ctx.eval::<Value<'js>, _>(named))?;
    let missing = "the script defines no function named transform";
    found.into_function().ok_or_else(|| missing.to_owned())
}

/// The body as a text: one that is a text itself, any other value as JSON; none is empty.
fn body_of<'js>(ctx: &Ctx<'js>, request: &Value<'js>) -> Result<String, String> {
    let Some(object) = request.as_object() else {
        return Ok(String::new());
    };
    let body: Value<'js> = caught(ctx, object.get("body"))?;
    if let Some(text) = body.as_string() {
        return caught(ctx, text.to_string());
    }
    let text = caught(ctx, ctx.json_stringify(body))?;
    text.map_or_else(|| Ok(String::new()), |text| caught(ctx, text.to_string()))
}

fn headers_of<'js>(
    ctx: &Ctx<'js>,
    request: &Object<'js>,
) -> Result<BTreeMap<String, String>, String> {
    let headers: Value<'js> = caught(ctx, request.get("headers"))?;
    let text = caught(ctx, ctx.json_stringify(headers))?;
    let Some(text) = text else {
        return Ok(BTreeMap::new());
    };
    let text = caught(ctx, text.to_string())?;
    let read: Result<BTreeMap<String, serde_json::Value>, _> = serde_json::from_str(&text);
    let read = read.map_err(|_| "headers should be an object of texts".to_owned())?;
    let mut headers = BTreeMap::new();
    for (name, value) in read {
        let value = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Bool(_)
            | serde_json::Value::Null
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => {
                return Err(format!("the header {name} should be a text"));
            }
        };
        headers.insert(name.to_ascii_lowercase(), value);
    }
    Ok(headers)
}

fn within_limits(made: Made) -> Result<Made, String> {
    let headers = made.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    let bytes = headers + made.body.as_ref().map_or(0, String::len);
    if bytes > TRANSFORM_OUTPUT_BYTES_MAX {
        return Err(format!(
            "the script made {bytes} bytes; {TRANSFORM_OUTPUT_BYTES_MAX} are the most"
        ));
    }
    Ok(made)
}

fn caught<'js, T>(ctx: &Ctx<'js>, result: rquickjs::Result<T>) -> Result<T, String> {
    result.catch(ctx).map_err(|error| explained(&error))
}

fn explained(error: &CaughtError<'_>) -> String {
    let text = match error {
        CaughtError::Exception(exception) => {
            let message = exception.message().unwrap_or_default();
            let stack = exception.stack().unwrap_or_default();
            let place = stack.lines().next().unwrap_or_default().trim().to_owned();
            format!("{message} {place}")
        }
        CaughtError::Value(value) => match value.as_string().map(|text| text.to_string()) {
            Some(Ok(text)) => format!("the script threw {text}"),
            Some(Err(_)) | None => "the script threw a value that is no error".to_owned(),
        },
        CaughtError::Error(error) => error.to_string(),
    };
    let text = text.trim();
    let end = text.char_indices().nth(TRANSFORM_ERROR_CHARS_MAX);
    text[..end.map_or(text.len(), |(at, _)| at)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str =
        r#"{"headers":{"x-a":"1"},"query":{},"path":"/p","body":{"n":9007199254740993,"a":1}}"#;

    #[test]
    fn a_script_changes_headers_and_body() {
        let script = "function transform(request) {
            request.headers['X-B'] = 2;
            delete request.headers['x-a'];
            request.body = {sum: request.body.a + 1, path: request.path};
            return request;
        }";
        let made = run(script, REQUEST).unwrap();
        assert_eq!(made.headers, BTreeMap::from([("x-b".into(), "2".into())]));
        assert_eq!(made.body.as_deref(), Some(r#"{"sum":2,"path":"/p"}"#));
    }

    #[test]
    fn what_a_script_leaves_alone_stays_byte_for_byte() {
        for script in [
            "function transform(request) { return request }",
            "const transform = (request) => ({...request, headers: {}})",
        ] {
            assert_eq!(run(script, REQUEST).unwrap().body, None);
        }
        let text = r#"{"headers":{},"body":"plain"}"#;
        let made = run("function transform(r) { r.body += '!'; return r }", text).unwrap();
        assert_eq!(made.body.as_deref(), Some("plain!"));
    }

    #[test]
    fn a_script_that_cannot_be_used_says_why() {
        for (script, about) in [
            ("function transform(", "parameter"),
            ("let x = 1", "no function named transform"),
            ("throw new Error('at once')", "at once"),
            ("throw 'text'", "threw text"),
        ] {
            let error = check(script).unwrap_err();
            assert!(error.contains(about), "{script}: {error}");
        }
        assert_eq!(check("function transform(r) { return r }"), Ok(()));
    }

    #[test]
    fn a_script_that_fails_says_why_and_never_drops() {
        for (body, about) in [
            ("return null", "must return the request"),
            ("return [request]", "must return the request"),
            ("return {headers: {}}", "no body"),
            ("return {body: request.body}", "no headers"),
            ("return Promise.resolve(request)", "promise"),
            ("return import('os')", "promise"),
            ("request.body.none.deep = 1", "undefined"),
            ("request.headers = {a: {}}; return request", "header a"),
            ("request.headers = 7; return request", "headers should be"),
            ("const f = () => f(); f()", "stack"),
            (
                "const a = []; for (;;) a.push('x'.repeat(1e6) + a.length)",
                "memory",
            ),
            ("request.body = 'x'.repeat(6e6); return request", "bytes"),
        ] {
            let script = format!("function transform(request) {{ {body} }}");
            let error = run(&script, REQUEST).unwrap_err();
            assert!(error.contains(about), "{body}: {error}");
        }
    }

    #[test]
    fn a_script_finds_nothing_but_the_language() {
        for name in [
            "require",
            "fetch",
            "process",
            "std",
            "os",
            "console",
            "setTimeout",
        ] {
            let script = format!("function transform(r) {{ r.body = typeof {name}; return r }}");
            assert_eq!(
                run(&script, REQUEST).unwrap().body.as_deref(),
                Some("undefined")
            );
        }
        let later = "async function transform(r) { return r }";
        assert!(run(later, REQUEST).unwrap_err().contains("promise"));
    }
}
