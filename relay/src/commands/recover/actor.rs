//! Who acts, for the audit trail.

use nix::unistd::{Uid, User};
use serde_json::json;

/// As the audit trail takes it.
pub(super) fn actor() -> String {
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    json!({ "system_user": name.unwrap_or_else(|| uid.to_string()) }).to_string()
}
