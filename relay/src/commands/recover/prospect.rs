//! Everything that is known before anything is changed, and whether it is enough to go by.

use std::time::Duration;

use outbox_decoder::TopicName;
use tokio::time::{Instant, sleep};

use super::super::slot::Slot;
use super::super::{Failure, Refusal};
use super::Arguments;
use super::anew::Way;
use super::ids::{Ids, fingerprint};
use super::kafka::{Held, Topics};
use super::outboxes::Outbox;
use super::reader::Reader;
use super::since::{SaidBy, Since, earlier};
use super::situation::Situation;
use super::survey::{Compared, Gathered, check_defects, is_evident};
use super::trail;
use crate::kafka::TopicReader;
use crate::postgres::{SlotState, check_publication};

const LET_GO_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// All of it.
pub(super) struct Prospect {
    pub(super) situation: Situation,
    pub(super) way: Way,
    pub(super) reader: Reader,
    pub(super) by: Option<String>,
    pub(super) outboxes: Vec<Outbox>,
    pub(super) since: Since,
    /// Whether there are rows from before it.
    has_older_rows: bool,
    /// The keys of the rows.
    pub(super) rows: Ids,
    pub(super) topics: Topics,
    pub(super) held: Held,
    pub(super) left_out: Ids,
    pub(super) tables: Vec<Compared>,
}

/// Who looks.
pub(super) struct Lookout<'s> {
    pub(super) slot: &'s Slot<'s>,
    pub(super) arguments: &'s Arguments,
}

