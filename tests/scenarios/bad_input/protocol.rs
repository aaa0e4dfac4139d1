//! A server that breaks the protocol: an error and a new connection, never a panic, and nothing lost.

use std::net::{Ipv4Addr, SocketAddr};

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::proxy::{Proxy, Spoilt};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::wait::wait_for;

#[test]
fn malformed_frames_are_reported_and_followed_by_a_new_connection_that_loses_nothing() -> Outcome {
    let mut scenario = Setup::new("frames").start()?;
    let facts = scenario.servers.postgres()?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, facts.port));
    let spoilt = spoilt();
    let count = spoilt.len();
    let door = Proxy::open(free_port()?, server, spoilt)?;
    scenario.settings.set("postgres.port", door.port());
    let load = scenario.load()?;
    let mut relay = scenario.relay()?;
    for code in ["postgres_protocol_violation", "postgres_unreachable", "row_too_large"] {
        relay.may_show(code);
    }
    wait_for("every malformed frame to be sent", || {
        match (door.left(), relay.exit_status()) {
            (_, Some(status)) => Ok(Err(status)),
            (0, None) => Ok(Ok(())),
            (left, None) => Err(format!("{left} of {count} are left")),
        }
    })?
    .or_else(|status| ensure(false, || format!("the relay ended: {status}\n{}", relay.log_tail())))?;
    #[allow(clippy::cast_precision_loss, reason = "a dozen")]
    relay.wait_for_figure("reconnects_total{peer=\"postgres\"}", |reconnects| {
        reconnects >= count as f64
    })?;
    relay.wait_for_phase("streaming")?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || {
        format!("a lost connection repeated records: {report}")
    })?;
    let log = relay.log();
    let codes = codes(&log);
    let violation = "postgres_protocol_violation";
    // In the order of the frames; what comes several times in a row is logged once or more.
    let expected = [violation, "row_too_large", violation, "postgres_unreachable"];
    ensure(codes == expected, || {
        format!("{codes:?} instead of {expected:?}\n{}", relay.log())
    })
}

/// The reasons for which the relay gave up its connections, without repetitions.
fn codes(log: &str) -> Vec<&str> {
    let lines = log
        .lines()
        .filter_map(|line| line.split_once("part=\"postgres\" code=\""));
    let mut codes: Vec<_> = lines.filter_map(|(_, rest)| Some(rest.split_once('"')?.0)).collect();
    codes.dedup();
    codes
}

fn spoilt() -> Vec<Spoilt> {
    let data = |body: &[u8]| {
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        [b"d".as_slice(), &length.to_be_bytes(), body].concat()
    };
    // A row of the stream, as XLogData: three positions or times of eight bytes, then a message.
    let wal = |message: &[u8]| data(&[b"w".as_slice(), &[0; 24], message].concat());
    vec![
        // A tag that does not exist.
        vec![0x7f, 0, 0, 0, 4],
        // A length that is shorter than itself.
        vec![b'd', 0, 0, 0, 3],
        // A frame larger than any row may be.
        vec![b'd', 0x7f, 0xff, 0xff, 0xff],
        data(&[]),
        // A kind of data that does not exist.
        data(b"z"),
        // Cut off in its head.
        data(&[b'w', 0, 0]),
        wal(&[]),
        // A message that does not exist, one of a later protocol, and rows that promise more than they hold.
        wal(b"?"),
        wal(b"S\0\0\0\x01\0"),
        wal(b"I\0\0\0\x01N\xff\xff"),
        wal(b"R\0\0\0\x01no end"),
        // A commit without its begin.
        wal(&[b"C".as_slice(), &[0; 25]].concat()),
        // A message of the server that has no place in a stream.
        b"Z\0\0\0\x05I".to_vec(),
        // The end of the connection.
        Vec::new(),
    ]
}
