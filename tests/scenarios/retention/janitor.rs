//! The janitor of a running relay.

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::{count, purge_all, settle, told};

/// With a janitor that removes what is confirmed, every second.
fn tidy(label: &str) -> Setup {
    let setup = Setup::new(label).set("retention.enabled", true);
    setup.set("retention.keep_days", 0).set("retention.every_ms", 1_000)
}

fn wait_until_empty(scenario: &Scenario) -> Outcome {
    let database = scenario.database()?;
    wait_for("an empty table", || {
        match count(&database, "public.outbox").map_err(|failure: Failure| failure.to_string())? {
            0 => Ok(()),
            left => Err(format!("{left} rows")),
        }
    })
}

#[test]
fn under_load_and_kills_the_janitor_removes_what_is_published_and_nothing_is_lost() -> Outcome {
    let mut scenario = tidy("tidy").start()?;
    let load = scenario.load()?;
    for _ in 0..4 {
        let mut relay = scenario.streaming_relay()?;
        relay.wait_for_figure("retention_rows_removed_total", |removed| removed >= 300.0)?;
        relay.kill()?;
        scenario.note_fault()?;
    }
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("janitor");
    let history = load.stop()?;
    scenario.verify(&relay, &history)?;
    wait_until_empty(&scenario)?;
    let removed = history.committed.len();
    wait_for("the audit trail", || {
        match told(&scenario).map_err(|failure| failure.to_string())? {
            told if told == removed => Ok(()),
            told => Err(format!("it tells of {told} rows of {removed}")),
        }
    })
}

#[test]
fn a_janitor_with_a_login_of_its_own_needs_nothing_of_the_relays() -> Outcome {
    let mut scenario = tidy("own_login").without_migration().start()?;
    let (name, file) = (scenario.name().to_owned(), scenario.file("sweeper"));
    std::fs::write(&file, "sweep\n")?;
    scenario.settings.set("retention.user", format!("{name}_sweeper"));
    scenario
        .settings
        .set("retention.password_file", file.display().to_string());
    scenario.migrate()?;
    scenario.create_slot()?;
    let is_member = "SELECT pg_has_role($1::text::name, ($1 || '_janitor')::name, 'MEMBER')::text";
    let is_member = scenario.database()?.text(is_member, &[&name])?;
    ensure(is_member.as_deref() == Some("false"), || {
        "the relay is a janitor too".to_owned()
    })?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let relay = scenario.streaming_relay()?;
    writer.write(50)?;
    wait_until_empty(&scenario)?;
    let who = "SELECT format('%s %s', database_role, actor) FROM outbox_relay.audit WHERE action = 'purge' LIMIT 1";
    wait_for("the audit trail", || {
        let who = scenario.database().and_then(|database| database.text(who, &[]));
        match who.map_err(|failure| failure.to_string())? {
            Some(who) if who == format!("{name}_sweeper janitor") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// Events flow all the same.
#[test]
fn a_janitor_that_may_not_work_says_so_once_and_holds_up_no_event() -> Outcome {
    let mut scenario = tidy("not_member").start()?;
    let name = scenario.name().to_owned();
    scenario
        .database()?
        .run(&format!("REVOKE {name}_janitor FROM {name}"))?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("nothing is removed");
    relay.wait_for_figure("retention_state{state=\"failing\"}", |is| is > 0.0)?;
    writer.write(50)?;
    settle(&scenario)?;
    relay.wait_for_figure("retention_failures_total", |failures| failures >= 3.0)?;
    relay.wait_for_log("permission denied to set role")?;
    let said = relay.log().matches("nothing is removed").count();
    ensure(said == 1, || format!("said {said} times"))?;
    scenario.database()?.run(&format!("GRANT {name}_janitor TO {name}"))?;
    wait_until_empty(&scenario)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// A letter holds its row's content; the row stays for whoever looks into it, until it is resolved.
#[test]
fn a_row_with_an_unresolved_letter_stays_and_a_resolved_letter_goes_with_its_position() -> Outcome {
    let mut scenario = Setup::new("letters").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let _relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    let (database, slot) = (scenario.database()?, scenario.name().to_owned());
    let letter = "INSERT INTO outbox_relay.dead_letters (slot_name, system_identifier, commit_lsn, ordinal, xid, committed_at, outbox,
             idempotency_key, headers, occurred_at, error_type, error_message, attempts, attempts_max, first_failed_at,
             last_failed_at, parks_key, state, resolved_at)
         SELECT $1, '1', $2::text::pg_lsn, 0, 1, now(), 'default', o.id::text, '[]', now(), 'record_too_large', 'm', 1, 1, now(), now(),
             true, $3, CASE WHEN $3 = 'discarded' THEN now() - interval '1 day' END
         FROM public.outbox o ORDER BY o.id LIMIT 1";
    database.rows(letter, &[&slot, &"0/1", &"failed"])?;
    database.rows(letter, &[&slot, &"0/2", &"discarded"])?;
    // The server may send this one again.
    database.rows(letter, &[&slot, &"FFFF/0", &"discarded"])?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["9 rows removed", "resolved dead letters: 1 removed"])?;
    let letters = database.text(
        "SELECT string_agg(commit_lsn::text, ' ' ORDER BY commit_lsn) FROM outbox_relay.dead_letters",
        &[],
    )?;
    ensure(letters.as_deref() == Some("0/1 FFFF/0"), || format!("{letters:?}"))?;
    database.run(
        "UPDATE outbox_relay.dead_letters SET state = 'discarded', resolved_at = now() WHERE commit_lsn = '0/1'",
    )?;
    writer.write(1)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["2 rows removed"])
}
