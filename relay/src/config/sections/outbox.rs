//! `[outbox.<name>]`, one for each outbox table.

use std::collections::{BTreeMap, BTreeSet};

use config::Value;
use outbox_decoder::Columns;
use outbox_decoder::outbox::{METADATA_HEADERS_MAX, OWN_HEADERS};

use crate::config::errors::Fault;
use crate::config::key::Key;
use crate::config::parse::{choice, column, identifier, list, required_column, switch, topic};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{OutboxSettings, RetrySettings};
use crate::pipeline::DefectPolicy;

use super::retry;

/// Notices of dead letters have headers whose names begin so.
const NOTICE_HEADERS: &str = "outbox_relay.";
/// The outbox there is when none is configured.
const DEFAULT: &str = "default";

/// `retry` is what holds for all outboxes, if that could be read.
pub(super) fn read(
    reader: &mut Reader,
    retry: Option<&RetrySettings>,
) -> Result<BTreeMap<String, OutboxSettings>, Noted> {
    let names = names(reader);
    let mut outboxes = BTreeMap::new();
    let mut all_read = Ok(());
    for name in names {
        if !is_name(&name) {
            wrong_name(reader, &name);
            all_read = Err(Noted);
        }
        // No key can stand below an empty name. Below any other, what else is wrong is told at once.
        if name.is_empty() {
            continue;
        }
        match outbox(reader, &name, retry) {
            Ok(outbox) => drop(outboxes.insert(name, outbox)),
            Err(Noted) => all_read = Err(Noted),
        }
    }
    tables_differ(reader, &outboxes);
    all_read.map(|()| outboxes)
}

fn names(reader: &Reader) -> BTreeSet<String> {
    let paths = reader.below("outbox.");
    let names: BTreeSet<String> = paths
        .iter()
        .filter_map(|path| path.split('.').next())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        BTreeSet::from([DEFAULT.to_owned()])
    } else {
        names
    }
}

/// Lower case and no double underscore, so that the environment can name every outbox too.
fn is_name(name: &str) -> bool {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let is_spelled_well = (1..=63).contains(&name.len()) && name.bytes().all(fits);
    is_spelled_well && !name.contains("__") && !name.starts_with('_') && !name.ends_with('_')
}

fn wrong_name(reader: &mut Reader, name: &str) {
    let fault = Fault::new(
        format!("{name:?} cannot be the name of an outbox"),
        "use a-z, 0-9 and single underscores between them, at most 63",
    );
    let prefix = format!("outbox.{name}.");
    let first = reader.below(&prefix).into_iter().next();
    reader.fault(
        &first.map_or_else(|| format!("outbox.{name}"), |rest| format!("{prefix}{rest}")),
        fault,
    );
}

fn outbox(reader: &mut Reader, name: &str, retry: Option<&RetrySettings>) -> Result<OutboxSettings, Noted> {
    let schema = reader.read(&format!("outbox.{name}.schema"), identifier);
    let table = reader.read(&format!("outbox.{name}.table"), identifier);
    let preset = reader.read(&format!("outbox.{name}.preset"), choice);
    // A wrong preset is an error already; the columns are read all the same, for theirs.
    let columns = columns(reader, name, preset.as_deref().unwrap_or("standard"));
    let topic = reader.read(&format!("outbox.{name}.topic"), topic);
    let metadata_headers = reader.read(&format!("outbox.{name}.metadata_headers"), metadata_headers);
    let on_defect = on_defect(reader, name);
    let application_may_delete = reader.read(&format!("outbox.{name}.application_may_delete"), switch);
    let delivery_state = reader.read(&format!("outbox.{name}.delivery_state"), switch);
    rows_can_be_named(reader, name, columns.as_ref().ok());
    preset?;
    let usual = *retry.ok_or(Noted)?;
    let retry = retry::of_outbox(reader, name, usual);
    let retry_rules = retry::rules(reader, name, *retry.as_ref().unwrap_or(&usual));
    Ok(OutboxSettings {
        schema: schema?,
        table: table?,
        columns: columns?,
        topic: topic?,
        metadata_headers: metadata_headers?,
        on_defect: on_defect?,
        application_may_delete: application_may_delete?,
        delivery_state: delivery_state?,
        retry: retry?,
        retry_rules: retry_rules?,
    })
}

fn on_defect(reader: &mut Reader, name: &str) -> Result<DefectPolicy, Noted> {
    let policy = reader.read(&format!("outbox.{name}.on_defect"), choice);
    let successors = reader.read(&format!("outbox.{name}.successors"), choice);
    Ok(match (policy?.as_str(), successors?.as_str()) {
        ("set_aside", "continue") => DefectPolicy::SetAsideAndContinue,
        ("set_aside", _) => DefectPolicy::SetAsideAndPark,
        _ => DefectPolicy::Halt,
    })
}

