//! Hand-made histories: each kind of violation is found, and nothing else.

use outbox_decoder::Lsn;

use super::{Evidence, Outage, Report, verify};
use crate::consumer::{EndOffsets, Record};
use crate::history::{History, WrittenRow};
use crate::sampler::Sample;

const TOPIC: &str = "t";

/// A run that can be spoilt: three rows of two keys in two partitions, each in a transaction of its own.
struct Run {
    history: History,
    records: Vec<Record>,
    samples: Vec<Sample>,
    faults: Vec<Sample>,
    outages: Vec<Outage>,
    sets_aside: bool,
}

impl Run {
    fn clean() -> Run {
        let history = History {
            committed: vec![row("a", "k1", 1), row("b", "k2", 2), row("c", "k1", 3)],
            rolled_back: ["taken back".to_owned()].into(),
        };
        Run {
            history,
            records: vec![
                record("a", "k1", 1, (0, 0)),
                record("b", "k2", 2, (1, 0)),
                record("c", "k1", 3, (0, 1)),
            ],
            samples: vec![sample(100, 0, 0), sample(101, 1, 0), sample(301, 2, 1)],
            faults: Vec::new(),
            outages: Vec::new(),
            sets_aside: false,
        }
    }

    fn judge(&self) -> Report {
        verify(Evidence {
            history: Some(&self.history),
            records: &self.records,
            samples: &self.samples,
            faults: &self.faults,
            rebuilds: 0,
            outages: &self.outages,
            sets_aside: self.sets_aside,
        })
    }

    /// The run after a kill at which `confirmed` had been confirmed, with a replay of the rows from `nth` on.
    fn replayed_from(nth: usize, confirmed: u64) -> Run {
        let mut run = Run::clean();
        run.faults.push(sample(confirmed, 2, 1));
        let mut ends = [2, 1];
        let repeated = run.records[nth..].to_vec();
        for mut record in repeated {
            let end = &mut ends[usize::try_from(record.partition).unwrap()];
            record.offset = *end;
            *end += 1;
            run.records.push(record);
        }
        run
    }
}

fn row(id: &str, key: &str, nth: u32) -> WrittenRow {
    WrittenRow {
        id: id.to_owned(),
        topic: TOPIC.to_owned(),
        key: key.to_owned(),
        payload: format!("payload of {id}"),
        xid: nth,
    }
}

/// The commit record of transaction n stands at 100 n, and ends before 100 n + 1.
fn record(id: &str, key: &str, nth: u32, (partition, offset): (i32, i64)) -> Record {
    let position = format!("{:016X}-00000000-{nth}", u64::from(nth) * 100);
    Record {
        topic: TOPIC.to_owned(),
        partition,
        offset,
        key: Some(key.as_bytes().to_vec()),
        headers: vec![
            ("id".to_owned(), id.as_bytes().to_vec()),
            ("position".to_owned(), position.into_bytes()),
        ],
        value: Some(format!("payload of {id}").into_bytes()),
        timestamp_ms: None,
    }
}

fn sample(confirmed: u64, first: i64, second: i64) -> Sample {
    Sample {
        confirmed: Lsn::new(confirmed),
        readable: EndOffsets::from([((TOPIC.to_owned(), 0), first), ((TOPIC.to_owned(), 1), second)]),
    }
}

/// The names of the kinds of violation that were found, with their counts.
fn found(run: &Run) -> Vec<(&'static str, usize)> {
    let report = run.judge();
    let violations = report.violations().map(|(name, found)| (name, found.len()));
    let violations: Vec<_> = violations.filter(|(_, count)| *count > 0).collect();
    assert_eq!(report.accept().is_err(), !violations.is_empty(), "{report}");
    violations
}

#[test]
fn a_clean_run_has_no_violation() {
    let run = Run::clean();
    assert_eq!(found(&run), []);
    let report = run.judge();
    assert_eq!(
        (report.rows, report.records, report.duplicates, report.runs),
        (3, 3, 0, 1)
    );
}

#[test]
fn a_committed_row_without_a_record_is_lost() {
    let mut run = Run::clean();
    run.records.remove(1);
    assert_eq!(found(&run), [("lost", 1)]);
}

#[test]
fn a_record_that_nobody_committed_is_a_phantom() {
    for id in ["taken back", "never written"] {
        let mut run = Run::clean();
        run.records.push(record(id, "k2", 4, (1, 1)));
        assert_eq!(found(&run), [("phantom", 1)]);
    }
}

#[test]
fn a_record_that_differs_from_its_row_is_altered() {
    type Spoil = fn(&mut Record);
    let spoils: [Spoil; 4] = [
        |record| record.value = Some(b"payload of x".to_vec()),
        |record| record.key = None,
        |record| record.topic = "other".to_owned(),
        |record| record.headers[1].1 = b"00000000000000C8-00000000-9".to_vec(),
    ];
    for spoil in spoils {
        let mut run = Run::clean();
        run.samples.clear();
        spoil(&mut run.records[1]);
        assert_eq!(found(&run), [("altered", 1)]);
    }
}

