//! What stands in the way, in words for the person who is called.

/// How a fault is dealt with. Whatever is not known is [`FaultKind::Transient`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Passes by itself: tried again for ever, with backoff.
    Transient,
    /// Another relay does the work: this one waits for its turn.
    Standby,
    /// Somebody has to change something outside: the line halts and is tried again slowly, for ever.
    Environment,
    /// This one event can never be accepted as it is: the line halts at it.
    EventDefect,
}

/// Something that keeps events from flowing: what and why in `message`, what to do next in `hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How it is dealt with.
    pub kind: FaultKind,
    /// Its name, one of a bounded set: a metric label, and a row of `docs/FAULTS.md`.
    pub code: &'static str,
    /// What happened, and why.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl Fault {
    /// One that passes by itself.
    pub fn transient(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Transient,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Another relay's turn.
    pub fn standby(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Standby,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// One that needs somebody.
    pub fn environment(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Environment,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// One event that can never be accepted.
    pub fn event_defect(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::EventDefect,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    const PAGE: &str = include_str!("../../docs/FAULTS.md");
    /// What stands before a code: a constructor, or its place in a row of one of the policies.
    const BEFORE: [&str; 8] = [
        "Fault::transient(",
        "Fault::standby(",
        "Fault::environment(",
        "Fault::event_defect(",
        "FaultKind::Transient,",
        "FaultKind::Environment,",
        "FaultKind::EventDefect,",
        "=> (",
    ];

    #[test]
    fn every_code_is_documented_and_every_documented_code_exists() {
        let mut given = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut given);
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        let found: BTreeSet<String> = documented.iter().map(ToString::to_string).collect();
        assert_eq!(given, found);
        assert_eq!(documented.len(), found.len(), "a code has two rows");
    }

    fn collect(place: &Path, codes: &mut BTreeSet<String>) {
        if place.is_dir() {
            for entry in fs::read_dir(place).expect("a folder") {
                collect(&entry.expect("an entry").path(), codes);
            }
        } else if place.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(place).expect("source code");
            let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            codes.extend(BEFORE.iter().flat_map(|before| after(code, before)));
        }
    }

    /// The codes that follow, perhaps on the next line.
    fn after(source: &str, before: &str) -> Vec<String> {
        let texts = source
            .split(before)
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
        let is_code =
            |text: &&str| text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        texts.filter(is_code).map(str::to_owned).collect()
    }
}