/// Both go by the row's id.
fn rows_can_be_named(reader: &mut Reader, outbox: &str, columns: Option<&Columns>) {
    if columns.is_none_or(|columns| columns.id.is_some()) {
        return;
    }
    for switch in ["application_may_delete", "delivery_state"] {
        let path = format!("outbox.{outbox}.{switch}");
        if reader.text(&path).as_deref() == Some("true") {
            let problem = format!("needs the rows' ids, and outbox.{outbox}.columns.id says that there are none");
            reader.fault(
                &path,
                Fault::new(problem, "name the column with the id, or leave this off"),
            );
        }
    }
}

/// More than the decoder takes would be left out, and a name of the record's own would be there twice.
fn metadata_headers(key: &Key, value: &Value) -> Result<Vec<String>, Fault> {
    let names = list(key, value)?;
    let is_own = |name: &&String| OWN_HEADERS.contains(&name.as_str()) || name.starts_with(NOTICE_HEADERS);
    if let Some(taken) = names.iter().find(is_own) {
        let problem = format!("{taken:?} is a header that the relay writes itself");
        return Err(Fault::new(
            problem,
            "leave it out, or give that member of the metadata another name",
        ));
    }
    if names.len() > METADATA_HEADERS_MAX {
        let problem = format!(
            "names {} members; at most {METADATA_HEADERS_MAX} can become headers",
            names.len()
        );
        return Err(Fault::new(
            problem,
            "choose those that consumers need: the payload can carry the rest",
        ));
    }
    Ok(names)
}

fn columns(reader: &mut Reader, outbox: &str, preset: &str) -> Result<Columns, Noted> {
    let standard = if preset == "debezium" {
        Columns::debezium()
    } else {
        Columns::standard()
    };
    let mut parts = Parts { reader, outbox, preset };
    let id = parts.optional("id", standard.id);
    let aggregate_type = parts.required("aggregate_type", &standard.aggregate_type);
    let aggregate_id = parts.optional("aggregate_id", standard.aggregate_id);
    let event_type = parts.optional("event_type", standard.event_type);
    let payload = parts.required("payload", &standard.payload);
    let metadata = parts.optional("metadata", standard.metadata);
    let created_at = parts.optional("created_at", standard.created_at);
    let version = parts.optional("version", standard.version);
    Ok(Columns {
        id: id?,
        aggregate_type: aggregate_type?,
        aggregate_id: aggregate_id?,
        event_type: event_type?,
        payload: payload?,
        metadata: metadata?,
        created_at: created_at?,
        version: version?,
    })
}

/// The columns of one outbox, each by the part it plays.
struct Parts<'a> {
    reader: &'a mut Reader,
    outbox: &'a str,
    preset: &'a str,
}

impl Parts<'_> {
    fn required(&mut self, part: &str, standard: &str) -> Result<String, Noted> {
        self.reader
            .read_or(&self.path(part), standard, self.preset, required_column)
    }

    fn optional(&mut self, part: &str, standard: Option<String>) -> Result<Option<String>, Noted> {
        self.reader
            .read_or(&self.path(part), &standard.unwrap_or_default(), self.preset, column)
    }

    fn path(&self, part: &str) -> String {
        format!("outbox.{}.columns.{part}", self.outbox)
    }
}

