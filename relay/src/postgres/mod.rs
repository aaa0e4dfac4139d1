//! The PostgreSQL side: the replication connection, the control connection, and what is checked before streaming.

mod advisory;
mod checks;
mod control;
mod error;
mod messages;
mod pace;
mod policy;
mod publication;
mod replication;
mod session;
mod slot;
mod socket;
mod startup;
mod stream;

pub use advisory::{Advisory, AdvisoryRow, Remembered};
pub use checks::CheckedSlot;
pub use control::{Control, show_slot, slot_figures};
pub use error::{PostgresError, ServerError};
pub use policy::{fault, notice_fault};
pub use publication::check_publication;
pub use replication::{Identity, ReplicationConnection};
pub use session::{Session, open_session};
pub use slot::{SlotHolder, SlotState};
pub use startup::reveal_password;
pub use stream::ReplicationStream;
