//! Frames in, records and confirmations out: the rules of the slot, without a server.

use std::collections::BTreeSet;

use outbox_decoder::stream::Frame;
use outbox_decoder::{Columns, MappingError, OutboxTable};
use proptest::prelude::*;

use super::*;

const TABLE_OID: u32 = 7;

/// A sink that keeps what it was given and can be full.
#[derive(Default)]
struct Taken {
    records: Vec<(Ticket, String)>,
    room: Option<usize>,
}

impl Sink for Taken {
    type Refusal = ();

    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<()>> {
        if self.room.is_some_and(|room| self.records.len() >= room) {
            return Err(SendError::Full);
        }
        let id = String::from_utf8_lossy(envelope.idempotency_key.as_bytes()).into_owned();
        if id == "refused" {
            return Err(SendError::Refused(()));
        }
        self.records.push((ticket, id));
        Ok(())
    }
}

impl Taken {
    fn ids(&self) -> Vec<&str> {
        self.records.iter().map(|(_, id)| id.as_str()).collect()
    }
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![tag];
    frame.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    frame.extend(body);
    frame
}

fn xlog_data(message: &[u8]) -> Vec<u8> {
    let mut body = vec![b'w'];
    body.extend([0; 24]);
    body.extend(message);
    frame(b'd', &body)
}

fn keepalive(wal_end: u64, reply_requested: bool) -> Vec<u8> {
    let mut body = vec![b'k'];
    body.extend(wal_end.to_be_bytes());
    body.extend([0; 8]);
    body.push(u8::from(reply_requested));
    frame(b'd', &body)
}

fn begin(commit_lsn: u64) -> Vec<u8> {
    let mut message = vec![b'B'];
    message.extend(commit_lsn.to_be_bytes());
    message.extend(commit_lsn.to_be_bytes());
    message.extend(9_u32.to_be_bytes());
    xlog_data(&message)
}

fn commit(commit_lsn: u64, end_lsn: u64) -> Vec<u8> {
    let mut message = vec![b'C', 0];
    message.extend(commit_lsn.to_be_bytes());
    message.extend(end_lsn.to_be_bytes());
    message.extend([0; 8]);
    xlog_data(&message)
}

fn relation() -> Vec<u8> {
    let mut message = vec![b'R'];
    message.extend(TABLE_OID.to_be_bytes());
    message.extend(b"public\0outbox\0d\0\x03");
    for name in ["id", "aggregate_type", "payload"] {
        message.push(0);
        message.extend(name.as_bytes());
        message.extend([0, 0, 0, 0, 25, 255, 255, 255, 255]);
    }
    xlog_data(&message)
}

fn insert(id: &str) -> Vec<u8> {
    let mut message = vec![b'I'];
    message.extend(TABLE_OID.to_be_bytes());
    message.extend(b"N\0\x03");
    for value in [id, "Order", "{}"] {
        message.push(b't');
        message.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        message.extend(value.as_bytes());
    }
    xlog_data(&message)
}

fn transaction(commit_lsn: u64, end_lsn: u64, ids: &[&str]) -> Vec<u8> {
    let mut bytes = begin(commit_lsn);
    for id in ids {
        bytes.extend(insert(id));
    }
    bytes.extend(commit(commit_lsn, end_lsn));
    bytes
}

fn pipeline_with(limits: Limits) -> Pipeline {
    let columns = Columns {
        aggregate_id: None,
        ..Columns::standard()
    };
    let table = OutboxTable {
        schema: "public".to_owned(),
        table: "outbox".to_owned(),
        columns,
        topic: "outbox.event.{aggregate_type}".parse().unwrap(),
        metadata_headers: Vec::new(),
    };
    Pipeline::new(OutboxDecoder::new(vec![table], 1), limits, 1 << 20)
}

fn pipeline() -> Pipeline {
    pipeline_with(Limits {
        in_flight_bytes_max: 1 << 20,
        in_flight_records_max: 1000,
    })
}

fn feed(pipeline: &mut Pipeline, sink: &mut Taken, frames: &[Vec<u8>]) {
    let buffer = frames.concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, sink);
    assert_eq!((fed.consumed, fed.stop), (buffer.len(), Stop::Starved));
}

fn flushed(pipeline: &mut Pipeline) -> u64 {
    pipeline.progress().flushed.as_u64()
}

