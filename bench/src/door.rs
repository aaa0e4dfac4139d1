//! Ways in to the servers.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How a client reaches `PostgreSQL`, and with TLS Kafka too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Door {
    /// Over the loopback, in plain text.
    Tcp,
    /// Through `PostgreSQL`'s unix socket; to Kafka over TCP.
    Unix,
    /// Over the loopback, encrypted and verified, to both.
    Tls,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Door::Tcp => "tcp",
            Door::Unix => "unix",
            Door::Tls => "tls",
        })
    }
}
