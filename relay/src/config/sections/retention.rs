//! `[retention]`.

use crate::config::errors::Fault;
use crate::config::parse::{identifier, list, secret_file, switch, text, whole};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{ArchiveTarget, JanitorLogin, RetentionSettings};

const FOLDER: &str = "retention.archive_folder";
const COMMAND: &str = "retention.archive_command";
const USER: &str = "retention.user";
const PASSWORD: &str = "retention.password_file";

/// `relay` is the role the relay logs in as.
pub(super) fn read(reader: &mut Reader, relay: Option<&str>) -> Result<RetentionSettings, Noted> {
    let enabled = reader.read("retention.enabled", switch);
    let keep_days = reader.read("retention.keep_days", whole);
    let every_ms = reader.read("retention.every_ms", whole);
    let batch_rows = reader.read("retention.batch_rows", whole);
    let pause_ms = reader.read("retention.pause_ms", whole);
    let lag_bytes_max = reader.read("retention.lag_bytes_max", whole);
    let folder = reader.optional(FOLDER, text);
    let command = reader.optional(COMMAND, list);
    let archive_bytes = reader.read("retention.archive_bytes", whole);
    let archive_timeout_ms = reader.read("retention.archive_timeout_ms", whole);
    let login = login(reader, relay);
    let audit_operation_days = reader.read("retention.audit_operation_days", whole);
    let audit_administration_days = reader.read("retention.audit_administration_days", whole);
    let archive = archive(reader, folder?, command?, archive_timeout_ms?);
    Ok(RetentionSettings {
        enabled: enabled?,
        keep_days: keep_days?,
        every_ms: every_ms?,
        batch_rows: batch_rows?,
        pause_ms: pause_ms?,
        lag_bytes_max: lag_bytes_max?,
        archive: archive?,
        archive_bytes: archive_bytes?,
        login: login?,
        audit_operation_days: audit_operation_days?,
        audit_administration_days: audit_administration_days?,
    })
}

fn archive(
    reader: &mut Reader,
    folder: Option<String>,
    command: Option<Vec<String>>,
    timeout_ms: u64,
) -> Result<Option<ArchiveTarget>, Noted> {
    let Some(command) = command else {
        return Ok(folder.map(|folder| ArchiveTarget::Folder(folder.into())));
    };
    if folder.is_some() {
        let problem = format!("is given beside {FOLDER} ({})", reader.origin(FOLDER));
        reader.fault(COMMAND, Fault::new(problem, "keep one of the two"));
        return Err(Noted);
    }
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        reader.fault(COMMAND, Fault::new("names no program", "name one, or remove the key"));
        return Err(Noted);
    };
    Ok(Some(ArchiveTarget::Command {
        program,
        arguments: words.collect(),
        timeout_ms,
    }))
}

fn login(reader: &mut Reader, relay: Option<&str>) -> Result<Option<JanitorLogin>, Noted> {
    let user = reader.optional(USER, identifier);
    let password = reader.optional(PASSWORD, secret_file);
    if reader.is_given(PASSWORD) && !reader.is_given(USER) {
        let problem = format!("is given without {USER}: the relay's own login has postgres.password_file");
        reader.fault(
            PASSWORD,
            Fault::new(problem, format!("set {USER} too, or remove this one")),
        );
        return Err(Noted);
    }
    let (user, password) = (user?, password?);
    if user.is_some() && user.as_deref() == relay {
        let problem = "is the same role as postgres.user";
        reader.fault(
            USER,
            Fault::new(problem, "remove it: without it the janitor uses the relay's login"),
        );
        return Err(Noted);
    }
    Ok(user.map(|user| JanitorLogin { user, password }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trial::Trial;

    fn retention(text: &str) -> RetentionSettings {
        Trial::minimal().and(text).load().expect("no error").settings.retention
    }

    #[test]
    fn nothing_is_removed_unless_somebody_says_so() {
        let retention = retention("");
        assert!(!retention.enabled && retention.archive.is_none() && retention.login.is_none());
        assert_eq!(
            (retention.keep_days, retention.batch_rows, retention.pause_ms),
            (7, 1_000, 50)
        );
        assert_eq!(
            (retention.audit_operation_days, retention.audit_administration_days),
            (365, 1_095)
        );
    }

    #[test]
    fn an_archive_is_a_folder_or_a_program_and_never_both() {
        let folder = retention("retention.archive_folder = '/archive'");
        assert_eq!(folder.archive, Some(ArchiveTarget::Folder("/archive".into())));
        let command = retention("retention.archive_command = ['keep', 'it']\nretention.archive_timeout_ms = 1000");
        let expected = ArchiveTarget::Command {
            program: "keep".to_owned(),
            arguments: vec!["it".to_owned()],
            timeout_ms: 1_000,
        };
        assert_eq!(command.archive, Some(expected));
        for (text, wrong) in [
            (
                "retention.archive_folder = 'a'\nretention.archive_command = ['b']",
                "is given beside retention.archive_folder",
            ),
            ("retention.archive_command = []", "names no program"),
        ] {
            let errors = Trial::minimal().and(text).errors();
            assert!(errors.to_string().contains(wrong), "{errors}");
        }
    }

    #[test]
    fn a_login_of_the_janitors_is_not_the_relays_and_a_password_belongs_to_one() {
        assert!(
            retention("retention.user = 'janitor'")
                .login
                .is_some_and(|login| login.user == "janitor")
        );
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "x").expect("written");
        let password = format!("retention.password_file = '{}'", file.path().display());
        for (text, wrong) in [
            ("retention.user = 'outbox_relay'", "is the same role as postgres.user"),
            (password.as_str(), "is given without retention.user"),
        ] {
            let errors = Trial::minimal().and(text).errors();
            assert!(errors.to_string().contains(wrong), "{errors}");
        }
    }

    #[test]
    fn the_audit_trail_is_kept_for_a_month_at_least() {
        let errors = Trial::minimal().and("retention.audit_operation_days = 29").errors();
        assert!(errors.to_string().contains("from 30 to"), "{errors}");
    }
}
