//! The task that tells: woken when there is something new, and by itself now and then, until it is dropped.

use std::sync::Arc;
use std::time::Duration;

use outbox_decoder::TopicName;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::head::{Change, Head};
use super::letters;
use super::post::Post;
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::dead_letter::Place;
use crate::fault::{Fault, FaultCode};
use crate::kafka::TopicReader;
use crate::postgres::{Control, PostgresError, fault};
use crate::telemetry::Metrics;

/// Commands append to the trail without the relay's knowledge: it looks this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 10_000;

/// Telling, from the first stream of a history on.
#[derive(Debug)]
pub(crate) struct Notices {
    place: watch::Sender<Place>,
    news: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Notices {
    /// Begins, if a topic is configured.
    pub(crate) fn start(
        settings: &Arc<Settings>,
        metrics: &Arc<Metrics>,
        system_identifier: u64,
        place: Place,
    ) -> Option<Self> {
        settings.dead_letters.topic.as_ref().or(settings.audit.topic.as_ref())?;
        let (place, places) = watch::channel(place);
        let news = Arc::<Notify>::default();
        let teller = Teller {
            settings: Arc::clone(settings),
            metrics: Arc::clone(metrics),
            system_identifier,
            places,
            control: None,
            post: Post::default(),
            told: None,
            rewritten: None,
            letters: Trouble::default(),
            heads: Trouble::default(),
        };
        let task = tokio::spawn(teller.run(Arc::clone(&news)));
        Some(Self { place, news, task })
    }

    /// The stream comes from there now.
    pub(crate) fn follow(&self, place: Place) {
        // The task ends only with this.
        let _ = self.place.send(place);
    }

    /// Something was written that may have to be told.
    pub(crate) fn wake(&self) {
        self.news.notify_one();
    }
}

struct Teller {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    system_identifier: u64,
    places: watch::Receiver<Place>,
    control: Option<Control>,
    post: Post,
    /// The head that the topic has.
    told: Option<Head>,
    /// The head that the log has complained of.
    rewritten: Option<Head>,
    letters: Trouble,
    heads: Trouble,
}

impl Teller {
    async fn run(mut self, news: Arc<Notify>) {
        self.look_for_topics().await;
        let mut backoff = Backoff::jittered(BACKOFF_MS, BACKOFF_MAX_MS);
        loop {
            let (letters, heads) = (self.tell_letters().await, self.tell_head().await);
            if letters && heads {
                backoff.reset();
                if timeout(LOOK_EVERY, news.notified()).await.is_err() {
                    self.post.rest();
                }
            } else {
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }

    /// A topic that is not there is named before the first notice is lost to it. What else is wrong, the line says.
    async fn look_for_topics(&mut self) {
        for (topic, what) in [
            (&self.settings.dead_letters.topic, LETTERS),
            (&self.settings.audit.topic, HEADS),
        ] {
            let Some(topic) = topic else { continue };
            let fault = find(&self.settings, topic).await;
            if let Some(fault) = fault.filter(|fault| fault.code == FaultCode::TopicMissing) {
                let trouble = if what.key == LETTERS.key {
                    &mut self.letters
                } else {
                    &mut self.heads
                };
                trouble.show(Some(&fault), topic, what);
            }
        }
    }

    /// Whether that is done.
    async fn tell_letters(&mut self) -> bool {
        let Some(topic) = self.settings.dead_letters.topic.clone() else {
            return true;
        };
        let told = match self.connection().await {
            Ok(control) => {
                let (settings, metrics) = (&self.settings, &self.metrics);
                let told = letters::tell(control.client(), settings, &topic, &mut self.post, metrics).await;
                // A connection that has failed does not come back by itself.
                self.control = told.is_ok().then_some(control);
                told
            }
            Err(fault) => Err(fault),
        };
        if told.is_err() {
            self.metrics.show_letter_notice("failed");
        }
        self.letters.note(&told, &topic, LETTERS);
        told.is_ok()
    }

    /// Whether that is done.
    async fn tell_head(&mut self) -> bool {
        let Some(topic) = self.settings.audit.topic.clone() else {
            return true;
        };
        let told = self.tell_head_to(&topic).await;
        if told.is_err() {
            self.metrics.show_head_notice("failed");
        }
        self.heads.note(&told, &topic, HEADS);
        told.is_ok()
    }

    /// Whether there was anything to tell.
    async fn tell_head_to(&mut self, topic: &TopicName) -> Result<bool, Fault> {
        let control = self.connection().await?;
        let head = Head::read(control.client()).await;
        let head = head.map_err(|error| self.of_database(&error))?;
        self.control = Some(control);
        let Some(head) = head else { return Ok(false) };
        match head.since(self.told.as_ref()) {
            Change::None => return Ok(false),
            Change::Longer => {}
            // It is found again for as long as the topic does not take the head.
            Change::Rewritten if self.rewritten.as_ref() == Some(&head) => {}
            Change::Rewritten => self.complain(&head, topic),
        }
        let record = head.record(topic, self.system_identifier, &self.settings.postgres.database);
        self.post.publish(&self.settings, &[record]).await?;
        self.metrics.show_head_notice("published");
        self.told = Some(head);
        Ok(true)
    }

    fn complain(&mut self, head: &Head, topic: &TopicName) {
        tracing::error!(
            audit_seq = head.seq,
            "the audit trail was rewritten: it ended at {} before, and ends at {} now; `outbox-relay audit verify --head` with \
             heads of topic {topic} shows where",
            self.told.as_ref().map(Head::shown).unwrap_or_default(),
            head.shown()
        );
        self.rewritten = Some(head.clone());
    }

    /// To the server that the stream comes from, and to no other. Whoever takes it gives it back if it is of use still.
    async fn connection(&mut self) -> Result<Control, Fault> {
        if self.places.has_changed().unwrap_or(false) {
            self.control = None;
        }
        match self.control.take() {
            Some(control) if control.is_open() => Ok(control),
            _ => self.connect().await.map_err(|error| self.of_database(&error)),
        }
    }

    async fn connect(&mut self) -> Result<Control, PostgresError> {
        let (host, address) = self.places.borrow_and_update().clone();
        let control = Control::connect_exactly(&self.settings.postgres, &host, address, "notices").await?;
        // Letters that somebody changes are told later; and an answer that does not come holds up nobody else.
        control
            .client()
            .batch_execute("SET lock_timeout = '5s'; SET statement_timeout = '30s'")
            .await?;
        Ok(control)
    }

    fn of_database(&self, error: &PostgresError) -> Fault {
        fault(error, &self.settings.postgres)
    }
}

/// What is told of, and the key that says where.
#[derive(Clone, Copy)]
struct Told {
    what: &'static str,
    key: &'static str,
}

const LETTERS: Told = Told {
    what: "notices of dead letters",
    key: "dead_letters.topic",
};
const HEADS: Told = Told {
    what: "heads of the audit trail",
    key: "audit.topic",
};

/// Why something cannot be told, said once.
#[derive(Debug, Default)]
struct Trouble(Option<FaultCode>);

impl Trouble {
    /// That there was nothing to tell proves nothing.
    fn note(&mut self, told: &Result<bool, Fault>, topic: &TopicName, what: Told) {
        match told {
            Ok(false) => {}
            told => self.show(told.as_ref().err(), topic, what),
        }
    }

    fn show(&mut self, fault: Option<&Fault>, topic: &TopicName, Told { what, key }: Told) {
        let before = std::mem::replace(&mut self.0, fault.map(|fault| fault.code));
        match fault {
            Some(fault) if before != Some(fault.code) => tracing::warn!(
                code = fault.code.name(),
                next = next(fault, key),
                "{what} do not reach topic {topic} ({key}), and are tried again; events go on, and the table has all of \
                 it: {}",
                fault.message
            ),
            None if before.is_some() => tracing::info!("{what} reach topic {topic} again"),
            _ => {}
        }
    }
}

fn next(fault: &Fault, key: &str) -> String {
    match fault.code {
        FaultCode::TopicMissing => format!("create the topic, or correct {key}"),
        FaultCode::TopicNotAuthorized => "allow the relay's principal to WRITE the topic".to_owned(),
        _ => fault.hint.clone(),
    }
}

/// Asks for a topic, on a thread of its own: nobody waits for it when the relay ends.
async fn find(settings: &Arc<Settings>, topic: &TopicName) -> Option<Fault> {
    let (found, asked) = oneshot::channel();
    let (settings, topic) = (Arc::clone(settings), topic.clone());
    let ask = move || {
        let found_it = TopicReader::start(&settings.kafka).and_then(|reader| reader.partitions(&topic));
        // Nobody listens any more when the relay has ended.
        let _ = found.send(found_it.err());
    };
    // Without a thread nothing is found out, and the first notice will tell.
    let _ = std::thread::Builder::new().name("kafka-find".to_owned()).spawn(ask);
    asked.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_says_what_to_correct() {
        let fault = |code| Fault::new(code, "m", "correct the outbox's topic template");
        assert!(next(&fault(FaultCode::TopicMissing), LETTERS.key).contains("dead_letters.topic"));
        assert!(next(&fault(FaultCode::TopicNotAuthorized), HEADS.key).contains("WRITE"));
        assert_eq!(
            next(&fault(FaultCode::KafkaUnreachable), HEADS.key),
            fault(FaultCode::KafkaUnreachable).hint
        );
    }
}
