//! What rows carry: an order as an application would write it. Names of members repeat from row to row; ids, numbers and words
//! do not, so that lz4 makes batches of them a half to a third as large, as it does with most events.
//!
//! A document is made of its row's number and a tail that is chosen by it. Tails are made once, in a table that leaves no
//! WAL: whoever inserts a row pays for looking one up, which costs no more than a constant text would.

use crate::database::Database;
use crate::failure::Failure;

/// What a row has on the wire beside its payload: frame, columns and their lengths.
const BESIDE_PAYLOAD_BYTES: u32 = 120;
/// The least that holds a number, of seven digits, and a note.
const BYTES_MIN: u32 = 35;
/// The least that holds a customer too, and one line of an order.
const CUSTOMER_BYTES: u32 = 90;
const LINE_BYTES_MIN: u32 = 330;

/// Before the tail and after it; what a number has fewer than seven digits is made up for.
const BESIDE_TAIL_BYTES: u32 = 21;
/// Of an order without its lines and its note.
const ORDER_BYTES: u32 = 205;
/// Of a line with its comma.
const LINE_BYTES: u32 = 103;
const NOTE_BYTES_MIN: u32 = 20;

/// Tails are so many, or fewer where they are long: far more than a compressor looks back.
const TAILS_MAX: u32 = 5_003;
const TAILS_MIN: u32 = 17;
const TAILS_BYTES: u32 = 16 << 20;

/// Documents begin with the number of their row.
const NUMBER_FOLLOWS: &[u8] = br#"{"order_id":"#;

/// Enough for a note, six letters each.
const WORDS_OF_A_NOTE: u32 = 45;
const WORDS: &str = "{silver,kettle,golden,basket,purple,candle,orange,carpet,yellow,mirror,bright,pillow,wooden,ladder,cotton,hammer,\
     velvet,pencil,marble,bottle,copper,saucer,bronze,teapot,folded,wallet,narrow,jacket,simple,jumper,square,sandal,\
     double,button,triple,ribbon,mobile,napkin,modern,tablet,winter,camera,summer,guitar,spring,violin,autumn,puzzle,\
     garden,poster,pocket,cradle,travel,drawer,office,carafe,casual,goblet,rustic,cooker,glossy,shaver,tender,locker}";

/// A document of a certain size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload {
    bytes: u32,
}

impl Payload {
    /// The smallest row that has more than its number and a note.
    pub(crate) const ROW_BYTES_MIN: i64 = 220;
    /// Rows of about 600 bytes, as most numbers are about.
    pub(crate) const USUAL: Payload = Payload::of_row(600);

    /// For a row of so many bytes on the wire, about; it has 160 at the least.
    pub(crate) const fn of_row(row_bytes: u32) -> Payload {
        let bytes = row_bytes.saturating_sub(BESIDE_PAYLOAD_BYTES);
        // A constant function has no `max`.
        Payload {
            bytes: if bytes < BYTES_MIN { BYTES_MIN } else { bytes },
        }
    }

    /// Makes the tails, if they are not there.
    pub(crate) fn prepare(self, database: &Database) -> Result<(), Failure> {
        let (table, tail, last) = (self.table(), self.tail(), self.tails() - 1);
        let sql = format!(
            "DO $$ BEGIN IF to_regclass('{table}') IS NULL THEN
                 CREATE UNLOGGED TABLE {table} AS
                     SELECT n::int, {tail} AS tail
                     FROM generate_series(0::int8, {last}) AS n,
                         LATERAL (SELECT hashint8extended(n, 0) AS h, '{WORDS}'::text[] AS words) AS of_tail;
                 ALTER TABLE {table} ADD PRIMARY KEY (n);
                 ANALYZE {table};
             END IF; END $$"
        );
        database.execute("prepare payloads", &sql)
    }

    /// The document of row `i`, as an SQL expression of type text.
    pub(super) fn document(self) -> String {
        let (table, tails) = (self.table(), self.tails());
        format!(
            r#"('{{"order_id":' || i || (SELECT tail FROM {table} WHERE n = i % {tails}) || repeat('.', 7 - length(i::text)) || '"}}')"#
        )
    }

    fn table(self) -> String {
        format!("bench_tails_{}", self.bytes)
    }

    fn tails(self) -> u32 {
        (TAILS_BYTES / self.bytes).clamp(TAILS_MIN, TAILS_MAX)
    }

