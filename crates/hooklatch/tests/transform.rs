//! The pool of workers against scripts that do their worst: the real binary, its hidden command.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hooklatch_core::transform::{TransformError, TransformInput, Transformed};
use hooklatch_engine::Transformer;
use hooklatch_transform::{Pool, PoolSettings};

fn pool(workers: usize, queue: usize, deadline: Duration) -> Arc<Pool> {
    Pool::new(PoolSettings {
        program: env!("CARGO_BIN_EXE_hooklatch").into(),
        arguments: vec!["transform-worker".into()],
        workers,
        queue,
        deadline,
    })
}

fn patient() -> Arc<Pool> {
    pool(2, 64, Duration::from_secs(10))
}

fn input(body: &str) -> TransformInput {
    TransformInput {
        headers: vec![("x-a".into(), "1".into()), ("x-a".into(), "2".into())],
        query: vec![("page".into(), "3".into())],
        path: "/p".into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        is_json: true,
    }
}

async fn run(pool: &Pool, statements: &str) -> Result<Transformed, TransformError> {
    let script = format!("function transform(request) {{ {statements} }}");
    pool.transform(script.into(), input(r#"{"n": 9007199254740993}"#))
        .await
}

#[tokio::test]
async fn a_script_sees_the_request_and_makes_another() {
    let pool = patient();
    let made = run(
        &pool,
        "return {headers: {'X-Seen': request.headers['x-a'] + request.query.page}, \
         body: {path: request.path}}",
    );
    let made = made.await.unwrap();
    assert_eq!(made.headers, [("x-seen".to_owned(), "1, 23".to_owned())]);
    assert_eq!(made.body, r#"{"path":"/p"}"#);
}

#[tokio::test]
async fn a_body_that_is_left_alone_keeps_its_bytes() {
    let made = run(&patient(), "request.headers = {}; return request").await;
    assert_eq!(made.unwrap().body, r#"{"n": 9007199254740993}"#);
}

#[tokio::test]
async fn what_does_not_end_is_ended_and_the_next_script_runs() {
    let deadline = Duration::from_millis(1_000);
    let pool = pool(1, 64, deadline);
    assert!(run(&pool, "return request").await.is_ok());
    for statements in [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch (e) {} }",
        "Array.prototype.reverse.call({length: 4294967295})",
        "/(a*)*b/.test('a'.repeat(40)); /(x+x+)+y/.test('x'.repeat(60)); return request",
    ] {
        let begun = Instant::now();
        let ended = run(&pool, statements).await.unwrap_err();
        let took = begun.elapsed();
        assert_eq!(
            ended,
            TransformError::TimedOut { deadline_ms: 1_000 },
            "{statements}"
        );
        assert!(took < deadline * 8, "{statements}: {took:?}");
        assert!(run(&pool, "return request").await.is_ok(), "{statements}");
    }
}

#[tokio::test]
async fn what_takes_too_much_fails_and_the_next_script_runs() {
    let pool = patient();
    for statements in [
        "request.body = 'x'.repeat(1073741823); return request",
        "let s = 'x'; for (;;) s += s",
        "const a = []; for (;;) a.push(new Array(1000).fill(1))",
        "const f = (n) => f(n + 1) + 1; return f(0)",
        "let o = {}; for (let i = 0; i < 100000; i++) o = {o}; request.body = o; return request",
        "request.body = 'x'.repeat(6000000); return request",
        "request.headers['bad name'] = 'x'; return request",
        "request.headers['x'] = 'a\\nb'; return request",
        "request.headers = {get x() { throw new Error('never') }}; return request",
        "return null",
    ] {
        let failed = run(&pool, statements).await.unwrap_err();
        assert!(
            matches!(failed, TransformError::Failed(_)),
            "{statements}: {failed}"
        );
        assert!(run(&pool, "return request").await.is_ok(), "{statements}");
    }
}

#[tokio::test]
async fn a_script_finds_nothing_of_the_one_before() {
    let pool = pool(1, 64, Duration::from_secs(10));
    run(
        &pool,
        "globalThis.kept = 1; Object.prototype.kept = 1; return request",
    )
    .await
    .unwrap();
    let made = run(
        &pool,
        "request.body = [typeof kept, {}.kept === undefined]; return request",
    );
    assert_eq!(made.await.unwrap().body, r#"["undefined",true]"#);
}

#[tokio::test]
async fn the_queue_before_the_workers_is_bounded() {
    let pool = pool(1, 1, Duration::from_secs(2));
    // The first one has its place before the second one is polled.
    let (long, refused) = tokio::join!(run(&pool, "for (;;) {}"), run(&pool, "return request"));
    assert_eq!(refused, Err(TransformError::Busy));
    assert!(
        matches!(long, Err(TransformError::TimedOut { .. })),
        "{long:?}"
    );
    assert!(run(&pool, "return request").await.is_ok());
}

#[tokio::test]
async fn what_is_saved_is_looked_at_first() {
    let pool = patient();
    let check = |script: &str| pool.check(Arc::from(script));
    assert_eq!(check("function transform(r) { return r }").await, Ok(()));
    for script in ["function transform(", "let x = 1", "throw 1"] {
        let refused = check(script).await;
        assert!(
            matches!(refused, Err(TransformError::Failed(_))),
            "{script}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_said_to_be_none() {
    let pool = Pool::new(PoolSettings {
        program: "/nonexistent/program".into(),
        arguments: Vec::new(),
        workers: 1,
        queue: 1,
        deadline: Duration::from_secs(1),
    });
    let failed = run(&pool, "return request").await;
    assert!(
        matches!(failed, Err(TransformError::Unavailable(_))),
        "{failed:?}"
    );
}
