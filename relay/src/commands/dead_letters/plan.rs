//! What a decision would do, before it is taken.

use tokio_postgres::Row;

use super::behind::{self, Behind};
use super::decision::Verb;
use super::letter::key_shown;
use super::{Failure, Operation, Refusal};

const TOPICS_SHOWN: usize = 10;
/// Of more letters than these, the planner must not look for each one among all: without statistics it takes them for few.
const LOOKED_UP_MAX: usize = 500;

/// What would be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) verb: Verb,
    pub(super) slot: String,
    pub(super) letters: usize,
    pub(super) topics: Vec<Topic>,
    pub(super) behind: Behind,
    /// Who is paused: the whole relay where the name is empty.
    pub(super) paused: Vec<String>,
}

/// The chosen letters of one topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topic {
    name: Option<String>,
    letters: i64,
    keys: i64,
    /// Some of the keys.
    named: Vec<Option<Vec<u8>>>,
}

impl Plan {
    /// Reads what it would be, and refuses what the database would refuse at one of its batches: nothing is to be changed
    /// by a command that is refused.
    pub(super) async fn of(operation: &Operation<'_>, verb: Verb, letters: &[i64]) -> Result<Self, Failure> {
        if letters.len() > LOOKED_UP_MAX {
            operation.rows("SET enable_nestloop = off", &[]).await?;
        }
        let plan = Self::read(operation, verb, letters).await?;
        operation.rows("RESET enable_nestloop", &[]).await?;
        Ok(plan)
    }

    async fn read(operation: &Operation<'_>, verb: Verb, letters: &[i64]) -> Result<Self, Failure> {
        if verb == Verb::Redrive {
            behind::refuse_to_overtake(operation, letters).await?;
            refuse_without_topic(operation, letters).await?;
        }
        Ok(Self {
            verb,
            slot: operation.slot().clone(),
            letters: letters.len(),
            topics: topics(operation, letters).await?,
            behind: Behind::of(operation, letters).await?,
            paused: paused(operation, letters).await?,
        })
    }
}

async fn refuse_without_topic(operation: &Operation<'_>, letters: &[i64]) -> Result<(), Failure> {
    let statement = "SELECT letter_id FROM outbox_relay.dead_letters
         WHERE letter_id = ANY ($1) AND topic IS NULL AND aggregate_type IS NULL ORDER BY letter_id LIMIT 1";
    let rows = operation.rows(statement, &[&letters]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let letter: i64 = operation.read(|| row.try_get(0))?;
    Err(Failure::new(
        Refusal::DeadLetterWithoutTopic,
        format!("dead letter {letter} has neither topic nor aggregate type: nothing says where it belongs"),
        "leave it out, or discard it",
    ))
}

async fn topics(operation: &Operation<'_>, letters: &[i64]) -> Result<Vec<Topic>, Failure> {
    let statement = "SELECT topic, count(*), count(DISTINCT key), (array_agg(DISTINCT key))[1:3]
         FROM outbox_relay.dead_letters WHERE letter_id = ANY ($1) GROUP BY topic ORDER BY count(*) DESC, topic";
    let rows = operation.rows(statement, &[&letters]).await?;
    operation.read(|| rows.iter().map(Topic::of).collect())
}

impl Topic {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: row.try_get(0)?,
            letters: row.try_get(1)?,
            keys: row.try_get(2)?,
            named: row.try_get(3)?,
        })
    }

    fn line(&self) -> String {
        let name = self
            .name
            .as_deref()
            .map_or_else(|| "(none)".to_owned(), super::super::output::on_one_line);
        let named: Vec<String> = self.named.iter().flatten().map(|key| key_shown(Some(key))).collect();
        let more = if i64::try_from(named.len()).is_ok_and(|named| named < self.keys) {
            ", …"
        } else {
            ""
        };
        let keys = match self.keys {
            0 => "without a key".to_owned(),
            1 => format!("key {}", named.concat()),
            keys => format!("{keys} keys ({}{more})", named.join(", ")),
        };
        format!("  topic {name}: {}, {keys}", counted(self.letters, "letter"))
    }
}

async fn paused(operation: &Operation<'_>, letters: &[i64]) -> Result<Vec<String>, Failure> {
    let statement =
        "SELECT p.outbox FROM outbox_relay.pauses p WHERE p.slot_name = $1 AND (p.outbox = '' OR p.outbox IN (
             SELECT d.outbox FROM outbox_relay.dead_letters d WHERE d.letter_id = ANY ($2))) ORDER BY p.outbox";
    let rows = operation.rows(statement, &[operation.slot(), &letters]).await?;
    operation.read(|| rows.iter().map(|row| row.try_get(0)).collect())
}

fn counted(count: i64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = counted(i64::try_from(self.letters).unwrap_or(i64::MAX), "dead letter");
        let (does, released) = match self.verb {
            Verb::Redrive => ("to be published again", "released behind them"),
            Verb::Discard => ("never to be published", "released behind them, to be published"),
        };
        writeln!(f, "{letters} of slot {}, {does}:", self.slot)?;
        for topic in self.topics.iter().take(TOPICS_SHOWN) {
            writeln!(f, "{}", topic.line())?;
        }
        if self.topics.len() > TOPICS_SHOWN {
            writeln!(f, "  and {} topics more", self.topics.len() - TOPICS_SHOWN)?;
        }
        let Behind { free, waiting } = self.behind;
        writeln!(f, "  {released}: {}", counted(free, "parked letter"))?;
        if waiting > 0 {
            let waiting = counted(waiting, "parked letter");
            writeln!(f, "  still waiting for something else: {waiting}")?;
        }
        for outbox in &self.paused {
            match outbox.as_str() {
                "" => writeln!(f, "  the relay is paused: nothing is published until it is resumed")?,
                outbox => writeln!(
                    f,
                    "  outbox {outbox} is paused: what is of it waits until it is resumed"
                )?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_letters_topics_keys_and_what_is_released() {
        let plan = Plan {
            verb: Verb::Discard,
            slot: "shop".to_owned(),
            letters: 4,
            topics: vec![
                Topic {
                    name: Some("orders".to_owned()),
                    letters: 3,
                    keys: 4,
                    named: vec![Some(b"k1".to_vec()), None, Some(vec![0xff])],
                },
                Topic {
                    name: None,
                    letters: 1,
                    keys: 0,
                    named: vec![None],
                },
            ],
            behind: Behind { free: 12, waiting: 1 },
            paused: vec!["sales".to_owned()],
        };
        let said = "4 dead letters of slot shop, never to be published:\n  topic orders: 3 letters, 4 keys (k1, 0xff, …)\n  \
                    topic (none): 1 letter, without a key\n  released behind them, to be published: 12 parked letters\n  \
                    still waiting for something else: 1 parked letter\n  outbox sales is paused: what is of it waits until \
                    it is resumed\n";
        assert_eq!(plan.to_string(), said);
    }
}
