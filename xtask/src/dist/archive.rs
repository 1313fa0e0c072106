//! An archive whose bytes depend on what is in it alone: names in order, nobody's files, one time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Failure;

/// Packs the directory `name` of `dist` beside it; answers the archive's name.
pub fn pack(dist: &Path, name: &str, epoch: u64) -> Result<String, Failure> {
    let packed = format!("{name}.tar.gz");
    let mut tar = Command::new("tar")
        .current_dir(dist)
        .args(["--create", "--format=ustar", "--sort=name"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mode=u=rwX,go=rX", &format!("--mtime=@{epoch}"), name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let text = tar.stdout.take().expect("its output is piped");
    let gzip = Command::new("gzip")
        // No name and no time of ours.
        .args(["--no-name", "--best"])
        .stdin(text)
        .stdout(fs::File::create(dist.join(&packed))?)
        .status()?;
    if tar.wait()?.success() && gzip.success() {
        Ok(packed)
    } else {
        Err(format!("{packed} could not be written").into())
    }
}

/// Writes the checksum of a file beside it, as `sha256sum --check` reads it; answers it.
pub fn sums(dist: &Path, file: &str) -> Result<String, Failure> {
    let output = Command::new("sha256sum")
        .current_dir(dist)
        .arg(file)
        .output()?;
    if !output.status.success() {
        return Err(format!("sha256sum {file} failed").into());
    }
    fs::write(dist.join(format!("{file}.sha256")), &output.stdout)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_same_files_come_to_the_same_bytes_whenever_they_were_written() {
        let dist = std::env::temp_dir().join(format!("hooklatch-dist-{}", std::process::id()));
        let sum = |order: [&str; 2], age: Duration| {
            let stage = dist.join("stage");
            fs::create_dir_all(&stage).unwrap();
            for name in order {
                let file = fs::File::create(stage.join(name)).unwrap();
                file.set_modified(SystemTime::now() - age).unwrap();
            }
            let packed = pack(&dist, "stage", 1_700_000_000).unwrap();
            let sum = sums(&dist, &packed).unwrap();
            fs::remove_dir_all(&dist).unwrap();
            sum
        };
        let first = sum(["a", "b"], Duration::ZERO);
        let second = sum(["b", "a"], Duration::from_secs(3_600));
        assert!(first.ends_with("  stage.tar.gz"), "{first}");
        assert_eq!(first, second);
    }
}
