//! The machine under a data directory: who may look into it, whether there is room, and whether its
//! disk keeps what it says it has.

use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::finding::Finding;
use crate::when::span;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Below this the next hour may fill the disk.
const FREE_FAIL: u64 = 256 * MIB;
const FREE_WARN: u64 = GIB;
/// Writes whose median is taken.
const SYNCS: usize = 16;
/// Every answer to a provider waits for one of these.
const SYNC_WARN: Duration = Duration::from_millis(20);
const SYNC_FAIL: Duration = Duration::from_millis(250);
/// No disk is this fast; what only says that it has written loses it when the power goes.
const SYNC_TOO_FAST: Duration = Duration::from_micros(15);
/// One for each request and attempt under way, and some for the store.
const FILES_WARN: u64 = 4_096;
const FILES_FAIL: u64 = 256;

/// Looks at the directory and what it lies on.
pub(super) fn directory(dir: &Path) -> Vec<Finding> {
    let shown = dir.display();
    let found = match fs::metadata(dir) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => {
            let found = format!("{shown} is no directory");
            return vec![Finding::fail(
                "directory",
                found,
                "name another with --data-dir",
            )];
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let found = format!("{shown} is not there");
            let advice = "hooklatch serve makes it; if there should be data, look for it elsewhere";
            return vec![Finding::warn("directory", found, advice)];
        }
        Err(error) => {
            let found = format!("{shown} cannot be looked at: {error}");
            let advice = "run this as the user that runs the gateway";
            return vec![Finding::fail("directory", found, advice)];
        }
    };
    let mut findings = vec![permissions(dir, &found)];
    findings.extend(space(dir));
    findings.extend(file_system(dir));
    findings.push(sync_time(dir));
    findings
}

#[cfg(unix)]
fn permissions(dir: &Path, found: &Metadata) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let mode = found.permissions().mode() & 0o777;
    let shown = dir.display();
    if mode & 0o077 == 0 {
        return Finding::ok("directory", format!("{shown} is open to its owner only"));
    }
    Finding::warn(
        "directory",
        format!("{shown} has mode {mode:o}: others of this machine can look into it"),
        format!("chmod 700 {shown}"),
    )
}

#[cfg(not(unix))]
fn permissions(dir: &Path, _: &Metadata) -> Finding {
    Finding::skip(
        "directory",
        format!("who may look into {} is not known", dir.display()),
    )
}