#[test]
fn a_record_without_a_position_is_altered_and_its_row_is_lost() {
    let mut run = Run::clean();
    run.records[1].headers.pop();
    assert_eq!(found(&run), [("lost", 1), ("altered", 1)]);
}

#[test]
fn a_later_row_of_a_key_before_an_earlier_one_is_non_monotonic() {
    let mut run = Run::clean();
    run.samples.clear();
    run.records = vec![
        record("c", "k1", 3, (0, 0)),
        record("a", "k1", 1, (0, 1)),
        record("b", "k2", 2, (1, 0)),
    ];
    let report = run.judge();
    // Seen twice: by its key and by its partition; the partition is also a run too many.
    assert_eq!((report.non_monotonic.len(), report.runs), (2, 2));
    assert!(report.accept().is_err());
}

#[test]
fn rows_of_one_key_in_two_partitions_are_non_monotonic() {
    let mut run = Run::clean();
    run.samples.clear();
    run.records[2] = record("c", "k1", 3, (1, 1));
    assert_eq!(found(&run), [("non-monotonic", 1)]);
}

#[test]
fn rows_of_two_keys_out_of_order_in_one_partition_are_non_monotonic() {
    let mut run = Run::clean();
    run.samples.clear();
    run.faults.push(sample(0, 0, 0));
    run.records = vec![
        record("b", "k2", 2, (0, 0)),
        record("a", "k1", 1, (0, 1)),
        record("c", "k1", 3, (0, 2)),
    ];
    assert_eq!(found(&run), [("non-monotonic", 1)]);
    run.sets_aside = true;
    assert_eq!(
        found(&run),
        [],
        "the first one may have been set aside by a relay that was killed"
    );
}

#[test]
fn a_position_confirmed_before_it_could_be_read_is_an_unsafe_checkpoint() {
    let mut run = Run::clean();
    run.samples.push(sample(301, 1, 1));
    assert_eq!(found(&run), [("unsafe checkpoint", 1)]);
    // The commit record at 300 is not covered by 300 itself.
    let mut run = Run::clean();
    run.samples.push(sample(300, 1, 1));
    assert_eq!(found(&run), []);
}

#[test]
fn a_topic_that_was_not_there_counts_as_empty() {
    let mut run = Run::clean();
    run.samples[2].readable.clear();
    assert_eq!(found(&run), [("unsafe checkpoint", 2)]);
}

#[test]
fn a_position_confirmed_without_a_broker_is_an_unsafe_checkpoint() {
    let mut run = Run::clean();
    let outage = |confirmed| Outage {
        from: Lsn::new(150),
        confirmed: Lsn::new(confirmed),
    };
    run.outages = vec![outage(101), outage(200)];
    assert_eq!(found(&run), []);
    run.outages = vec![outage(201)];
    assert_eq!(found(&run), [("unsafe checkpoint", 1)]);
}

#[test]
fn a_replay_of_what_was_not_confirmed_is_counted_and_allowed() {
    let run = Run::replayed_from(1, 101);
    assert_eq!(found(&run), []);
    let report = run.judge();
    assert_eq!((report.duplicates, report.runs, report.repeats), (2, 2, vec![2]));
}

#[test]
fn a_replay_of_what_was_confirmed_is_a_needless_repeat() {
    assert_eq!(found(&Run::replayed_from(1, 201)), [("needless repeat", 1)]);
}

#[test]
fn a_repeat_without_a_fault_is_a_needless_repeat() {
    let mut run = Run::replayed_from(1, 101);
    run.faults.clear();
    assert_eq!(found(&run), [("needless repeat", 2)]);
}

#[test]
fn more_runs_than_faults_are_not_accepted() {
    let mut run = Run::replayed_from(0, 0);
    run.records.push(record("a", "k1", 1, (0, 4)));
    let report = run.judge();
    assert_eq!(report.runs, 3);
    assert!(report.accept().is_err(), "{report}");
}

#[test]
fn a_repeat_with_another_position_is_inconsistent() {
    let mut run = Run::replayed_from(2, 201);
    run.records[3].headers[1].1 = b"0000000000000190-00000000-3".to_vec();
    assert_eq!(found(&run), [("inconsistent", 1)]);
}

/// Row a was set aside, and is published behind b, which is of another key, and before c, which is of its own.
#[test]
fn a_redriven_record_is_held_against_those_of_its_key_alone() {
    let redriven_at = |offset| {
        let mut run = Run::clean();
        let mut late = record("a", "k1", 1, (0, offset));
        late.headers.push(("redrive".to_owned(), b"1".to_vec()));
        run.records[0] = record("b", "k2", 2, (0, 0));
        run.records[1] = late;
        run.records[2].offset = 3 - offset;
        run.records.sort_by_key(|record| record.offset);
        run.samples = vec![sample(201, 1, 0), sample(301, 3, 0)];
        run
    };
    assert_eq!(found(&redriven_at(1)), []);
    assert_eq!(
        found(&redriven_at(2)),
        [("non-monotonic", 1)],
        "behind a later one of its key"
    );
    let mut as_ever = redriven_at(1);
    as_ever.records[1].headers.pop();
    assert_eq!(found(&as_ever), [("non-monotonic", 1), ("unsafe checkpoint", 1)]);
}
