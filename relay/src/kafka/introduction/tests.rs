//! Who waits for whom.

use super::*;

fn topic() -> TopicName {
    "orders".parse().unwrap()
}

const fn ticket(number: u64) -> Ticket {
    Ticket::from_u64(number)
}

/// Two keys of one partition out of two, and one of the other.
const SAME: [&[u8]; 2] = [b"21", b"a-little-bit-long-string"];

fn other() -> &'static [u8] {
    let is_other = |key: &&[u8]| murmur2::hash(key) % 2 != murmur2::hash(SAME[0]) % 2;
    [&b"abc"[..], b"foobar", b"x", b"y", b"z"]
        .into_iter()
        .find(is_other)
        .unwrap()
}

fn nobody_knows() -> (Introductions, TopicName, Instant) {
    let now = Instant::now();
    (Introductions::new(now), topic(), now)
}

#[test]
fn the_second_record_of_a_partition_waits_for_the_first_and_the_third_for_nothing() {
    assert_eq!(murmur2::hash(SAME[0]) % 2, murmur2::hash(SAME[1]) % 2);
    let (mut known, topic, now) = nobody_knows();
    assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::SendAndCount);
    known.sent(&topic, Some(SAME[0]), ticket(1));
    known.counted(&topic, 2, now);
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Wait);
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
    known.sent(&topic, Some(other()), ticket(2));
    known.acknowledged(ticket(1));
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Send);
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Wait);
    known.acknowledged(ticket(2));
    known.sent(&topic, Some(other()), ticket(3));
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
}

#[test]
fn until_the_partitions_are_counted_one_record_is_under_way() {
    let (mut known, topic, now) = nobody_knows();
    known.sent(&topic, Some(SAME[0]), ticket(1));
    assert_eq!(known.renew(now), [], "the answer may still come");
    assert_eq!(known.renew(now + COUNT_AGAIN_AFTER), std::slice::from_ref(&topic));
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Wait);
    known.acknowledged(ticket(1));
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
    known.counted(&topic, 2, now);
    assert_eq!(known.renew(now + 2 * COUNT_AGAIN_AFTER), []);
    assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::Send);
}

/// A topic with two partitions that both know the producer.
fn introduced() -> (Introductions, TopicName, Instant) {
    let (mut known, topic, now) = nobody_knows();
    known.sent(&topic, Some(SAME[0]), ticket(1));
    known.counted(&topic, 2, now);
    known.sent(&topic, Some(other()), ticket(2));
    known.acknowledged(ticket(1));
    known.acknowledged(ticket(2));
    known.sent(&topic, Some(SAME[0]), ticket(3));
    assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::Send);
    (known, topic, now)
}

#[test]
fn a_partition_that_was_added_is_introduced_and_those_before_it_stay_known() {
    let (mut known, topic, now) = introduced();
    assert_eq!(known.renew(now + COUNTED_FOR), std::slice::from_ref(&topic));
    known.counted(&topic, 4, now + COUNTED_FOR);
    let keys: Vec<String> = (0..64).map(|number| number.to_string()).collect();
    let of = |partition| {
        keys.iter()
            .filter(move |key| murmur2::hash(key.as_bytes()) % 4 == partition)
    };
    for partition in 0..4 {
        for key in of(partition) {
            known.sent(&topic, Some(key.as_bytes()), ticket(10 + u64::from(partition)));
        }
    }
    for (partition, verdict) in [Verdict::Send, Verdict::Send, Verdict::Wait, Verdict::Wait]
        .into_iter()
        .enumerate()
    {
        let key = of(u32::try_from(partition).unwrap()).next().unwrap();
        assert_eq!(
            known.verdict(&topic, Some(key.as_bytes())),
            verdict,
            "partition {partition}"
        );
    }
}

#[test]
fn an_introduction_is_repeated_when_it_is_old() {
    let (mut known, topic, now) = introduced();
    known.renew(now + INTRODUCED_FOR);
    assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::Send);
    known.sent(&topic, Some(SAME[0]), ticket(4));
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Wait);
    known.acknowledged(ticket(4));
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Send);
}

#[test]
fn with_too_many_topics_a_new_one_waits_until_nobody_is_under_way() {
    let (mut known, ..) = nobody_knows();
    for number in 0..TOPICS_MAX as u64 {
        let topic = format!("t{number}").parse().unwrap();
        known.sent(&topic, Some(SAME[0]), ticket(number));
    }
    assert_eq!(known.verdict(&topic(), Some(SAME[0])), Verdict::Wait);
    for number in 0..TOPICS_MAX as u64 {
        known.acknowledged(ticket(number));
    }
    assert_eq!(known.verdict(&topic(), Some(SAME[0])), Verdict::SendAndCount);
    known.sent(&topic(), Some(SAME[0]), ticket(9999));
    assert_eq!(known.topics.len(), 1);
}

#[test]
fn a_record_without_a_key_never_waits() {
    let (mut known, topic, _) = nobody_knows();
    known.sent(&topic, Some(SAME[0]), ticket(1));
    assert_eq!(known.verdict(&topic, None), Verdict::Send);
}

#[test]
fn a_topic_that_was_gone_is_another_one_when_it_is_back() {
    let (mut known, topic, now) = introduced();
    known.counted(&topic, 0, now);
    assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::SendAndCount);
    known.sent(&topic, Some(SAME[0]), ticket(4));
    known.counted(&topic, 2, now);
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Wait);
}

#[test]
fn who_is_under_way_to_a_topic_that_is_gone_is_still_waited_for() {
    let (mut known, topic, now) = introduced();
    known.renew(now + INTRODUCED_FOR);
    known.sent(&topic, Some(SAME[0]), ticket(4));
    known.counted(&topic, 0, now);
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Wait);
    known.sent(&topic, Some(other()), ticket(5));
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Wait);
    known.acknowledged(ticket(4));
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Send);
}

#[test]
fn fewer_partitions_than_before_change_nothing() {
    let (mut known, topic, now) = introduced();
    known.renew(now + INTRODUCED_FOR);
    known.sent(&topic, Some(SAME[0]), ticket(4));
    known.counted(&topic, 1, now);
    assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Wait);
    assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
}

#[test]
fn with_more_topics_than_can_be_counted_the_uncounted_and_then_the_most_overdue_are_first() {
    let (mut known, _, now) = nobody_knows();
    let names = |range: std::ops::Range<usize>| range.map(|number| format!("t{number}").parse::<TopicName>().unwrap());
    for (number, topic) in names(0..3 * COUNTS_MAX).enumerate() {
        known.sent(&topic, Some(SAME[0]), ticket(number as u64));
        let counted_at = now + Duration::from_millis(number as u64);
        if number < 2 * COUNTS_MAX {
            known.counted(&topic, 1, counted_at);
        }
    }
    let mut at = now + 2 * COUNTED_FOR;
    for range in [
        2 * COUNTS_MAX..3 * COUNTS_MAX,
        0..COUNTS_MAX,
        COUNTS_MAX..2 * COUNTS_MAX,
    ] {
        let due: std::collections::HashSet<_> = known.renew(at).into_iter().collect();
        assert_eq!(due, names(range).collect());
        for topic in due {
            known.counted(&topic, 1, at);
        }
        at += COUNT_AGAIN_AFTER;
    }
}

/// GUARANTEES.md, "What is not promised".
#[test]
fn the_times_are_those_that_are_promised() {
    assert_eq!(
        (INTRODUCED_FOR, COUNTED_FOR),
        (Duration::from_hours(1), Duration::from_mins(1))
    );
}
