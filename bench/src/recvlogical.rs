//! `pg_recvlogical`: what PostgreSQL's own client drains from the same slot, writing it nowhere.

use std::process::Command;

use crate::child::Child;
use crate::door::Door;
use crate::failure::Failure;
use crate::installation::{DATABASE, Installation};
use crate::relay::PUBLICATION;

/// Starts it on a slot, with the relay's options, through a door; it ends by itself at the position `until`.
pub(crate) fn start(installation: &Installation, door: Door, slot: &str, until: &str) -> Result<Child, Failure> {
    let facts = installation.stack.postgres.facts();
    let program = facts.bin_dir.join("pg_recvlogical");
    if !program.is_file() {
        let remedy = "take a PostgreSQL that has its client programs, such as the system's own package";
        return Err(Failure::Missing { program, remedy });
    }
    let mut command = Command::new(program);
    connect(&mut command, installation, door)?;
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

fn connect(command: &mut Command, installation: &Installation, door: Door) -> Result<(), Failure> {
    let facts = installation.stack.postgres.facts();
    command.env("PGPASSWORD", &facts.password);
    // The server speaks TLS too, and this client would rather.
    command.env("PGSSLMODE", if door == Door::Tls { "verify-ca" } else { "disable" });
    match door {
        Door::Unix => drop(command.arg("--host").arg(&facts.socket_dir)),
        Door::Tcp => drop(command.arg("--host=127.0.0.1")),
        Door::Tls => drop(
            command
                .arg("--host=127.0.0.1")
                .env("PGSSLROOTCERT", installation.ca_file()?),
        ),
    }
    command.args([
        format!("--port={}", facts.port),
        format!("--username={}", facts.superuser),
        format!("--dbname={DATABASE}"),
    ]);
    Ok(())
}
