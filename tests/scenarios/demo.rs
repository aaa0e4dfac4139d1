//! The demonstration, as `make demo` runs it.

use std::process::{Command, Stdio};

use outbox_relay_tests::failure::{Outcome, ensure};

/// The environment wins over a file: left there, it would send the demonstration's orders to the caller's cluster.
#[test]
fn the_demo_uses_its_own_servers_whatever_the_caller_has_exported() -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env("DEMO_SECONDS", "1")
        .env("OUTBOX_RELAY_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
        .env("OUTBOX_RELAY_POSTGRES__SLOT", "of_the_caller")
        .stdin(Stdio::null())
        .output()?;
    ensure(output.status.success(), || {
        let said = [output.stdout, output.stderr].concat();
        format!("{}\n{}", output.status, String::from_utf8_lossy(&said))
    })
}
