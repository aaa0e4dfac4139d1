//! `outbox-relay archive republish`. Everything is read and compared with its manifest before the first record goes out, so that
//! nothing of a damaged archive is published.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use outbox_decoder::Timestamp;

use super::{damaged, open};
use crate::archive::{Damage, Folder, Line, Manifest};
use crate::commands::actor::Actor;
use crate::commands::login::LoginFlags;
use crate::commands::moment::moment;
use crate::commands::operation::{Operation, Work, show_head};
use crate::commands::reason::Reason;
use crate::commands::{Failure, Refusal, block_on};
use crate::config::Settings;
use crate::replay::Publisher;

const REPLAYED_BY: &str = "archive";
const TELL_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(in crate::commands) struct Arguments {
    /// The folder with the files and their manifests
    folder: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// Do it; without this the command only says what would be published
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    login: LoginFlags,
    #[command(flatten)]
    actor: Actor,
}

/// Which rows.
#[derive(Debug, Args)]
struct Wanted {
    /// Only events that happened since then, as 2026-05-01T06:30:00Z, 2026-05-01 or 7d; and those that do not say when
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only events that happened until then; and those that do not say when
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only the event with this id; repeatable
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only events of this topic; repeatable
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
}

impl Wanted {
    fn is(&self, line: &Line) -> bool {
        let at = line.occurred_at();
        let is_in_time = at
            .is_none_or(|at| self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until));
        let is_named = self.id.is_empty() || self.id.contains(&line.id);
        let is_of_topic = line
            .topic()
            .is_some_and(|topic| self.topic.is_empty() || self.topic.iter().any(|wanted| wanted == topic));
        is_in_time && is_named && is_of_topic
    }
}

pub(super) fn republish(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let why = arguments.reason.required()?;
    let (folder, found) = open(&arguments.folder)?;
    if !found.damages.is_empty() {
        return Err(damaged(&found.damages));
    }
    let wanted = &arguments.wanted;
    let files: Vec<&Manifest> = (found.manifests.iter())
        .filter(|manifest| manifest.may_hold(wanted.since, wanted.until))
        .collect();
    let topics = count(&folder, &files, wanted)?;
    let (records, listed) = (topics.values().sum::<u64>(), listed(&topics));
    if records == 0 {
        println!("the archive has no such row; nothing is published");
        return Ok(());
    }
    if !arguments.yes {
        return Err(Failure::new(
            Refusal::RepublishNotMeant,
            format!("{records} records would be published once more: {listed}"),
            "the same command with --yes",
        ));
    }
    let what = format!("{records} records of {}: {listed}", arguments.folder.display());
    block_on(async {
        let trail = Trail {
            operation: Operation::begin(settings, &arguments.login, Work::Operator).await?,
            why,
            actor: arguments.actor.as_json(None),
        };
        trail.note(&what, "begins").await?;
        let published = publish(settings, &folder, &files, wanted).await;
        let result = published.as_ref().map_or_else(
            |_| "ended before its end; what was published by then stays published".to_owned(),
            |records| format!("published {records}"),
        );
        trail.note(&what, &result).await?;
        println!("published once more: {} records", published?);
        Ok(())
    })
}

/// How many rows of each topic are wanted. Reads every file to its end.
fn count(folder: &Folder, files: &[&Manifest], wanted: &Wanted) -> Result<BTreeMap<String, u64>, Failure> {
    let (mut topics, mut damages) = (BTreeMap::new(), Vec::new());
    for manifest in files {
        if let Err(damage) = count_in(folder, manifest, wanted, &mut topics) {
            damages.push(damage);
        }
    }
    if damages.is_empty() {
        Ok(topics)
    } else {
        Err(damaged(&damages))
    }
}

fn count_in(
    folder: &Folder,
    manifest: &Manifest,
    wanted: &Wanted,
    topics: &mut BTreeMap<String, u64>,
) -> Result<(), Damage> {
    let mut lines = folder.open(manifest)?;
    while let Some(line) = lines.next()? {
        if let Some(topic) = line.topic().filter(|_| wanted.is(&line)) {
            *topics.entry(topic.to_owned()).or_default() += 1;
        }
    }
    Ok(())
}

fn listed(topics: &BTreeMap<String, u64>) -> String {
    let each: Vec<String> = topics
        .iter()
        .map(|(topic, records)| format!("{records} to {topic}"))
        .collect();
    each.join(", ")
}

/// In the order of the files, and so of each key. A row that two files have goes out once.
async fn publish(settings: &Settings, folder: &Folder, files: &[&Manifest], wanted: &Wanted) -> Result<u64, Failure> {
    let mut publisher = Publisher::start(settings)?;
    let (mut seen, mut told) = (BTreeSet::new(), Instant::now());
    for manifest in files {
        let damaged_now = |damage: Damage| damaged(&[damage]);
        let mut lines = folder.open(manifest).map_err(damaged_now)?;
        let mut ids = BTreeSet::new();
        while let Some(line) = lines.next().map_err(damaged_now)? {
            if !wanted.is(&line) || seen.contains(&line.id) {
                continue;
            }
            ids.insert(line.id.clone());
            let damaged_now = |what| {
                damaged(&[Damage {
                    file: manifest.file.clone(),
                    what,
                }])
            };
            if let Some(record) = line.into_record(REPLAYED_BY).map_err(damaged_now)? {
                publisher.publish(&record).await?;
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                eprintln!("{} records acknowledged", publisher.acknowledged());
            }
        }
        // A file that was kept and whose rows were not removed is followed by one that has them too.
        seen = ids;
    }
    Ok(publisher.finish().await?)
}

/// Tells the audit trail before and after: what cannot be told is not done.
struct Trail<'s> {
    operation: Operation<'s>,
    why: &'s str,
    actor: String,
}

impl Trail<'_> {
    async fn note(&self, what: &str, result: &str) -> Result<(), Failure> {
        let append = "SELECT audit_seq, audit_head FROM outbox_relay.archive_republish($1, $2, $3, $4::text::jsonb)";
        let row = self
            .operation
            .row(append, &[&what, &self.why, &result, &self.actor])
            .await?;
        let (seq, head): (i64, String) = self.operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        show_head(seq, &head);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, topic: Option<&str>, occurred_at_ms: Option<i64>) -> Line {
        let json = serde_json::json!({
            "outbox": "default", "table": "public.outbox", "id": id, "topic": topic, "key": null, "headers": [],
            "payload": null, "occurred_at_ms": occurred_at_ms,
        });
        serde_json::from_value(json).expect("a line")
    }

    fn wanted(since_ms: Option<i64>, id: &[&str], topic: &[&str]) -> Wanted {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Wanted {
            since: since_ms.map(|ms| Timestamp::from_unix_us(ms * 1000)),
            until: None,
            id: owned(id),
            topic: owned(topic),
        }
    }

    #[test]
    fn only_what_is_wanted_is_published_and_what_has_no_record_never() {
        let row = line("a", Some("t"), Some(5_000));
        assert!(wanted(None, &[], &[]).is(&row));
        assert!(wanted(Some(5_000), &["a", "b"], &["t"]).is(&row));
        assert!(!wanted(Some(5_001), &[], &[]).is(&row));
        assert!(!wanted(None, &["b"], &[]).is(&row));
        assert!(!wanted(None, &[], &["u"]).is(&row));
        assert!(
            wanted(Some(5_001), &[], &[]).is(&line("a", Some("t"), None)),
            "nobody knows when it was"
        );
        assert!(
            !wanted(None, &["a"], &[]).is(&line("a", None, None)),
            "no record can be made of it"
        );
    }
}
