//! The key that seals stored secrets, in a file beside the data, for those who set none.
//!
//! The store's lock on the directory is held by the caller, so no other process makes the file at
//! the same time. The file appears whole or not at all: a crash between making and filling it
//! would otherwise leave a key that opens nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hooklatch_core::seal::SealingKey;
use hooklatch_core::secret::Secret;

/// Its name in the data directory.
pub(crate) const NAME: &str = "encryption.key";

/// Whether the store holds secrets that an older key has sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is new: any key will do.
    Nothing,
    /// Only the key that sealed them will do.
    Something,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("the key file {} cannot be used", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("the key file {} does not hold 32 bytes in base64", path.display())]
    Malformed { path: PathBuf },
    #[error(
        "the key file {} is missing, but there is data that it has sealed: put it back, or set \
         HOOKLATCH_ENCRYPTION_KEY",
        path.display()
    )]
    Missing { path: PathBuf },
}

/// The key in the file of this directory, made from `random` where there is none and none can be
/// missing.
pub(crate) fn load_or_make(
    data_dir: &Path,
    stored: Stored,
    random: [u8; 32],
) -> Result<SealingKey, KeyFileError> {
    let path = data_dir.join(NAME);
    let unusable = |source| KeyFileError::Unusable {
        path: path.clone(),
        source,
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let text = Secret::new(text);
            SealingKey::from_base64(text.expose().trim())
                .map_err(|_| KeyFileError::Malformed { path })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match stored {
            Stored::Something => Err(KeyFileError::Missing { path }),
            Stored::Nothing => {
                let key = SealingKey::from_bytes(random);
                write(data_dir, &path, &key).map_err(unusable)?;
                Ok(key)
            }
        },
        Err(error) => Err(unusable(error)),
    }
}

fn write(data_dir: &Path, path: &Path, key: &SealingKey) -> io::Result<()> {
    let draft = data_dir.join(format!("{NAME}.new"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{}", key.to_base64().expose())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The name is durable only when the directory is.
    #[cfg(unix)]
    fs::File::open(data_dir)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed_by(key: &SealingKey) -> String {
        key.seal("owner", b"secret", [7; 24])
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_make(dir.path(), Stored::Nothing, [1; 32]).unwrap();
        let next = load_or_make(dir.path(), Stored::Something, [2; 32]).unwrap();
        assert_eq!(*next.open("owner", &sealed_by(&first)).unwrap(), b"secret");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        load_or_make(dir.path(), Stored::Nothing, [1; 32]).unwrap();
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_lost_key_is_not_replaced_while_it_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let error = load_or_make(dir.path(), Stored::Something, [1; 32]).unwrap_err();
        assert!(matches!(error, KeyFileError::Missing { .. }), "{error}");
        assert!(!dir.path().join(NAME).exists());
    }

    #[test]
    fn what_a_crash_left_behind_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(format!("{NAME}.new")), "half a k").unwrap();
        assert!(load_or_make(dir.path(), Stored::Nothing, [1; 32]).is_ok());
    }

    #[test]
    fn a_file_that_holds_no_key_is_named_but_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "sesame").unwrap();
        let error = load_or_make(dir.path(), Stored::Something, [1; 32]).unwrap_err();
        assert!(error.to_string().contains(NAME));
        assert!(!error.to_string().contains("sesame"));
    }
}
