//! `outbox-relay purge`: one round of the janitor, for those who run it from a timer or by hand.

use std::fmt::Write;

use clap::Args;

use super::actor::Actor;
use super::login::LoginFlags;
use super::operation::{Operation, Work, show_head};
use super::reason::Reason;
use super::{Failure, Refusal, block_on};
use crate::config::{PostgresSettings, Settings};
use crate::fault::{Fault, FaultCode};
use crate::postgres::{PostgresError, fault};
use crate::retention::{JanitorSession, Patience, Report, RetentionError, Round, TableReport};
use crate::telemetry::Metrics;

const WHY: &str = "their retention is over";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep rows of so many days, in place of the configured ones; 0 removes what is confirmed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=36_500))]
    keep_days: Option<u32>,
    /// Say that every row the tables hold was published, or is yet to come through the slot; removes nothing; needs --reason
    #[arg(long, conflicts_with = "keep_days")]
    vouch: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    login: LoginFlags,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn purge(mut settings: Settings, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.vouch {
        let why = arguments.reason.required()?;
        return block_on(vouch(&settings, arguments, why));
    }
    if let Some(keep_days) = arguments.keep_days {
        settings.retention.keep_days = keep_days;
    }
    let report = block_on(round(&settings, arguments))?;
    print!("{}", shown(&report, settings.retention.keep_days));
    unproven(&report)
}

async fn round(settings: &Settings, arguments: &Arguments) -> Result<Report, Failure> {
    // Where no flag says otherwise, the janitor's login.
    let as_janitor = Settings {
        postgres: JanitorSession::login(settings),
        ..settings.clone()
    };
    let operation = Operation::begin(&as_janitor, &arguments.login, Work::Janitor).await?;
    let (_, postgres) = arguments.login.over(&as_janitor.postgres);
    let refused = |error: RetentionError| refused(&error, settings, &postgres);
    let (roles, slot, actor) = (&settings.roles, &settings.postgres.slot, arguments.actor.as_json(None));
    let session = JanitorSession::begin(operation.into_control(), roles, slot, actor).await;
    let session = session.map_err(refused)?;
    let round = Round {
        settings,
        session: &session,
        metrics: &Metrics::default(),
        patience: Patience::Refuse,
        why: arguments.reason.required().unwrap_or(WHY),
    };
    round.mark().await.map_err(refused)?;
    round.run().await.map_err(refused)
}

async fn vouch(settings: &Settings, arguments: &Arguments, why: &str) -> Result<(), Failure> {
    let operation = Operation::begin(settings, &arguments.login, Work::Operator).await?;
    let vouch = "SELECT tables, audit_seq, audit_head FROM outbox_relay.retention_vouch($1, $2, $3, $4::text::jsonb)";
    let PostgresSettings { slot, publication, .. } = &settings.postgres;
    let actor = arguments.actor.as_json(None);
    let row = operation.row(vouch, &[slot, publication, &why, &actor]).await?;
    let (tables, seq, head): (Option<i64>, Option<i64>, Option<String>) =
        operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))?;
    let (Some(tables), Some(seq), Some(head)) = (tables, seq, head) else {
        return Err(no_slot(slot));
    };
    println!("tables that were not known to be whole, and are now: {tables}");
    show_head(seq, &head);
    Ok(())
}

/// What is told of a table that cannot be proven does not hide what was done to the others.
fn unproven(report: &Report) -> Result<(), Failure> {
    let tables: Vec<&str> = report
        .tables
        .iter()
        .filter(|table| table.is_unproven)
        .map(|table| table.table.as_str())
        .collect();
    if tables.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Refusal::RetentionUnproven,
        format!(
            "nothing was removed from {}: it held rows before the slot was made or before it was published, and nobody knows \
             whether they were published",
            tables.join(", ")
        ),
        "look for them in Kafka, or publish them (docs/RECOVERY.md); then `outbox-relay purge --vouch --reason TEXT`",
    ))
}

fn shown(report: &Report, keep_days: u32) -> String {
    let Some(marked_at) = &report.marked_at else {
        return format!(
            "nothing is old enough yet: of no time {keep_days} days ago or longer is known what the slot has confirmed since\n"
        );
    };
    let mut text = format!("what was committed before {marked_at} and is confirmed:\n");
    for table in report.tables.iter().filter(|table| !table.is_unproven) {
        text.push_str(&line(table));
    }
    if report.letters > 0 {
        let _ = writeln!(text, "  resolved dead letters: {} removed", report.letters);
    }
    if report.audit_rows > 0 {
        let _ = writeln!(text, "  audit trail: {} rows emptied", report.audit_rows);
    }
    text
}

fn line(table: &TableReport) -> String {
    match table.rows {
        0 if table.partitions == 0 => format!("  {}: nothing\n", table.table),
        rows => format!("  {}: {rows} rows removed, {}\n", table.table, table.how()),
    }
}

fn refused(error: &RetentionError, settings: &Settings, postgres: &PostgresSettings) -> Failure {
    let refuse = |refusal: Refusal| Failure::new(refusal, error, refusal.entry().remedy.replace('`', ""));
    match error {
        RetentionError::Archive(_) | RetentionError::NoId(_) => refuse(Refusal::ArchiveNotWritten),
        RetentionError::Busy(_) => refuse(Refusal::JanitorBusy),
        RetentionError::Lagging { .. } => refuse(Refusal::RelayLags),
        RetentionError::NoSlot(slot) => no_slot(slot),
        RetentionError::Postgres(error) => match error.sqlstate() {
            Some("42501") => not_permitted(error, postgres, &settings.roles.janitor),
            // No role, no schema, no table, no function.
            Some("22023" | "42704" | "3F000" | "42P01" | "42883") => Fault::new(
                FaultCode::SchemaNotMigrated,
                format!("database {} is not migrated: {error}", postgres.database),
                "run `outbox-relay migrate`",
            )
            .into(),
            _ => fault(error, postgres).into(),
        },
    }
}

fn no_slot(slot: &str) -> Failure {
    Fault::new(
        FaultCode::SlotMissing,
        format!("slot {slot} does not exist in this database, or is lost: nothing says what was published"),
        "correct postgres.slot; of a slot that was lost: docs/RECOVERY.md",
    )
    .into()
}

fn not_permitted(error: &PostgresError, postgres: &PostgresSettings, member: &str) -> Failure {
    Failure::new(
        Refusal::RoleNotPermitted,
        format!("role {} may not do this: {error}", postgres.user),
        format!(
            "connect with --user ROLE --password-file FILE as a member of {member}; `outbox-relay migrate` makes the role of \
             retention.user, or with retention.enabled the relay's, a janitor"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(table: &str, rows: u64, is_unproven: bool) -> TableReport {
        TableReport {
            table: table.to_owned(),
            rows,
            is_unproven,
            ..TableReport::default()
        }
    }

    #[test]
    fn what_was_removed_is_said_and_so_is_what_was_not() {
        let report = Report {
            marked_at: Some("2026-05-01 06:30:00Z".to_owned()),
            tables: vec![table("a", 0, false), table("b", 7, false), table("c", 0, true)],
            letters: 2,
            audit_rows: 0,
        };
        assert_eq!(
            shown(&report, 7),
            "what was committed before 2026-05-01 06:30:00Z and is confirmed:\n  a: nothing\n  b: 7 rows removed, not archived\n  \
             resolved dead letters: 2 removed\n"
        );
        assert!(unproven(&report).is_err());
        let nothing = shown(&Report::default(), 7);
        assert!(nothing.starts_with("nothing is old enough yet"), "{nothing}");
        assert!(unproven(&Report::default()).is_ok());
    }
}
