//! What `migrate` calls for the janitor, for applications that delete, and for the delivery state.

use postgres_protocol::escape::escape_literal;

use crate::config::{OutboxSettings, Settings};

/// After the publication: what the tables hold is noted as of then.
pub(super) fn statements(settings: &Settings) -> Vec<String> {
    let roles = &settings.roles;
    let relay = escape_literal(&settings.postgres.user);
    let operator = escape_literal(&roles.operator);
    let janitor = escape_literal(&roles.janitor);
    let mut statements = vec![format!(
        "SELECT outbox_relay.ensure_retention({relay}, {operator}, {janitor})"
    )];
    if let Some(login) = login(settings) {
        let login = escape_literal(login);
        statements.push(format!("SELECT outbox_relay.ensure_janitor_login({janitor}, {login})"));
    }
    statements.push(format!("SELECT outbox_relay.ensure_delivery_janitor({janitor})"));
    for (name, outbox) in &settings.outbox {
        statements.extend(of_outbox(settings, name, outbox));
    }
    statements
}

/// Without `retention.enabled` the relay's own login gets no more rights than it has.
fn login(settings: &Settings) -> Option<&str> {
    match &settings.retention.login {
        Some(login) => Some(&login.user),
        None => settings.retention.enabled.then_some(settings.postgres.user.as_str()),
    }
}

fn of_outbox(settings: &Settings, name: &str, outbox: &OutboxSettings) -> Vec<String> {
    let slot = escape_literal(&settings.postgres.slot);
    let publication = escape_literal(&settings.postgres.publication);
    let (schema, table) = (escape_literal(&outbox.schema), escape_literal(&outbox.table));
    let [relay, application, operator, janitor] = [
        &settings.postgres.user,
        &settings.roles.application,
        &settings.roles.operator,
        &settings.roles.janitor,
    ]
    .map(|role| escape_literal(role));
    let archives = settings.retention.archive.is_some();
    let mut statements = vec![
        format!("SELECT outbox_relay.ensure_janitor({schema}, {table}, {janitor}, {archives})"),
        format!("SELECT outbox_relay.retention_know({slot}, {publication}, {schema}, {table})"),
    ];
    let name = escape_literal(name);
    if !outbox.delivery_state {
        statements.push(format!("SELECT outbox_relay.leave_delivery_state({slot}, {name})"));
    }
    let Some(id) = outbox.columns.id.as_deref().map(escape_literal) else {
        return statements;
    };
    if outbox.application_may_delete {
        statements.push(format!(
            "SELECT outbox_relay.ensure_application_deletes({schema}, {table}, {id}, {application})"
        ));
    }
    if outbox.delivery_state {
        statements.push(format!(
            "SELECT outbox_relay.ensure_delivery_state({slot}, {name}, {schema}, {table}, {id}, {relay}, {operator})"
        ));
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trial::Trial;

    fn said(text: &str) -> String {
        statements(&Trial::minimal().and(text).load().expect("no error").settings).join("\n")
    }

    #[test]
    fn the_relays_login_becomes_a_janitor_only_where_it_is_to_be_one() {
        const LOGIN: &str = "ensure_janitor_login";
        assert!(!said("").contains(LOGIN));
        assert!(said("retention.enabled = true").contains("ensure_janitor_login('outbox_janitor', 'outbox_relay')"));
        for enabled in [true, false] {
            let said = said(&format!("retention.enabled = {enabled}\nretention.user = 'sweeper'"));
            assert!(
                said.contains("ensure_janitor_login('outbox_janitor', 'sweeper')"),
                "{said}"
            );
            assert_eq!(said.matches(LOGIN).count(), 1, "{said}");
        }
    }

    #[test]
    fn what_is_off_by_default_asks_for_nothing() {
        let usual = said("");
        assert!(!usual.contains("ensure_application_deletes") && !usual.contains("ensure_delivery_state("));
        let asked = said("outbox.a.application_may_delete = true");
        assert!(asked.contains("ensure_application_deletes('public', 'outbox', 'id', 'outbox_application')"));
        let asked = said("outbox.a.delivery_state = true");
        let call =
            "ensure_delivery_state('outbox_relay', 'a', 'public', 'outbox', 'id', 'outbox_relay', 'outbox_operator')";
        assert!(asked.contains(call), "{asked}");
    }
}