#[test]
fn a_commit_is_confirmed_by_its_end_and_only_when_all_its_records_are_acknowledged() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), transaction(100, 110, &["a", "b"])],
    );
    assert_eq!(sink.ids(), ["a", "b"]);
    assert_eq!(flushed(&mut pipeline), 0);
    pipeline.acknowledge(sink.records[1].0);
    assert_eq!(flushed(&mut pipeline), 0);
    pipeline.acknowledge(sink.records[0].0);
    assert_eq!(flushed(&mut pipeline), 110);
}

#[test]
fn a_later_transaction_never_confirms_an_earlier_one() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), transaction(100, 110, &["a"]), transaction(120, 130, &["b"])],
    );
    pipeline.acknowledge(sink.records[1].0);
    assert_eq!(flushed(&mut pipeline), 0);
    pipeline.acknowledge(sink.records[0].0);
    assert_eq!(flushed(&mut pipeline), 130);
}

#[test]
fn a_keepalive_never_confirms_past_an_open_transaction() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), begin(100), keepalive(105, false)],
    );
    assert_eq!(flushed(&mut pipeline), 0);
    feed(&mut pipeline, &mut sink, &[commit(100, 110), keepalive(105, false)]);
    assert_eq!(flushed(&mut pipeline), 110);
}

#[test]
fn a_keepalive_never_confirms_past_a_record_in_flight() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), transaction(100, 110, &["a"]), keepalive(500, false)],
    );
    assert_eq!(flushed(&mut pipeline), 0);
    pipeline.acknowledge(sink.records[0].0);
    assert_eq!(flushed(&mut pipeline), 500);
}

#[test]
fn an_idle_outbox_is_confirmed_by_keepalives() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[keepalive(500, false)]);
    assert_eq!(flushed(&mut pipeline), 500);
    feed(&mut pipeline, &mut sink, &[keepalive(400, false)]);
    assert_eq!(flushed(&mut pipeline), 500, "it went backwards");
    feed(&mut pipeline, &mut sink, &[relation(), transaction(510, 520, &["a"])]);
    assert_eq!(flushed(&mut pipeline), 500, "it went backwards for a record in flight");
}

#[test]
fn a_transaction_that_commits_at_a_confirmed_keepalive_is_still_published() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), keepalive(500, false), transaction(500, 510, &["a"])],
    );
    assert_eq!(sink.ids(), ["a"]);
}

#[test]
fn a_transaction_without_rows_is_confirmed_in_its_turn() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[transaction(10, 20, &[])]);
    assert_eq!(flushed(&mut pipeline), 20);
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), transaction(30, 40, &["a"]), transaction(50, 60, &[])],
    );
    assert_eq!(flushed(&mut pipeline), 20);
    pipeline.acknowledge(sink.records[0].0);
    assert_eq!(flushed(&mut pipeline), 60);
}

#[test]
fn after_a_reconnect_rows_that_were_taken_are_not_produced_again() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    let interrupted = [
        relation(),
        transaction(100, 110, &["a"]),
        begin(120),
        insert("b"),
        insert("c"),
    ];
    feed(&mut pipeline, &mut sink, &interrupted);
    pipeline.begin_connection();
    let again = [
        relation(),
        transaction(100, 110, &["a"]),
        transaction(120, 130, &["b", "c", "d"]),
    ];
    feed(&mut pipeline, &mut sink, &again);
    assert_eq!(sink.ids(), ["a", "b", "c", "d"]);
    assert_eq!(
        pipeline.counts(),
        Counts {
            received: 4,
            recognised: 3
        }
    );
    for (ticket, _) in sink.records {
        pipeline.acknowledge(ticket);
    }
    assert_eq!(flushed(&mut pipeline), 130);
}

#[test]
fn nothing_is_confirmed_above_what_this_connection_received() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[relation(), transaction(100, 110, &["a"])]);
    pipeline.begin_connection();
    pipeline.acknowledge(sink.records[0].0);
    assert_eq!(flushed(&mut pipeline), 0, "the new connection has received nothing");
    feed(&mut pipeline, &mut sink, &[keepalive(50, false)]);
    assert_eq!(flushed(&mut pipeline), 50);
    feed(&mut pipeline, &mut sink, &[relation(), transaction(100, 110, &["a"])]);
    assert_eq!(flushed(&mut pipeline), 110);
}

