//! Order: first occurrences follow the commits, and a fault repeats a suffix.

use std::collections::{BTreeMap, HashMap};

use super::{Position, Report, Seen, place};
use crate::history::History;

/// The records of one key lie in one partition, in the order in which their rows were written.
pub(super) fn by_key(history: &History, firsts: &HashMap<&str, &Seen<'_>>, report: &mut Report) {
    let mut last: HashMap<(&str, &str), &Seen<'_>> = HashMap::new();
    for row in &history.committed {
        let Some(&seen) = firsts.get(row.id.as_str()) else {
            continue;
        };
        if let Some(before) = last.insert((&row.topic, &row.key), seen) {
            let one_partition = before.record.partition == seen.record.partition;
            if !one_partition || before.record.offset >= seen.record.offset || before.position >= seen.position {
                let key = &row.key;
                report
                    .non_monotonic
                    .push(format!("key {key}: {} came before {}", place(seen), place(before)));
            }
        }
    }
}

/// A partition is a series of runs with rising positions; among first occurrences positions only rise, unless rows may be set aside.
pub(super) fn by_partition(seen: &[Seen<'_>], sets_aside: bool, report: &mut Report) {
    let mut partitions: BTreeMap<(&str, i32), Partition> = BTreeMap::new();
    for seen in seen.iter().filter(|seen| !seen.is_redriven) {
        let place_of = (seen.record.topic.as_str(), seen.record.partition);
        let partition = partitions.entry(place_of).or_default();
        if partition.last.is_none_or(|last| seen.position <= last) {
            partition.runs += 1;
        }
        partition.last = Some(seen.position);
        if seen.is_first {
            if !sets_aside && partition.newest.is_some_and(|newest| seen.position <= newest) {
                let late = format!("{} came after a later one of its partition", place(seen));
                report.non_monotonic.push(late);
            }
            partition.newest = Some(seen.position);
        }
    }
    report.runs = partitions.values().map(|partition| partition.runs).max().unwrap_or(0);
}

#[derive(Default)]
struct Partition {
    runs: usize,
    last: Option<Position>,
    newest: Option<Position>,
}