#[cfg(unix)]
fn space(dir: &Path) -> Option<Finding> {
    let told = rustix::fs::statvfs(dir).ok()?;
    let free = told.f_bavail.saturating_mul(told.f_frsize);
    let all = told.f_blocks.saturating_mul(told.f_frsize);
    Some(judge_space(free, all))
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Finding> {
    Some(Finding::skip(
        "disk",
        "free space is not looked at on this system",
    ))
}

fn judge_space(free: u64, all: u64) -> Finding {
    let percent = free.saturating_mul(100).checked_div(all).unwrap_or(0);
    let size = |bytes: u64| match bytes {
        0..GIB => format!("{} MiB", bytes / MIB),
        _ => format!("{} GiB", bytes / GIB),
    };
    let found = format!("{} of {} are free ({percent} %)", size(free), size(all));
    let advice = "make room, or keep less (--history-days, docs/retention.md): where there is none, \
                  requests are refused with 503";
    if free < FREE_FAIL {
        Finding::fail("disk", found, advice)
    } else if free < FREE_WARN || percent < 5 {
        Finding::warn("disk", found, advice)
    } else {
        Finding::ok("disk", found)
    }
}

#[cfg(target_os = "linux")]
fn file_system(dir: &Path) -> Option<Finding> {
    let told = rustix::fs::statfs(dir).ok()?;
    // The numbers have 32 bits; the field's sign and width differ between processors.
    Some(judge_file_system(told.f_type as u64 & 0xffff_ffff))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<Finding> {
    Some(Finding::skip(
        "file system",
        "its kind is not looked at on this system",
    ))
}

/// The numbers are those of statfs(2).
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux tells its number")
)]
fn judge_file_system(number: u64) -> Finding {
    let shared = match number {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x00c3_6400 => Some("Ceph"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636f => Some("OCFS2"),
        0x0bd0_0bd0 => Some("Lustre"),
        _ => None,
    };
    if let Some(name) = shared {
        return Finding::fail(
            "file system",
            format!(
                "{name}: SQLite cannot rely on the locks and the syncs of a shared file system"
            ),
            "put the data on a local disk, or use --database-url",
        );
    }
    match number {
        0x0102_1994 | 0x8584_58f6 => Finding::warn(
            "file system",
            "it lies in memory: everything is lost when the machine stops",
            "put the data on a disk, unless it is for a test",
        ),
        0x6573_5546 => Finding::warn(
            "file system",
            "FUSE: whether it syncs and locks depends on what is behind it",
            "put the data on a local disk unless you know that it does both",
        ),
        0x794c_7630 => Finding::warn(
            "file system",
            "overlay: in a container, the data goes when the container goes",
            "mount a volume for the data directory",
        ),
        _ => Finding::ok("file system", "it is a local one"),
    }
}

fn sync_time(dir: &Path) -> Finding {
    match median_sync(dir) {
        Ok(median) => judge_sync(median),
        Err(error) => Finding::fail(
            "sync",
            format!("nothing can be written into {}: {error}", dir.display()),
            "run this as the user that runs the gateway; if that is who you are, fix the directory",
        ),
    }
}

/// Appends and syncs a page at a time, as the log does, and removes it all.
fn median_sync(dir: &Path) -> io::Result<Duration> {
    let mut file = tempfile::Builder::new()
        .prefix(".doctor-")
        .tempfile_in(dir)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

fn judge_sync(median: Duration) -> Finding {
    let found = format!(
        "a write is on the disk after {:.2} ms",
        median.as_secs_f64() * 1_000.0
    );
    if median >= SYNC_FAIL {
        let advice = "every answer waits for this: use another disk";
        Finding::fail("sync", found, advice)
    } else if median >= SYNC_WARN {
        let advice = "every answer waits for this; a disk with a write cache that survives a power \
                      cut is faster";
        Finding::warn("sync", found, advice)
    } else if median < SYNC_TOO_FAST {
        let advice = "no disk is that fast: make sure that it does not only say so";
        Finding::warn("sync", found, advice)
    } else {
        Finding::ok("sync", found)
    }
}

/// How many files and connections a process may have open.
#[cfg(unix)]
pub(super) fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    judge_files(limit.current)
}

#[cfg(not(unix))]
pub(super) fn open_files() -> Finding {
    Finding::skip("open files", "the limit is not looked at on this system")
}

#[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has the limit"))]
fn judge_files(limit: Option<u64>) -> Finding {
    let Some(limit) = limit else {
        return Finding::ok("open files", "any number");
    };
    let found = format!("{limit} for a process that is started from here");
    let advice = "raise it for the gateway: LimitNOFILE=65536 in its unit, or ulimit -n 65536";
    if limit < FILES_FAIL {
        Finding::fail("open files", found, advice)
    } else if limit < FILES_WARN {
        Finding::warn("open files", found, advice)
    } else {
        Finding::ok("open files", found)
    }
}

/// How far another clock is from ours, and how exactly that is known.
pub(super) fn clock(whose: &str, apart_ms: u64, exact_to_ms: u64) -> Finding {
    let certain = apart_ms.saturating_sub(exact_to_ms);
    let found = format!(
        "{whose} and this machine are {:.1} s apart",
        certain as f64 / 1_000.0
    );
    let advice = "synchronise both clocks (NTP): signatures carry times, and receivers refuse those \
                  that are minutes off";
    match certain {
        0..=1_999 => Finding::ok("clock", format!("{whose} has the time of this machine")),
        2_000..=59_999 => Finding::warn("clock", found, advice),
        _ => Finding::fail("clock", found, advice),
    }
}

/// How long a delivery may wait before somebody should look.
const WAITING_WARN_SECONDS: u64 = 3_600;

/// What waits, and since when.
pub(super) fn waiting(many: u64, at_least: bool, oldest_seconds: Option<u64>) -> Finding {
    let more = if at_least { " or more" } else { "" };
    let Some(oldest) = oldest_seconds.filter(|_| many > 0) else {
        return Finding::ok("waiting", "no delivery waits");
    };
    let found = format!(
        "{many}{more} deliveries wait, the oldest for {}",
        span(oldest)
    );
    if oldest < WAITING_WARN_SECONDS {
        return Finding::ok("waiting", found);
    }
    let advice = "see which endpoints fail: hooklatch endpoints list, hooklatch attempts list \
                  --outcome failed";
    Finding::warn("waiting", found, advice)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_full_disk_is_told_before_it_is_full() {
        let states = [
            (100 * GIB, 200 * GIB),
            (500 * MIB, 2 * GIB),
            (9 * GIB, 200 * GIB),
            (100 * MIB, 200 * GIB),
            (0, 0),
        ]
        .map(|(free, all)| judge_space(free, all).state);
        let expected = [
            State::Ok,
            State::Warn,
            State::Warn,
            State::Fail,
            State::Fail,
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn file_systems_that_sqlite_cannot_trust_fail() {
        for (number, expected) in [
            (0xef53, State::Ok),
            (0x9123_683e, State::Ok),
            (0x6969, State::Fail),
            (0xff53_4d42, State::Fail),
            (0x0102_1994, State::Warn),
            (0x794c_7630, State::Warn),
        ] {
            assert_eq!(judge_file_system(number).state, expected, "{number:x}");
        }
    }

    #[test]
    fn a_disk_that_is_slow_or_too_fast_is_told() {
        let states =
            [1, 100, 30_000, 300_000].map(|us| judge_sync(Duration::from_micros(us)).state);
        assert_eq!(states, [State::Warn, State::Ok, State::Warn, State::Fail]);
        let limits = [Some(64), Some(1_024), Some(65_536), None].map(|it| judge_files(it).state);
        assert_eq!(limits, [State::Fail, State::Warn, State::Ok, State::Ok]);
    }

    #[test]
    fn clocks_may_differ_by_what_is_not_known() {
        let states = [(1_900, 0), (2_900, 1_000), (4_000, 1_000), (120_000, 1_000)]
            .map(|(apart, exact)| clock("the gateway", apart, exact).state);
        assert_eq!(states, [State::Ok, State::Ok, State::Warn, State::Fail]);
    }

    #[test]
    fn what_waits_for_long_is_told_with_its_age() {
        assert_eq!(waiting(0, false, None).state, State::Ok);
        assert_eq!(waiting(5, false, Some(60)).state, State::Ok);
        let old = waiting(5, true, Some(7_200));
        assert_eq!(old.state, State::Warn);
        assert_eq!(old.found, "5 or more deliveries wait, the oldest for 2 h");
    }

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let findings = directory(dir.path());
        let checks: Vec<_> = findings.iter().map(|it| it.check).collect();
        assert_eq!(checks[0], "directory");
        assert!(checks.contains(&"sync"), "{checks:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let missing = directory(&dir.path().join("no"));
        assert_eq!((missing.len(), missing[0].state), (1, State::Warn));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(directory(&file)[0].state, State::Fail);
    }
}
