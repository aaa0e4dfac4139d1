//! Checkpoint safety: what is confirmed can be read, and what was confirmed is not repeated.

use std::collections::BTreeMap;

use super::{Evidence, Report, Seen, place};
use crate::consumer::{EndOffsets, Partition};
use crate::sampler::Sample;

/// Judges every sample, every fault and every outage.
pub(super) fn judge(evidence: &Evidence<'_>, seen: &[Seen<'_>], report: &mut Report) {
    report.samples = evidence.samples.len();
    let partitions = by_partition(seen);
    for sample in evidence.samples.iter().chain(evidence.faults) {
        readable_when_confirmed(sample, &partitions, report);
    }
    for outage in evidence.outages {
        let within = |seen: &&Seen<'_>| seen.position.commit >= outage.from && seen.position.commit < outage.confirmed;
        if let Some(seen) = seen.iter().find(within) {
            let at = outage.confirmed;
            report
                .unsafe_checkpoint
                .push(format!("{at} was confirmed without a broker, beyond {}", place(seen)));
        }
    }
    repeats(evidence.faults, seen, report);
}

type Partitions<'s> = BTreeMap<Partition, Vec<&'s Seen<'s>>>;

fn by_partition<'s>(seen: &'s [Seen<'s>]) -> Partitions<'s> {
    let mut partitions = Partitions::new();
    for seen in seen.iter().filter(|seen| seen.is_first && !seen.is_redriven) {
        let partition = (seen.record.topic.clone(), seen.record.partition);
        partitions.entry(partition).or_default().push(seen);
    }
    partitions
}

/// A commit is covered when its record starts below the confirmed position, which is the end of such a record.
fn readable_when_confirmed(sample: &Sample, partitions: &Partitions<'_>, report: &mut Report) {
    for (partition, firsts) in partitions {
        let end = end(&sample.readable, partition);
        let from = firsts.partition_point(|seen| seen.record.offset < end);
        let unreadable = firsts[from..]
            .iter()
            .find(|seen| seen.position.commit < sample.confirmed);
        if let Some(seen) = unreadable {
            let at = sample.confirmed;
            report
                .unsafe_checkpoint
                .push(format!("{at} was confirmed when {} could not be read", place(seen)));
        }
    }
}

/// Counts the duplicates of each fault: those between the ends seen at it and at the next one.
fn repeats(faults: &[Sample], seen: &[Seen<'_>], report: &mut Report) {
    report.repeats = vec![0; faults.len()];
    for seen in seen.iter().filter(|seen| !seen.is_first && !seen.is_redriven) {
        let partition = (seen.record.topic.clone(), seen.record.partition);
        let earlier = faults.partition_point(|fault| end(&fault.readable, &partition) <= seen.record.offset);
        let Some(nth) = earlier.checked_sub(1) else {
            report.needless_repeat.push(format!("{} before any fault", place(seen)));
            continue;
        };
        report.repeats[nth] += 1;
        let confirmed = faults[nth].confirmed;
        if seen.position.commit < confirmed {
            report
                .needless_repeat
                .push(format!("{} although {confirmed} had been confirmed", place(seen)));
        }
    }
}

fn end(ends: &EndOffsets, partition: &Partition) -> i64 {
    ends.get(partition).copied().unwrap_or(0)
}
