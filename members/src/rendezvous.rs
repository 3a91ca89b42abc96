//! Rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
//! 1998): each process gets a weight for a piece of work, the heaviest comes first. When a process
//! comes or goes, only the work that it is first for moves.

use crate::ProcessId;

/// The processes in order for this piece of work.
pub fn order(work: &str, processes: impl IntoIterator<Item = ProcessId>) -> Vec<ProcessId> {
    let mut weighed: Vec<([u8; 32], ProcessId)> =
        processes.into_iter().map(|process| (weight(work, process), process)).collect();
    weighed.sort_unstable_by(|a, b| b.cmp(a));
    weighed.dedup();
    weighed.into_iter().map(|(_, process)| process).collect()
}

/// The place of a process in that order, from 0; `None` if it is not among them.
pub fn rank(work: &str, processes: impl IntoIterator<Item = ProcessId>, process: ProcessId) -> Option<usize> {
    order(work, processes).iter().position(|other| *other == process)
}

fn weight(work: &str, process: ProcessId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(process.0.as_bytes());
    hasher.update(work.as_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn processes(count: u128) -> Vec<ProcessId> {
        (1..=count).map(|number| ProcessId(Uuid::from_u128(number))).collect()
    }

    #[test]
    fn everyone_finds_the_same_order() {
        let mut all = processes(5);
        let there = order("rooms/3", all.clone());
        all.reverse();
        assert_eq!(order("rooms/3", all), there);
    }

    #[test]
    fn when_a_process_goes_only_its_work_moves() {
        let all = processes(5);
        for partition in 0..200 {
            let work = format!("rooms/{partition}");
            let before = order(&work, all.clone());
            let after = order(&work, all.iter().copied().filter(|process| *process != all[0]));
            let expected: Vec<_> = before.into_iter().filter(|process| *process != all[0]).collect();
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn work_is_shared() {
        let all = processes(4);
        let mut first = std::collections::HashMap::<ProcessId, usize>::new();
        for partition in 0..400 {
            *first.entry(order(&format!("rooms/{partition}"), all.clone())[0]).or_default() += 1;
        }
        assert!(first.len() == 4 && first.values().all(|share| (60..=140).contains(share)), "{first:?}");
    }
}
