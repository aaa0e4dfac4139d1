//! Positions, LSNs and topics as text.

use outbox_decoder::{Lsn, Position, TopicName, TopicNameError, TopicTemplate};
use proptest::prelude::*;

const NAME: &str = "[a-zA-Z0-9._-]{1,249}";
const TEMPLATE: &str = "([a-zA-Z0-9._-]{0,9}(\\{aggregate_type\\}|\\{schema\\}|\\{table\\})?){1,4}";

fn positions() -> impl Strategy<Value = Position> {
    let numbers = prop_oneof![0_u64..4, any::<u64>()];
    (numbers, prop_oneof![0_u32..20, any::<u32>()], any::<u32>()).prop_map(|(lsn, ordinal, xid)| Position {
        commit_lsn: Lsn::new(lsn),
        ordinal,
        xid,
    })
}

#[test]
fn a_row_cannot_bring_a_character_into_a_topic_that_kafka_refuses() {
    let template: TopicTemplate = "outbox.{aggregate_type}".parse().expect("a template");
    for character in (0..=127).map(char::from).chain(['é', '☃', '\u{FEFF}']) {
        let allowed = character.is_ascii_alphanumeric() || ".-_".contains(character);
        let rendered = template.render("s", "t", &format!("a{character}b"));
        assert_eq!(rendered.is_ok(), allowed, "{character:?}");
    }
}

proptest! {
    #[test]
    fn position_headers_order_as_the_positions_do(a in positions(), b in positions()) {
        let place = |position: Position| (position.commit_lsn, position.ordinal);
        prop_assume!(place(a) != place(b));
        prop_assert_eq!(a.header().as_bytes().cmp(b.header().as_bytes()), a.cmp(&b));
        prop_assert_eq!(place(a).cmp(&place(b)), a.cmp(&b));
    }

    #[test]
    fn a_position_can_be_read_back_from_its_header(position in positions()) {
        let header = String::from_utf8(position.header().as_bytes().to_vec()).expect("ASCII");
        let parts: Vec<&str> = header.split('-').collect();
        prop_assert_eq!(u64::from_str_radix(parts[0], 16), Ok(position.commit_lsn.as_u64()));
        prop_assert_eq!(u32::from_str_radix(parts[1], 16), Ok(position.ordinal));
        prop_assert_eq!(parts[2].parse(), Ok(position.xid));
    }

    #[test]
    fn an_lsn_is_read_back_from_its_text(bytes: u64) {
        prop_assert_eq!(Lsn::new(bytes).to_string().parse(), Ok(Lsn::new(bytes)));
    }

    #[test]
    fn no_text_makes_the_readers_of_names_panic(text in ".{0,40}", row in ".{0,40}") {
        let _ = text.parse::<Lsn>();
        let _ = text.parse::<TopicName>();
        if let Ok(template) = text.parse::<TopicTemplate>() {
            let _ = template.render(&row, &row, &row);
        }
    }

    #[test]
    fn a_topic_name_is_a_template_of_itself(name in NAME) {
        prop_assume!(name != "." && name != "..");
        let template: TopicTemplate = name.parse().expect("a template");
        prop_assert_eq!(template.render("s", "t", "a").map(|topic| topic.to_string()), Ok(name));
    }

    #[test]
    fn a_template_fills_in_its_placeholders_and_prints_as_it_was_written(
        text in TEMPLATE,
        (schema, table, aggregate_type) in (NAME, NAME, NAME),
    ) {
        prop_assume!(!text.is_empty());
        let template: TopicTemplate = text.parse().expect("a template");
        prop_assert_eq!(template.to_string(), text.clone());
        // No value holds a brace: nothing that is filled in can be taken for a placeholder.
        let expected = text
            .replace("{schema}", &schema)
            .replace("{table}", &table)
            .replace("{aggregate_type}", &aggregate_type);
        let rendered = template.render(&schema, &table, &aggregate_type);
        match expected.as_str() {
            "." | ".." => prop_assert_eq!(rendered, Err(TopicNameError::Reserved(expected))),
            _ if expected.len() > 249 => prop_assert_eq!(rendered, Err(TopicNameError::TooLong(expected.len()))),
            _ => prop_assert_eq!(rendered.map(|topic| topic.to_string()), Ok(expected)),
        }
    }
}
