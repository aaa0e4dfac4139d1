//! A producer of its own for notices: what a topic of theirs does to it does not touch the line's.

use std::time::Duration;

use tokio::time::timeout;

use crate::config::Settings;
use crate::fault::{Fault, FaultCode};
use crate::kafka::{Publisher, Record};

/// Brokers that acknowledge nothing for so long are tried again later.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// Publishes, and has a producer only while there is something to publish.
#[derive(Default)]
pub(super) struct Post {
    publisher: Option<Publisher>,
}

impl Post {
    /// Publishes all of them, in order, and waits until they are acknowledged. What failed may be there in part.
    pub(super) async fn publish(&mut self, settings: &Settings, records: &[Record]) -> Result<(), Fault> {
        let mut publisher = match self.publisher.take() {
            Some(publisher) => publisher,
            None => Publisher::start(settings)?,
        };
        let published = timeout(ACKNOWLEDGED_WITHIN, publish(&mut publisher, records)).await;
        // A publisher that has failed once takes nothing any more.
        published.unwrap_or_else(|_| Err(publisher.waits_for().unwrap_or_else(unacknowledged)))?;
        self.publisher = Some(publisher);
        Ok(())
    }

    /// There is nothing to publish for a while.
    pub(super) fn rest(&mut self) {
        self.publisher = None;
    }
}

async fn publish(publisher: &mut Publisher, records: &[Record]) -> Result<(), Fault> {
    for record in records {
        publisher.publish(record).await?;
    }
    publisher.finish().await?;
    Ok(())
}

fn unacknowledged() -> Fault {
    let seconds = ACKNOWLEDGED_WITHIN.as_secs();
    Fault::new(
        FaultCode::AcknowledgementsStalled,
        format!("Kafka has acknowledged no notice for {seconds} s"),
        "look at the brokers",
    )
}
