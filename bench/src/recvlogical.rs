//! `pg_recvlogical`: what PostgreSQL's own client drains from the same slot, writing it nowhere.

use std::process::Command;

use outbox_relay_tests::stack::PostgresFacts;

use crate::child::Child;
use crate::failure::Failure;
use crate::installation::{DATABASE, Installation};
use crate::relay::PUBLICATION;

/// Starts it on a slot, with the relay's options, over TCP; it ends by itself at the position `until`.
pub(crate) fn start(installation: &Installation, slot: &str, until: &str) -> Result<Child, Failure> {
    let facts = installation.stack.postgres.facts();
    let program = facts.bin_dir.join("pg_recvlogical");
    if !program.is_file() {
        let remedy = "take a PostgreSQL that has its client programs, such as the system's own package";
        return Err(Failure::Missing { program, remedy });
    }
    let mut command = Command::new(program);
    connect(&mut command, facts);
    command.args(["--start", "--no-loop", "--file=/dev/null", "--status-interval=1"]);
    command.args([format!("--slot={slot}"), format!("--endpos={until}")]);
    command.args(["--option=proto_version=1", "--option=binary=true"]);
    command.arg(format!("--option=publication_names={PUBLICATION}"));
    Child::spawn(
        command,
        "pg_recvlogical",
        &installation.folder().join("pg_recvlogical.log"),
    )
}

fn connect(command: &mut Command, facts: &PostgresFacts) {
    // The server speaks TLS too, and this client would rather.
    command.env("PGPASSWORD", &facts.password).env("PGSSLMODE", "disable");
    command.args(["--host=127.0.0.1", &format!("--port={}", facts.port)]);
    command.args([
        format!("--username={}", facts.superuser),
        format!("--dbname={DATABASE}"),
    ]);
}
