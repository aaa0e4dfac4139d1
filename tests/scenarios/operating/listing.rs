//! `dead-letters list` and `show`.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use serde_json::{Value, json};

use super::letters::{LETTER, Letter, put};
use super::{as_role, migrated, operate};

fn put_all_sorts(scenario: &Scenario) -> Outcome<Vec<i64>> {
    let letter = |event, state| Letter { event, state, ..LETTER };
    put(
        scenario,
        &[
            letter("e1", "failed"),
            Letter {
                topic: Some("invoices"),
                tenant: Some("acme"),
                ..letter("e2", "parked")
            },
            Letter {
                key: Some(&[0xff, 0x00]),
                aggregate_type: Some("refund"),
                outbox: "sales",
                ..letter("e3", "failed")
            },
            Letter {
                error_type: "record_refused",
                age: "3 hours",
                key: None,
                ..letter("e4", "redriving")
            },
            letter("e5", "redriven"),
            letter("e6", "discarded"),
        ],
    )
}

/// The events that are listed, as JSON.
fn listed(scenario: &Scenario, filters: &[&str]) -> Outcome<String> {
    let ended = operate(scenario, &[&["dead-letters", "list", "--json"], filters].concat())?;
    ended.must(0, &[])?;
    let objects: Result<Vec<Value>, _> = ended.output.lines().map(serde_json::from_str).collect();
    let events = objects?
        .iter()
        .map(|letter| letter["event_id"].as_str().unwrap_or_default().to_owned())
        .collect::<Vec<_>>();
    Ok(events.join(" "))
}

#[test]
fn letters_are_listed_by_every_filter_and_the_unresolved_ones_without_any() -> Outcome {
    let scenario = migrated("listed")?;
    let letters = put_all_sorts(&scenario)?;
    let (third, fifth) = (letters[2].to_string(), letters[4].to_string());
    for (filters, expected) in [
        (&[][..], "e1 e2 e3 e4"),
        (&["--state", "redriven", "--state", "discarded"], "e5 e6"),
        (&["--state", "parked"], "e2"),
        (&["--topic", "invoices"], "e2"),
        (&["--key", "k"], "e1 e2"),
        (&["--key-hex", "FF00"], "e3"),
        (&["--aggregate-type", "refund"], "e3"),
        (&["--tenant", "acme"], "e2"),
        (&["--error-type", "record_refused"], "e4"),
        (&["--outbox", "sales"], "e3"),
        (&["--since", "2h"], "e1 e2 e3"),
        (&["--until", "2h"], "e4"),
        (&["--since", "2026-01-01T00:00:00Z", "--until", "2026-01-02"], ""),
        (&["--id", "e6", "--id", "e1"], "e1 e6"),
        (&[&third, &fifth], "e3 e5"),
        (&["--topic", "orders", "--key", "k", "--state", "redriven"], "e5"),
        (&["--limit", "2"], "e1 e2"),
        (&["--id", "nobody"], ""),
    ] {
        let events = listed(&scenario, filters)?;
        ensure(events == expected, || {
            format!("{filters:?}: {events:?} instead of {expected:?}")
        })?;
    }
    Ok(())
}

#[test]
fn the_list_is_a_table_with_totals_and_every_key_is_printable() -> Outcome {
    let scenario = migrated("table")?;
    operate(&scenario, &["dead-letters", "list"])?.must(0, &["no dead letters"])?;
    put_all_sorts(&scenario)?;
    let ended = operate(&scenario, &["dead-letters", "list"])?;
    ended.must(0, &["failed 2, parked 1, redriving 1, redriven 1, discarded 1"])?;
    let squeezed: Vec<String> = ended
        .output
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    ensure(squeezed[0] == "ID STATE ERROR TOPIC KEY EVENT AGE ATTEMPTS", || {
        ended.output.clone()
    })?;
    for line in [
        "failed record_too_large orders 0xff00 e3 0s 1 of 3",
        "redriving record_refused orders (none) e4 3h 1 of 3",
    ] {
        ensure(squeezed.iter().any(|shown| shown.ends_with(line)), || {
            format!("{line:?} is not in:\n{}", ended.output)
        })?;
    }
    operate(&scenario, &["dead-letters", "list", "--limit", "2"])?.must(0, &["the first 2 of them"])
}

