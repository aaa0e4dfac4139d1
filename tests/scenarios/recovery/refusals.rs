//! Where it cannot be sure it says what to look at, and changes nothing.

use outbox_relay_tests::broker_rules::{Right, Scram};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{audited, look, recover, recovered};
use crate::kafka_doors::{broker_rules, log_in};
use crate::tables::COLUMNS;

const LONG_AGO: [&str; 2] = ["--since", "2000-01-01"];
const ROW: &str = "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
    VALUES ('order', '1', 'happened', '{}')";

/// Refused, and neither a slot nor a record nor a line of the audit trail is there afterwards.
#[track_caller]
fn refused(scenario: &Scenario, more: &[&str], code: &str, said: &[&str]) -> Outcome {
    recover(scenario, more)?.must_refuse(code, said)?;
    let slot = scenario.database()?.confirmed(scenario.name())?;
    let records = scenario.records()?.len();
    ensure(slot.is_none() && records == 0, || {
        format!("a slot at {slot:?}, {records} records")
    })
}

#[test]
fn a_slot_that_is_whole_or_in_use_is_left_alone() -> Outcome {
    let mut scenario = Setup::new("rec_whole").start()?;
    let confirmed = scenario.confirmed()?;
    recover(&scenario, &LONG_AGO)?.must_refuse("recovery_not_needed", &["start the relay", "--keep-slot --since"])?;
    ensure(scenario.confirmed()? == confirmed, || "it was moved".to_owned())?;
    let _relay = scenario.streaming_relay()?;
    for more in [[].as_slice(), &["--keep-slot", "--since", "2000-01-01"]] {
        recover(&scenario, more)?.must_refuse("slot_in_use", &["in use", "stop the relay"])?;
    }
    ensure(audited(&scenario)?.is_empty(), || "something was done".to_owned())
}

#[test]
fn without_a_word_that_it_is_meant_nothing_is_done() -> Outcome {
    let scenario = Setup::new("rec_unsaid").without_slot().start()?;
    scenario.database()?.run(ROW)?;
    let reason = ["--reason", "why"];
    let ended = look(&scenario, &[LONG_AGO, reason].concat())?;
    ended.must_refuse(
        "recovery_not_confirmed",
        &["to be done:     make slot", "1 rows as of now", "--yes"],
    )?;
    let ended = look(&scenario, &[LONG_AGO.as_slice(), &["--yes"]].concat())?;
    ended.must_refuse("command_line_wrong", &["--reason"])?;
    let ended = look(&scenario, &["--dry-run", "--since", "yesterday"])?;
    ended.must_refuse("command_line_wrong", &["wanted is a time as"])?;
    let dry = look(&scenario, &[LONG_AGO.as_slice(), &["--dry-run", "--json"]].concat())?;
    dry.must(
        0,
        &[
            "\"missing\":1",
            "\"done\":false",
            "\"state\":\"missing\"",
            "\"audit\":null",
        ],
    )?;
    let left = (
        scenario.database()?.confirmed(scenario.name())?,
        scenario.records()?.len(),
        audited(&scenario)?,
    );
    ensure(left == (None, 0, Vec::new()), || format!("{left:?}"))?;
    let done = recover(&scenario, &[LONG_AGO.as_slice(), &["--json"]].concat())?;
    done.must(0, &["\"republished\":1", "\"done\":true", "\"head\":"])
}

#[test]
fn a_database_that_was_not_migrated_is_refused() -> Outcome {
    let scenario = Setup::new("rec_unmigrated").without_migration().start()?;
    let name = scenario.name();
    scenario
        .database()?
        .run(&format!("CREATE ROLE {name} LOGIN REPLICATION PASSWORD 'not a secret'"))?;
    refused(&scenario, &LONG_AGO, "schema_not_migrated", &["outbox-relay migrate"])
}

