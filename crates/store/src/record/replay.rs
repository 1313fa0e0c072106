//! A replay, in two JSON texts: what it is, and how far it has come. A stored format.

use hooklatch_core::replay::{Head, Progress, Replay};

use super::{Unreadable, VERSION, check_version};

#[derive(serde::Serialize)]
struct Written<'a, T> {
    v: u32,
    is: &'a T,
}

#[derive(serde::Deserialize)]
struct Read<T> {
    v: u32,
    is: T,
}

/// The text of what it is.
pub fn encode_head(head: &Head) -> String {
    encode(head)
}

/// The text of how far it has come.
pub fn encode_progress(progress: &Progress) -> String {
    encode(progress)
}

fn encode<T: serde::Serialize>(is: &T) -> String {
    let v = VERSION;
    serde_json::to_string(&Written { v, is }).expect("strings and numbers always serialise")
}

/// A replay from its texts.
///
/// # Errors
/// Where a text is of another version.
pub fn decode(head: &str, progress: &str) -> Result<Replay, Unreadable> {
    Ok(Replay {
        head: read(head)?,
        progress: read(progress)?,
    })
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    let read: Read<T> = serde_json::from_str(text)?;
    check_version(read.v, "a replay")?;
    Ok(read.is)
}

#[cfg(test)]
mod tests {
    use hooklatch_core::ids::{ProjectId, ReplayId};
    use hooklatch_core::replay::{Action, Filter, Plan};
    use hooklatch_core::time::Timestamp;

    use super::*;

    #[test]
    fn a_replay_survives_its_texts() {
        let replay = Replay::opened(Head {
            id: ReplayId::from_number(9),
            project_id: ProjectId::from_number(1),
            plan: Plan {
                action: Action::Send,
                filter: Filter::default(),
                include_delivered: true,
                as_new: false,
                to_endpoint: None,
                rate_per_second: 5,
            },
            among: Some(Vec::new()),
            request_key: Some("k".to_owned()),
            created_by: None,
            reason: None,
            created_at: Timestamp::from_millis(1),
        });
        let (head, progress) = (encode_head(&replay.head), encode_progress(&replay.progress));
        assert_eq!(decode(&head, &progress), Ok(replay));
        let newer = head.replace("\"v\":1", "\"v\":2");
        assert!(decode(&newer, &progress).is_err());
    }
}
