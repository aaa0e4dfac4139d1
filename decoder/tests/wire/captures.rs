//! The captured bytes, and the way from them to messages.

use std::fs;
use std::path::{Path, PathBuf};

use outbox_decoder::DecodeError;
use outbox_decoder::stream::{COPY_DATA, Frame, StreamMessage, split_frame};

pub(crate) const VERSIONS: [u32; 5] = [14, 15, 16, 17, 18];
pub(crate) const STREAMS: [&str; 3] = ["outbox", "wide", "messages"];

/// More than any frame of a capture has.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// What PostgreSQL `version` sent on one of [`STREAMS`].
pub(crate) fn capture(version: u32, stream: &str) -> Vec<u8> {
    let path = folder().join(format!("pg{version}-{stream}.bin"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every capture of every version, one after the other.
pub(crate) fn captures() -> Vec<Vec<u8>> {
    let all = VERSIONS
        .into_iter()
        .flat_map(|version| STREAMS.map(|stream| (version, stream)));
    all.map(|(version, stream)| capture(version, stream)).collect()
}

/// Cuts bytes into frames; the rest is what is left when no whole frame is.
pub(crate) fn cut(mut bytes: &[u8]) -> (Vec<Frame<'_>>, Result<&[u8], DecodeError>) {
    let mut frames = Vec::new();
    loop {
        match split_frame(bytes, FRAME_BYTES_MAX) {
            Ok(Some(frame)) => {
                bytes = &bytes[frame.bytes..];
                frames.push(frame);
            }
            Ok(None) => return (frames, Ok(bytes)),
            Err(error) => return (frames, Err(error)),
        }
    }
}

/// The plugin's messages in whole and valid bytes.
pub(crate) fn plugin_messages(bytes: &[u8]) -> Vec<&[u8]> {
    let (frames, rest) = cut(bytes);
    assert_eq!(rest, Ok(&[][..]), "a capture ends with a whole frame");
    assert!(frames.iter().all(|frame| frame.tag == COPY_DATA));
    frames.into_iter().filter_map(plugin_message).collect()
}

fn plugin_message(frame: Frame<'_>) -> Option<&[u8]> {
    match StreamMessage::parse(frame.body) {
        Ok(StreamMessage::XLogData(message)) => Some(message),
        Ok(StreamMessage::Keepalive { .. }) => None,
        Err(error) => panic!("a captured frame cannot be read: {error}"),
    }
}
