//! Any bytes as what a server says to a relay that logs in and asks who it is. `{nonce}` stands for the nonce of the
//! client's own first SCRAM message, without which no server comes further.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use outbox_relay::config::{PostgresSettings, Sources, load_without_files};
use outbox_relay::postgres::ReplicationConnection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PLACEHOLDER: &[u8] = b"{nonce}";
/// Nobody waits for a server that says nothing more.
const HANG_UP_AFTER: Duration = Duration::from_millis(2);

struct Bench {
    settings: PostgresSettings,
    runtime: Runtime,
    say: Mutex<(SyncSender<Vec<u8>>, Receiver<()>)>,
    _folder: TempDir,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
    let flags = [
        format!("postgres.host={}", folder.path().display()),
        "postgres.database=d".to_owned(),
        "postgres.user=u".to_owned(),
        "postgres.frame_bytes_max=65536".to_owned(),
        "kafka.bootstrap_servers=localhost:9092".to_owned(),
    ];
    let sources = Sources {
        // A secret is no flag.
        environment: vec![("PGPASSWORD".to_owned(), "pencil".to_owned())],
        flags: flags.to_vec(),
        ..Sources::default()
    };
    let loaded = load_without_files(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    let settings = loaded.expect("all is known").postgres;
    let (say, script) = sync_channel::<Vec<u8>>(0);
    let (done, is_done) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(script) = script.recv() {
            if let Ok((stream, _)) = listener.accept() {
                // The client may have hung up already.
                let _ = play(stream, &script);
            }
            if done.send(()).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Bench {
        settings,
        runtime: runtime.expect("a runtime"),
        say: Mutex::new((say, is_done)),
        _folder: folder,
    }
});

pub(crate) fn run(bytes: &[u8]) {
    let bench = &*BENCH;
    let say = bench.say.lock().expect("nobody panics with it");
    say.0.send(bytes.to_vec()).expect("the server listens");
    let host = &bench.settings.hosts[0];
    bench.runtime.block_on(async {
        if let Ok(mut connection) = ReplicationConnection::connect(&bench.settings, host, None).await {
            let _ = connection.identify_system().await;
            let _ = connection.switch_point(2, 1).await;
        }
    });
    say.1.recv().expect("the server plays on");
}

/// Says everything up to the placeholder, hears the client's nonce, says the rest, and hangs up.
fn play(mut stream: UnixStream, script: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(HANG_UP_AFTER))?;
    let mut heard = [0; 2048];
    let mut said = script;
    if let Some(at) = script
        .windows(PLACEHOLDER.len())
        .position(|window| window == PLACEHOLDER)
    {
        // The frame that holds the placeholder must not begin before the nonce is known.
        let frame = start_of_frame(script, at);
        stream.write_all(&script[..frame])?;
        let mut nonce = None;
        while nonce.is_none() {
            let bytes = stream.read(&mut heard)?;
            if bytes == 0 {
                return Ok(());
            }
            nonce = find_nonce(&heard[..bytes]);
        }
        let (nonce, rest) = (nonce.unwrap_or_default(), &script[frame..]);
        let (before, after) = (&rest[..at - frame], &rest[at - frame + PLACEHOLDER.len()..]);
        stream.write_all(&with_length([before, &nonce, after].concat(), nonce.len()))?;
        said = &[];
    }
    stream.write_all(said)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    while stream.read(&mut heard)? > 0 {}
    Ok(())
}

/// Follows the lengths of the frames; where they lead past `at`, its frame begins.
fn start_of_frame(script: &[u8], at: usize) -> usize {
    let mut start = 0;
    while let Some(&[_, a, b, c, d]) = script.get(start..start + 5) {
        let next = start + 1 + u32::from_be_bytes([a, b, c, d]) as usize;
        if next > at || next <= start + 1 {
            break;
        }
        start = next;
    }
    start.min(at)
}

/// The length in the script counts the placeholder.
fn with_length(mut frame: Vec<u8>, nonce: usize) -> Vec<u8> {
    if let Some(&[_, a, b, c, d]) = frame.get(..5) {
        let longer = u32::try_from(nonce.saturating_sub(PLACEHOLDER.len())).unwrap_or(0);
        let length = u32::from_be_bytes([a, b, c, d]).wrapping_add(longer);
        frame[1..5].copy_from_slice(&length.to_be_bytes());
    }
    frame
}

/// What stands behind `r=` in the client's first message.
fn find_nonce(heard: &[u8]) -> Option<Vec<u8>> {
    let at = heard.windows(3).position(|window| window == b",r=")?;
    Some(
        heard[at + 3..]
            .iter()
            .copied()
            .take_while(|&byte| byte != b',' && byte != 0)
            .collect(),
    )
}
