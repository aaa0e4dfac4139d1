//! The PostgreSQL side: the replication connection, the control connection, and what is checked before streaming.

mod advisory;
mod checks;
mod control;
mod error;
mod guard;
mod messages;
mod pace;
mod passfile;
mod policy;
mod publication;
mod replication;
mod session;
mod slot;
mod socket;
mod startup;
mod stream;
mod tls;

pub use advisory::{Advisory, AdvisoryRow, Remembered};
pub use checks::{CheckedSlot, WAL_LEVEL_REMEDY, check_surroundings};
pub use control::{Control, show_slot, slot_figures};
pub use error::{PostgresError, ServerError, TlsError};
pub use policy::{fault, notice_fault, place};
pub use publication::{Published, check_publication};
pub use replication::{Identity, ReplicationConnection};
pub use session::{Session, open_session};
pub use slot::{SlotCopies, SlotHolder, SlotState};
pub use stream::ReplicationStream;
