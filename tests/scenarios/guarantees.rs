//! GUARANTEES.md against the tests that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use outbox_relay_tests::failure::{Outcome, ensure};

const PAGE: &str = include_str!("../../GUARANTEES.md");
const SOURCES: [&str; 3] = ["tests", "relay", "decoder"];

#[test]
fn every_sentence_names_a_test_that_there_is() -> Outcome {
    let (body, notes) = PAGE.split_once("\n[^fact]: ").unwrap_or((PAGE, ""));
    let notes = format!("[^fact]: {notes}");
    let defined: BTreeMap<&str, &str> = notes
        .lines()
        .filter_map(|line| line.strip_prefix("[^")?.split_once("]: "))
        .collect();
    let used: BTreeSet<&str> = marks(body).collect();
    ensure(used == defined.keys().copied().collect(), || {
        format!("used {used:?}, defined {:?}", defined.keys())
    })?;
    let bare: Vec<String> = sentences(body)
        .into_iter()
        .filter(|sentence| marks(sentence).next().is_none())
        .collect();
    ensure(bare.is_empty(), || format!("these sentences name no test: {bare:#?}"))?;

    let sources = sources()?;
    let named: BTreeSet<&str> = defined.values().flat_map(|note| tests(note)).collect();
    ensure(named.len() > 100, || format!("only {} tests are named", named.len()))?;
    let missing: Vec<&str> = named.into_iter().filter(|name| !exists(name, &sources)).collect();
    ensure(missing.is_empty(), || format!("there are no such tests: {missing:#?}"))?;
    let untested = ["fact", "open"];
    let empty: Vec<&&str> = defined
        .iter()
        .filter(|(mark, note)| !untested.contains(mark) && tests(note).next().is_none())
        .map(|(mark, _)| mark)
        .collect();
    ensure(empty.is_empty(), || format!("no test stands under {empty:?}"))
}

fn marks(text: &str) -> impl Iterator<Item = &str> {
    text.split("[^").skip(1).filter_map(|rest| rest.split(']').next())
}

/// What stands between backticks and has a path.
fn tests(note: &str) -> impl Iterator<Item = &str> {
    note.split('`').skip(1).step_by(2).filter(|name| name.contains("::"))
}

/// Those of paragraphs, list items and the cells of the table that people read for what it means; the bold words in front of an
/// item are its title.
fn sentences(body: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut is_code = false;
    for line in body.lines() {
        is_code ^= line.starts_with("```");
        let is_table = line.starts_with('|');
        if line.is_empty() || line.starts_with('#') || line.starts_with("```") || line.starts_with("* ") || is_table {
            blocks.push(String::new());
        }
        let text = if is_table {
            line.rsplit('|').nth(1).unwrap_or_default()
        } else {
            line
        };
        let is_prose = !is_code && !["#", "```", "| |", "| ---"].iter().any(|start| line.starts_with(start));
        if let (true, Some(block)) = (is_prose, blocks.last_mut()) {
            block.push(' ');
            block.push_str(text.trim_start_matches("* ").trim());
        }
    }
    let marked = blocks.into_iter().map(|block| with_marks_inside(&block));
    let split = |block: String| {
        let sentences = block.split(". ").map(str::trim);
        sentences.map(str::to_owned).collect::<Vec<_>>()
    };
    marked.flat_map(split).filter(|sentence| sentence.len() > 1).collect()
}

/// The mark behind a full stop belongs to the sentence in front of it.
fn with_marks_inside(block: &str) -> String {
    let mut parts = block.split(".[^");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (mark, rest) = part.split_once(']').unwrap_or((part, ""));
        text.extend(["[^", mark, "].", rest]);
    }
    text
}

/// Each file with its path in the repository.
fn sources() -> Outcome<Vec<(String, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut found = Vec::new();
    for place in SOURCES {
        collect(&root, &root.join(place), &mut found)?;
    }
    Ok(found)
}

fn collect(root: &Path, place: &Path, found: &mut Vec<(String, String)>) -> Outcome {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root)?.display().to_string();
            found.push((format!("/{name}"), fs::read_to_string(path)?));
        }
    }
    Ok(())
}

/// A test of that name in a file or a folder, or a module of a file, that is called as the path says.
fn exists(name: &str, sources: &[(String, String)]) -> bool {
    let Some((modules, function)) = name.rsplit_once("::") else {
        return false;
    };
    sources.iter().any(|(path, text)| {
        let is_there = |module: &str| {
            path.contains(&format!("/{module}.rs"))
                || path.contains(&format!("/{module}/"))
                || text.contains(&format!("mod {module} {{"))
        };
        has_test(text, function) && modules.split("::").all(is_there)
    })
}

/// Whether the attributes in front of a function of that name make it a test.
fn has_test(text: &str, function: &str) -> bool {
    let start = format!("fn {function}(");
    text.match_indices(&start).any(|(at, _)| {
        let above = text[..at].rsplit('\n').skip(1).map(str::trim);
        above
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn a_function_that_is_no_test_does_not_pass_for_one() {
    let text = "/// Says.\n#[test]\n// why\nfn is_held() {}\n\nfn helper() {}\n    #[test]\n    fn within() {}\n";
    assert!(has_test(text, "is_held") && has_test(text, "within"));
    assert!(!has_test(text, "helper") && !has_test(text, "held"));
}