    /// Lines of an order.
    fn lines(self) -> u32 {
        self.bytes.saturating_sub(ORDER_BYTES + NOTE_BYTES_MIN) / LINE_BYTES
    }

    /// The tail `n` as SQL, up to its end inside the note; `h` is a number at random.
    fn tail(self) -> String {
        let beginning = match self.bytes {
            ..CUSTOMER_BYTES => r#"',"note":"'"#.to_owned(),
            CUSTOMER_BYTES..LINE_BYTES_MIN => r#"format(',"customer_id":"%s","note":"', md5(n::text))"#.to_owned(),
            _ => order(self.lines()),
        };
        let bytes = self.bytes - BESIDE_TAIL_BYTES;
        format!(
            "rpad({beginning}, {bytes}, (SELECT string_agg(words[1 + (h & 63)], ' ')
                 FROM (SELECT hashint8extended(n, -k) AS h FROM generate_series(1, {WORDS_OF_A_NOTE}) AS k) AS word))"
        )
    }
}

/// Each value has as many digits or letters whatever it is, so that all orders of as many lines have one size.
fn order(lines: u32) -> String {
    format!(
        r#"format(',"event_id":"%s","customer":{{"id":"C%s","country":"%s"}},"placed_at":"2026-01-05T%s:%s:%sZ",' ||
            '"currency":"EUR","total_cents":%s,"lines":[',
            md5(n::text)::uuid, 10000 + (h & 65535), substr('DEFRITNL', 1 + 2 * (h >> 16 & 3)::int, 2),
            10 + (h >> 18 & 7), 10 + (h >> 22 & 31), 10 + (h >> 28 & 31), 10000 + (h >> 34 & 65535)) ||
        (SELECT string_agg(format('{{"sku":"SKU-%s","batch":"%s","quantity":%s,"unit_price_cents":%s,"name":"%s %s"}}',
            10000 + (h & 65535), left(md5(h::text), 12), 1 + (h >> 16 & 7), 1000 + (h >> 19 & 4095),
            words[1 + (h >> 31 & 63)], words[1 + (h >> 37 & 63)]), ',')
            FROM (SELECT hashint8extended(n, k) AS h FROM generate_series(1, {lines}) AS k) AS line) ||
        '],"note":"'"#
    )
}

/// The number of the row that a document was made for.
pub(crate) fn row_number(document: &[u8]) -> Option<u32> {
    let rest = document.strip_prefix(NUMBER_FOLLOWS)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_tells_its_row() {
        assert_eq!(row_number(br#"{"order_id":4711,"note":""}"#), Some(4711));
        assert_eq!(row_number(br#"{"order_id":,"note":""}"#), None);
        assert_eq!(row_number(b"{}"), None);
    }

    #[test]
    fn the_smallest_row_still_has_a_whole_document() {
        assert_eq!(Payload::of_row(100).bytes, BYTES_MIN);
        assert!(Payload::of_row(100).bytes > BESIDE_TAIL_BYTES + 10);
    }

    #[test]
    fn an_order_has_at_least_one_line_and_room_for_a_note_that_is_shorter_than_a_line_more() {
        for bytes in LINE_BYTES_MIN..20_000 {
            let payload = Payload { bytes };
            let note = bytes.checked_sub(ORDER_BYTES + payload.lines() * LINE_BYTES);
            let note = note.expect("room for a note");
            assert!(payload.lines() > 0, "{bytes}");
            assert!(
                (NOTE_BYTES_MIN..NOTE_BYTES_MIN + LINE_BYTES).contains(&note),
                "{bytes}: {note}"
            );
        }
    }

    #[test]
    fn the_words_of_a_note_are_enough_for_the_longest() {
        let words = WORDS.trim_matches(['{', '}']).split(',');
        assert_eq!(words.map(str::len).collect::<Vec<_>>(), [6; 64]);
        let longest = Payload {
            bytes: LINE_BYTES_MIN - 1,
        };
        assert!(WORDS_OF_A_NOTE * 7 > longest.bytes - BESIDE_TAIL_BYTES);
    }

    #[test]
    fn tails_are_more_than_a_compressor_looks_back() {
        for row_bytes in [100, 600, 10_240, 1_000_000] {
            let payload = Payload::of_row(row_bytes);
            assert!(payload.tails() * payload.bytes > 2 * (64 << 10), "{row_bytes}");
        }
    }
}
