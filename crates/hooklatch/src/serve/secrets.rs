//! Secrets that are no flags: said by a variable or a key of the file, or kept in a file of their own,
//! which is how service managers and containers hand them over.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hooklatch_core::secret::Secret;

/// No secret is longer; a device without end is not read to its end.
const BYTES_MAX: u64 = 64 * 1024;

/// Files that hold secrets.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SecretFileArgs {
    /// A file that holds the first admin key
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,

    /// A file that holds the key that seals stored secrets
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_ENCRYPTION_KEY_FILE")]
    pub encryption_key_file: Option<PathBuf>,
}

/// Why a secret is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("{0} and the file that holds it are both given: choose one of them")]
    Both(&'static str),
    #[error("{name}: the file {} cannot be read: {source}", path.display())]
    Unreadable {
        name: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{name}: the file {} holds nothing", path.display())]
    Empty { name: &'static str, path: PathBuf },
}

/// The secret as variables and flags say it, else as the file does.
pub(super) fn of_two(
    name: &'static str,
    said: Option<Secret>,
    said_file: Option<&Path>,
    (key, written, written_file): (&'static str, Option<Secret>, Option<&Path>),
) -> Result<Option<Secret>, SecretError> {
    match secret(name, said, said_file)? {
        Some(secret) => Ok(Some(secret)),
        None => secret(key, written, written_file),
    }
}

/// The secret of this name, as one place has it: said there, or in a file that it names.
pub(crate) fn secret(
    name: &'static str,
    said: Option<Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, SecretError> {
    let file = file.filter(|path| !path.as_os_str().is_empty());
    match (said, file) {
        (Some(_), Some(_)) => Err(SecretError::Both(name)),
        (said, None) => Ok(said),
        (None, Some(path)) => read(name, path).map(Some),
    }
}

fn read(name: &'static str, path: &Path) -> Result<Secret, SecretError> {
    let mut text = String::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    let text = Secret::new(text);
    if let Err(source) = read {
        let path = path.to_owned();
        return Err(SecretError::Unreadable { name, path, source });
    }
    match text.expose().trim() {
        "" => Err(SecretError::Empty {
            name,
            path: path.to_owned(),
        }),
        trimmed => Ok(Secret::from(trimmed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_said_or_lies_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "  s3same\n").unwrap();
        let said = Some(Secret::from("said"));
        assert_eq!(secret("K", said.clone(), None).unwrap(), said);
        let found = secret("K", None, Some(&path)).unwrap();
        assert_eq!(found, Some(Secret::from("s3same")));
        assert_eq!(secret("K", None, None).unwrap(), None);
        let unset = Path::new("");
        assert_eq!(secret("K", said.clone(), Some(unset)).unwrap(), said);
        let both = secret("K", said, Some(&path)).unwrap_err();
        assert!(!format!("{both} {both:?}").contains("s3same"), "{both}");
    }

    #[test]
    fn a_file_without_a_secret_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let missing = secret("K", None, Some(&path)).unwrap_err();
        assert!(matches!(missing, SecretError::Unreadable { .. }));
        std::fs::write(&path, "\n").unwrap();
        let empty = secret("K", None, Some(&path)).unwrap_err();
        assert_eq!(
            empty.to_string(),
            format!("K: the file {} holds nothing", path.display())
        );
    }
}
