//! What can come between the messages of a stream: words of the server, and rows that cannot be published.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use outbox_decoder::MappingError;
use outbox_decoder::stream::Frame;
use postgres_protocol::message::backend::Message;

use crate::fault::{Fault, policy};
use crate::pipeline::{Defect, DefectCause};
use crate::postgres::{PostgresError, ServerError};

/// A frame that is not the stream's.
#[derive(Debug)]
pub(super) enum Interrupt {
    /// The server has something to say and goes on.
    Notice(ServerError),
    /// A setting of the server was changed.
    Parameter,
    /// The stream is over.
    End(PostgresError),
}

/// The server may say the same with every change that it decodes; it is logged this often.
const NOTICE_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// So many different notices are remembered.
const NOTICES_MAX: usize = 16;

/// The notices that were logged lately.
#[derive(Debug, Default)]
pub(super) struct Notices {
    logged: Vec<(ServerError, Instant)>,
}

impl Notices {
    pub(super) fn log(&mut self, notice: ServerError, now: Instant) {
        self.logged
            .retain(|(_, at)| now.duration_since(*at) < NOTICE_AGAIN_AFTER);
        if self.logged.iter().any(|(known, _)| *known == notice) || self.logged.len() >= NOTICES_MAX {
            return;
        }
        tracing::warn!("PostgreSQL: {notice}");
        self.logged.push((notice, now));
    }
}

/// Reads a whole frame.
pub(super) fn read(mut frame: BytesMut) -> Interrupt {
    match Message::parse(&mut frame) {
        Ok(Some(Message::NoticeResponse(body))) => Interrupt::Notice(ServerError::from_fields(body.fields())),
        Ok(Some(Message::ParameterStatus(_))) => Interrupt::Parameter,
        Ok(Some(Message::ErrorResponse(body))) => Interrupt::End(ServerError::from_fields(body.fields()).into()),
        Ok(Some(Message::CopyDone | Message::CommandComplete(_))) => Interrupt::End(PostgresError::Closed),
        Ok(_) => Interrupt::End(PostgresError::Unexpected {
            got: "a message that does not belong there".to_owned(),
            wanted: "the stream",
        }),
        Err(error) => Interrupt::End(PostgresError::unreadable(&error)),
    }
}

/// Takes a frame out of the read buffer, whole.
pub(super) fn owned(frame: Frame<'_>) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(frame.bytes);
    bytes.extend_from_slice(&[frame.tag]);
    bytes.extend_from_slice(&u32::try_from(frame.bytes - 1).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(frame.body);
    bytes
}

/// What to do about a row that cannot be published.
pub(super) fn defect_fault(defect: Defect<Fault>) -> Fault {
    let position = defect.position;
    let id = defect.id.map_or_else(String::new, |id| format!("event {id}, "));
    let at = format!(
        "{id}row {} of the transaction with xmin {}, committed at {}",
        position.ordinal, position.xid, position.commit_lsn
    );
    match defect.cause {
        DefectCause::Refused(fault) => Fault {
            message: format!("{} ({at})", fault.message),
            ..fault
        },
        DefectCause::Mapping(error) => {
            Fault::new(policy::of_row(&error), format!("{error} ({at})"), row_remedy(&error))
        }
    }
}

/// What to do about it. Where the table is to blame, none of its rows is ever set aside.
fn row_remedy(error: &MappingError) -> &'static str {
    if error.is_of_the_row() {
        "correct the outbox's mapping in the configuration and restart the relay, or set the event aside: \
         `outbox-relay skip`, or the outbox's on_defect (docs/DEAD_LETTERS.md); nothing later is published \
         meanwhile, and nothing is lost"
    } else {
        "correct the outbox's mapping in the configuration and restart the relay; the table is at fault, not this row: \
         `outbox-relay skip` and on_defect do not help; nothing later is published meanwhile, and nothing is lost"
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::{Lsn, Position};

    use super::*;

    fn hint(error: MappingError) -> String {
        let position = Position {
            commit_lsn: Lsn::new(16),
            ordinal: 0,
            xid: 742,
        };
        defect_fault(Defect {
            position,
            id: None,
            cause: DefectCause::Mapping(error),
        })
        .hint
    }

    #[test]
    fn a_skip_is_proposed_only_where_it_helps() {
        let table = || "public.outbox".to_owned();
        let no_column = MappingError::MissingColumn {
            table: table(),
            column: "aggregate_id".to_owned(),
            part: "aggregate_id",
        };
        for blames_table in [no_column, MappingError::UnmappedTable { table: table() }] {
            let hint = hint(blames_table);
            assert!(
                !hint.contains("set the event aside") && hint.contains("do not help"),
                "{hint}"
            );
        }
        let null = MappingError::Null {
            table: table(),
            part: "aggregate_type",
        };
        assert!(hint(null).contains("set the event aside: `outbox-relay skip`"));
    }
}