#[test]
fn rows_without_an_id_cannot_be_recovered() -> Outcome {
    let columns = COLUMNS.replace("id uuid PRIMARY KEY, ", "");
    let setup = Setup::new("rec_no_id").sql(&format!("CREATE TABLE public.outbox ({columns})"));
    let scenario = setup.set("outbox.default.columns.id", "").without_slot().start()?;
    refused(
        &scenario,
        &LONG_AGO,
        "recovery_impossible",
        &["public.outbox has no id", "docs/RECOVERY.md"],
    )
}

#[test]
fn a_column_that_says_when_a_row_was_written_is_needed_and_can_be_named() -> Outcome {
    let table =
        format!("CREATE TABLE public.outbox ({COLUMNS}, at_ms bigint DEFAULT extract(epoch FROM now()) * 1000)");
    let scenario = Setup::new("rec_no_time").sql(&table).without_slot().start()?;
    scenario.database()?.run(
        &ROW.replace("(aggregate_type", "(id, aggregate_type")
            .replace("('order'", "(gen_random_uuid(), 'order'"),
    )?;
    refused(
        &scenario,
        &LONG_AGO,
        "recovery_impossible",
        &["no column created_at", "--by COLUMN"],
    )?;
    let by = |column| [LONG_AGO.as_slice(), &["--by", column]].concat();
    refused(
        &scenario,
        &by("event_type"),
        "recovery_impossible",
        &["of the type text", "--by COLUMN"],
    )?;
    recovered(&scenario, &by("at_ms"))?.must(0, &["public.outbox by at_ms: 1 of 1 rows"])
}

#[test]
fn a_role_that_may_not_read_the_table_is_told_who_may() -> Outcome {
    let scenario = Setup::new("rec_reader").without_slot().start()?;
    let arguments = [["recover", "--yes", "--reason", "x"].as_slice(), &LONG_AGO].concat();
    let operator = format!("a member of {}_operator", scenario.name());
    scenario.command(&arguments)?.must_refuse(
        "postgres_not_permitted",
        &["may not read table public.outbox", "--user ROLE", &operator],
    )
}

#[test]
fn a_topic_that_is_not_there_is_named() -> Outcome {
    let scenario = Setup::new("rec_no_topic").without_topic().without_slot().start()?;
    scenario.database()?.run(ROW)?;
    let topic = format!("topic {}", scenario.topic());
    refused(&scenario, &LONG_AGO, "topic_missing", &[&topic, "create the topic"])
}

/// The relay's own rights are enough for everything but to read what it has written.
#[test]
fn a_topic_that_may_not_be_read_is_named_until_it_may() -> Outcome {
    let mut scenario = Setup::new("rec_denied").without_slot().start()?;
    let (topic, principal) = (scenario.topic(), format!("User:{}", scenario.name()));
    let mut rules = broker_rules(&scenario)?;
    rules.set_password(scenario.name(), Scram::Sha512, "secret")?;
    log_in(&mut scenario, "SCRAM-SHA-512", "secret")?;
    rules.allow_write(&principal, &topic)?;
    scenario.command(&["slot", "create"])?.must(0, &[])?;
    let mut relay = scenario.streaming_relay()?;
    Writer::connect(scenario.writer()?)?.write(3)?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    scenario.database()?.run(ROW)?;
    recover(&scenario, &LONG_AGO)?.must_refuse("topic_not_authorized", &[&topic, "READ"])?;
    rules.allow(&principal, Right::Read, &topic)?;
    let known = ["1 of 4 rows; Kafka had 3", "whether it is compacted is not known"];
    recovered(&scenario, &LONG_AGO)?.must(0, &known)
}

/// Without the records nobody can tell what had been published; to publish it once more has to be meant.
#[test]
fn a_topic_that_does_not_go_back_far_enough_is_refused_unless_duplicates_are_accepted() -> Outcome {
    let mut scenario = Setup::new("rec_retention").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(30)?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let topic = scenario.topic();
    scenario.servers.topics()?.empty(&topic, 3)?;
    writer.write(5)?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    recover(&scenario, &LONG_AGO)?
        .must_refuse("recovery_unsure", &["keeps nothing from before", "--accept-duplicates"])?;
    let accepted = [LONG_AGO.as_slice(), &["--accept-duplicates"]].concat();
    recovered(&scenario, &accepted)?.must(0, &["35 of 35 rows"])
}

