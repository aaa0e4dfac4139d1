//! `outbox-relay run`, and the relay that ends when it has published the dead letters that are marked.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::refusal::Entry;
use super::{Failure, Refusal, block_on, leave};
use crate::admin::Admin;
use crate::config::Settings;
use crate::delivery_state::Journal;
use crate::kafka::Delivery;
use crate::line::{Line, Outcome, Purpose};
use crate::postgres::place;
use crate::retention::Janitor;
use crate::telemetry::{Health, Heartbeat, Metrics, start_logging};

pub(super) fn run(settings: Settings, purpose: Purpose) -> Result<(), Failure> {
    start_logging(&settings.log).map_err(|error| {
        let what = format!("log.filter: {error}");
        Failure::new(Refusal::ConfigurationWrong, what, "correct log.filter")
    })?;
    let metrics = Arc::<Metrics>::default();
    let admin = &settings.admin;
    let health = Health::new(Duration::from_millis(admin.degraded_after_ms));
    let heartbeat = Heartbeat::new(Duration::from_millis(admin.stuck_after_ms));
    show_limits(&metrics, &settings);

    let settings = Arc::new(settings);
    let journal = Journal::start(&settings, &metrics, &health)
        .map_err(|error| Failure::new(Refusal::SystemRefused, error, "look at the limits of the process"))?;
    let delivery = Delivery::start(&settings, Arc::clone(&metrics), health.clone())
        .map_err(|error| Failure::not_accepted_by_kafka(&error))?
        .telling(journal);
    let admin = Admin {
        health: health.clone(),
        heartbeat: heartbeat.clone(),
        metrics: Arc::clone(&metrics),
    };
    let listen = settings.admin.listen;
    // Whoever asks there asks for a relay that stays.
    let bound = match purpose {
        Purpose::Redrive => None,
        Purpose::Relay => Some(admin.serve(listen).map_err(|error| {
            Failure::new(
                Refusal::AdminAddressTaken,
                format!("cannot listen on {listen}: {error}"),
                "choose another admin.listen, or stop what holds it",
            )
        })?),
    };
    heartbeat
        .watch(give_up)
        .map_err(|error| Failure::new(Refusal::SystemRefused, error, "look at the limits of the process"))?;
    announce(&settings, bound);

    Janitor::start(&settings, &metrics)
        .map_err(|error| Failure::new(Refusal::SystemRefused, error, "look at the limits of the process"))?;
    let outcome = block_on(async move {
        let shutdown = watch_signals().map_err(|error| Failure::new(Refusal::SystemRefused, error, "try again"))?;
        let line = Line::new(settings, metrics, health, heartbeat, shutdown, delivery);
        Ok(line.until(purpose).run().await)
    })?;
    match outcome {
        Outcome::Untouched => {
            tracing::info!("stopped; this relay had taken nothing from the slot");
            Ok(())
        }
        Outcome::Drained => {
            tracing::info!("stopped; everything taken is published and confirmed");
            Ok(())
        }
        Outcome::Undrained { in_flight: 0 } => {
            tracing::warn!(
                code = Refusal::StoppedUndrained.entry().name,
                "stopped before everything was confirmed, with no record in flight: what was acknowledged of a \
                 transaction that had not ended, or since the last status update, may repeat after the next start; \
                 nothing is lost"
            );
            Err(Failure::logged(Refusal::StoppedUndrained))
        }
        Outcome::Undrained { in_flight } => {
            tracing::warn!(
                code = Refusal::StoppedUndrained.entry().name,
                in_flight,
                "stopped before everything was confirmed: records in flight: {in_flight}; they, the transaction they belong \
                 to, and what was acknowledged since the last status update may repeat after the next start; \
                 nothing is lost"
            );
            Err(Failure::logged(Refusal::StoppedUndrained))
        }
    }
}

/// Nothing else ends the process by itself: an outage of a server is waited for.
fn give_up(stuck_for: Duration) {
    let Entry { name, exit, remedy, .. } = Refusal::LoopStuck.entry();
    let seconds = stuck_for.as_secs();
    tracing::error!(
        code = name,
        next = remedy,
        "the loop has not turned for {seconds} s; ending, nothing is lost"
    );
    leave(exit);
}

fn announce(settings: &Settings, admin: Option<std::net::SocketAddr>) {
    let Settings { postgres, kafka, .. } = settings;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        postgres = place(postgres),
        slot = postgres.slot,
        kafka = kafka.bootstrap_servers,
        admin = admin.map(tracing::field::display),
        "outbox-relay starts"
    );
}

fn show_limits(metrics: &Metrics, settings: &Settings) {
    let (in_flight, letters) = (&settings.pipeline, &settings.dead_letters.limits);
    for (gauge, limit) in [
        (&metrics.in_flight_bytes_max, in_flight.in_flight_bytes_max),
        (&metrics.in_flight_events_max, in_flight.in_flight_records_max),
        (&metrics.dead_letters_max, letters.letters_max),
        (&metrics.dead_letters_parked_keys_max, letters.parked_keys_max),
    ] {
        gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }
}

/// The first SIGTERM or SIGINT asks for a drain, the second leaves at once.
fn watch_signals() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        // Nobody listens any more when the line has ended by itself.
        let _ = stop.send(true);
        either(&mut terminate, &mut interrupt).await;
        tracing::warn!("second signal: leaving at once; what is in flight repeats after the next start");
        leave(Refusal::LeftAtOnce.entry().exit);
    });
    Ok(stopped)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
