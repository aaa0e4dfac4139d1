//! From keys to settings, one section a module. Keys are read in the order of the key table.

mod kafka;
mod kafka_login;
mod notices;
mod outbox;
mod postgres;
mod process;
mod retention;
mod retry;
mod tls;

use super::reader::{Noted, Reader};
use super::settings::{AdminSettings, KafkaSettings, Settings};

/// The admin listener alone.
pub(super) fn admin(reader: &mut Reader) -> Result<AdminSettings, Noted> {
    process::admin(reader)
}

/// All settings, unless an error was noted.
pub(super) fn settings(reader: &mut Reader) -> Result<Settings, Noted> {
    with_kafka(reader, kafka::read)
}

/// The same with nothing of Kafka.
pub(super) fn settings_without_kafka(reader: &mut Reader) -> Result<Settings, Noted> {
    with_kafka(reader, |_| Ok(KafkaSettings::default()))
}

/// Every section is read before the first `?`.
fn with_kafka(reader: &mut Reader, kafka: fn(&mut Reader) -> Result<KafkaSettings, Noted>) -> Result<Settings, Noted> {
    let postgres = postgres::read(reader);
    let retry = retry::read(reader);
    let outbox = outbox::read(reader, retry.as_ref().ok());
    let kafka = kafka(reader);
    let pipeline = process::pipeline(reader);
    let dead_letters = notices::dead_letters(reader);
    let audit = notices::audit(reader);
    notices::go_to_topics_of_their_own(reader, outbox.as_ref().ok(), &dead_letters, &audit);
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
        dead_letters: dead_letters?,
        audit: audit?,
        admin: admin?,
        log: log?,
        retention: retention?,
        roles: roles?,
    })
}