#[test]
fn a_half_taken_transaction_of_a_lost_connection_is_not_passed_by_a_keepalive() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[relation(), begin(100), insert("a")]);
    pipeline.acknowledge(sink.records[0].0);
    pipeline.begin_connection();
    feed(&mut pipeline, &mut sink, &[keepalive(90, false), keepalive(500, false)]);
    assert_eq!(flushed(&mut pipeline), 0);
}

#[test]
fn a_half_taken_transaction_that_another_relay_confirmed_is_passed() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[relation(), begin(100), insert("a")]);
    pipeline.acknowledge(sink.records[0].0);
    pipeline.begin_connection();
    feed(&mut pipeline, &mut sink, &[relation(), transaction(200, 210, &["z"])]);
    assert_eq!(sink.ids(), ["a", "z"]);
    pipeline.acknowledge(sink.records[1].0);
    assert_eq!(flushed(&mut pipeline), 210);

    feed(&mut pipeline, &mut sink, &[begin(300), insert("b")]);
    pipeline.acknowledge(sink.records[2].0);
    pipeline.begin_connection();
    feed(&mut pipeline, &mut sink, &[keepalive(500, false)]);
    assert_eq!(
        flushed(&mut pipeline),
        500,
        "the slot stands beyond the transaction, and nothing else is in flight"
    );
}

#[test]
fn a_full_budget_stops_before_the_row_and_goes_on_with_the_same_row() {
    let mut pipeline = pipeline_with(Limits {
        in_flight_bytes_max: 1 << 20,
        in_flight_records_max: 2,
    });
    let mut sink = Taken::default();
    let buffer = [relation(), transaction(100, 110, &["a", "b", "c"])].concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    assert_eq!((sink.ids(), &fed.stop), (vec!["a", "b"], &Stop::Full));
    pipeline.acknowledge(sink.records[0].0);
    let rest = &buffer[fed.consumed..];
    assert_eq!(pipeline.feed(rest, Until::Exhausted, &mut sink).stop, Stop::Starved);
    assert_eq!(sink.ids(), ["a", "b", "c"]);
}

#[test]
fn the_byte_budget_counts_overhead_and_lets_a_single_large_record_pass() {
    let mut pipeline = pipeline_with(Limits {
        in_flight_bytes_max: 600,
        in_flight_records_max: 1000,
    });
    let mut sink = Taken::default();
    let buffer = [relation(), transaction(100, 110, &["a", "b"])].concat();
    assert_eq!(pipeline.feed(&buffer, Until::Exhausted, &mut sink).stop, Stop::Full);
    assert_eq!(sink.ids(), ["a"]);
    let mut tiny = pipeline_with(Limits {
        in_flight_bytes_max: 1,
        in_flight_records_max: 1000,
    });
    let mut sink = Taken::default();
    tiny.feed(&buffer, Until::Exhausted, &mut sink);
    assert_eq!(sink.ids(), ["a"]);
}

#[test]
fn a_sink_that_is_full_is_offered_the_same_row_again() {
    let (mut pipeline, mut sink) = (
        pipeline(),
        Taken {
            room: Some(1),
            ..Taken::default()
        },
    );
    let buffer = [relation(), transaction(100, 110, &["a", "b"])].concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    assert_eq!(fed.stop, Stop::Full);
    sink.room = None;
    assert_eq!(
        pipeline.feed(&buffer[fed.consumed..], Until::Exhausted, &mut sink).stop,
        Stop::Starved
    );
    assert_eq!(sink.ids(), ["a", "b"]);
}

#[test]
fn a_refused_record_stops_the_line_at_its_row() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    let buffer = [relation(), transaction(100, 110, &["a", "refused", "b"])].concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    let Stop::Defect(defect) = fed.stop else {
        panic!("{:?}", fed.stop)
    };
    assert_eq!((defect.position.ordinal, defect.cause), (1, DefectCause::Refused(())));
    pipeline.acknowledge(sink.records[0].0);
    assert_eq!((sink.ids(), flushed(&mut pipeline)), (vec!["a"], 0));
}

#[test]
fn a_row_of_a_table_that_is_not_mapped_stops_the_line() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    let mut other = relation();
    let name = other.windows(6).position(|bytes| bytes == b"outbox").unwrap();
    other[name] = b'x';
    let buffer = [other, transaction(100, 110, &["a"])].concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    let Stop::Defect(Defect {
        cause: DefectCause::Mapping(cause),
        ..
    }) = fed.stop
    else {
        panic!("{:?}", fed.stop)
    };
    assert_eq!(
        cause,
        MappingError::UnmappedTable {
            table: "public.xutbox".to_owned()
        }
    );
}

