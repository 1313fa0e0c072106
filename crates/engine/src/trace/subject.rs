//! Whose work is being done, for the lines of the log that are written meanwhile.
//!
//! It travels with the task and is only put into words when a line is written, so that a request
//! of which nothing is said costs no text.

use std::fmt;
use std::future::Future;

use hooklatch_core::ids::RequestId;
use hooklatch_core::trace::TraceId;

tokio::task_local! {
    static SUBJECT: Subject;
}

/// What the work is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The request.
    pub name: Name,
    /// Its trace, where it has one.
    pub trace: Option<TraceId>,
}

/// The name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A call of which no record may be left: drawn by the process, and counted.
    Call {
        /// The process's own number, drawn at random.
        process: u64,
        /// The call's.
        number: u64,
    },
    /// A request that is recorded.
    Request(RequestId),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { process, number } => write!(f, "call_{process:016x}-{number}"),
            Self::Request(id) => id.fmt(f),
        }
    }
}

/// Does work that is about this.
pub fn about<T>(subject: Subject, work: impl Future<Output = T>) -> impl Future<Output = T> {
    SUBJECT.scope(subject, work)
}

/// What the work of this task is about.
pub fn subject() -> Option<Subject> {
    SUBJECT.try_with(|subject| *subject).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_subject_goes_with_the_work_and_ends_with_it() {
        let name = Name::Call {
            process: 0xab,
            number: 7,
        };
        let about_it = Subject { name, trace: None };
        let seen = about(about_it, async { subject() }).await;
        assert_eq!(seen, Some(about_it));
        assert_eq!(subject(), None);
        assert_eq!(name.to_string(), "call_00000000000000ab-7");
    }
}
