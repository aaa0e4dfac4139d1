//! Rows that go to the dead letters: which, in whose place, and what is confirmed meanwhile.

use super::*;

/// A row of a key: in this table the aggregate type is the key too.
fn row(id: &str, key: &str) -> Vec<u8> {
    let mut message = vec![b'I'];
    message.extend(TABLE_OID.to_be_bytes());
    message.extend(b"N\0\x03");
    for value in [id, key, "{}"] {
        message.push(b't');
        message.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        message.extend(value.as_bytes());
    }
    xlog_data(&message)
}

fn rows(commit_lsn: u64, rows: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = begin(commit_lsn);
    bytes.extend(rows.iter().flat_map(|(id, key)| row(id, key)));
    bytes.extend(commit(commit_lsn, commit_lsn + 10));
    bytes
}

fn keyed(policy: DefectPolicy) -> Pipeline {
    let columns = Columns {
        aggregate_id: Some("aggregate_type".to_owned()),
        ..Columns::standard()
    };
    let limits = Limits {
        in_flight_bytes_max: 1 << 20,
        in_flight_records_max: 1000,
    };
    pipeline_of(columns, limits, policy)
}

fn set_aside(sink: &Taken) -> Vec<(&str, &Why<()>)> {
    sink.letters.iter().map(|set| (set.id.as_str(), &set.why)).collect()
}

const REFUSED: Why<()> = Why::Defect(DefectCause::Refused(()));

#[test]
fn a_refused_row_parks_its_key_and_others_go_on() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    let frames = [
        relation(),
        rows(100, &[("a", "k"), ("refused", "k"), ("b", "other"), ("c", "k")]),
        rows(200, &[("d", "k"), ("e", "other")]),
    ];
    feed(&mut pipeline, &mut sink, &frames);
    assert_eq!(sink.ids(), ["a", "b", "e"]);
    let parked = &Why::KeyParked;
    assert_eq!(set_aside(&sink), [("refused", &REFUSED), ("c", parked), ("d", parked)]);
    assert_eq!(pipeline.parking().parked_keys(), 1);
}

#[test]
fn where_the_operator_chose_so_later_rows_overtake_the_one_that_was_refused() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndContinue), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("refused", "k"), ("b", "k")])],
    );
    assert_eq!(sink.ids(), ["b"]);
    assert_eq!(set_aside(&sink), [("refused", &REFUSED)]);
}

#[test]
fn a_row_without_a_key_parks_nothing() {
    let columns = Columns {
        aggregate_id: None,
        ..Columns::standard()
    };
    let limits = Limits {
        in_flight_bytes_max: 1 << 20,
        in_flight_records_max: 1000,
    };
    let mut pipeline = pipeline_of(columns, limits, DefectPolicy::SetAsideAndPark);
    let mut sink = Taken::default();
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("refused", "k"), ("b", "k")])],
    );
    assert_eq!(sink.ids(), ["b"]);
    assert_eq!(pipeline.parking().parked_keys(), 0);
}

#[test]
fn nothing_passes_a_row_whose_letter_is_not_committed() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    let frames = [relation(), rows(100, &[("refused", "k")]), keepalive(500, false)];
    feed(&mut pipeline, &mut sink, &frames);
    assert_eq!(flushed(&mut pipeline), 0);
    assert!(!pipeline.is_idle());
}

#[test]
fn a_letter_counts_when_the_stream_has_reached_its_commit() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("refused", "k")]), rows(200, &[("b", "o")])],
    );
    pipeline.acknowledge(sink.records[0].0);
    let Set { ticket, parks, .. } = sink.letters.remove(0);
    pipeline.written(ticket, parks.as_ref(), Lsn::new(300));
    assert_eq!(flushed(&mut pipeline), 0, "the stream is at 210");
    assert!(!pipeline.is_idle() && !pipeline.may_stop_here());
    feed(&mut pipeline, &mut sink, &[keepalive(299, false)]);
    assert_eq!(flushed(&mut pipeline), 0);
    feed(&mut pipeline, &mut sink, &[keepalive(300, false)]);
    assert_eq!(flushed(&mut pipeline), 300);
    assert!(pipeline.is_idle() && pipeline.may_stop_here());
}

#[test]
fn what_comes_behind_a_letter_waits_for_the_stream_too_and_what_is_before_it_does_not() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    let frames = [
        relation(),
        rows(100, &[("a", "o")]),
        rows(200, &[("refused", "k")]),
        rows(300, &[("b", "o")]),
    ];
    feed(&mut pipeline, &mut sink, &frames);
    let Set { ticket, parks, .. } = sink.letters.remove(0);
    pipeline.written(ticket, parks.as_ref(), Lsn::new(900));
    for (ticket, _) in &sink.records {
        pipeline.acknowledge(*ticket);
    }
    assert_eq!(flushed(&mut pipeline), 110);
    feed(&mut pipeline, &mut sink, &[rows(890, &[])]);
    assert_eq!(flushed(&mut pipeline), 310 + 590);
}

#[test]
fn a_row_that_has_a_letter_from_before_is_not_published_again() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    pipeline.parking_mut().read(Standing {
        known: vec![(Lsn::new(100), 1)],
        until: Lsn::new(250),
        ..Standing::default()
    });
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("a", "k"), ("b", "k"), ("c", "k")])],
    );
    assert_eq!(sink.ids(), ["a", "c"]);
    for (ticket, _) in &sink.records {
        pipeline.acknowledge(*ticket);
    }
    assert_eq!(flushed(&mut pipeline), 0, "a failover could still lose the letter");
    feed(&mut pipeline, &mut sink, &[keepalive(250, false)]);
    assert_eq!(flushed(&mut pipeline), 250);
}

