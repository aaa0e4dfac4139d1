//! The `server.properties` of a combined broker and controller.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Where a node listens on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    /// `node.id`, from 1.
    pub(crate) id: i32,
    /// For clients and the other brokers.
    pub(crate) port: u16,
    /// For the controllers' quorum.
    pub(crate) controller_port: u16,
}

impl NodeAddress {
    /// `host:port` for clients.
    pub(crate) fn broker(self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The properties of `node` in a cluster of `all`; `settings` win over the stack's own.
pub(crate) fn properties(
    node: NodeAddress,
    all: &[NodeAddress],
    log_dir: &Path,
    settings: &[(String, String)],
) -> String {
    let voter = |node: &NodeAddress| format!("{}@127.0.0.1:{}", node.id, node.controller_port);
    let voters: Vec<String> = all.iter().map(voter).collect();
    let replication = all.len();
    let in_sync = if replication == 1 { 1 } else { 2 };
    let mut properties = BTreeMap::new();
    let mut set = |key: &str, value: String| drop(properties.insert(key.to_owned(), value));

    set("process.roles", "broker,controller".to_owned());
    set("node.id", node.id.to_string());
    set("controller.quorum.voters", voters.join(","));
    set(
        "listeners",
        format!(
            "PLAINTEXT://{},CONTROLLER://127.0.0.1:{}",
            node.broker(),
            node.controller_port
        ),
    );
    set("advertised.listeners", format!("PLAINTEXT://{}", node.broker()));
    set(
        "listener.security.protocol.map",
        "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
    );
    set("inter.broker.listener.name", "PLAINTEXT".to_owned());
    set("controller.listener.names", "CONTROLLER".to_owned());
    set("log.dirs", log_dir.display().to_string());

    // A missing topic is a mistake that the relay has to report, not to hide.
    set("auto.create.topics.enable", "false".to_owned());
    set("default.replication.factor", replication.to_string());
    set("min.insync.replicas", in_sync.to_string());
    for internal in [
        "offsets.topic",
        "transaction.state.log",
        "share.coordinator.state.topic",
    ] {
        set(&format!("{internal}.replication.factor"), replication.to_string());
    }
    set("transaction.state.log.min.isr", in_sync.to_string());
    set("share.coordinator.state.topic.min.isr", in_sync.to_string());
    // The first consumer or transaction of a fresh cluster waits until all of these exist; the default is 50 each.
    set("offsets.topic.num.partitions", "5".to_owned());
    set("transaction.state.log.num.partitions", "5".to_owned());

    // A killed broker can register again only when its session has ended: 9 s by default.
    set("broker.session.timeout.ms", "3000".to_owned());
    set("broker.heartbeat.interval.ms", "500".to_owned());
    set("group.initial.rebalance.delay.ms", "0".to_owned());
    // 128 MiB of the small heap by default, for compacting far more than tests write.
    set("log.cleaner.dedupe.buffer.size", "8388608".to_owned());

    for (key, value) in settings {
        set(key, value.clone());
    }
    properties.iter().fold(String::new(), |mut text, (key, value)| {
        // `Properties` takes a backslash for the start of an escape.
        let _ = writeln!(text, "{key}={}", value.replace('\\', r"\\"));
        text
    })
}

/// The settings for one more plain listener, which sends its clients to another port than its own.
pub(crate) fn detour(node: NodeAddress, (listen, advertised): (u16, u16)) -> [(String, String); 3] {
    let NodeAddress { controller_port, .. } = node;
    let broker = node.broker();
    let listeners =
        format!("PLAINTEXT://{broker},DETOUR://127.0.0.1:{listen},CONTROLLER://127.0.0.1:{controller_port}");
    let protocols = "PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT,CONTROLLER:PLAINTEXT";
    [
        ("listeners", listeners),
        (
            "advertised.listeners",
            format!("PLAINTEXT://{broker},DETOUR://127.0.0.1:{advertised}"),
        ),
        ("listener.security.protocol.map", protocols.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(size: i32) -> Vec<NodeAddress> {
        (1..=size)
            .zip((20_000..).step_by(2))
            .map(|(id, port)| NodeAddress {
                id,
                port,
                controller_port: port + 1,
            })
            .collect()
    }

    #[test]
    fn three_nodes_vote_together_and_replicate_three_times() {
        let all = cluster(3);
        let text = properties(all[1], &all, Path::new("/data/k2"), &[]);
        for line in [
            "node.id=2",
            "controller.quorum.voters=1@127.0.0.1:20001,2@127.0.0.1:20003,3@127.0.0.1:20005",
            "listeners=PLAINTEXT://127.0.0.1:20002,CONTROLLER://127.0.0.1:20003",
            "offsets.topic.replication.factor=3",
            "min.insync.replicas=2",
            "log.dirs=/data/k2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_setting_of_the_caller_replaces_the_one_of_the_stack() {
        let all = cluster(1);
        let settings = [("auto.create.topics.enable".to_owned(), "true".to_owned())];
        let text = properties(all[0], &all, Path::new("/data"), &settings);
        assert_eq!(text.matches("auto.create.topics.enable").count(), 1);
        assert!(text.contains("auto.create.topics.enable=true"));
    }
}
