//! Starts and stops the local stack: a real `PostgreSQL` and a real Apache Kafka.

use std::io::{IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use outbox_relay_tests::stack::{self, Options, Stack, StackError, State};

/// Like `println!`, but a reader that has seen enough (`stack status | head -1`) is no failure.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// How long the command of `stack run` may take to end after a signal.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// Starts and stops the local stack of PostgreSQL and Apache Kafka; its files are in `.stack/`.
#[derive(Debug, Parser)]
#[command(name = "stack")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a stack that keeps running, and say how to connect.
    Up {
        /// Number of Kafka brokers, 1 or 3.
        #[arg(long, default_value_t = 1)]
        brokers: usize,
    },
    /// Stop the stack of `up`, stop what killed processes left behind, and remove their data.
    Down,
    /// Say what is running and how to connect; fails when no whole stack is running.
    Status,
    /// Start a stack, run a command with it, and stop everything.
    ///
    /// The command finds it through `OUTBOX_RELAY_STACK` (path of the state file), PGHOST, PGPORT, PGUSER, PGPASSWORD,
    /// PGDATABASE and `KAFKA_BOOTSTRAP_SERVERS`. The exit code is the command's.
    Run {
        /// Number of Kafka brokers, 1 or 3.
        #[arg(long, default_value_t = 1)]
        brokers: usize,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Download what the stack needs, and start nothing.
    Fetch,
    /// Name what is missing on this machine, with the way to get it.
    Doctor,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().action {
        Action::Up { brokers } => up(brokers),
        Action::Down => down(),
        Action::Status => status(),
        Action::Run { brokers, command } => run(brokers, &command),
        Action::Fetch => stack::fetch().map(|()| ExitCode::SUCCESS),
        Action::Doctor => doctor(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("stack: {error}");
        ExitCode::FAILURE
    })
}

fn up(brokers: usize) -> Result<ExitCode, StackError> {
    stack::clear_leftovers()?;
    let running = stack::find()?
        .into_iter()
        .find(|state| state.name == stack::DETACHED_NAME && is_whole(state));
    if let Some(state) = running {
        say!("already running; `stack down` stops it");
        describe(&state);
        return Ok(ExitCode::SUCCESS);
    }
    let begin = Instant::now();
    let stack = Stack::start(stack::DETACHED_NAME, &Options::with_brokers(brokers)?)?;
    let state = stack.state();
    stack.into_detached()?;
    say!(
        "started in {:.1} s; `stack down` stops it",
        begin.elapsed().as_secs_f64()
    );
    describe(&state);
    Ok(ExitCode::SUCCESS)
}

fn down() -> Result<ExitCode, StackError> {
    let leftovers = stack::clear_leftovers();
    stack::down(stack::DETACHED_NAME)?;
    leftovers?;
    Ok(ExitCode::SUCCESS)
}

fn status() -> Result<ExitCode, StackError> {
    let states = stack::find()?;
    for state in &states {
        let word = if is_whole(state) {
            "running"
        } else {
            "not whole: a part is missing or has ended"
        };
        say!("{} ({word}, started by pid {})", state.name, state.started_by);
        describe(state);
    }
    if states.is_empty() {
        say!("no stack is running; `stack up` starts one");
    }
    Ok(if states.iter().any(is_whole) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_whole(state: &State) -> bool {
    let nodes = state.kafka.as_ref().map_or(0, |kafka| kafka.log_files.len());
    let complete = state.postgres.is_some() && nodes > 0 && state.processes.len() == nodes + 1;
    complete && state.processes.iter().all(stack::ProcessRecord::is_alive)
}

fn describe(state: &State) {
    if let Some(postgres) = &state.postgres {
        let version = postgres.major_version;
        say!("  PostgreSQL {version}: {}", postgres.conninfo());
        say!(
            "    socket {}, log {}",
            postgres.socket_dir.display(),
            postgres.log_file.display()
        );
    }
    if let Some(kafka) = &state.kafka {
        say!("  Kafka {}: {}", stack::kafka_version(), kafka.bootstrap_servers);
        for log in &kafka.log_files {
            say!("    log {}", log.display());
        }
    }
    for process in &state.processes {
        let word = if process.is_alive() { "running" } else { "ended" };
        say!("    {} is pid {} ({word})", process.server, process.pid);
    }
}

fn doctor() -> Result<ExitCode, StackError> {
    let mut missing = false;
    for finding in stack::examine()? {
        match finding.outcome {
            Ok(place) => say!("ok       {}: {place}", finding.what),
            Err(error) => {
                missing = true;
                say!("missing  {}: {error}", finding.what);
            }
        }
    }
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What `stack run` waits for.
enum Event {
    Signal(Signal),
    Ended(ExitStatus),
}

fn run(brokers: usize, command: &[String]) -> Result<ExitCode, StackError> {
    let (sender, events) = mpsc::channel();
    watch_signals(sender.clone())?;
    stack::clear_leftovers()?;
    let stack = Stack::start_numbered(stack::RUN_NAME, &Options::with_brokers(brokers)?)?;
    // A signal during the start counts, too: the stack goes down before the command ever runs.
    if let Ok(Event::Signal(signal)) = events.try_recv() {
        return Ok(code_of_signal(signal));
    }
    let child = spawn(&stack, command)?;
    let pid = child.id();
    watch_child(child, sender);
    let code = wait(&events, pid);
    drop(stack);
    // Servers that killed tests of the command started on their own.
    stack::clear_leftovers()?;
    Ok(code)
}

fn spawn(stack: &Stack, command: &[String]) -> Result<Child, StackError> {
    let (program, arguments) = command
        .split_first()
        .map_or(("", command), |(program, rest)| (program.as_str(), rest));
    let postgres = stack.postgres.facts();
    let mut command = Command::new(program);
    command.args(arguments);
    command.env(stack::STATE_VARIABLE, stack.state_file());
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", postgres.port.to_string())
        .env("PGDATABASE", "postgres");
    command
        .env("PGUSER", &postgres.superuser)
        .env("PGPASSWORD", &postgres.password);
    command.env("KAFKA_BOOTSTRAP_SERVERS", stack.kafka.bootstrap_servers());
    command.spawn().map_err(|source| StackError::File {
        action: "run",
        path: program.into(),
        source,
    })
}

/// Waits for the command; a signal is passed on to it, and it is killed when it does not end in time then.
fn wait(events: &Receiver<Event>, command: u32) -> ExitCode {
    let mut asked: Option<(Signal, Instant)> = None;
    loop {
        let left = asked.map_or(Duration::MAX, |(_, since)| {
            COMMAND_LIMIT.saturating_sub(since.elapsed())
        });
        let event = events.recv_timeout(left.min(Duration::from_hours(1)));
        match (event, asked) {
            (Ok(Event::Ended(status)), None) => return code_of(status),
            (Ok(Event::Ended(_)) | Err(RecvTimeoutError::Disconnected), Some((signal, _))) => {
                return code_of_signal(signal);
            }
            (Ok(Event::Signal(signal)), _) => {
                asked.get_or_insert_with(|| (signal, Instant::now()));
                // The terminal gives Ctrl-C to the command itself, and a second one often means "at once".
                if signal != Signal::SIGINT || !std::io::stdin().is_terminal() {
                    send(command, signal);
                }
            }
            (Err(RecvTimeoutError::Timeout), Some((signal, since))) if since.elapsed() >= COMMAND_LIMIT => {
                send(command, Signal::SIGKILL);
                return code_of_signal(signal);
            }
            (Err(RecvTimeoutError::Disconnected), None) => return ExitCode::FAILURE,
            (Err(RecvTimeoutError::Timeout), _) => {}
        }
    }
}

fn watch_child(mut child: Child, events: Sender<Event>) {
    thread::spawn(move || child.wait().map(|status| events.send(Event::Ended(status))));
}

fn watch_signals(events: Sender<Event>) -> Result<(), StackError> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |source| StackError::File {
        action: "listen for signals of",
        path: "this process".into(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    drop(guard);
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signal::SIGINT,
                    _ = terminate.recv() => Signal::SIGTERM,
                    _ = hangup.recv() => Signal::SIGHUP,
                };
                if events.send(Event::Signal(signal)).is_err() {
                    break;
                }
            }
        });
    });
    Ok(())
}

fn send(command: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(command) {
        // It may have ended meanwhile; its end is in the channel then.
        let _ = signal::kill(Pid::from_raw(pid), signal);
    }
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn code_of_signal(signal: Signal) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(1))
}
