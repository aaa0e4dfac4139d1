//! `purge` is killed with `kill -9`, wherever it is.

use std::fs;
use std::process::{Child, Stdio};

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::program;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::archives::{archived, written};
use super::{are_left, count, purge_all, settle, told};

/// Starts one that removes whatever is confirmed.
fn start(scenario: &Scenario) -> Outcome<Child> {
    // Writes the configuration as it is now.
    scenario.command(&["config"])?.must(0, &[])?;
    let child = program()?
        .arg("--config")
        .arg(scenario.file("relay.toml"))
        .args(["purge", "--keep-days", "0", "--user", "postgres", "--password-file"])
        .arg(scenario.file("superuser"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child)
}

/// Between the archive and the removal: the rows are in both, and go with the next round, which archives them again.
#[test]
fn a_kill_between_archive_and_removal_leaves_every_row_in_one_of_them_or_in_both() -> Outcome {
    let mut scenario = Setup::new("killed").start()?;
    let folder = scenario.file("archive");
    fs::create_dir(&folder)?;
    let slow = format!(
        "cat > {0}/$ARCHIVE_FILE && touch {0}/kept && sleep 600",
        folder.display()
    );
    scenario
        .settings
        .set("retention.archive_command", vec!["/bin/sh", "-c", &slow]);
    scenario.migrate()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let relay = scenario.streaming_relay()?;
    writer.write(50)?;
    settle(&scenario)?;
    let mut child = start(&scenario)?;
    wait_for("the archive", || {
        if folder.join("kept").exists() {
            Ok(())
        } else {
            Err("not there".to_owned())
        }
    })?;
    child.kill()?;
    child.wait()?;
    are_left(&scenario, 50)?;
    let fast = format!("cat > {}/$ARCHIVE_FILE", folder.display());
    scenario
        .settings
        .set("retention.archive_command", vec!["/bin/sh", "-c", &fast]);
    wait_for("the server to end the session of the one that was killed", || {
        let ended = purge_all(&scenario).map_err(|failure| failure.to_string())?;
        if ended.code == Some(75) {
            Err(ended.output)
        } else {
            Ok(ended)
        }
    })?
    .must(0, &["50 rows removed, 50 archived"])?;
    are_left(&scenario, 0)?;
    let history = writer.into_history();
    let mut once = archived(&folder)?;
    ensure(once.len() == 100, || format!("{} lines", once.len()))?;
    once.dedup();
    ensure(once == written(&history), || "other rows than were written".to_owned())?;
    scenario.verify(&relay, &history).map(drop)
}

/// Whatever was removed when it was killed, the next one tells.
#[test]
fn the_audit_trail_accounts_for_rows_that_were_removed_before_a_kill() -> Outcome {
    let setup = Setup::new("counted").set("retention.batch_rows", 5);
    let mut scenario = setup.set("retention.pause_ms", 100).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let relay = scenario.streaming_relay()?;
    writer.write(200)?;
    settle(&scenario)?;
    let mut child = start(&scenario)?;
    let database = scenario.database()?;
    wait_for("some rows to be gone", || {
        match count(&database, "public.outbox").map_err(|failure| failure.to_string())? {
            200 => Err("none is".to_owned()),
            left => Ok(left),
        }
    })?;
    child.kill()?;
    child.wait()?;
    let left = count(&database, "public.outbox")?;
    ensure(left > 0 && told(&scenario)? == 0, || format!("{left} are left"))?;
    scenario.settings.set("retention.pause_ms", 0);
    purge_all(&scenario)?.must(0, &["rows removed"])?;
    are_left(&scenario, 0)?;
    ensure(told(&scenario)? == 200, || "the audit trail tells of others".to_owned())?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}
