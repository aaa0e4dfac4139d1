//! Frames: however the bytes arrive, and whatever they are.

use outbox_decoder::stream::{StreamMessage, frame_bytes, split_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::captures::{FRAME_BYTES_MAX, capture, captures, cut};

#[test]
fn a_capture_cut_in_two_at_any_byte_gives_the_same_frames() {
    let bytes = capture(18, "outbox");
    let (whole, _) = cut(&bytes);
    for end in 0..bytes.len() {
        let (mut frames, rest) = cut(&bytes[..end]);
        let read = end - rest.expect("valid frames so far").len();
        frames.extend(cut(&bytes[read..]).0);
        assert!(frames == whole, "cut after {end} bytes");
    }
}

proptest! {
    #[test]
    fn a_capture_that_arrives_in_pieces_gives_the_same_frames(cuts in vec(any::<Index>(), 0..40)) {
        for bytes in captures() {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let (mut frames, mut read) = (Vec::new(), 0);
            for end in ends {
                let buffer = &bytes[read..end];
                let (piece, rest) = cut(buffer);
                frames.extend(piece);
                read = end - rest.expect("valid frames so far").len();
            }
            prop_assert!(frames == cut(&bytes).0);
        }
    }

    #[test]
    fn a_frame_is_what_its_header_says_and_nothing_that_is_not_there(
        (tag, length) in (any::<u8>(), 0_u8..70),
        rest in vec(any::<u8>(), 0..64),
        bytes_max in 0_usize..128,
    ) {
        let bytes = [&[tag, 0, 0, 0, length][..], &rest].concat();
        match split_frame(&bytes, bytes_max) {
            Ok(Some(frame)) => {
                prop_assert!(frame.bytes <= bytes.len() && frame.bytes <= bytes_max);
                prop_assert_eq!(frame.tag, bytes[0]);
                prop_assert_eq!(frame.body, &bytes[5..frame.bytes]);
                prop_assert_eq!(frame_bytes(&bytes, bytes_max), Ok(Some(frame.bytes)));
            }
            Ok(None) => {
                let needed = frame_bytes(&bytes, bytes_max);
                prop_assert!(matches!(needed, Ok(needed) if needed.is_none_or(|needed| needed > bytes.len())));
            }
            Err(error) => prop_assert_eq!(frame_bytes(&bytes, bytes_max), Err(error)),
        }
    }

    /// Half of the lengths are small: most of the others only meet the bound.
    #[test]
    fn a_frame_of_any_length_is_read_or_refused(
        length in prop_oneof![0_u32..40, any::<u32>()],
        body in vec(any::<u8>(), 0..40),
        bytes_max in prop_oneof![0_usize..60, Just(FRAME_BYTES_MAX), Just(usize::MAX)],
    ) {
        let bytes = [&[b'd'][..], &length.to_be_bytes(), &body].concat();
        let whole = u64::from(length) + 1;
        let expected = 5 <= whole && whole <= bytes_max as u64 && whole <= bytes.len() as u64;
        prop_assert_eq!(matches!(split_frame(&bytes, bytes_max), Ok(Some(_))), expected);
        prop_assert_eq!(split_frame(&bytes, bytes_max).is_err(), whole < 5 || whole > bytes_max as u64);
    }

    #[test]
    fn no_body_of_a_frame_makes_the_reader_panic(
        kind in prop_oneof![Just(b'w'), Just(b'k'), any::<u8>()],
        rest in vec(any::<u8>(), 0..40),
    ) {
        let body = [&[kind][..], &rest].concat();
        let read = StreamMessage::parse(&body);
        match kind {
            b'w' => prop_assert_eq!(read.is_ok(), rest.len() >= 24),
            b'k' => prop_assert_eq!(read.is_ok(), rest.len() == 17),
            _ => prop_assert!(read.is_err()),
        }
    }
}
