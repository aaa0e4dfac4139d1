//! Which results count: the newest that were measured with the parameters that goals are about. A quick look at something
//! else must not take their place.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{all, parameters};

/// The results of a sub-command.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Those that count, the newest first.
    pub(crate) suitable: Vec<PathBuf>,
    /// Those that are newer and do not.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Results that do not count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    file: String,
    why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.file, self.why)
    }
}

/// Looks through the results of a sub-command in a folder.
pub(crate) fn choose(command: &str, folder: &Path) -> Choice {
    let mut choice = Choice {
        suitable: Vec::new(),
        left_out: Vec::new(),
    };
    for file in all(command, folder) {
        match objection(command, &file) {
            None => choice.suitable.push(file),
            Some(why) if choice.suitable.is_empty() => choice.left_out.push(LeftOut { file: name(&file), why }),
            // There are newer ones that count.
            Some(_) => {}
        }
    }
    choice
}

fn objection(command: &str, file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string());
    let results = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    match results {
        Ok(results) => objection_to(command, &results),
        Err(reason) => Some(format!("it cannot be read: {reason}")),
    }
}

/// Why results of a sub-command do not count, if they do not.
pub(crate) fn objection_to(command: &str, results: &Value) -> Option<String> {
    if results.get("parameters").is_none() {
        return Some("it is of an earlier version, and does not say with what it was measured".to_owned());
    }
    let objections = parameters::of(command).into_iter().filter_map(|(place, name, wanted)| {
        let found = results.pointer(place).unwrap_or(&Value::Null);
        wanted.objection(name, found)
    });
    let objections: Vec<String> = objections.collect();
    (!objections.is_empty()).then(|| objections.join(", "))
}

/// Without its folder.
pub(crate) fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results of steady as `make bench` keeps them.
    const STEADY: &str = r#"{"relay_program": null, "relay_overrides": [], "parameters": {"rate": 2000, "seconds": 15,
        "warm_up_seconds": 5, "broker_warm_up_records": 2000000, "broker_warm_up_seconds": 15, "repetitions": 5,
        "rows_per_transaction": 1, "row_bytes": 600, "connections": null, "synchronous_commit": true}}"#;

    fn objection(command: &str, results: &str) -> Option<String> {
        objection_to(command, &serde_json::from_str(results).expect("JSON"))
    }

    #[test]
    fn what_make_bench_measures_counts_and_what_is_more_than_that_too() {
        assert_eq!(objection("steady", STEADY), None);
        let longer = STEADY.replace("\"seconds\": 15", "\"seconds\": 30");
        assert_eq!(objection("steady", &longer), None);
    }

    #[test]
    fn each_parameter_that_is_otherwise_is_said_as_it_is_given() {
        for (from, to, why) in [
            ("2000,", "50,", "--rate 50 instead of 2000"),
            (
                "\"seconds\": 15,",
                "\"seconds\": 1,",
                "--seconds 1 instead of 15 or more",
            ),
            ("true", "false", "without --synchronous-commit on"),
            (
                "\"relay_overrides\": []",
                r#""relay_overrides": ["a=1", "b=2"]"#,
                "with --set a=1, b=2",
            ),
            (
                "\"relay_program\": null",
                "\"relay_program\": \"old/relay\"",
                "with --relay old/relay",
            ),
            ("\"connections\": null", "\"connections\": 3", "with --connections 3"),
        ] {
            assert!(STEADY.contains(from), "{from}");
            assert_eq!(objection("steady", &STEADY.replace(from, to)).as_deref(), Some(why));
        }
        let both = STEADY.replace("2000,", "50,").replace("600", "1024");
        assert_eq!(
            objection("steady", &both).as_deref(),
            Some("--rate 50 instead of 2000, --row-bytes 1024 instead of 600")
        );
    }

    #[test]
    fn what_was_not_measured_is_no_objection_to_what_was() {
        let smoke = |single_rows: u32| {
            let results = format!(
                r#"{{"parameters": {{"rows": 500000, "repetitions": 3, "warm_ups": 3, "single_rows": {single_rows},
                    "large_rows": 1000000, "starts": 5}}}}"#
            );
            objection("smoke", &results)
        };
        assert_eq!([0, 200_000].map(smoke), [None, None]);
        assert_eq!(
            smoke(100).as_deref(),
            Some("--single-rows 100 instead of 200000 or more")
        );
    }

    #[test]
    fn the_newest_that_counts_is_chosen_and_only_what_is_newer_is_said_to_be_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |stamp: u32, text: &str| {
            let file = folder.path().join(format!("steady-{stamp}.json"));
            fs::write(&file, text).expect("a file");
            file
        };
        put(1, "{}");
        let (older, newer) = (put(2, STEADY), put(3, STEADY));
        put(4, &STEADY.replace("2000,", "50,"));
        put(5, "{}");
        put(6, "no results");
        let Choice { suitable, left_out } = choose("steady", folder.path());
        assert_eq!(suitable, [newer, older]);
        let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        assert!(
            left_out[0].starts_with("steady-6.json is left out: it cannot be read"),
            "{left_out:?}"
        );
        assert!(left_out[1].contains("of an earlier version"), "{left_out:?}");
        assert_eq!(left_out[2..], ["steady-4.json is left out: --rate 50 instead of 2000"]);
    }
}
