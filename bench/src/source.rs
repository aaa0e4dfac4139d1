//! Which state of this workspace was measured: results of two states are not to be read as one.

use std::hash::{DefaultHasher, Hasher};
use std::process::Command;

/// The commit, and a fingerprint of what was changed since; `None` outside a checkout.
pub(crate) fn state() -> Option<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    // Words are no code.
    let changes = git(&["diff", "HEAD", "--", ".", ":(exclude,glob)**/*.md"])?;
    if changes.is_empty() {
        return Some(commit);
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&changes);
    Some(format!("{commit}+{:08x}", hasher.finish() >> 32))
}

fn git(arguments: &[&str]) -> Option<Vec<u8>> {
    let asked = Command::new("git")
        .args(["-C", concat!(env!("CARGO_MANIFEST_DIR"), "/..")])
        .args(arguments)
        .output();
    asked
        .ok()
        .filter(|asked| asked.status.success())
        .map(|asked| asked.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_begins_with_its_commit_and_is_the_same_when_it_is_asked_for_again() {
        // CI builds from a checkout; a tarball has no state.
        if let Some(found) = state() {
            let commit = found.split('+').next().unwrap_or_default();
            assert!(
                commit.len() >= 12 && commit.chars().all(|digit| digit.is_ascii_hexdigit()),
                "{found}"
            );
            assert_eq!(state(), Some(found));
        }
    }
}
