//! Any bytes as one message of the plugin, read to its last column.

use outbox_decoder::pgoutput::Message;

pub(crate) fn run(bytes: &[u8]) {
    match Message::parse(bytes) {
        Ok(Message::Relation(relation)) => {
            assert!(relation.columns().all(|column| column.is_ok()));
        }
        Ok(Message::Insert { tuple, .. }) => {
            let mut columns = tuple.columns();
            let read = columns.by_ref().flatten().count();
            assert!(read <= tuple.len());
            assert!(columns.next().is_none());
            let _ = columns.end();
        }
        Ok(_) | Err(_) => {}
    }
}