#[test]
fn a_filter_that_finds_nothing_says_which_value_that_is_and_what_there_is() -> Outcome {
    let scenario = migrated("unmatched")?;
    super::letters::put_two_keys(&scenario)?;
    let list = |filter: &[&str], said: &[&str]| {
        operate(&scenario, &[&["dead-letters", "list"], filter].concat())?.must(0, said)
    };
    list(
        &["--topic", "odrers", "--outbox", "default"],
        &[
            "no dead letters",
            "--topic odrers: no dead letter has it; there are orders",
        ],
    )?;
    list(&["--outbox", "sales"], &["--outbox sales", "configured are default"])?;
    list(
        &["--error-type", "record_to_large"],
        &["there are record_too_large", "did you mean record_too_large?"],
    )?;
    list(&["--tenant", "nobody"], &["--tenant nobody: no dead letter has it"])?;
    let redrive = ["dead-letters", "redrive", "--topic", "odrers", "--yes", "--reason", "w"];
    operate(&scenario, &redrive)?.must(0, &["nothing to do", "there are orders"])?;
    let ended = operate(&scenario, &["dead-letters", "list", "--topic", "orders"])?;
    ended.must_not_say(&["no dead letter has it"])
}

/// More than one page of them.
#[test]
fn a_long_list_is_whole_and_in_the_order_of_positions() -> Outcome {
    let scenario = migrated("pages")?;
    super::letters::put_many(&scenario, 1_201)?;
    let events = listed(&scenario, &["--limit", "100000"])?;
    let expected: Vec<String> = (1..=1_201).map(|n| format!("e{n}")).collect();
    ensure(events == expected.join(" "), || events.clone())
}

fn shown(scenario: &Scenario, role: &str, arguments: &[&str]) -> Outcome<Value> {
    let ended = as_role(
        scenario,
        role,
        &[&["dead-letters", "show", "--json"], arguments].concat(),
    )?;
    ended.must(0, &[])?;
    Ok(serde_json::from_str(&ended.output)?)
}

#[test]
fn a_letter_is_shown_with_everything_that_is_known_and_an_auditor_sees_not_what_it_says() -> Outcome {
    let scenario = migrated("shown")?;
    let letters = super::letters::put_two_keys(&scenario)?;
    let first = letters[0].to_string();
    let known = [
        "failed; 3 letters of its key wait behind it",
        "record_too_large: it is too large",
        "a cause",
        "MessageSizeTooLarge",
        "1 of 3",
        "0/16B3748, row 0 of transaction 742",
        "2026-05-01T06:29:59.000000Z",
    ];
    let secret = ["raw: {\"hex\":\"00ff\"}", "19 bytes", "{\"amount\": \"19.90\"}"];
    let ended = operate(&scenario, &["dead-letters", "show", &first])?;
    ended.must(0, &[&known[..], &secret[..]].concat())?;
    let behind = operate(&scenario, &["dead-letters", "show", &letters[4].to_string()])?;
    behind.must(0, &[&format!("parked; waits behind {first}, which failed")])?;

    let ended = as_role(&scenario, "auditor", &["dead-letters", "show", &first])?;
    ended.must(
        0,
        &[&known[..], &["headers:        (masked)", "payload:        (masked)"]].concat(),
    )?;
    ended.must_not_say(&["00ff", "19.90"])?;
    let masked = shown(&scenario, "auditor", &[&first])?;
    ensure(masked["payload"] == "(masked)" && masked["payload_bytes"] == 19, || {
        masked.to_string()
    })?;
    let all = shown(&scenario, "operator", &[&first])?;
    let says = (&all["payload"], &all["headers"][1]);
    ensure(
        says == (&json!("{\"amount\": \"19.90\"}"), &json!(["raw", {"hex": "00ff"}])),
        || all.to_string(),
    )
}

#[test]
fn a_long_payload_is_cut_unless_all_of_it_is_asked_for_and_one_that_is_no_text_is_in_digits() -> Outcome {
    let scenario = migrated("payloads")?;
    let long = "é".repeat(3_000);
    let letter = |payload| Letter { payload, ..LETTER };
    let letters = put(
        &scenario,
        &[letter(long.as_bytes()), letter(&[0xca, 0xfe]), letter(b"a\x1b[2Jb")],
    )?;
    let [long_one, digits, hostile] = [0, 1, 2].map(|place: usize| letters[place].to_string());
    let cut = shown(&scenario, "operator", &[&long_one])?;
    ensure(cut["payload"] == "é".repeat(2_048), || cut.to_string())?;
    let full = shown(&scenario, "operator", &[&long_one, "--full"])?;
    ensure(full["payload"] == long, || full.to_string())?;
    operate(&scenario, &["dead-letters", "show", &long_one])?.must(0, &["6000 bytes, the first 4096 here; --full"])?;
    operate(&scenario, &["dead-letters", "show", &digits])?.must(0, &["2 bytes, no text", "cafe"])?;
    let hex = shown(&scenario, "operator", &[&digits])?;
    ensure(hex["payload"].is_null() && hex["payload_hex"] == "cafe", || {
        hex.to_string()
    })?;
    let ended = operate(&scenario, &["dead-letters", "show", &hostile])?;
    ended.must(0, &["a\\u{1b}[2Jb"])
}