fn tables_differ(reader: &mut Reader, outboxes: &BTreeMap<String, OutboxSettings>) {
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (name, outbox) in outboxes {
        let table = (outbox.schema.as_str(), outbox.table.as_str());
        if let Some(first) = seen.insert(table, name) {
            let problem = format!("is the table {}.{}, and so is outbox.{first}", table.0, table.1);
            reader.fault(
                &format!("outbox.{name}.table"),
                Fault::new(problem, "give each outbox a table of its own"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trial::Trial;

    fn outboxes(text: &str) -> BTreeMap<String, OutboxSettings> {
        Trial::minimal().and(text).load().expect("no error").settings.outbox
    }

    #[test]
    fn without_any_outbox_there_is_one_with_all_defaults() {
        let outboxes = outboxes("");
        assert_eq!(outboxes.keys().collect::<Vec<_>>(), [DEFAULT]);
        let outbox = &outboxes[DEFAULT];
        assert_eq!((outbox.schema.as_str(), outbox.table.as_str()), ("public", "outbox"));
        assert_eq!(outbox.columns, Columns::standard());
        assert_eq!(outbox.topic.to_string(), "outbox.event.{aggregate_type}");
        assert_eq!(outbox.metadata_headers, ["traceparent", "tracestate"]);
    }

    #[test]
    fn an_empty_table_is_an_outbox_with_all_defaults() {
        assert_eq!(outboxes("[outbox.orders]").keys().collect::<Vec<_>>(), ["orders"]);
        assert_eq!(
            outboxes("[outbox.orders.columns]").keys().collect::<Vec<_>>(),
            ["orders"]
        );
    }

    #[test]
    fn columns_start_from_the_preset_and_an_empty_name_is_no_column() {
        let text = "[outbox.orders]\npreset = 'debezium'\ncolumns.id = ''\ncolumns.version = 'v'";
        let expected = Columns {
            id: None,
            version: Some("v".to_owned()),
            ..Columns::debezium()
        };
        assert_eq!(outboxes(text)["orders"].columns, expected);
    }

    #[test]
    fn a_row_that_cannot_be_published_halts_the_line_unless_its_outbox_says_otherwise() {
        for (text, policy) in [
            ("[outbox.a]", DefectPolicy::Halt),
            ("outbox.a.successors = 'continue'", DefectPolicy::Halt),
            ("outbox.a.on_defect = 'set_aside'", DefectPolicy::SetAsideAndPark),
            (
                "outbox.a = { on_defect = 'set_aside', successors = 'continue' }",
                DefectPolicy::SetAsideAndContinue,
            ),
        ] {
            assert_eq!(outboxes(text)["a"].on_defect, policy, "{text}");
        }
    }

    #[test]
    fn the_environment_can_name_an_outbox() {
        let trial = Trial::minimal()
            .env("OUTBOX__ORDERS__TOPIC", "orders")
            .env("OUTBOX__ORDERS__COLUMNS__ID", "uuid");
        let outboxes = trial.load().expect("no error").settings.outbox;
        assert_eq!(outboxes["orders"].topic.to_string(), "orders");
        assert_eq!(outboxes["orders"].columns.id.as_deref(), Some("uuid"));
        assert_eq!(outboxes.len(), 1);
    }

    #[test]
    fn two_outboxes_with_one_table_are_refused() {
        let errors = Trial::minimal()
            .and("outbox.a.topic = 'a'\noutbox.b.topic = 'b'")
            .errors();
        assert!(
            errors
                .to_string()
                .contains("is the table public.outbox, and so is outbox.a"),
            "{errors}"
        );
        outboxes("outbox.a.schema = 'a'\noutbox.b.schema = 'b'");
    }

    #[test]
    fn a_name_that_the_environment_could_not_spell_is_refused_once() {
        for name in ["Orders", "a-b", "a__b", "_a"] {
            let text = format!("[outbox.{name}]\ntopic = 't'\ntable = 'x'");
            let errors = Trial::minimal().and(&text).errors();
            assert_eq!(errors.iter().count(), 1, "{errors}");
            assert!(
                errors.to_string().contains("cannot be the name of an outbox"),
                "{errors}"
            );
        }
    }

    #[test]
    fn a_wrong_name_hides_nothing_that_is_wrong_below_it() {
        let errors = Trial::minimal().and("outbox.Orders.topic = 'x.{y'").errors();
        let problems: Vec<_> = errors
            .iter()
            .map(|error| (error.key.as_str(), error.problem.as_str()))
            .collect();
        assert_eq!(problems.len(), 2, "{errors}");
        assert!(
            problems.iter().all(|(key, _)| *key == "outbox.Orders.topic"),
            "{errors}"
        );
        assert_eq!(Trial::minimal().and("[outbox.\"\"]").errors().iter().count(), 1);
        assert!(
            errors.to_string().contains("cannot be the name of an outbox"),
            "{errors}"
        );
    }

    #[test]
    fn metadata_headers_neither_repeat_those_of_the_relay_nor_are_more_than_can_be_taken() {
        for (headers, wrong) in [
            (
                "['traceparent', 'position']",
                "\"position\" is a header that the relay writes itself",
            ),
            ("['replay']", "\"replay\" is a header that the relay writes itself"),
            ("['redrive']", "\"redrive\" is a header that the relay writes itself"),
            (
                "['occurred_at']",
                "\"occurred_at\" is a header that the relay writes itself",
            ),
            (
                "['outbox_relay.state']",
                "\"outbox_relay.state\" is a header that the relay writes itself",
            ),
            (
                "['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']",
                "names 9 members; at most 8",
            ),
        ] {
            let errors = Trial::minimal()
                .and(&format!("outbox.a.metadata_headers = {headers}"))
                .errors();
            assert!(errors.to_string().contains(wrong), "{errors}");
        }
    }

    #[test]
    fn what_goes_by_a_rows_id_needs_one() {
        let with = "outbox.a.application_may_delete = true";
        outboxes(with);
        let errors = Trial::minimal().and(with).and("outbox.a.columns.id = ''").errors();
        assert!(errors.to_string().contains("needs the rows' ids"), "{errors}");
    }

    #[test]
    fn a_bad_topic_and_a_missing_payload_column_are_both_reported() {
        let errors = Trial::minimal()
            .and("outbox.a.topic = 'x.{y'\noutbox.a.columns.payload = ''")
            .errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["outbox.a.columns.payload", "outbox.a.topic"], "{errors}");
        assert!(
            errors.to_string().contains("no record can be made without it"),
            "{errors}"
        );
    }
}
