//! What Kafka to start.

use std::path::PathBuf;

use super::packages::kafka_version;

/// One node has room, three must fit on a small machine together and start quickly.
const JVM_ONE: [&str; 2] = ["-Xmx512m", "-XX:+UseG1GC"];
const JVM_THREE: [&str; 3] = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// What to start.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Number of nodes, 1 or 3.
    pub brokers: usize,
    /// The release, as `4.2.0`.
    pub version: String,
    /// Broker settings (`server.properties`) beside or instead of the stack's, for every node.
    pub settings: Vec<(String, String)>,
    /// Encrypted ways in, logins and rules beside the plain listener; for one node.
    pub doors: bool,
    /// One more plain listener, and the port that it tells clients to go to; for one node.
    pub detour: Option<(u16, u16)>,
    /// Options of each node's virtual machine, instead of those that suit the number of nodes.
    pub jvm: Option<Vec<String>>,
    /// Where the data directories are made, instead of among the stack's own files.
    pub disk: Option<PathBuf>,
    /// The name of the data folder and of the state file; one living process at a time may use a name.
    pub name: String,
}

impl KafkaOptions {
    /// Options for one node.
    pub fn named(name: &str) -> KafkaOptions {
        KafkaOptions {
            brokers: 1,
            version: kafka_version().to_owned(),
            settings: Vec::new(),
            doors: false,
            detour: None,
            jvm: None,
            disk: None,
            name: name.to_owned(),
        }
    }

    /// Sets the number of nodes, 1 or 3.
    #[must_use]
    pub fn brokers(mut self, brokers: usize) -> KafkaOptions {
        self.brokers = brokers;
        self
    }

    /// Sets the release.
    #[must_use]
    pub fn version(mut self, version: &str) -> KafkaOptions {
        version.clone_into(&mut self.version);
        self
    }

    /// Adds encrypted ways in, logins and rules, if there is only one node.
    #[must_use]
    pub fn with_doors(mut self) -> KafkaOptions {
        self.doors = self.brokers == 1;
        self
    }

    /// Adds a listener at `listen` that sends its clients to `advertised`, where something may stand in between.
    #[must_use]
    pub fn detour(mut self, listen: u16, advertised: u16) -> KafkaOptions {
        self.detour = Some((listen, advertised));
        self
    }

    /// Adds a broker setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> KafkaOptions {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets the options of each node's virtual machine: the same for one node and for three, for who compares them.
    #[must_use]
    pub fn jvm(mut self, options: &[&str]) -> KafkaOptions {
        self.jvm = Some(owned(options));
        self
    }

    pub(super) fn jvm_options(&self) -> Vec<String> {
        let suitable: &[&str] = if self.brokers == 1 { &JVM_ONE } else { &JVM_THREE };
        self.jvm.clone().unwrap_or_else(|| owned(suitable))
    }
}

fn owned(options: &[&str]) -> Vec<String> {
    options.iter().map(|option| (*option).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_virtual_machine_count_for_any_number_of_nodes() {
        let jvm_options = |brokers| KafkaOptions::named("a").brokers(brokers).jvm(&["-Xmx1g"]).jvm_options();
        assert_eq!([1, 3].map(jvm_options), [["-Xmx1g"], ["-Xmx1g"]]);
    }

    #[test]
    fn three_nodes_that_nobody_measures_are_small() {
        let jvm_options = |brokers| KafkaOptions::named("a").brokers(brokers).jvm_options();
        assert_eq!([1, 3].map(jvm_options), [owned(&JVM_ONE), owned(&JVM_THREE)]);
    }
}
