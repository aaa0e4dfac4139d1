//! `dead-letters discard`: never published, never gone.

use outbox_relay_tests::failure::{Outcome, ensure};
use serde_json::Value;

use super::letters::put_two_keys;
use super::{migrated, noted, operate, states_are};

#[test]
fn a_discard_keeps_the_letters_and_releases_what_waits_behind_them() -> Outcome {
    let scenario = migrated("discarded")?;
    let letters = put_two_keys(&scenario)?;
    let first = letters[0].to_string();
    let ended = operate(
        &scenario,
        &["dead-letters", "discard", &first, "--reason", "a test order", "--yes"],
    )?;
    let said = [
        "1 dead letter of slot",
        "never to be published",
        "released behind them, to be published: 2 parked letters",
        "still waiting for something else: 1 parked letter",
        "1 discarded; 2 released",
        "audit: ",
    ];
    ended.must(0, &said)?;
    states_are(
        &scenario,
        "a1 discarded, a2 redriving, a3 redriving, a4 failed, a5 parked, b1 failed",
    )?;
    let newest = noted(&scenario)?;
    let expected = format!(
        "dead_letters.discard | slot {}, letters {first} | a test order | 1 discarded, 2 released behind them",
        scenario.name()
    );
    ensure(newest == expected, || newest.clone())?;

    let arguments = [
        "dead-letters",
        "discard",
        "--id",
        "a5",
        "--id",
        "b1",
        "--reason",
        "w",
        "--yes",
        "--json",
    ];
    let ended = operate(&scenario, &arguments)?;
    ended.must(0, &[])?;
    let object: Value = serde_json::from_str(ended.output.lines().next().unwrap_or_default())?;
    ensure(object["discarded"] == 2 && object["released"] == 0, || {
        object.to_string()
    })?;
    states_are(
        &scenario,
        "a1 discarded, a2 redriving, a3 redriving, a4 failed, a5 discarded, b1 discarded",
    )
}
