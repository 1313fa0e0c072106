//! What a process has used so far, as Linux counts it.

use std::fs;
use std::ops::Sub;
use std::path::Path;

use serde::Serialize;

use crate::Failure;

/// Linux shows processor time to programs in hundredths of a second, on every architecture that we
/// build for, whatever its own clock is.
const MILLISECONDS_PER_TICK: f64 = 10.0;

/// Counters of a process since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time, of all its threads.
    pub cpu_ms: f64,
    /// Bytes that it made the disk write.
    pub written_bytes: f64,
}

/// Its memory now, and at most.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    /// Resident now.
    pub resident_mib: f64,
    /// The most that was resident at any time.
    pub peak_mib: f64,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms - earlier.cpu_ms,
            written_bytes: self.written_bytes - earlier.written_bytes,
        }
    }
}

/// Reads what that process has used.
pub(crate) fn usage(process_id: u32) -> Result<Usage, Failure> {
    let stat = read(process_id, "stat")?;
    let io = read(process_id, "io")?;
    let ticks = cpu_ticks(&stat).ok_or("/proc/PID/stat is not as expected")?;
    let written = value_of(&io, "write_bytes").ok_or("/proc/PID/io is not as expected")?;
    Ok(Usage {
        cpu_ms: ticks * MILLISECONDS_PER_TICK,
        written_bytes: written,
    })
}

/// Reads how much memory that process has.
pub(crate) fn memory(process_id: u32) -> Result<Memory, Failure> {
    let status = read(process_id, "status")?;
    let mebibytes = |name: &str| value_of(&status, name).map(|kibibytes| kibibytes / 1_024.0);
    let (resident, peak) = mebibytes("VmRSS")
        .zip(mebibytes("VmHWM"))
        .ok_or("/proc/PID/status is not as expected")?;
    Ok(Memory {
        resident_mib: resident,
        peak_mib: peak,
    })
}

fn read(process_id: u32, name: &str) -> Result<String, Failure> {
    let path = Path::new("/proc").join(process_id.to_string()).join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// User and system time are the 14th and 15th field; the second, the program's name in brackets, may
/// hold spaces.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, from_third) = stat.rsplit_once(')')?;
    let mut times = from_third.split_ascii_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some(user + system)
}

/// The number behind `name:` on a line of its own.
fn value_of(lines: &str, name: &str) -> Option<f64> {
    lines.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        value.split_ascii_whitespace().next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1234 1 1";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks("7 nonsense"), None);
    }

    #[test]
    fn a_value_is_that_of_the_whole_name() {
        let io = "rchar: 9\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!(value_of(io, "write_bytes"), Some(4_096.0));
        assert_eq!(value_of(io, "write"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.resident_mib > 0.0 && memory.peak_mib >= memory.resident_mib);
        assert!(usage(std::process::id()).unwrap().cpu_ms >= 0.0);
    }
}
