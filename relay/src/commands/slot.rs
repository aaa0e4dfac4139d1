//! `outbox-relay slot`: the relay itself never makes a slot, because one that appears by itself hides a loss.

use clap::Subcommand;

use super::{Failure, block_on};
use crate::config::Settings;
use crate::postgres::{
    Advisory, Control, PostgresError, ReplicationConnection, check_publication, fault, reveal_password, slot_figures,
};

/// Creating a slot waits for every transaction that is running.
const CREATE_WAIT_MS: u64 = 120_000;

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Make the slot: events committed from now on will be published
    Create,
    /// Show the slot and what the last relay on it knew
    Show,
    /// Drop the slot: what was not published from it is then only in the outbox table
    Drop {
        /// Do it; without this the command only says what would happen
        #[arg(long)]
        yes: bool,
    },
    /// Forget what the last relay knew, so that a restored or replaced server is accepted
    Forget,
}

pub(super) fn slot(settings: &Settings, command: Command) -> Result<(), Failure> {
    block_on(async {
        let postgres = &settings.postgres;
        let failed = |error: PostgresError| Failure::from(fault(&error, postgres));
        let control = Control::connect(postgres, "slot").await.map_err(failed)?;
        match command {
            Command::Create => create(settings, &control).await,
            Command::Show => show(settings, &control).await,
            Command::Drop { yes } => drop_slot(settings, &control, yes).await,
            Command::Forget => {
                Advisory::forget(control.client(), &postgres.slot)
                    .await
                    .map_err(failed)?;
                println!("forgotten what the last relay on slot {} knew", postgres.slot);
                Ok(())
            }
        }
    })
}

async fn create(settings: &Settings, control: &Control) -> Result<(), Failure> {
    let postgres = &settings.postgres;
    let failed = |error: PostgresError| Failure::from(fault(&error, postgres));
    // A slot made before its publication could never decode what was written in between.
    check_publication(control.client(), settings).await?;
    let password = reveal_password(postgres).map_err(failed)?;
    let mut replication = ReplicationConnection::connect(postgres, password.as_ref())
        .await
        .map_err(failed)?;
    eprintln!(
        "creating slot {}; this waits for every transaction that is running",
        postgres.slot
    );
    match replication.create_slot(&postgres.slot, CREATE_WAIT_MS).await {
        Ok(point) => {
            Advisory::forget(control.client(), &postgres.slot)
                .await
                .map_err(failed)?;
            println!(
                "slot {} starts at {point}: events committed from now on will be published",
                postgres.slot
            );
            Ok(())
        }
        Err(error) if error.sqlstate() == Some("42710") => {
            println!("slot {} exists already and is left as it is", postgres.slot);
            Ok(())
        }
        Err(error @ PostgresError::TimedOut { .. }) => Err(Failure::general(
            format!("slot {} could not be created: {error}", postgres.slot),
            "look for a transaction that stays open in pg_stat_activity; end it, and try again",
        )),
        Err(error) => Err(failed(error)),
    }
}

async fn show(settings: &Settings, control: &Control) -> Result<(), Failure> {
    let postgres = &settings.postgres;
    let failed = |error: PostgresError| Failure::from(fault(&error, postgres));
    let figures = slot_figures(control.client(), &postgres.slot).await.map_err(failed)?;
    let Some(figures) = figures else {
        let message = format!("slot {} does not exist", postgres.slot);
        return Err(Failure::general(message, "outbox-relay slot create"));
    };
    println!("slot:            {}", postgres.slot);
    println!("in use:          {}", if figures.active { "yes" } else { "no" });
    println!("wal_status:      {}", figures.wal_status);
    println!("unconfirmed WAL: {:.0} bytes", figures.lag_bytes);
    println!("retained WAL:    {:.0} bytes", figures.retained_wal_bytes);
    match figures.safe_wal_bytes {
        Some(bytes) => println!("at risk after:   {bytes:.0} bytes more"),
        None => println!("at risk after:   no limit is set (max_slot_wal_keep_size)"),
    }
    if let Some(known) = Advisory::read(control.client(), &postgres.slot).await.map_err(failed)? {
        println!(
            "last relay knew: confirmed {} on timeline {}",
            known.remembered.confirmed, known.remembered.timeline
        );
        println!(
            "last stop:       {}",
            if known.clean_stop {
                "clean"
            } else {
                "not clean, or still running"
            }
        );
    }
    Ok(())
}

async fn drop_slot(settings: &Settings, control: &Control, yes: bool) -> Result<(), Failure> {
    let postgres = &settings.postgres;
    let failed = |error: PostgresError| Failure::from(fault(&error, postgres));
    let figures = slot_figures(control.client(), &postgres.slot).await.map_err(failed)?;
    let Some(figures) = figures else {
        println!("slot {} does not exist", postgres.slot);
        return Ok(());
    };
    if !yes {
        return Err(Failure::general(
            format!(
                "slot {} has {:.0} bytes of WAL that are not confirmed; events in them would never be published \
                     from it",
                postgres.slot, figures.lag_bytes
            ),
            "outbox-relay slot drop --yes",
        ));
    }
    let dropped = control
        .client()
        .execute("SELECT pg_drop_replication_slot($1)", &[&postgres.slot])
        .await;
    dropped.map_err(|error| failed(error.into()))?;
    Advisory::forget(control.client(), &postgres.slot)
        .await
        .map_err(failed)?;
    println!("slot {} is dropped", postgres.slot);
    Ok(())
}
