//! What the figures were measured on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Failure;
use crate::histogram::Histogram;

const SYNCS_MAX: u32 = 300;
const SYNCING_MAX: Duration = Duration::from_secs(3);

/// The machine.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that this program may use, and all that it measures with it.
    pub cores: usize,
    /// As the processor calls itself.
    pub processor: String,
    /// Name and version.
    pub kernel: String,
    /// All of its memory.
    pub memory_mib: u64,
    /// The median time of an append of 4 KiB that is then synced, where the stores lie: no commit can
    /// be faster.
    pub sync_p50_ms: f64,
    /// The same for the slowest of a hundred.
    pub sync_p99_ms: f64,
}

impl Machine {
    /// Asks the system, and tries the disk.
    pub(crate) fn describe(work_dir: &Path) -> Result<Self, Failure> {
        let syncs = time_syncs(work_dir)?;
        Ok(Self {
            cores: thread::available_parallelism()?.get(),
            processor: line_of("/proc/cpuinfo", "model name"),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            memory_mib: line_of("/proc/meminfo", "MemTotal")
                .trim_end_matches(" kB")
                .parse::<u64>()
                .unwrap_or_default()
                / 1_024,
            sync_p50_ms: syncs.percentile(0.5).as_secs_f64() * 1e3,
            sync_p99_ms: syncs.percentile(0.99).as_secs_f64() * 1e3,
        })
    }
}

fn time_syncs(work_dir: &Path) -> Result<Histogram, Failure> {
    let directory = tempfile::tempdir_in(work_dir)?;
    let mut file = File::create(directory.path().join("synced"))?;
    let block = [7; 4_096];
    let mut syncs = Histogram::new();
    let first = Instant::now();
    for _ in 0..SYNCS_MAX {
        let started = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        syncs.add(started.elapsed());
        if first.elapsed() > SYNCING_MAX {
            break;
        }
    }
    Ok(syncs)
}

/// The value of the first `name : value` line, which some machines leave out.
fn line_of(path: &str, name: &str) -> String {
    let lines = fs::read_to_string(path).unwrap_or_default();
    let found = lines.lines().find_map(|line| {
        let (of_line, value) = line.split_once(':')?;
        (of_line.trim() == name).then(|| value.trim().to_owned())
    });
    found.unwrap_or_else(|| "unknown".into())
}
