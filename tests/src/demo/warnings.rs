//! What the relay warns of in its log, for the terminal.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Follows the relay's log.
#[derive(Debug)]
pub(super) struct Warnings {
    log_file: PathBuf,
    read: u64,
}

impl Warnings {
    pub(super) fn of(log_file: &Path) -> Warnings {
        Warnings {
            log_file: log_file.to_owned(),
            read: 0,
        }
    }

    /// Warnings and errors written since the last call, without their time.
    pub(super) fn new_lines(&mut self) -> Vec<String> {
        let text = self.new_text().unwrap_or_default();
        // A line that is still being written is left for the next call.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        self.read += u64::try_from(whole.len()).unwrap_or_default();
        whole.lines().filter_map(warning).collect()
    }

    fn new_text(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.log_file)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// `2026-01-01T00:00:00.000000Z  WARN words`
fn warning(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(char::is_whitespace)?;
    let (level, words) = rest.trim_start().split_once(' ')?;
    matches!(level, "WARN" | "ERROR").then(|| format!("relay {}: {words}", level.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_and_errors_are_told() {
        assert_eq!(
            warning("2026-01-01T00:00:00.000000Z  WARN topic is missing"),
            Some("relay warn: topic is missing".to_owned())
        );
        assert_eq!(warning("2026-01-01T00:00:00.000000Z  INFO topic is there"), None);
        assert_eq!(warning("  next: create it"), None);
    }
}