impl Lookout<'_> {
    /// Looks at everything, and changes nothing.
    pub(super) async fn prospect(&self) -> Result<Prospect, Failure> {
        trail::check_migrated(self.slot).await?;
        let settings = self.slot.settings;
        let published = check_publication(self.slot.control.client(), settings).await?;
        let situation = self.situation().await?;
        let way = self.way(&situation)?;
        if self.arguments.failover {
            self.slot.check_failover().await?;
        }
        let reader = Reader::connect(&settings.postgres, &settings.roles.operator, self.arguments).await?;
        let unfinished_by = situation
            .unfinished
            .as_ref()
            .and_then(|unfinished| unfinished.by.clone());
        let by = self.arguments.by.clone().or(unfinished_by);
        let outboxes = Outbox::all(&reader, settings, by.as_deref(), &published).await?;
        let (since, has_older_rows) = self.since(&situation, &outboxes, &reader).await?;
        let gathered = self.gather(&outboxes, &reader, since).await?;
        let left_out = self.left_out().await?;
        let topics = Topics::of(TopicReader::start(&settings.kafka)?, self.arguments.events_max);
        eprintln!("reading back the topics since {}", since.at);
        let mut held = topics.since(self.topic_names(&gathered), since.at).await?;
        topics.know_compaction(&settings.kafka, &mut held.topics).await?;
        check_defects(&gathered, &held.ids, &left_out)?;
        let tables = gathered
            .iter()
            .map(|table| table.compare(&held.ids, &left_out))
            .collect();
        let rows = Ids::of(gathered.iter().flat_map(Gathered::keys).copied().collect());
        let prospect = Prospect {
            situation,
            way,
            reader,
            by,
            outboxes,
            since,
            has_older_rows,
            rows,
            topics,
            held,
            left_out,
            tables,
        };
        self.must_be_sure(&prospect)?;
        Ok(prospect)
    }

    /// A run before this one that was killed may hold the slot for a moment longer.
    async fn situation(&self) -> Result<Situation, Failure> {
        let (until, mut replication) = (Instant::now() + LET_GO_WITHIN, self.slot.replication().await?);
        loop {
            let unfinished = trail::unfinished(self.slot).await?;
            let situation = Situation::look(self.slot, &mut replication, unfinished).await?;
            let may_be_let_go = situation.unfinished.is_some() && matches!(situation.slot, SlotState::InUse(_));
            if !may_be_let_go || Instant::now() > until {
                return Ok(situation);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What has to happen to the slot.
    fn way(&self, situation: &Situation) -> Result<Way, Failure> {
        let name = self.slot.name();
        match &situation.slot {
            SlotState::InUse(holder) => Err(Failure::new(
                Refusal::SlotInUse,
                format!("replication slot {name} is in use: {holder}"),
                "stop the relay, and those that stand by, and run this again: what they publish would come before what is \
                 missing",
            )),
            SlotState::Foreign { .. } => Err(must_be_free(&situation.slot, name)),
            SlotState::Missing | SlotState::Lost { .. } if self.arguments.keep_slot => {
                Err(must_be_free(&situation.slot, name))
            }
            SlotState::Missing => Ok(Way::Anew { drop_lost: false }),
            SlotState::Lost { .. } => Ok(Way::Anew { drop_lost: true }),
            SlotState::Free if self.arguments.keep_slot || situation.unfinished.is_some() => Ok(Way::Keep),
            SlotState::Free => Err(Failure::new(
                Refusal::RecoveryNotNeeded,
                format!("replication slot {name} is there and whole: what Kafka lacks comes from it"),
                "start the relay. If rows are missing in Kafka all the same, such as those from before the slot was made: \
                 --keep-slot --since TIME",
            )),
        }
    }

    /// With whether there are rows from before it.
    async fn since(
        &self,
        situation: &Situation,
        outboxes: &[Outbox],
        reader: &Reader,
    ) -> Result<(Since, bool), Failure> {
        let since = Since::known(self.arguments.since, situation).ok_or_else(|| {
            Failure::new(
                Refusal::RecoveryUnsure,
                "since when rows may be missing in Kafka is not known: nothing is left of a relay on this slot",
                "--since TIME, rather too early than too late: what Kafka has already is found there, and not published \
                 again",
            )
        })?;
        let edge = match since.said_by {
            SaidBy::LastRelay => earlier(since.at),
            SaidBy::Operator | SaidBy::Unfinished => since.at,
        };
        let mut newest_before = None;
        for outbox in outboxes {
            let newest = outbox.newest_before(reader.client(), edge).await;
            newest_before = newest_before.max(newest.map_err(|error| reader.refused(&outbox.name, &error.into()))?);
        }
        let at = match (since.said_by, newest_before) {
            // Far enough to meet what was published: that is the evidence that nothing older is missing.
            (SaidBy::LastRelay, Some(newest)) => earlier(newest),
            _ => edge,
        };
        Ok((Since { at, ..since }, newest_before.is_some()))
    }

    async fn gather(&self, outboxes: &[Outbox], reader: &Reader, since: Since) -> Result<Vec<Gathered>, Failure> {
        let mut gathered = Vec::new();
        let mut left = self.arguments.events_max;
        for outbox in outboxes {
            eprintln!("looking through {} since {}", outbox.name, since.at);
            let table = Gathered::of(reader, outbox, since.at, left).await?;
            left = left.saturating_sub(table.keys().len());
            gathered.push(table);
        }
        Ok(gathered)
    }

    async fn left_out(&self) -> Result<Ids, Failure> {
        let decided = trail::left_out(self.slot).await?;
        let ids = self.arguments.leave_out.iter().chain(&decided);
        Ok(Ids::of(ids.map(|id| fingerprint(id.as_bytes())).collect()))
    }

    fn topic_names(&self, gathered: &[Gathered]) -> Vec<TopicName> {
        let of_rows = gathered.iter().flat_map(|table| table.topics.iter());
        let mut names: Vec<TopicName> = of_rows.chain(&self.arguments.topic).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Refuses where Kafka cannot tell what it lacks.
    fn must_be_sure(&self, prospect: &Prospect) -> Result<(), Failure> {
        let is_missing = prospect.tables.iter().any(|table| table.missing > 0);
        let cut = prospect.held.stretches.iter().find(|stretch| stretch.may_be_cut());
        if let (true, false, Some(cut)) = (is_missing, self.arguments.accept_duplicates, cut) {
            return Err(Failure::new(
                Refusal::RecoveryUnsure,
                format!(
                    "partition {} of topic {} keeps nothing from before {}: what is missing there may have been \
                     published, and removed since (retention)",
                    cut.partition, cut.topic, prospect.since.at
                ),
                "a later --since, if what is older is known to be in Kafka; or --accept-duplicates: what was removed is \
                 published once more, with the same id",
            ));
        }
        let compacted = prospect.held.topics.iter().find(|topic| topic.compacted == Some(true));
        if let (true, false, Some(compacted)) = (is_missing, self.arguments.accept_duplicates, compacted) {
            return Err(Failure::new(
                Refusal::RecoveryUnsure,
                format!(
                    "topic {} is compacted: what is missing there may have been published, and removed since for a newer \
                     record of its key",
                    compacted.topic
                ),
                "see how many rows that is with --accept-duplicates --dry-run, and leave out what is outdated (--leave-out \
                 ID); with --accept-duplicates alone an older row may come to stand for its key",
            ));
        }
        let by_relay = prospect.since.said_by == SaidBy::LastRelay;
        if by_relay && prospect.has_older_rows && !is_evident(&prospect.tables) {
            return Err(Failure::new(
                Refusal::RecoveryUnsure,
                format!(
                    "no row from {} on is in Kafka before the first that is missing: older ones may be missing too",
                    prospect.since.at
                ),
                "--since TIME, so early that rows of that time are in Kafka",
            ));
        }
        Ok(())
    }
}

impl Prospect {
    /// What will happen, in order.
    pub(super) fn intention(&self, slot: &str) -> String {
        let missing: usize = self.tables.iter().map(|table| table.missing).sum();
        let first = match self.way {
            Way::Anew { drop_lost: true } => format!("drop the lost slot {slot} and make it anew"),
            Way::Anew { drop_lost: false } => format!("make slot {slot}"),
            Way::Keep => format!("keep slot {slot} where it is"),
        };
        format!(
            "{first}; then publish what Kafka lacks by then, {missing} rows as of now, each with its id and the header \
             replay"
        )
    }

    /// Where nobody but the operator says that nothing older is missing.
    pub(super) fn is_taken_on_trust(&self) -> bool {
        self.has_older_rows && !is_evident(&self.tables)
    }
}

/// Why a slot cannot be used.
pub(super) fn must_be_free(state: &SlotState, slot: &str) -> Failure {
    match state.must_be_free(slot) {
        Err(fault) => fault.into(),
        Ok(()) => Failure::new(
            Refusal::RecoveryNotNeeded,
            format!("slot {slot} is whole"),
            "start the relay",
        ),
    }
}
