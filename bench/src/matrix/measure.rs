//! One case: its rows, and everybody in turn.

use std::path::PathBuf;

use serde::Serialize;

use super::case::Case;
use super::plan::Planned;
use crate::backlog::{Filling, Keys, Payload};
use crate::carrier::Configured;
use crate::door::Door;
use crate::drain::{self, Backlog, Client, Drain};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::SLOT;
use crate::topic::Topic;
use crate::{lazy_reader, producer_alone, progress, turns};

/// One after the other, each from an equal slot or with as many records.
#[derive(Debug, Serialize)]
pub(super) struct Turn {
    /// What a row has on the wire.
    pub(super) row_bytes: f64,
    pub(super) recvlogical: Drain,
    pub(super) lazy_reader: Drain,
    pub(super) producer_alone: Drain,
    pub(super) relay: Drain,
    /// The relay once more, over TCP in plain text, where that is not the case already.
    pub(super) relay_over_tcp: Option<Drain>,
}

impl Turn {
    /// Drains in the order of the fields.
    fn of(row_bytes: f64, drains: Vec<Drain>) -> Turn {
        let mut drains = drains.into_iter();
        let mut next = || drains.next().expect("each of the four has drained");
        Turn {
            row_bytes,
            recvlogical: next(),
            lazy_reader: next(),
            producer_alone: next(),
            relay: next(),
            relay_over_tcp: drains.next(),
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
enum Who {
    Recvlogical,
    LazyReader,
    ProducerAlone,
    Relay,
    RelayOverTcp,
}

/// What a case has shown.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    #[serde(flatten)]
    pub(super) planned: Planned,
    pub(super) turns: Vec<Turn>,
}

/// Fills the rows in, warms the brokers up, and measures.
pub(super) fn measure(
    installation: &Installation,
    planned: Planned,
    (warm_ups, repetitions): (u32, u32),
    interrupt: &Interrupt,
) -> Result<Measured, Failure> {
    progress::step(&planned.case.title());
    let bench = Bench::prepare(installation, planned, interrupt)?;
    for warm_up in 1..=warm_ups.max(1) {
        progress::step(&format!("warm-up {warm_up} of {warm_ups}"));
        bench.drained_by(&bench.relay())?;
    }
    producer_alone::take_sample(&bench.topic, planned.case.row_bytes, &bench.sample, interrupt)?;
    let turns = (0..repetitions).map(|turn| {
        progress::step(&format!("{} of {repetitions}", turn + 1));
        bench.turn(turn)
    });
    let turns = turns.collect::<Result<_, Failure>>()?;
    bench.clear()?;
    Ok(Measured { planned, turns })
}

/// A case that is ready to be measured.
struct Bench<'i> {
    installation: &'i Installation,
    case: Case,
    backlog: Backlog,
    topic: Topic,
    /// For the relay and for what takes its place.
    settings: Vec<String>,
    settings_over_tcp: Vec<String>,
    sample: PathBuf,
    interrupt: &'i Interrupt,
}

impl<'i> Bench<'i> {
    fn prepare(
        installation: &'i Installation,
        Planned { case, rows }: Planned,
        interrupt: &'i Interrupt,
    ) -> Result<Bench<'i>, Failure> {
        let database = &installation.database;
        case.payload.prepare(database)?;
        database.create_slot(SLOT)?;
        let filling = Filling {
            rows,
            rows_per_transaction: case.rows_per_transaction,
            payload: Payload::of_row(case.row_bytes),
            payload_type: case.payload,
            keys: Keys::Distinct,
        };
        filling.fill(database)?;
        let topic = installation.make_topic(&format!("drain.{}", case.name()), interrupt)?;
        let settings = |door| {
            let mut settings = installation.door_settings(door);
            settings.push(format!("outbox.default.topic={}", topic.name()));
            settings
        };
        Ok(Bench {
            backlog: Backlog::up_to_now(SLOT, rows, database)?,
            settings: settings(case.door),
            settings_over_tcp: settings(Door::Tcp),
            sample: installation.folder().join("sample.jsonl"),
            installation,
            case,
            topic,
            interrupt,
        })
    }

    fn relay(&self) -> Configured<'_> {
        Configured {
            name: "the relay",
            relay: &self.installation.relay,
            settings: &self.settings,
        }
    }

    fn drained_by(&self, relay: &Configured<'_>) -> Result<Drain, Failure> {
        self.drained(Client::Carrier(relay, &self.topic))
    }

    fn drained(&self, client: Client<'_>) -> Result<Drain, Failure> {
        progress::step(&format!("{client} drains"));
        drain::drain(self.installation, &self.backlog, client, self.interrupt)
    }

    /// Everybody once; who begins changes from turn to turn.
    fn turn(&self, turn: u32) -> Result<Turn, Failure> {
        let mut all = vec![Who::Recvlogical, Who::LazyReader, Who::ProducerAlone, Who::Relay];
        all.extend((self.case.door != Door::Tcp).then_some(Who::RelayOverTcp));
        let mut row_bytes = 0.0;
        let drains = turns::in_rotation(turn, &all, |who| match who {
            Who::Recvlogical => self.drained(Client::Recvlogical(self.case.door)),
            Who::LazyReader => {
                let (drained, bytes) = self.read_lazily()?;
                row_bytes = bytes;
                Ok(drained)
            }
            Who::ProducerAlone => self.produced(),
            Who::Relay => self.drained_by(&self.relay()),
            Who::RelayOverTcp => self.drained_by(&self.relay_over_tcp()),
        });
        Ok(Turn::of(row_bytes, drains?))
    }

    fn relay_over_tcp(&self) -> Configured<'_> {
        Configured {
            name: "the relay over TCP",
            settings: &self.settings_over_tcp,
            ..self.relay()
        }
    }

    fn read_lazily(&self) -> Result<(Drain, f64), Failure> {
        progress::step(&format!("{} drains", lazy_reader::NAME));
        drain::read_lazily(self.installation, &self.backlog, &self.settings, self.interrupt)
    }

    fn produced(&self) -> Result<Drain, Failure> {
        progress::step(&format!("{} sends as many", producer_alone::NAME));
        let target = (&self.topic, self.sample.as_path());
        drain::produce(self.installation, &self.backlog, &self.settings, target, self.interrupt)
    }

    /// What nobody needs any more makes room.
    fn clear(self) -> Result<(), Failure> {
        self.installation.database.drop_slot(SLOT)?;
        Ok(self.installation.stack.kafka.delete_topic(self.topic.name())?)
    }
}
