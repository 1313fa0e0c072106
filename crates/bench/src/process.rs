//! What a process has used so far, as Linux counts it.

use std::fs;
use std::iter::Sum;
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

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |sum, usage| Self {
            cpu_ms: sum.cpu_ms + usage.cpu_ms,
            written_bytes: sum.written_bytes + usage.written_bytes,
        })
    }
}

impl Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(memories: I) -> Self {
        let nothing = Self {
            resident_mib: 0.0,
            peak_mib: 0.0,
        };
        memories.fold(nothing, |sum, memory| Self {
            resident_mib: sum.resident_mib + memory.resident_mib,
            peak_mib: sum.peak_mib + memory.peak_mib,
        })
    }
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
    let stat = Stat::parse(&stat).ok_or("/proc/PID/stat is not as expected")?;
    let written = value_of(&io, "write_bytes").ok_or("/proc/PID/io is not as expected")?;
    Ok(Usage {
        cpu_ms: stat.own_ticks * MILLISECONDS_PER_TICK,
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

/// Reads the processor time of a process and of all its children, also of those that have ended.
pub(crate) fn family_cpu_ms(parent: u32) -> Result<f64, Failure> {
    let stat = read(parent, "stat")?;
    let stat = Stat::parse(&stat).ok_or("/proc/PID/stat is not as expected")?;
    let mut ticks = stat.own_ticks + stat.ended_children_ticks;
    for entry in fs::read_dir("/proc")? {
        // One that ended meanwhile is among the parent's ended children the next time.
        let stat = fs::read_to_string(entry?.path().join("stat")).unwrap_or_default();
        let stat = Stat::parse(&stat).filter(|stat| stat.parent == parent);
        ticks += stat.map_or(0.0, |stat| stat.own_ticks);
    }
    Ok(ticks * MILLISECONDS_PER_TICK)
}

/// The process that started this one, if the program has that name.
pub(crate) fn parent_of(process_id: u32, name: &str) -> Option<u32> {
    let stat = read(process_id, "stat").ok()?;
    let stat = Stat::parse(&stat)?;
    (stat.name == name).then_some(stat.parent)
}

/// What `/proc/PID/stat` tells.
struct Stat<'a> {
    name: &'a str,
    parent: u32,
    own_ticks: f64,
    /// Of children that have ended and were waited for.
    ended_children_ticks: f64,
}

impl<'a> Stat<'a> {
    /// The second field, the program's name in brackets, may hold spaces and brackets. The fourth is
    /// the parent; from the 14th on come user and system time, first the process's own, then its
    /// ended children's.
    fn parse(stat: &'a str) -> Option<Self> {
        let (before, from_third) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = from_third.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            name,
            parent: fields.get(1)?.parse().ok()?,
            own_ticks: number(14)? + number(15)?,
            ended_children_ticks: number(16)? + number(17)?,
        })
    }
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
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 4 3 20 0 3 0 1234 1 1";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.name, stat.parent), ("a ) b", 1));
        assert_eq!((stat.own_ticks, stat.ended_children_ticks), (300.0, 7.0));
        assert!(Stat::parse("7 nonsense").is_none());
    }

    #[test]
    fn a_family_has_used_what_its_ended_children_have_used() {
        let worked = "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done";
        let status = std::process::Command::new("sh")
            .args(["-c", worked])
            .status();
        assert!(status.unwrap().success());
        let this = std::process::id();
        let family = family_cpu_ms(this).unwrap();
        let alone = usage(this).unwrap().cpu_ms;
        assert!(family > alone, "{family} for {alone}");
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
