//! What a process has used: processor time and memory, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time of all threads of a process since its start, in user mode and in the kernel.
///
/// The kernel counts in ticks of usually 10 ms: too coarse for less than a second or so.
pub fn processor_time(pid: u32) -> Result<Duration> {
    Ok(ticks_to_time(stat(pid)?.own_ticks))
}

/// The same of a process and everything that it has started, also of what has ended since.
pub fn processor_time_of_tree(pid: u32) -> Result<Duration> {
    let mut ticks = 0;
    for member in tree(pid)? {
        // One that has ended since counts among its parent's children from now on, for the next look.
        if let Ok(stat) = stat(member) {
            ticks += stat.own_ticks + stat.ended_children_ticks;
        }
    }
    Ok(ticks_to_time(ticks))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub resident_bytes: u64,
    /// The most that it has ever been. Of a tree: what it is now.
    pub peak_resident_bytes: u64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    let Status { resident, peak, .. } = status(pid)?;
    Ok(Memory { resident_bytes: resident, peak_resident_bytes: peak })
}

/// Of a process and everything that it has started: what each has for itself, and once what they share.
pub fn memory_of_tree(pid: u32) -> Result<Memory> {
    let members: Vec<Status> = tree(pid)?.into_iter().filter_map(|member| status(member).ok()).collect();
    let own: u64 = members.iter().map(|member| member.own).sum();
    let shared = members.iter().map(|member| member.resident.saturating_sub(member.own)).max();
    let bytes = own + shared.unwrap_or_default();
    Ok(Memory { resident_bytes: bytes, peak_resident_bytes: bytes })
}

/// Processor time of everything on this machine since its start, and what the machine itself was denied by its host.
pub fn machine_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    Ok(ticks_to_time(parse_machine_stat(&stat).context("/proc/stat is not understood")?))
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A process and all below it.
fn tree(root: u32) -> Result<BTreeSet<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // Others may end at any time.
        if let Some(pid) = pid
            && let Ok(stat) = stat(pid)
        {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    Ok(descendants(root, &children))
}

fn descendants(root: u32, children: &BTreeMap<u32, Vec<u32>>) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let below = children.get(&pid).into_iter().flatten();
        open.extend(below.filter(|child| found.insert(**child)));
    }
    found
}

fn stat(pid: u32) -> Result<Stat> {
    parse_stat(&read(pid, "stat")?).with_context(|| format!("/proc/{pid}/stat is not understood"))
}

fn status(pid: u32) -> Result<Status> {
    parse_status(&read(pid, "status")?).with_context(|| format!("/proc/{pid}/status is not understood"))
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = Path::new("/proc").join(pid.to_string()).join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// Of children that have ended and been waited for, and theirs.
    ended_children_ticks: u64,
}

/// See proc_pid_stat(5).
fn parse_stat(stat: &str) -> Option<Stat> {
    // The program's name, the second field, stands in parentheses and may hold spaces and parentheses itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    // The state is the third field of the line, the parent the 4th, `utime` to `cstime` the 14th to 17th.
    let mut fields = after_name.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let times: Vec<u64> = fields.skip(9).take(4).map(|time| time.parse().ok()).collect::<Option<_>>()?;
    let [user, kernel, children_user, children_kernel] = times[..] else { return None };
    Some(Stat { parent, own_ticks: user + kernel, ended_children_ticks: children_user + children_kernel })
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

/// In bytes.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    resident: u64,
    peak: u64,
    /// Shared with nobody: neither with files nor with other processes.
    own: u64,
}

fn parse_status(status: &str) -> Option<Status> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1_024)
    };
    Some(Status { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")?, own: bytes("RssAnon:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_both_modes_together() {
        let stat = "4711 (a (strange) name) S 17 4711 4711 0 -1 4194560 900 0 3 0 120 34 7 8 20 0 5 0 1 2 3";
        let expected = Stat { parent: 17, own_ticks: 154, ended_children_ticks: 15 };
        assert_eq!(parse_stat(stat), Some(expected));
        assert_eq!(parse_stat("4711 (short) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status =
            "Name:\troomlog\nVmPeak:\t  900 kB\nVmHWM:\t     300 kB\nVmRSS:\t     200 kB\nRssAnon:\t 50 kB\n";
        let expected = Status { resident: 204_800, peak: 307_200, own: 51_200 };
        assert_eq!(parse_status(status), Some(expected));
        assert_eq!(parse_status("VmRSS:\t 200 pages\n"), None);
    }

    #[test]
    fn the_machines_time_leaves_out_idling() {
        assert_eq!(parse_machine_stat("cpu  100 2 30 9000 800 4 5 6 70 0\ncpu0 1 2 3\n"), Some(147));
        assert_eq!(parse_machine_stat("cpu0 1 2 3 4 5 6 7 8\n"), None);
        assert_eq!(parse_machine_stat("cpu  1 2 3\n"), None);
    }

    #[test]
    fn a_tree_is_all_below_its_root() {
        let children = BTreeMap::from([(1, vec![2, 3]), (3, vec![4]), (4, vec![5]), (9, vec![10])]);
        assert_eq!(descendants(3, &children), BTreeSet::from([3, 4, 5]));
        assert_eq!(descendants(10, &children), BTreeSet::from([10]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_can_be_measured() {
        let pid = std::process::id();
        let own = processor_time(pid).unwrap();
        assert!(processor_time_of_tree(pid).unwrap() >= own);
        assert!(memory(pid).unwrap().resident_bytes > 0);
        assert!(memory_of_tree(pid).unwrap().resident_bytes > 0);
        assert!(machine_time().unwrap() > own);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_belongs_to_its_parents_tree() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(tree(std::process::id()).unwrap().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
