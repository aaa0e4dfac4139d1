//! Who acts, as far as that is known on this side: the audit trail notes it beside the database role and the address, which
//! the server knows itself.

use std::env;

use clap::Args;
use nix::unistd::{Uid, User};
use serde_json::{Map, Value};

use crate::config::{ACTOR_VARIABLE, CORRELATION_VARIABLE};

#[derive(Debug, Args)]
pub(super) struct Actor {
    /// Who you are, for the audit trail; `OUTBOX_RELAY_ACTOR` says it too
    #[arg(long, global = true, value_name = "NAME")]
    actor: Option<String>,
    /// What joins this with other records; without it and `OUTBOX_RELAY_CORRELATION_ID` a random one
    #[arg(long, global = true, value_name = "ID")]
    correlation_id: Option<String>,
}

impl Actor {
    /// As the database's functions take it; `tenant` is whose events are acted on, where one is named.
    pub(super) fn as_json(&self, tenant: Option<&str>) -> String {
        let correlation_id = given(self.correlation_id.as_ref(), CORRELATION_VARIABLE);
        let correlation_id = correlation_id.unwrap_or_else(|| format!("{:032x}", fastrand::u128(..)));
        let fields = [
            ("name", given(self.actor.as_ref(), ACTOR_VARIABLE)),
            ("os_user", Some(os_user())),
            ("tenant", tenant.map(str::to_owned)),
            ("correlation_id", Some(correlation_id)),
        ];
        let known = fields.into_iter().filter_map(|(name, value)| {
            let value = value?;
            Some((name.to_owned(), Value::String(value)))
        });
        Value::Object(known.collect::<Map<_, _>>()).to_string()
    }
}

fn given(flag: Option<&String>, variable: &str) -> Option<String> {
    let value = flag.cloned().or_else(|| env::var(variable).ok());
    value.filter(|value| !value.is_empty())
}

/// A number where the user has no name, as in containers.
fn os_user() -> String {
    let uid = Uid::current();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(actor: &Actor, tenant: Option<&str>) -> Value {
        serde_json::from_str(&actor.as_json(tenant)).expect("JSON")
    }

    #[test]
    fn an_actor_says_what_is_known_and_leaves_out_what_is_not() {
        let named = Actor {
            actor: Some("jo \"night\" doe".to_owned()),
            correlation_id: Some("INC-7".to_owned()),
        };
        let json = said(&named, Some("acme"));
        assert_eq!(json["name"], "jo \"night\" doe");
        assert_eq!(json["correlation_id"], "INC-7");
        assert_eq!(json["tenant"], "acme");
        assert!(json["os_user"].as_str().is_some_and(|user| !user.is_empty()));

        let unnamed = Actor {
            actor: Some(String::new()),
            correlation_id: None,
        };
        let json = said(&unnamed, None);
        assert!(json.get("name").is_none() && json.get("tenant").is_none(), "{json}");
        assert_eq!(json["correlation_id"].as_str().map(str::len), Some(32));
    }
}
