//! From keys to settings, one section a module. Keys are read in the order of the key table.

mod kafka;
mod kafka_login;
mod outbox;
mod postgres;
mod process;
mod retention;
mod retry;
mod tls;

use super::reader::{Noted, Reader};
use super::settings::{AdminSettings, Settings};

/// The admin listener alone.
pub(super) fn admin(reader: &mut Reader) -> Result<AdminSettings, Noted> {
    process::admin(reader)
}

/// All settings, unless an error was noted. Every section is read before the first `?`.
pub(super) fn settings(reader: &mut Reader) -> Result<Settings, Noted> {
    let postgres = postgres::read(reader);
    let retry = retry::read(reader);
    let outbox = outbox::read(reader, retry.as_ref().ok());
    let kafka = kafka::read(reader);
    let pipeline = process::pipeline(reader);
    let admin = process::admin(reader);
    let log = process::log(reader);
    let retention = retention::read(reader, postgres.as_ref().ok().map(|postgres| postgres.user.as_str()));
    let roles = process::roles(reader, postgres.as_ref().ok().map(|postgres| postgres.user.as_str()));
    Ok(Settings {
        postgres: postgres?,
        retry: retry?,
        outbox: outbox?,
        kafka: kafka?,
        pipeline: pipeline?,
        admin: admin?,
        log: log?,
        retention: retention?,
        roles: roles?,
    })
}