#[test]
fn rows_before_the_first_letter_of_their_key_do_not_wait_for_it() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    let key = ("outbox.event.k".to_owned(), b"k".to_vec());
    pipeline.parking_mut().read(Standing {
        parked: vec![(key, (Lsn::new(200), 0))],
        ..Standing::default()
    });
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("a", "k")]), rows(300, &[("b", "k")])],
    );
    assert_eq!(sink.ids(), ["a"]);
    assert_eq!(set_aside(&sink), [("b", &Why::KeyParked)]);
}

#[test]
fn a_freed_key_flows_again_unless_a_letter_of_it_is_still_to_be_written() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("refused", "k"), ("b", "k")])],
    );
    let key = ("outbox.event.k".to_owned(), b"k".to_vec());
    let Set { ticket, parks, .. } = sink.letters.remove(0);
    pipeline.written(ticket, parks.as_ref(), Lsn::new(150));
    pipeline.parking_mut().freed(1, std::slice::from_ref(&key));
    feed(&mut pipeline, &mut sink, &[rows(200, &[("c", "k")])]);
    assert_eq!(sink.letters.len(), 2, "b is not written yet");
    for Set { ticket, parks, .. } in std::mem::take(&mut sink.letters) {
        pipeline.written(ticket, parks.as_ref(), Lsn::new(250));
    }
    pipeline.parking_mut().freed(2, &[key]);
    feed(&mut pipeline, &mut sink, &[rows(300, &[("d", "k")])]);
    assert_eq!(sink.ids(), ["d"]);
}

#[test]
fn a_named_event_is_set_aside_whatever_the_policy_says_and_parks_nothing() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::Halt), Taken::default());
    let skips = [b"b".to_vec()].into();
    pipeline.parking_mut().obey(Controls {
        skips,
        ..Controls::default()
    });
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("a", "k"), ("b", "k"), ("c", "k")])],
    );
    assert_eq!(sink.ids(), ["a", "c"]);
    assert_eq!(set_aside(&sink), [("b", &Why::Skipped)]);
}

#[test]
fn rows_of_a_paused_route_wait() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::Halt), Taken::default());
    pipeline.parking_mut().obey(Controls {
        paused_outboxes: vec![0],
        ..Controls::default()
    });
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("a", "k"), ("b", "k")])],
    );
    pipeline.parking_mut().obey(Controls::default());
    feed(&mut pipeline, &mut sink, &[rows(200, &[("c", "k"), ("d", "o")])]);
    let waits = [("a", &Why::RoutePaused), ("b", &Why::KeyParked), ("c", &Why::KeyParked)];
    assert_eq!(set_aside(&sink), waits, "c keeps its place");
    assert_eq!(sink.ids(), ["d"]);
}

#[test]
fn more_letters_or_keys_than_are_allowed_halt_the_line() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    let bytes = [
        relation(),
        rows(100, &[("refused", "1"), ("refused", "2"), ("refused", "3")]),
    ]
    .concat();
    let fed = pipeline.feed(&bytes, Until::Exhausted, &mut sink);
    assert_eq!(fed.stop, Stop::LettersFull);
    assert_eq!(sink.letters.len(), 2, "two keys may be parked");
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndContinue), Taken::default());
    let bytes = [relation(), rows(100, &[("refused", "k"); 6])].concat();
    let fed = pipeline.feed(&bytes, Until::Exhausted, &mut sink).stop;
    assert_eq!(fed, Stop::LettersFull);
    assert_eq!(sink.letters.len(), 5, "five letters may be there");
}

#[test]
fn a_row_that_does_not_fit_its_mapping_is_kept_as_far_as_it_can_be_read() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndPark), Taken::default());
    // No topic can have that name.
    feed(
        &mut pipeline,
        &mut sink,
        &[relation(), rows(100, &[("a", "no topic"), ("b", "k")])],
    );
    let why = &sink.letters[0].why;
    assert!(
        matches!(why, Why::Defect(DefectCause::Mapping(error)) if error.is_of_the_row()),
        "{why:?}"
    );
    assert_eq!(
        (sink.letters[0].id.as_str(), sink.letters[0].parks.is_none()),
        ("a", true)
    );
    assert_eq!(sink.ids(), ["b"]);
}

#[test]
fn many_letters_wait_for_the_stream_in_little_memory() {
    let (mut pipeline, mut sink) = (keyed(DefectPolicy::SetAsideAndContinue), Taken::default());
    feed(&mut pipeline, &mut sink, &[relation()]);
    for number in 1..=1_000 {
        feed(&mut pipeline, &mut sink, &[rows(number * 100, &[("refused", "k")])]);
        let Set { ticket, parks, .. } = sink.letters.remove(0);
        pipeline.written(ticket, parks.as_ref(), Lsn::new(1_000_000 + number));
        pipeline.parking_mut().freed(1, &[]);
    }
    assert_eq!(flushed(&mut pipeline), 0);
    assert!(pipeline.ledger().held() <= 256, "{}", pipeline.ledger().held());
    feed(&mut pipeline, &mut sink, &[keepalive(1_001_000, false)]);
    assert_eq!(flushed(&mut pipeline), 1_001_000);
}