#[test]
fn draining_ends_at_the_commit_boundary() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    let first = transaction(100, 110, &["a"]);
    let buffer = [relation(), first, transaction(120, 130, &["b"])].concat();
    assert_eq!(pipeline.feed(&buffer, Until::CommitBoundary, &mut sink).consumed, 0);
    let open = [relation(), begin(100)].concat();
    feed(&mut pipeline, &mut sink, std::slice::from_ref(&open));
    let rest = &buffer[open.len()..];
    let fed = pipeline.feed(rest, Until::CommitBoundary, &mut sink);
    assert_eq!((fed.stop, sink.ids()), (Stop::CommitBoundary, vec!["a"]));
    assert!(fed.consumed < rest.len());
}

#[test]
fn messages_out_of_their_order_break_the_connection_and_not_the_process() {
    for frames in [
        insert("a"),
        commit(1, 2),
        [begin(1), begin(2)].concat(),
        [begin(1), commit(3, 4)].concat(),
    ] {
        let (mut pipeline, mut sink) = (pipeline(), Taken::default());
        let fed = pipeline.feed(&frames, Until::Exhausted, &mut sink);
        assert!(
            matches!(fed.stop, Stop::Broken(DecodeError::OutOfPlace { .. })),
            "{:?}",
            fed.stop
        );
    }
}

#[test]
fn a_control_frame_and_a_request_for_a_reply_are_handed_on() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    let buffer = [keepalive(5, true), frame(b'N', b"x"), keepalive(6, false)].concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    assert!(fed.reply_requested);
    assert!(matches!(
        fed.stop,
        Stop::Control(Frame {
            tag: b'N',
            body: b"x",
            ..
        })
    ));
    let rest = &buffer[fed.consumed..];
    assert!(!pipeline.feed(rest, Until::Exhausted, &mut sink).reply_requested);
}

proptest! {
    /// Reports come in any order over partitions (yugabyte/yugabyte-db#33126): the watermark never passes a record that
    /// is not acknowledged, never moves back, and ends at the last commit.
    #[test]
    fn acknowledgements_in_any_order_never_confirm_an_unacknowledged_record(
        sizes in prop::collection::vec(0_usize..5, 1..30),
        order in prop::collection::vec(any::<prop::sample::Index>(), 150),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut pipeline, mut sink) = (pipeline(), Taken::default());
        let mut buffer = relation();
        for (number, size) in sizes.iter().enumerate() {
            let lsn = 100 * (number as u64 + 1);
            buffer.extend(transaction(lsn, lsn + 10, &vec!["x"; *size]));
        }
        let cut = cut.index(buffer.len());
        let first = pipeline.feed(&buffer[..cut], Until::Exhausted, &mut sink).consumed;
        prop_assert_eq!(pipeline.feed(&buffer[first..], Until::Exhausted, &mut sink).stop, Stop::Starved);

        let end_of: Vec<u64> = sizes.iter().enumerate()
            .flat_map(|(number, size)| std::iter::repeat_n(100 * (number as u64 + 1) + 10, *size))
            .collect();
        let mut open: BTreeSet<usize> = (0..sink.records.len()).collect();
        let mut before = 0;
        for index in order {
            let Some(&record) = (!open.is_empty()).then(|| open.iter().nth(index.index(open.len()))).flatten() else {
                break;
            };
            open.remove(&record);
            pipeline.acknowledge(sink.records[record].0);
            let now = flushed(&mut pipeline);
            prop_assert!(now >= before);
            if let Some(&oldest) = open.first() {
                prop_assert!(now < end_of[oldest], "confirmed {now}, and record {oldest} is not acknowledged");
            }
            before = now;
        }
        if open.is_empty() {
            prop_assert_eq!(flushed(&mut pipeline), 100 * sizes.len() as u64 + 10);
        }
    }

    #[test]
    fn no_bytes_make_the_pipeline_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), begun in any::<bool>()) {
        let (mut pipeline, mut sink) = (pipeline(), Taken::default());
        let mut buffer = if begun { [relation(), begin(5)].concat() } else { Vec::new() };
        buffer.extend(xlog_data(&bytes));
        buffer.extend(bytes);
        pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    }
}
