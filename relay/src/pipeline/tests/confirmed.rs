//! What may be confirmed, and when.

use super::*;

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
fn what_is_acknowledged_is_not_confirmed_before_it_is_noted_where_that_is_asked_for() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), transaction(100, 110, &["a"]), keepalive(500, false)],
    );
    let ticket = sink.records[0].0;
    pipeline.await_note(ticket);
    assert_eq!(flushed(&mut pipeline), 0);
    let ledger = pipeline.ledger();
    assert_eq!(ledger.unacknowledged().next(), None, "the brokers are not waited for");
    assert_eq!((ledger.in_flight_records(), ledger.unsettled_records()), (0, 1));
    assert!(ledger.in_flight_bytes() > 0, "it takes its room");
    assert!(pipeline.noted(ticket).is_some());
    assert_eq!(flushed(&mut pipeline), 500);
}

#[test]
#[should_panic(expected = "was acknowledged twice")]
fn a_record_that_waits_for_its_note_cannot_be_acknowledged_again() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[relation(), transaction(100, 110, &["a"])]);
    pipeline.await_note(sink.records[0].0);
    pipeline.acknowledge(sink.records[0].0);
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
            recognised: 3,
            ..Counts::default()
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
fn a_transaction_completes_with_its_last_acknowledgement_or_with_its_end_whichever_is_later() {
    let (mut pipeline, mut sink) = (pipeline(), Taken::default());
    feed(&mut pipeline, &mut sink, &[relation(), begin(100), insert("a")]);
    assert_eq!(pipeline.acknowledge(sink.records[0].0), None);
    feed(&mut pipeline, &mut sink, &[commit(100, 110)]);
    assert_eq!(sink.completed.len(), 1);

    feed(&mut pipeline, &mut sink, &[transaction(200, 210, &["b"])]);
    assert_eq!(sink.completed.len(), 1);
    assert!(pipeline.acknowledge(sink.records[1].0).is_some());
}
