//! Bytes as hexadecimal digits.

use std::fmt::Write;

/// Two digits a byte.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The bytes that digits stand for; `None` if they are no such digits.
pub(crate) fn bytes(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|&[high, low]| Some((nibble(high)? << 4) | nibble(low)?));
    rest.is_empty().then(|| bytes.collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_digits_and_digits_bytes() {
        assert_eq!(digits(&[0, 0x7f, 0xff]), "007fff");
        assert_eq!(bytes("007fFF"), Some(vec![0, 0x7f, 0xff]));
        assert_eq!(bytes(""), Some(Vec::new()));
        for wrong in ["0", "0g", "é", "+1"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
