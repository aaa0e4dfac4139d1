//! What the captures of all five versions say, in one text.
//!
//! `golden/expected-<stream>.txt` is that text. A line that only some versions send begins with their names:
//! `only 14: `. After a wanted change, `OUTBOX_DECODER_GOLDEN=write` in the environment makes the tests write the texts
//! anew instead of comparing; what changed is then for a person to judge.

use std::fs;

use crate::captures::{STREAMS, VERSIONS, capture, folder, plugin_messages};
use crate::render::render;

/// Whether to write the expected texts instead of comparing with them.
const WRITE_VARIABLE: &str = "OUTBOX_DECODER_GOLDEN";

/// A capture that outgrows this has something in it that no test reads.
const CAPTURE_BYTES_MAX: usize = 60 * 1024;

/// A line of the expected text, and the versions that send it.
type Line = (String, Vec<u32>);

#[test]
fn what_the_relay_streams_reads_the_same_from_every_version() {
    compare("outbox");
}

#[test]
fn updates_deletes_and_truncates_read_the_same_from_every_version() {
    compare("wide");
}

#[test]
fn logical_messages_read_the_same_from_every_version() {
    compare("messages");
}

#[test]
fn only_version_14_sends_empty_transactions() {
    for version in VERSIONS {
        let empty = render(&capture(version, "outbox"))
            .matches("an empty transaction")
            .count();
        assert_eq!(empty > 0, version == 14, "PostgreSQL {version} sent {empty}");
    }
}

#[test]
fn captures_hold_every_kind_of_message_that_protocol_1_has() {
    for version in VERSIONS {
        let captures = STREAMS.map(|stream| capture(version, stream));
        let messages = captures.iter().flat_map(|capture| plugin_messages(capture));
        let mut kinds: Vec<char> = messages
            .filter_map(|message| message.first())
            .map(|&kind| char::from(kind))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.iter().collect::<String>(), "BCDIMORTUY", "PostgreSQL {version}");
    }
}

#[test]
fn captures_stay_small() {
    for version in VERSIONS {
        for stream in STREAMS {
            let bytes = capture(version, stream).len();
            assert!(bytes < CAPTURE_BYTES_MAX, "pg{version}-{stream}.bin has {bytes} bytes");
        }
    }
}

fn compare(stream: &str) {
    let path = folder().join(format!("expected-{stream}.txt"));
    if std::env::var(WRITE_VARIABLE).is_ok_and(|value| value == "write") {
        fs::write(&path, merged(stream)).expect("the expected text can be written");
        return;
    }
    let expected = fs::read_to_string(&path).expect("the expected text is there");
    for version in VERSIONS {
        let (expected, sent) = (of_version(&expected, version), render(&capture(version, stream)));
        let differing = expected
            .lines()
            .zip(sent.lines())
            .position(|(expected, sent)| expected != sent);
        if let Some(line) = differing {
            let at = |text: &str| text.lines().nth(line).unwrap_or_default().to_owned();
            let (expected, sent) = (at(&expected), at(&sent));
            panic!("PostgreSQL {version}, line {line} of its {stream}:\nexpected {expected}\nsent     {sent}");
        }
        assert_eq!(expected, sent, "PostgreSQL {version}: one text is longer");
    }
}

/// The expected text as one version sends it: without the lines of others.
fn of_version(expected: &str, version: u32) -> String {
    let line = |line: &str| match line.strip_prefix("only ").and_then(|marked| marked.split_once(": ")) {
        None => Some(format!("{line}\n")),
        Some((versions, line)) => versions
            .split(", ")
            .any(|sender| sender == version.to_string())
            .then(|| format!("{line}\n")),
    };
    expected.lines().filter_map(line).collect()
}

/// The expected text that all captures of a stream fit.
fn merged(stream: &str) -> String {
    let texts = VERSIONS.map(|version| (version, render(&capture(version, stream))));
    let lines = texts
        .iter()
        .fold(Vec::new(), |lines, (version, text)| merge(&lines, *version, text));
    let marked = |(line, versions): Line| {
        if versions == VERSIONS {
            return format!("{line}\n");
        }
        let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
        format!("only {}: {line}\n", versions.join(", "))
    };
    lines.into_iter().map(marked).collect()
}

/// Adds the lines of one more version along the longest common subsequence.
fn merge(lines: &[Line], version: u32, text: &str) -> Vec<Line> {
    let added: Vec<&str> = text.lines().collect();
    let mut common = vec![vec![0_usize; added.len() + 1]; lines.len() + 1];
    for (i, (line, _)) in lines.iter().enumerate().rev() {
        for (j, other) in added.iter().enumerate().rev() {
            common[i][j] = if line == other {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut merged, mut i, mut j) = (Vec::new(), 0, 0);
    while i < lines.len() || j < added.len() {
        let (line, other) = (lines.get(i), added.get(j));
        match (line, other) {
            (Some((line, versions)), Some(other)) if line == other => {
                merged.push((line.clone(), [versions.as_slice(), &[version]].concat()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(line), _) if other.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                merged.push(line.clone());
                i += 1;
            }
            (_, Some(other)) => {
                merged.push(((*other).to_owned(), vec![version]));
                j += 1;
            }
            (_, None) => break,
        }
    }
    merged
}