/// What compaction has removed counts as missing, and an older row would stand for its key.
#[test]
fn a_compacted_topic_is_refused_where_rows_are_missing_unless_duplicates_are_accepted() -> Outcome {
    let mut scenario = Setup::new("rec_compact")
        .topic_config("cleanup.policy", "compact")
        .start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(3)?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let topic = scenario.topic();
    writer.write(2)?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    let compacted = format!("topic {topic} is compacted");
    recover(&scenario, &LONG_AGO)?.must_refuse("recovery_unsure", &[&compacted, "--accept-duplicates --dry-run"])?;
    let seen = [LONG_AGO.as_slice(), &["--accept-duplicates", "--dry-run"]].concat();
    look(&scenario, &seen)?.must(0, &["2 missing", "; compacted"])?;
    let accepted = [LONG_AGO.as_slice(), &["--accept-duplicates"]].concat();
    recovered(&scenario, &accepted)?.must(0, &["2 of 5 rows; Kafka had 3"])
}

/// The last relay was behind by more than the margin: its note says nothing of what it had left to do.
#[test]
fn where_nothing_says_that_older_rows_are_not_missing_too_it_has_to_be_said_since_when() -> Outcome {
    let scenario = Setup::new("rec_behind").without_slot().start()?;
    let name = scenario.name();
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload, created_at)
         SELECT 'order', n::text, 'happened', '{{}}', now() - n * interval '1 hour' FROM generate_series(0, 9) AS n;
         INSERT INTO outbox_relay.advisory
         SELECT '{name}', system_identifier::text, 1, '0/1', false, now() FROM pg_control_system()"
    ))?;
    refused(
        &scenario,
        &[],
        "recovery_unsure",
        &["older ones may be missing too", "--since TIME"],
    )?;
    recovered(&scenario, &LONG_AGO)?.must(0, &["10 of 10 rows"])
}

#[test]
fn a_row_that_cannot_become_a_record_is_named_and_can_be_left_out() -> Outcome {
    let scenario = Setup::new("rec_defect").without_slot().start()?;
    let id = "00000000-0000-4000-8000-000000000001";
    scenario.database()?.run(ROW)?;
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload)
         VALUES ('{id}', 'no topic', '1', 'happened', '{{}}')"
    ))?;
    refused(
        &scenario,
        &LONG_AGO,
        "row_matches_no_route",
        &[&format!("event {id}"), "--leave-out ID"],
    )?;
    let without = [LONG_AGO.as_slice(), &["--leave-out", id]].concat();
    recovered(&scenario, &without)?.must(0, &["1 of 2 rows", "left out were 1"])
}

/// The producer does not take it: the others wait, and the next run goes on without it.
#[test]
fn a_record_that_kafka_does_not_take_stops_it_and_can_be_left_out() -> Outcome {
    let scenario = Setup::new("rec_large")
        .topic_config("max.message.bytes", "20000")
        .without_slot()
        .start()?;
    let id = "00000000-0000-4000-8000-000000000002";
    scenario.database()?.run(&format!(
        "{ROW};
         INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload)
         SELECT '{id}', 'order', '1', 'happened', to_json(string_agg(md5(n::text), ''))
         FROM generate_series(1, 2000) AS n;
         {ROW}"
    ))?;
    let ended = recover(&scenario, &LONG_AGO)?;
    ended.must_refuse("record_too_large", &[&format!("event {id}"), "--leave-out ID"])?;
    recovered(&scenario, &["--leave-out", id])?.must(0, &["left out were 1"])?;
    let records = scenario.records()?.len();
    ensure(records == 2, || format!("{records} records"))?;
    let audited = audited(&scenario)?;
    ensure(audited.len() == 4 && audited[1].contains("record_too_large"), || {
        format!("{audited:?}")
    })
}
