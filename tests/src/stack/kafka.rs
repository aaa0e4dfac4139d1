//! One or three Apache Kafka nodes of one's own, each broker and controller in one (`KRaft`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::StackError;
use super::claim::Claim;
use super::kafka_doors::KafkaDoors;
use super::kafka_launch::{Launch, Storage};
use super::kafka_options::KafkaOptions;
use super::kafka_properties::{NodeAddress, detour, properties};
use super::layout::{Layout, make_dir};
use super::ports::{free_port, is_open};
use super::process::ServerProcess;
use super::state::KafkaFacts;
use super::topics::Topics;

const READY_LIMIT: Duration = Duration::from_mins(2);
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// Running Kafka nodes. Dropped, they are killed and their data are removed.
#[derive(Debug)]
pub struct Kafka {
    claim: Arc<Claim>,
    bootstrap_servers: String,
    topics: Topics,
    launch: Launch,
    jvm: Vec<String>,
    doors: Option<KafkaDoors>,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    address: NodeAddress,
    folder: PathBuf,
    log_file: PathBuf,
    process: Option<ServerProcess>,
}

impl Kafka {
    /// Formats the storage of the nodes, starts them and waits until all brokers are registered.
    ///
    /// # Errors
    ///
    /// [`StackError::Missing`] without Java or Maven, [`StackError::Ended`] or [`StackError::NotReady`] with the end of
    /// the log when a node does not come up.
    pub fn start(options: &KafkaOptions) -> Result<Kafka, StackError> {
        let layout = Layout::of_workspace()?;
        Kafka::start_in(Arc::new(Claim::take(&layout, &options.name)?), options)
    }

    pub(crate) fn start_in(claim: Arc<Claim>, options: &KafkaOptions) -> Result<Kafka, StackError> {
        if !matches!(options.brokers, 1 | 3) {
            let value = options.brokers.to_string();
            return Err(StackError::Setting {
                setting: "brokers",
                value,
                expected: "the stack has 1 or 3",
            });
        }
        let launch = Launch::of(claim.layout(), &options.version)?;
        let mut nodes = Vec::new();
        for id in (1..).take(options.brokers) {
            let address = NodeAddress {
                id,
                port: free_port()?,
                controller_port: free_port()?,
            };
            let disk = options.disk.as_deref().unwrap_or_else(|| claim.data());
            let folder = disk.join(format!("kafka-{id}"));
            let log_file = claim.log_file(&format!("kafka-{id}"));
            nodes.push(Node {
                address,
                folder,
                log_file,
                process: None,
            });
        }
        let addresses: Vec<NodeAddress> = nodes.iter().map(|node| node.address).collect();
        let bootstrap: Vec<String> = addresses.iter().copied().map(NodeAddress::broker).collect();
        let bootstrap_servers = bootstrap.join(",");
        let topics = Topics::on(&bootstrap_servers, options.brokers);
        let doors = options
            .doors
            .then(|| KafkaDoors::build(&claim.data().join("kafka-doors")));
        let doors = doors.transpose()?;
        for node in &nodes {
            make_dir(&node.folder, 0o755)?;
            let mut settings = doors
                .as_ref()
                .map(|doors| doors.settings(node.address))
                .unwrap_or_default();
            settings.extend(options.detour.into_iter().flat_map(|ports| detour(node.address, ports)));
            settings.extend(options.settings.clone());
            let text = properties(node.address, &addresses, &node.log_dir(), &settings);
            fs::write(node.config(), text).map_err(StackError::file("write", &node.config()))?;
        }
        let storages: Vec<Storage<'_>> = nodes.iter().map(Node::storage).collect();
        launch.format(&storages)?;
        let mut kafka = Kafka {
            claim,
            bootstrap_servers,
            topics,
            launch,
            jvm: options.jvm_options(),
            doors,
            nodes,
        };
        kafka.claim.change(|state| state.kafka = Some(kafka.facts()))?;
        for node in 0..options.brokers {
            kafka.spawn(node)?;
        }
        for node in 0..options.brokers {
            kafka.wait_ready(node, options.brokers)?;
        }
        Ok(kafka)
    }

