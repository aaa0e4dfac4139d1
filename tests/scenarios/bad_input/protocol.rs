//! A server that breaks the protocol: an error and a new connection, never a panic, and nothing lost.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use outbox_relay::fault::policy::{ErrorName, POLICY};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::impostor::{Impostor, Script, Victim, message};
use outbox_relay_tests::proxy::{Proxy, Spoilt};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

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

/// What a server may refuse a connection with, the fault that it is, and the phase.
const REFUSALS: [(&str, &str, &str); 10] = [
    ("57P01", "postgres_unreachable", "connecting"),
    ("28000", "postgres_authentication_failed", "halted"),
    ("28P01", "postgres_authentication_failed", "halted"),
    ("3D000", "postgres_database_missing", "halted"),
    ("42501", "postgres_not_permitted", "halted"),
    ("42P01", "schema_not_migrated", "halted"),
    ("3F000", "schema_not_migrated", "halted"),
    ("55000", "slot_unusable", "halted"),
    ("42P05", "postgres_pooler_in_the_way", "halted"),
    ("53300", "postgres_refused", "connecting"),
];
/// A script holds nothing, so each refusal has one of its own.
const SCRIPTS: [Script; REFUSALS.len()] = [
    refuse::<0>,
    refuse::<1>,
    refuse::<2>,
    refuse::<3>,
    refuse::<4>,
    refuse::<5>,
    refuse::<6>,
    refuse::<7>,
    refuse::<8>,
    refuse::<9>,
];

fn refuse<const NTH: usize>(client: &mut TcpStream) -> io::Result<()> {
    let fields = format!("SFATAL\0VFATAL\0C{}\0Mas the script says\0Rscript\0\0", REFUSALS[NTH].0);
    client.write_all(&message(b'E', fields.as_bytes()))
}

#[test]
fn every_sqlstate_of_the_policy_is_the_fault_that_is_written_here_and_passes() -> Outcome {
    let states = POLICY.iter().flat_map(|(_, errors)| errors.iter());
    let unprovoked: Vec<&ErrorName> = states
        .filter(|error| match error {
            ErrorName::Sqlstate(state) => !REFUSALS.iter().any(|(refusal, ..)| refusal.starts_with(state)),
            _ => false,
        })
        .collect();
    ensure(unprovoked.is_empty(), || format!("nobody provokes {unprovoked:?}"))?;

    let mut scenario = Setup::new("refusals").start()?;
    let port = scenario.servers.postgres()?.port;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for ((state, code, phase), script) in REFUSALS.into_iter().zip(SCRIPTS) {
        let impostor = Impostor::open(server, Victim::Control, script)?;
        scenario.settings.set("postgres.port", impostor.port());
        let mut relay = scenario.relay()?;
        let readiness = relay.wait_for_fault(code)?;
        ensure(readiness.phase() == phase && readiness.body.contains(state), || {
            format!("{state}: {}", readiness.body)
        })?;
    }
    scenario.settings.set("postgres.port", port);
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let relay = scenario.streaming_relay()?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}
