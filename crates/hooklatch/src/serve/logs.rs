//! The log: to standard error, as text for people or as JSON for machines. A line that is written
//! while a request is worked on names the request and its trace.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use hooklatch_engine::trace::{Subject, subject};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Json, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::settings::{LogFormat, Settings};
use crate::failure::Failure;

/// Starts logging.
pub(crate) fn start(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| {
        let filter = &settings.log;
        Failure::Usage(format!(
            "the log filter {filter:?} is not understood: {error}"
        ))
    })?;
    // Colours are for eyes: a file or a service manager gets none.
    let coloured = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => builder
            .map_event_format(|format| About::text(format.with_ansi(coloured)))
            .try_init(),
        LogFormat::Json => builder.json().map_event_format(About::json).try_init(),
    };
    started.map_err(|error| Failure::Failed(format!("the log does not start: {error}")))
}

/// A format whose lines say what they are about.
struct About<F> {
    format: F,
    ending: fn(&mut String, Subject) -> fmt::Result,
}

impl About<Format> {
    fn text(format: Format) -> Self {
        let ending = |line: &mut String, subject: Subject| {
            write!(line, " request_id={}", subject.name)?;
            match subject.trace {
                Some(trace) => write!(line, " trace_id={trace}"),
                None => Ok(()),
            }
        };
        Self { format, ending }
    }
}

impl About<Format<Json>> {
    fn json(format: Format<Json>) -> Self {
        let ending = |line: &mut String, subject: Subject| {
            // Ids need no escapes.
            if line.pop() != Some('}') {
                return Err(fmt::Error);
            }
            write!(line, r#","request_id":"{}""#, subject.name)?;
            if let Some(trace) = subject.trace {
                write!(line, r#","trace_id":"{trace}""#)?;
            }
            line.push('}');
            Ok(())
        };
        Self { format, ending }
    }
}

impl<S, N, F> FormatEvent<S, N> for About<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(subject) = subject() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format
            .format_event(context, Writer::new(&mut line), event)?;
        line.truncate(line.trim_end().len());
        (self.ending)(&mut line, subject)?;
        writeln!(writer, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use hooklatch_core::trace::TraceContext;
    use hooklatch_engine::trace::{Name, about};
    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// A line within a request, and one outside.
    fn say(subscriber: impl Subscriber + Send + Sync + 'static) {
        let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let subject = Subject {
            name: Name::Call {
                process: 1,
                number: 2,
            },
            trace: TraceContext::parse(came).map(|context| context.trace),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        with_default(subscriber, || {
            runtime.block_on(about(subject, async {
                tracing::warn!(left_out = 3, "it is away")
            }));
            tracing::warn!("elsewhere");
        });
    }

    #[test]
    fn a_line_of_a_request_names_it_in_text() {
        let lines = Lines::default();
        let written = lines.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false);
        let builder = builder.with_writer(move || written.clone());
        say(builder.map_event_format(About::text).finish());
        let text = lines.text();
        let (of_request, elsewhere) = text.split_once('\n').unwrap();
        let expected = "it is away left_out=3 request_id=call_0000000000000001-2 \
                        trace_id=0af7651916cd43dd8448eb211c80319c";
        assert!(of_request.ends_with(expected), "{of_request}");
        assert!(elsewhere.ends_with("elsewhere\n") && !elsewhere.contains("request_id"));
    }

    #[test]
    fn a_line_of_a_request_names_it_in_json() {
        let lines = Lines::default();
        let written = lines.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false);
        let builder = builder.with_writer(move || written.clone());
        say(builder.json().map_event_format(About::json).finish());
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let text = lines.text();
        let lines: Vec<_> = text.lines().map(read).collect();
        assert_eq!(lines[0]["request_id"], "call_0000000000000001-2");
        assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(lines[0]["fields"]["left_out"], 3);
        assert_eq!(lines[1]["fields"]["message"], "elsewhere");
        assert_eq!(lines[1].get("request_id"), None);
        assert_eq!(lines.len(), 2);
    }
}
