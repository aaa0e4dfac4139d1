//! Any bytes as the server's stream, arriving in two pieces.

use outbox_decoder::stream::{StreamMessage, split_frame};

const FRAME_BYTES_MAX: usize = 1 << 16;

/// Reads every whole frame; returns how far it came.
fn read(bytes: &[u8]) -> (usize, bool) {
    let mut read = 0;
    loop {
        match split_frame(&bytes[read..], FRAME_BYTES_MAX) {
            Ok(Some(frame)) => {
                let _ = StreamMessage::parse(frame.body);
                read += frame.bytes;
            }
            Ok(None) => return (read, true),
            Err(_) => return (read, false),
        }
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let (whole, valid) = read(bytes);
    let (first, first_valid) = read(&bytes[..bytes.len() / 2]);
    assert!(first <= whole && (first_valid || !valid));
    let (second, _) = read(&bytes[first..]);
    assert_eq!(first + second, whole);
}
