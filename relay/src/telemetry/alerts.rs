//! `deploy/prometheus/alerts.yaml` and `deploy/runbooks/` against what the relay exports: whoever is called at night can trust them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use outbox_decoder::Timestamp;

use super::{Health, Metrics, RetentionState, SlotFigures};
use crate::dead_letter::Counts;
use crate::fault::FaultCode;

const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yaml");
/// What `make alerts` runs.
const TESTS: &str = include_str!("../../../deploy/prometheus/alerts.test.yaml");
const RUNBOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/runbooks");
const HEADINGS: [&str; 5] = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation"];

/// The fields of each rule.
fn rules() -> Vec<BTreeMap<&'static str, &'static str>> {
    let (_, rules) = ALERTS.split_once("    rules:\n").expect("there are rules");
    let lines = rules.lines().map(|line| line.trim().trim_start_matches("- "));
    let fields = lines.filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name, value.trim()))
    });
    let mut rules: Vec<BTreeMap<_, _>> = Vec::new();
    for (name, value) in fields {
        if name == "alert" {
            rules.push(BTreeMap::new());
        }
        rules
            .last_mut()
            .expect("a rule begins with its name")
            .insert(name, value);
    }
    rules
}

/// All series there can be, faults excepted, which are the catalogue's.
fn exported() -> String {
    let metrics = Metrics::default();
    metrics.show_slot(&SlotFigures::default());
    metrics.show_set_aside("record_too_large");
    metrics.show_redrives(Counts::default());
    metrics.show_unresolved(&BTreeMap::new(), Some(Timestamp::from_unix_us(0)));
    metrics.show_retention(RetentionState::Waiting);
    metrics.publish_failures.with_label_values(&["record_too_large"]);
    metrics.reconnects.with_label_values(&["kafka"]);
    metrics.render(&Health::default().snapshot())
}

/// Each metric that an expression names, with its selector.
fn named(expression: &str) -> impl Iterator<Item = (&str, &str)> {
    expression.match_indices("outbox_relay_").map(|(at, _)| {
        let rest = &expression[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        (name, selector.map_or("", |(selector, _)| selector))
    })
}

#[test]
fn every_metric_that_an_alert_names_is_one_that_the_relay_exports() {
    let exported = exported();
    let known: BTreeSet<&str> = exported
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .chain(["outbox_relay_fault"])
        .collect();
    let mut names = BTreeSet::new();
    for (name, selector) in rules().iter().flat_map(|rule| named(rule["expr"])) {
        assert!(known.contains(name), "no metric {name}");
        names.insert(name);
        let Some((label, values)) = selector.split_once('=') else {
            continue;
        };
        for value in values.trim_start_matches('~').trim_matches('"').split('|') {
            let is_known = if name == "outbox_relay_fault" {
                label == "code" && FaultCode::find(value).is_some()
            } else {
                exported.contains(&format!("{name}{{{label}=\"{value}\"}}"))
            };
            assert!(is_known, "no series {name}{{{label}=\"{value}\"}}");
        }
    }
    assert!(names.len() > 8, "{names:?}");
}

#[test]
fn every_alert_says_how_urgent_it_is_and_names_a_runbook_that_there_is() {
    let rules = rules();
    assert!(rules.len() > 10, "{rules:#?}");
    let index = fs::read_to_string(Path::new(RUNBOOKS).join("README.md")).expect("the index");
    for rule in &rules {
        for field in ["expr", "for", "summary", "description"] {
            assert!(
                rule.get(field).is_some_and(|value| !value.is_empty()),
                "{field}: {rule:#?}"
            );
        }
        assert!(["page", "ticket"].contains(&rule["severity"]), "{rule:#?}");
        let runbook = rule["runbook"]
            .strip_prefix("deploy/runbooks/")
            .expect("a file of the folder");
        assert!(Path::new(RUNBOOKS).join(runbook).is_file(), "{runbook}");
        assert!(TESTS.contains(rule["alert"]), "{} is never seen to fire", rule["alert"]);
        assert!(
            index.contains(&format!("`{}`", rule["alert"])),
            "{} is not in the index",
            rule["alert"]
        );
    }
}

#[test]
fn every_runbook_has_its_five_parts_and_is_found_by_the_index() {
    let folder = fs::read_dir(RUNBOOKS).expect("the folder");
    let files = folder.map(|entry| entry.expect("an entry").path());
    let pages: Vec<_> = files.filter(|file| !file.ends_with("README.md")).collect();
    assert!(pages.len() >= 8, "{pages:?}");
    let index = fs::read_to_string(Path::new(RUNBOOKS).join("README.md")).expect("the index");
    for page in pages {
        let name = page.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(index.contains(&format!("({name})")), "{name} is not in the index");
        let text = fs::read_to_string(&page).expect("a page");
        let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(Path::new(RUNBOOKS).join(link).is_file(), "{name} links {link}");
        }
    }
}
