//! Keeps long work off the threads that serve every request.
//!
//! A signature or a canonical form costs time with the size of a body. For small bodies that is
//! less than the way to another thread; for large ones, all other requests would wait for it.

/// The most bytes that are worked on where the request is served.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Does `work`, which goes over so many bytes, where it delays nobody else.
pub(crate) async fn over<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if bytes <= INLINE_BYTES_MAX {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nobody aborts it, so that it has panicked: as it would have done here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_work_over_many_bytes_is_done_on_another_thread() {
        let here = thread::current().id();
        let small = over(INLINE_BYTES_MAX, || thread::current().id()).await;
        let large = over(INLINE_BYTES_MAX + 1, || thread::current().id()).await;
        assert_eq!(small, here);
        assert_ne!(large, here);
    }
}
