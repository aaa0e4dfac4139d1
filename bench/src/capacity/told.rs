//! Where a measured number comes from, in words.

use time::OffsetDateTime;

use crate::results::Circumstances;

/// The sub-command, what of it, and its circumstances.
pub(super) fn told(command: &str, what: &str, circumstances: &Circumstances) -> String {
    let stamp = i64::try_from(circumstances.finished_unix_s).ok();
    let date = stamp.and_then(|stamp| OffsetDateTime::from_unix_timestamp(stamp).ok());
    let date = date.map_or_else(String::new, |at| format!(", on {}", at.date()));
    let mut told = vec![format!("{command} {what}{date}"), circumstances.machine.to_string()];
    told.extend_from_slice(&circumstances.relay_overrides);
    told.join(", ")
}
