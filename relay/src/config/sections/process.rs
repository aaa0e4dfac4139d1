//! `[pipeline]`, `[admin]`, `[log]` and `[roles]`.

use crate::config::errors::Fault;
use crate::config::parse::{address, filter, identifier, log_format, whole};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{AdminSettings, LogSettings, PipelineSettings, RoleSettings};

pub(super) fn pipeline(reader: &mut Reader) -> Result<PipelineSettings, Noted> {
    let in_flight_bytes_max = reader.read("pipeline.in_flight_bytes_max", whole);
    let in_flight_records_max = reader.read("pipeline.in_flight_records_max", whole);
    let drain_timeout_ms = reader.read("pipeline.drain_timeout_ms", whole);
    Ok(PipelineSettings {
        in_flight_bytes_max: in_flight_bytes_max?,
        in_flight_records_max: in_flight_records_max?,
        drain_timeout_ms: drain_timeout_ms?,
    })
}

pub(super) fn admin(reader: &mut Reader) -> Result<AdminSettings, Noted> {
    let listen = reader.read("admin.listen", address);
    let degraded_after_ms = reader.read("admin.degraded_after_ms", whole);
    let stuck_after_ms = reader.read("admin.stuck_after_ms", whole);
    Ok(AdminSettings {
        listen: listen?,
        degraded_after_ms: degraded_after_ms?,
        stuck_after_ms: stuck_after_ms?,
    })
}

pub(super) fn log(reader: &mut Reader) -> Result<LogSettings, Noted> {
    let filter = reader.read("log.filter", filter);
    let format = reader.read("log.format", log_format);
    Ok(LogSettings {
        filter: filter?,
        format: format?,
    })
}

/// `relay` is the role the relay logs in as. Five roles, because each may do what the others may not.
pub(super) fn roles(reader: &mut Reader, relay: Option<&str>) -> Result<RoleSettings, Noted> {
    let application = reader.read("roles.application", identifier);
    let operator = reader.read("roles.operator", identifier);
    let auditor = reader.read("roles.auditor", identifier);
    let janitor = reader.read("roles.janitor", identifier);
    let named = [
        ("postgres.user", relay),
        ("roles.application", application.as_deref().ok()),
        ("roles.operator", operator.as_deref().ok()),
        ("roles.auditor", auditor.as_deref().ok()),
        ("roles.janitor", janitor.as_deref().ok()),
    ];
    for (place, (key, role)) in named.iter().enumerate().skip(1) {
        let is_same = |(_, other): &&(&str, Option<&str>)| role.is_some() && other == role;
        for (other, _) in named[..place].iter().filter(is_same) {
            reader.fault(key, same_role(other));
        }
    }
    Ok(RoleSettings {
        application: application?,
        operator: operator?,
        auditor: auditor?,
        janitor: janitor?,
    })
}

fn same_role(other: &str) -> Fault {
    Fault::new(
        format!("is the same role as {other}"),
        "name a role of its own: each may do what the other may not",
    )
}

#[cfg(test)]
mod tests {
    use crate::config::settings::LogFormat;
    use crate::config::trial::Trial;

    #[test]
    fn what_is_not_given_is_what_users_expect() {
        let settings = Trial::minimal().load().expect("no error").settings;
        assert_eq!(settings.pipeline.in_flight_bytes_max, 16_777_216);
        assert_eq!(settings.pipeline.in_flight_records_max, 100_000);
        assert_eq!(settings.pipeline.drain_timeout_ms, 25_000);
        assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9464");
        assert_eq!(
            (settings.log.filter.as_str(), settings.log.format),
            ("info", LogFormat::Text)
        );
        assert_eq!(settings.roles.application, "outbox_application");
        assert_eq!(settings.roles.operator, "outbox_operator");
        assert_eq!(settings.roles.auditor, "outbox_auditor");
        assert_eq!(settings.roles.janitor, "outbox_janitor");
    }

    #[test]
    fn logs_can_be_json() {
        let settings = Trial::minimal()
            .env("LOG__FORMAT", "json")
            .load()
            .expect("no error")
            .settings;
        assert_eq!(settings.log.format, LogFormat::Json);
    }

    #[test]
    fn each_role_is_a_role_of_its_own() {
        let trial = Trial::minimal()
            .flag("postgres.user=a")
            .flag("roles.application=a")
            .flag("roles.operator=a")
            .flag("roles.janitor=outbox_auditor");
        let errors = trial.errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            ["roles.application", "roles.janitor", "roles.operator", "roles.operator"],
            "{errors}"
        );
    }

    #[test]
    fn less_memory_than_one_record_may_need_is_refused() {
        Trial::minimal()
            .flag("pipeline.in_flight_bytes_max=65536")
            .load()
            .expect("no error");
        let errors = Trial::minimal().flag("pipeline.in_flight_bytes_max=65535").errors();
        assert!(
            errors.to_string().contains("whole number of bytes from 65536"),
            "{errors}"
        );
    }
}
