//! What a process has used: processor time and memory, from `/proc`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time of all threads of a process since its start, in user mode and in the kernel.
///
/// The kernel counts in ticks of usually 10 ms: too coarse for less than a second or so.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let ticks =
        parse_stat(&read(pid, "stat")?).with_context(|| format!("/proc/{pid}/stat is not understood"))?;
    Ok(ticks_to_time(ticks))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub resident_bytes: u64,
    pub peak_resident_bytes: u64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    let status = read(pid, "status")?;
    parse_status(&status).with_context(|| format!("/proc/{pid}/status is not understood"))
}

/// Processor time of everything on this machine since its start, and what the machine itself was denied by its host.
pub fn machine_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    Ok(ticks_to_time(parse_machine_stat(&stat).context("/proc/stat is not understood")?))
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// `utime` + `stime`, see proc_pid_stat(5).
fn parse_stat(stat: &str) -> Option<u64> {
    // The program's name, the second field, stands in parentheses and may hold spaces and parentheses itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    // The state is the third field of the line, `utime` the 14th.
    let mut times = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    Some(user + kernel)
}

/// All but idle and waiting for a disk, see proc_stat(5). Time of guests is part of user time.
fn parse_machine_stat(stat: &str) -> Option<u64> {
    let all = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<u64> = all.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, _idle, _disk, interrupts, soft_interrupts, stolen, ..] = times[..] else {
        return None;
    };
    Some(user + nice + system + interrupts + soft_interrupts + stolen)
}

fn parse_status(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1_024)
    };
    Some(Memory { resident_bytes: bytes("VmRSS:")?, peak_resident_bytes: bytes("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_both_modes_together() {
        let stat = "4711 (a (strange) name) S 1 4711 4711 0 -1 4194560 900 0 3 0 120 34 7 8 20 0 5 0 1 2 3";
        assert_eq!(parse_stat(stat), Some(154));
        assert_eq!(parse_stat("4711 (short) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\troomlog\nVmPeak:\t  900 kB\nVmHWM:\t     300 kB\nVmRSS:\t     200 kB\n";
        let memory = parse_status(status).unwrap();
        assert_eq!(memory, Memory { resident_bytes: 204_800, peak_resident_bytes: 307_200 });
        assert_eq!(parse_status("VmRSS:\t 200 pages\n"), None);
    }

    #[test]
    fn the_machines_time_leaves_out_idling() {
        assert_eq!(parse_machine_stat("cpu  100 2 30 9000 800 4 5 6 70 0\ncpu0 1 2 3\n"), Some(147));
        assert_eq!(parse_machine_stat("cpu0 1 2 3 4 5 6 7 8\n"), None);
        assert_eq!(parse_machine_stat("cpu  1 2 3\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_can_be_measured() {
        let pid = std::process::id();
        processor_time(pid).unwrap();
        assert!(memory(pid).unwrap().resident_bytes > 0);
        assert!(machine_time().unwrap() > processor_time(pid).unwrap());
    }
}
