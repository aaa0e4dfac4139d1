//! Drains of backlogs in which some rows can be refused.

use serde::Serialize;

use super::rows::{self, defects};
use crate::carrier::{Carrier, Configured};
use crate::drain::{self, Backlog, Client, Drain};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::SLOT;
use crate::topic::Topic;
use crate::{backlog, progress, turns};

/// What keeps the state of each delivery.
pub(super) const KEEPS_STATES: &str = "outbox.default.delivery_state=true";
const SETS_ASIDE: &str = "outbox.default.on_defect=set_aside";
/// Records of a time before that are refused: ten years.
const TIME_BOUND: (&str, &str) = ("message.timestamp.before.max.ms", "315360000000");

/// The backlog whose defects the relay sees, drained in each of the ways.
#[derive(Debug, Serialize)]
pub(super) struct RelayJudged {
    pub(super) plain: Drain,
    pub(super) set_aside: Drain,
    pub(super) with_states: Drain,
}

/// The one whose defects the broker sees.
#[derive(Debug, Serialize)]
pub(super) struct BrokerJudged {
    pub(super) plain: Drain,
    pub(super) set_aside: Drain,
}

/// A way to drain.
struct Way {
    name: &'static str,
    settings: Vec<String>,
    topic: Topic,
    refused_by: Refuser,
}

/// Who does not take the rows with a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refuser {
    Nobody,
    Relay,
    /// What is on its way beside such a record is sent once more.
    Broker,
}

impl Way {
    fn new(name: &'static str, topic: Topic, template: &str, refused_by: Refuser, more: &str) -> Way {
        let settings = vec![
            SETS_ASIDE.to_owned(),
            format!("outbox.default.topic={template}"),
            more.to_owned(),
        ];
        Way {
            name,
            settings: settings.into_iter().filter(|setting| !setting.is_empty()).collect(),
            topic,
            refused_by,
        }
    }
}

pub(super) struct Bench<'i> {
    installation: &'i Installation,
    interrupt: &'i Interrupt,
    plain: Way,
    with_states: Way,
    relay_refuses: Way,
    broker_refuses: Way,
}

impl<'i> Bench<'i> {
    pub(super) fn new(installation: &'i Installation, interrupt: &'i Interrupt) -> Result<Bench<'i>, Failure> {
        let topic = |name: &str| installation.make_topic(name, interrupt);
        let bounded = installation.make_topic_with("set_aside.bounded", &[TIME_BOUND], interrupt)?;
        let of_rows = format!("set_aside.{}", backlog::AGGREGATE_TYPE);
        Ok(Bench {
            installation,
            interrupt,
            plain: Way::new(
                "no defect",
                topic("set_aside.plain")?,
                "set_aside.plain",
                Refuser::Nobody,
                "",
            ),
            with_states: Way::new(
                "delivery states",
                topic("set_aside.states")?,
                "set_aside.states",
                Refuser::Nobody,
                KEEPS_STATES,
            ),
            relay_refuses: Way::new(
                "1 in 1,000 refused by the relay",
                topic(&of_rows)?,
                "set_aside.{aggregate_type}",
                Refuser::Relay,
                "",
            ),
            broker_refuses: Way::new(
                "1 in 1,000 refused by the broker",
                bounded,
                "set_aside.bounded",
                Refuser::Broker,
                "",
            ),
        })
    }

    pub(super) fn relay_judged(&self, rows: u32, warm_ups: u32, repetitions: u32) -> Result<Vec<RelayJudged>, Failure> {
        let ways = [&self.plain, &self.relay_refuses, &self.with_states];
        let turns = self.measure(rows, &ways, warm_ups, repetitions)?;
        let of_turn = |turn: Vec<Drain>| {
            let [plain, set_aside, with_states] = turn.try_into().expect("each way has drained");
            RelayJudged {
                plain,
                set_aside,
                with_states,
            }
        };
        Ok(turns.into_iter().map(of_turn).collect())
    }

    pub(super) fn broker_judged(&self, rows: u32, repetitions: u32) -> Result<Vec<BrokerJudged>, Failure> {
        let turns = self.measure(rows, &[&self.plain, &self.broker_refuses], 0, repetitions)?;
        let of_turn = |turn: Vec<Drain>| {
            let [plain, set_aside] = turn.try_into().expect("each way has drained");
            BrokerJudged { plain, set_aside }
        };
        Ok(turns.into_iter().map(of_turn).collect())
    }

    fn measure(&self, rows: u32, ways: &[&Way], warm_ups: u32, repetitions: u32) -> Result<Vec<Vec<Drain>>, Failure> {
        let database = &self.installation.database;
        database.create_slot(SLOT)?;
        rows::fill(database, rows)?;
        let whole = Backlog::up_to_now(SLOT, rows + defects(rows), database)?;
        for warm_up in 1..=warm_ups {
            progress::step(&format!("warm-up {warm_up} of {warm_ups}"));
            self.drained(&whole, &self.plain)?;
        }
        let turns = (0..repetitions).map(|turn| {
            turns::in_rotation(turn, ways, |way| {
                progress::step(&format!("{} of {repetitions}: {}", turn + 1, way.name));
                self.drained(&whole, way)
            })
        });
        let turns = turns.collect::<Result<_, Failure>>()?;
        database.drop_slot(SLOT)?;
        backlog::take_away(database)?;
        Ok(turns)
    }

    fn drained(&self, whole: &Backlog, way: &Way) -> Result<Drain, Failure> {
        let relay = Configured {
            name: way.name,
            relay: &self.installation.relay,
            settings: &way.settings,
        };
        let refused = match way.refused_by {
            Refuser::Nobody => 0,
            Refuser::Relay | Refuser::Broker => defects(whole.rows()),
        };
        let published = whole.of_which(whole.rows() - refused);
        let drained = if way.refused_by == Refuser::Broker {
            let target: (&dyn Carrier, &Topic) = (&relay, &way.topic);
            let (drained, repeated) =
                drain::drain_until_confirmed(self.installation, &published, target, self.interrupt)?;
            progress::step(&format!("{}: {repeated} records were published twice", way.name));
            drained
        } else {
            let client = Client::Carrier(&relay, &way.topic);
            drain::drain(self.installation, &published, client, self.interrupt)?
        };
        self.expect_letters(way.name, refused)?;
        Ok(drained)
    }

    /// Speed does not count when letters are missing, or there without need. They go, for the next one.
    fn expect_letters(&self, carrier: &str, expected: u32) -> Result<(), Failure> {
        let database = &self.installation.database;
        let found = database.count("outbox_relay.dead_letters")?;
        let expected = i64::from(expected);
        if found != expected {
            return Err(Failure::Count {
                carrier: format!("the table of dead letters, of {carrier},"),
                expected,
                found,
            });
        }
        database.execute(
            "empty its tables",
            "TRUNCATE outbox_relay.dead_letters, outbox_relay.delivery_state; CHECKPOINT",
        )
    }
}
