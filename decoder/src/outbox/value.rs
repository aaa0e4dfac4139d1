//! A column's bytes as text, by type.
//!
//! Source of the binary forms: the types' send functions in PostgreSQL, `src/backend/utils/adt`.

use crate::pgoutput::Column;
use crate::text::{DIGITS_LOWER, Inline};
use crate::{Text, Timestamp};

/// Oids of built-in types (`src/include/catalog/pg_type.dat`); they never change.
mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BYTEA: u32 = 17;
    pub(super) const CHAR: u32 = 18;
    pub(super) const NAME: u32 = 19;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT2: u32 = 21;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const JSON: u32 = 114;
    pub(super) const XML: u32 = 142;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const VARCHAR: u32 = 1043;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    pub(super) const UUID: u32 = 2950;
    pub(super) const JSONB: u32 = 3802;
    /// Everything from here on was made by a user: an enum, a domain, an extension's type.
    pub(super) const FIRST_NORMAL: u32 = 16_384;
}

/// The oid of a built-in type that has a rendering, by its name.
pub(super) fn built_in(name: &str) -> Option<u32> {
    Some(match name {
        "bool" => oid::BOOL,
        "bytea" => oid::BYTEA,
        "bpchar" => oid::BPCHAR,
        "int2" => oid::INT2,
        "int4" => oid::INT4,
        "int8" => oid::INT8,
        "json" => oid::JSON,
        "jsonb" => oid::JSONB,
        "name" => oid::NAME,
        "text" => oid::TEXT,
        "timestamp" => oid::TIMESTAMP,
        "timestamptz" => oid::TIMESTAMPTZ,
        "uuid" => oid::UUID,
        "varchar" => oid::VARCHAR,
        "xml" => oid::XML,
        _ => return None,
    })
}

/// jsonb's binary form begins with this version number.
const JSONB_VERSION: u8 = 1;

/// The value as it goes into a record; `None` for NULL.
///
/// # Errors
/// Says what is wrong with a value that cannot be rendered.
pub(super) fn text(type_oid: u32, column: Column<'_>) -> Result<Option<Text<'_>>, &'static str> {
    match column {
        Column::Null => Ok(None),
        Column::Unchanged => Err("the server left it out as unchanged, which an insert never does"),
        Column::Text(hex) if type_oid == oid::BYTEA => bytea_from_hex(hex).map(Some),
        Column::Text(bytes) => Ok(Some(Text::Wire(bytes))),
        Column::Binary(bytes) => binary_text(type_oid, bytes).map(Some),
    }
}

fn binary_text(type_oid: u32, bytes: &[u8]) -> Result<Text<'_>, &'static str> {
    match type_oid {
        oid::BYTEA | oid::CHAR | oid::NAME | oid::TEXT | oid::JSON | oid::XML | oid::BPCHAR | oid::VARCHAR => {
            Ok(Text::Wire(bytes))
        }
        oid::JSONB => match bytes.split_first() {
            Some((&JSONB_VERSION, json)) => Ok(Text::Wire(json)),
            _ => Err("it is a jsonb of an unknown version"),
        },
        oid::UUID => uuid_text(bytes),
        oid::INT2 => Ok(integer(i16::from_be_bytes(sized(bytes)?).into())),
        oid::INT4 => Ok(integer(i32::from_be_bytes(sized(bytes)?).into())),
        oid::INT8 => Ok(integer(i64::from_be_bytes(sized(bytes)?))),
        oid::BOOL => Ok(Text::Wire(if sized::<1>(bytes)? == [0] { b"false" } else { b"true" })),
        oid::FIRST_NORMAL.. => user_type_text(bytes),
        _ => Err("its type has no rendering here; use text, varchar, uuid, an integer, json, jsonb or bytea"),
    }
}

/// An enum, an extension's type, or a domain over one: a text-like one can be used as it is. NUL is
/// never part of a text in PostgreSQL, and nearly always part of a number or of a length.
fn user_type_text(bytes: &[u8]) -> Result<Text<'_>, &'static str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(char::from(JSONB_VERSION)) && !text.contains('\0') => Ok(Text::Wire(bytes)),
        _ => Err("its type is user-defined and not text-like; use the base type"),
    }
}

fn uuid_text(bytes: &[u8]) -> Result<Text<'static>, &'static str> {
    let uuid = u128::from_be_bytes(sized(bytes)?);
    let part = |shift: u32| u64::try_from(uuid >> shift & u128::from(u64::MAX)).unwrap_or_default();
    let mut text = Inline::new();
    text.hex::<8>(part(96), DIGITS_LOWER);
    for shift in [80, 64, 48] {
        text.byte(b'-');
        text.hex::<4>(part(shift), DIGITS_LOWER);
    }
    text.byte(b'-');
    text.hex::<12>(part(0), DIGITS_LOWER);
    Ok(text.finish())
}

fn integer(number: i64) -> Text<'static> {
    let mut text = Inline::new();
    if number < 0 {
        text.byte(b'-');
    }
    text.decimal(number.unsigned_abs());
    text.finish()
}

fn bytea_from_hex(text: &[u8]) -> Result<Text<'static>, &'static str> {
    let why = "it is a bytea in text form and not hexadecimal";
    let digits = text.strip_prefix(b"\\x").ok_or(why)?;
    if digits.len() % 2 != 0 {
        return Err(why);
    }
    let digit = |&byte: &u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    digits
        .chunks_exact(2)
        .map(byte)
        .collect::<Option<Vec<u8>>>()
        .map(Text::Owned)
        .ok_or(why)
}

