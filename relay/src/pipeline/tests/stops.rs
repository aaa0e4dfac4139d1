//! Why a step ends, and what comes next then.

use outbox_decoder::MappingError;
use outbox_decoder::stream::Frame;

use super::*;

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

/// Found by the simulation: a stop just after a reconnect repeated what the lost connection had brought.
#[test]
fn a_drain_goes_on_until_what_an_earlier_connection_brought_can_be_confirmed_on_this_one() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    let bytes = [relation(), transaction(100, 110, &["a"]), transaction(120, 130, &["b"])].concat();
    pipeline.feed(&bytes, Until::Exhausted, &mut sink);
    for (ticket, _) in &sink.records {
        pipeline.acknowledge(*ticket);
    }
    pipeline.begin_connection();
    let again = [&bytes[..], &transaction(140, 150, &["c"])].concat();
    assert_eq!(
        pipeline.feed(&again, Until::CommitBoundary, &mut sink).stop,
        Stop::CommitBoundary
    );
    assert_eq!(sink.ids(), ["a", "b"], "and no further");
    assert_eq!(pipeline.progress().flushed, Lsn::new(130));
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