    /// `host:port` of every broker, comma separated.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Makes, changes and deletes topics.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// See [`Topics::create`].
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`].
    pub fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> Result<(), StackError> {
        self.topics.create(name, partitions, config)
    }

    /// See [`Topics::delete`].
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`].
    pub fn delete_topic(&self, name: &str) -> Result<(), StackError> {
        self.topics.delete(name)
    }

    /// See [`Topics::alter`].
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`].
    pub fn alter_topic(&self, name: &str, config: &[(&str, &str)]) -> Result<(), StackError> {
        self.topics.alter(name, config)
    }

    /// Kills a node (0-based) with SIGKILL.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`].
    pub fn kill(&mut self, node: usize) -> Result<(), StackError> {
        self.running(node)?.kill()?;
        self.forget_process(node)
    }

    /// Stops a node (0-based) with SIGTERM, which hands its leaderships over first, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`], or [`StackError::StillRunning`] after a minute.
    pub fn stop(&mut self, node: usize) -> Result<(), StackError> {
        self.thaw(node)?;
        let process = self.running(node)?;
        process.record().signal(Signal::SIGTERM)?;
        if !process.wait_ended(STOP_LIMIT) {
            return Err(process.record().still_running("SIGTERM", STOP_LIMIT));
        }
        self.forget_process(node)
    }

    /// Starts a stopped or killed node (0-based) again, with the same ports and data, and waits until it is registered.
    /// After a kill that takes until its old session of 3 s has ended. In a stack of three at least one other node must
    /// be running; otherwise use [`Kafka::start_again_all`].
    ///
    /// # Errors
    ///
    /// [`StackError::Running`] when it was not stopped, otherwise those of [`Kafka::start`].
    pub fn start_again(&mut self, node: usize) -> Result<(), StackError> {
        self.spawn(node)?;
        self.wait_ready(node, 1)
    }

    /// Starts every node that is not running again and waits until all brokers are registered.
    ///
    /// # Errors
    ///
    /// Those of [`Kafka::start`].
    pub fn start_again_all(&mut self) -> Result<(), StackError> {
        let all = self.nodes.len();
        for node in 0..all {
            if !self.is_running(node) {
                self.spawn(node)?;
            }
        }
        (0..all).try_for_each(|node| self.wait_ready(node, all))
    }

    /// Stops a node (0-based) from running without ending it (SIGSTOP) and waits until it stands still: it keeps its
    /// connections and answers nothing.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`].
    pub fn freeze(&mut self, node: usize) -> Result<(), StackError> {
        self.running(node)?.record().freeze()
    }

    /// Lets a frozen node (0-based) run again (SIGCONT).
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`].
    pub fn thaw(&mut self, node: usize) -> Result<(), StackError> {
        self.running(node)?.record().signal(Signal::SIGCONT)
    }

    /// Whether the process of a node (0-based) is there, ready, frozen or not.
    pub fn is_running(&mut self, node: usize) -> bool {
        self.running(node).is_ok()
    }

    /// Process id of a node (0-based); 0 while it is stopped.
    pub fn pid(&self, node: usize) -> u32 {
        let process = self.nodes.get(node).and_then(|node| node.process.as_ref());
        process.map_or(0, |process| process.record().pid)
    }

    /// The log of a node (0-based), kept after it stops.
    ///
    /// # Errors
    ///
    /// [`StackError::NotRunning`] when there never was such a node.
    pub fn log_file(&self, node: usize) -> Result<&Path, StackError> {
        let node = self.nodes.get(node).map(|node| node.log_file.as_path());
        node.ok_or_else(|| StackError::NotRunning {
            server: "Kafka".to_owned(),
        })
    }

    /// Its encrypted ways in, if it was started with them.
    pub fn doors(&self) -> Option<&KafkaDoors> {
        self.doors.as_ref()
    }

    /// How to reach the brokers.
    pub fn facts(&self) -> KafkaFacts {
        KafkaFacts {
            bootstrap_servers: self.bootstrap_servers.clone(),
            log_files: self.nodes.iter().map(|node| node.log_file.clone()).collect(),
            doors: self.doors.clone(),
        }
    }

    /// A command for a shell that runs one of Kafka's tools, with its arguments, on these brokers: the stack has the jars
    /// and no scripts.
    pub fn shell(&self, tool: &str) -> String {
        format!(
            "{} {tool} --bootstrap-server {}",
            self.launch.shell(),
            self.bootstrap_servers
        )
    }

    /// Leaves the nodes running when this value is dropped and returns the state file.
    ///
    /// # Errors
    ///
    /// [`StackError::File`] when the state file cannot be written.
    pub fn into_detached(mut self) -> Result<PathBuf, StackError> {
        self.claim.detach()?;
        for node in &mut self.nodes {
            node.process = None;
        }
        Ok(self.claim.state_file().to_owned())
    }

    fn running(&mut self, node: usize) -> Result<&mut ServerProcess, StackError> {
        let process = self.nodes.get_mut(node).and_then(|node| node.process.as_mut());
        let process = process.and_then(|process| process.ended().is_none().then_some(process));
        process.ok_or_else(|| StackError::NotRunning {
            server: server_name(node),
        })
    }

    fn spawn(&mut self, index: usize) -> Result<(), StackError> {
        let server = server_name(index);
        if self.is_running(index) {
            return Err(StackError::Running { server });
        }
        self.forget_process(index)?;
        let node = &mut self.nodes[index];
        let config = node.config();
        let mut command = self.launch.command(&self.jvm, "kafka.Kafka");
        command.arg(&config).current_dir(&node.folder);
        let process = ServerProcess::spawn(command, &server, &config.display().to_string(), &node.log_file)?;
        self.claim.started(process.record())?;
        node.process = Some(process);
        Ok(())
    }

    fn wait_ready(&mut self, index: usize, brokers: usize) -> Result<(), StackError> {
        let node = &mut self.nodes[index];
        let NodeAddress { id, port, .. } = node.address;
        // Asked itself, not through another node: it must know the cluster as well as the cluster knows it.
        let topics = Topics::on(&node.address.broker(), brokers);
        let process = node.process.as_mut().ok_or_else(|| StackError::NotRunning {
            server: server_name(index),
        })?;
        process.wait_ready(READY_LIMIT, || {
            // Before the port is open the client would only complain about it.
            if !is_open(port) {
                return Err(format!("nobody listens on port {port} yet"));
            }
            let known = topics.brokers()?;
            let complete = known.contains(&id) && known.len() >= brokers;
            complete
                .then_some(())
                .ok_or_else(|| format!("node {id} knows only the brokers {known:?}"))
        })
    }

    fn forget_process(&mut self, node: usize) -> Result<(), StackError> {
        let Some(node) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        node.process
            .take()
            .map_or(Ok(()), |process| self.claim.ended(process.record()))
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The data go away with the claim: there is nothing that an orderly stop would save.
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            if process.ended().is_none()
                && let Err(error) = process.kill()
            {
                eprintln!("{error}");
            }
        }
        for node in 0..self.nodes.len() {
            let _ = self.forget_process(node);
        }
    }
}

impl Node {
    fn config(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn storage(&self) -> Storage<'_> {
        Storage {
            config: self.config(),
            log_file: &self.log_file,
        }
    }

    fn log_dir(&self) -> PathBuf {
        self.folder.join("log")
    }
}

/// As in the configuration and in the logs' names, where nodes count from 1.
fn server_name(node: usize) -> String {
    format!("Kafka node {}", node + 1)
}