/// A point in time from `timestamptz`, `timestamp` (taken as UTC) or a bigint of milliseconds since 1970; `None` for
/// NULL and for `infinity`.
///
/// # Errors
/// Says what is wrong with a value that is none of these.
pub(super) fn timestamp(type_oid: u32, column: Column<'_>) -> Result<Option<Timestamp>, &'static str> {
    match (type_oid, column) {
        (_, Column::Null) | (oid::TIMESTAMP | oid::TIMESTAMPTZ, Column::Text(b"infinity" | b"-infinity")) => Ok(None),
        (oid::TIMESTAMP | oid::TIMESTAMPTZ, Column::Binary(bytes)) => {
            let microseconds = i64::from_be_bytes(sized(bytes)?);
            let finite = microseconds != i64::MAX && microseconds != i64::MIN;
            Ok(finite.then(|| Timestamp::from_postgres_us(microseconds)))
        }
        (oid::TIMESTAMP | oid::TIMESTAMPTZ, Column::Text(text)) => std::str::from_utf8(text)
            .ok()
            .and_then(Timestamp::from_iso_text)
            .map(Some)
            .ok_or("it is not a timestamp in ISO form"),
        (oid::INT8, Column::Binary(bytes)) => Ok(Some(from_ms(i64::from_be_bytes(sized(bytes)?)))),
        (oid::INT8, Column::Text(text)) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .map(|milliseconds| Some(from_ms(milliseconds)))
            .ok_or("it is not a number"),
        _ => Err("its type is no point in time; use timestamptz, timestamp or bigint (milliseconds)"),
    }
}

fn from_ms(milliseconds: i64) -> Timestamp {
    Timestamp::from_unix_us(milliseconds.saturating_mul(1000))
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| "it has not the length of its type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(type_oid: u32, column: Column<'_>) -> Result<Option<Vec<u8>>, &'static str> {
        text(type_oid, column).map(|text| text.map(|text| text.as_bytes().to_vec()))
    }

    fn binary(type_oid: u32, bytes: &[u8]) -> Option<Vec<u8>> {
        rendered(type_oid, Column::Binary(bytes)).ok().flatten()
    }

    #[test]
    fn binary_values_render_as_postgresql_prints_them() {
        let uuid: Vec<u8> = (0xA0..=0xAF).collect();
        assert_eq!(
            binary(oid::UUID, &uuid).as_deref(),
            Some(&b"a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"[..])
        );
        assert_eq!(binary(oid::INT2, &[0xFF, 0xFE]).as_deref(), Some(&b"-2"[..]));
        assert_eq!(
            binary(oid::INT8, &i64::MIN.to_be_bytes()).as_deref(),
            Some(&b"-9223372036854775808"[..])
        );
        assert_eq!(binary(oid::JSONB, b"\x01{}").as_deref(), Some(&b"{}"[..]));
        assert_eq!(binary(oid::BYTEA, &[0, 255]).as_deref(), Some(&[0, 255][..]));
        assert_eq!(binary(oid::FIRST_NORMAL, b"label").as_deref(), Some(&b"label"[..]));
    }

    #[test]
    fn a_domain_over_jsonb_is_refused_and_never_sent_with_its_version_byte() {
        assert!(rendered(oid::FIRST_NORMAL, Column::Binary(b"\x01{}")).is_err());
    }

    #[test]
    fn values_without_a_rendering_are_refused() {
        for (type_oid, bytes) in [
            (oid::UUID, &[1, 2][..]),
            (oid::INT4, &[1]),
            (oid::JSONB, b"\x02{}"),
            (1700, &[0; 8]),
        ] {
            assert!(rendered(type_oid, Column::Binary(bytes)).is_err(), "oid {type_oid}");
        }
        assert!(rendered(oid::TEXT, Column::Unchanged).is_err());
    }

    #[test]
    fn a_bytea_in_text_form_becomes_its_bytes() {
        assert_eq!(rendered(oid::BYTEA, Column::Text(b"\\x00fF")), Ok(Some(vec![0, 255])));
        for text in [&b"\\x0"[..], b"00", b"\\xzz"] {
            assert!(rendered(oid::BYTEA, Column::Text(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_timestamp_is_read_from_every_form_that_postgresql_sends() {
        let at = |type_oid, column: Column<'_>| timestamp(type_oid, column).map(|at| at.map(Timestamp::as_unix_ms));
        let (epoch, infinity, milliseconds) = (0_i64.to_be_bytes(), i64::MAX.to_be_bytes(), 1234_i64.to_be_bytes());
        assert_eq!(at(oid::TIMESTAMPTZ, Column::Binary(&epoch)), Ok(Some(946_684_800_000)));
        assert_eq!(at(oid::TIMESTAMPTZ, Column::Binary(&infinity)), Ok(None));
        assert_eq!(
            at(oid::TIMESTAMPTZ, Column::Text(b"1970-01-01 00:00:01+00")),
            Ok(Some(1000))
        );
        assert_eq!(at(oid::INT8, Column::Binary(&milliseconds)), Ok(Some(1234)));
        assert_eq!(at(oid::TEXT, Column::Null), Ok(None));
        assert!(at(oid::TEXT, Column::Text(b"1970-01-01 00:00:01+00")).is_err());
    }
}
