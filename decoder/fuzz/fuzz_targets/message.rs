//! Any bytes as one message of the plugin, read to its last column.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outbox_decoder::pgoutput::Message;

fuzz_target!(|bytes: &[u8]| match Message::parse(bytes) {
    Ok(Message::Relation(relation)) => {
        assert!(relation.columns().all(|column| column.is_ok()));
    }
    Ok(Message::Insert { tuple, .. }) => {
        let mut columns = tuple.columns();
        let read = columns.by_ref().filter(Result::is_ok).count();
        assert!(read <= tuple.len());
        assert!(columns.next().is_none());
        let _ = columns.end();
    }
    Ok(_) | Err(_) => {}
});
