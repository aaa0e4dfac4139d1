//! Whoever reaches the admin listener may send it what he likes: it changes nothing, shows nothing to other sites,
//! takes a bounded amount of memory, and the events pass meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use outbox_relay_tests::admin::ask;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;

/// Every route that the relay has; each of them meets every request below.
const ROUTES: [&str; 3] = ["/livez", "/metrics", "/readyz"];
const HOST: &str = "Host: 127.0.0.1\r\n";
const MIB: usize = 1024 * 1024;
const MEMORY_MAX_KIB: u64 = 128 << 10;
/// Only a connection that nobody deals with is silent for longer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const DRIPPING: usize = 300;
/// Connections that come and go meanwhile are no more than this.
const OTHERS: usize = 4;

/// How a request may end.
#[derive(Debug, Clone, Copy)]
enum Ends {
    /// With this status.
    With(u16),
    /// With this status, unless the connection was cut because nobody reads the rest of what is sent.
    Cut(u16),
    /// With any refusal, or cut.
    Refused,
}

/// A request that no honest client makes.
struct Request {
    name: &'static str,
    ends: Ends,
    bytes: Vec<u8>,
    /// How much of it is sent at a time.
    piece: usize,
}

impl Request {
    fn new(name: &'static str, ends: Ends, bytes: Vec<u8>) -> Request {
        Request {
            name,
            ends,
            bytes,
            piece: MIB,
        }
    }

    /// The same, byte by byte.
    fn dripping(mut self) -> Request {
        self.piece = 1;
        self
    }

    /// Sends it, as far as it is taken, and returns everything that is answered until the relay hangs up.
    fn send(&self, port: u16) -> Outcome<String> {
        let mut stream = connect(port)?;
        for piece in self.bytes.chunks(self.piece) {
            // Whoever is refused may find the door shut before all is said.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let is_silent = read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        ensure(!is_silent, || {
            format!("{}: neither an answer nor the end of the connection", self.name)
        })?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn judge(&self, route: &str, answer: &str) -> Outcome {
        let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        let is_right = match self.ends {
            Ends::With(wanted) => status == Some(wanted),
            Ends::Cut(wanted) => status.is_none_or(|status| status == wanted),
            Ends::Refused => status.is_none_or(|status| (400..500).contains(&status)),
        };
        // What a browser needs before it shows an answer to another site, or lets it ask what is more than a question.
        let is_for_other_sites = answer.to_ascii_lowercase().contains("access-control-");
        ensure(is_right && !is_for_other_sites, || {
            let start: String = answer.chars().take(500).collect();
            format!("{} at {route}: not {:?} but {start:?}", self.name, self.ends)
        })
    }
}

fn connect(port: u16) -> Outcome<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

fn head(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").into_bytes()
}

fn other_methods(route: &str) -> Vec<Request> {
    let methods = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
    methods
        .map(|method| Request::new(method, Ends::With(405), head(method, route, HOST)))
        .into()
}

/// The listener has no login and changes nothing, so these may ask; it must not let a browser pass the answer on.
fn foreign(route: &str) -> Vec<Request> {
    let origin = format!("{HOST}Origin: https://evil.example\r\n");
    let preflight = format!("{origin}Access-Control-Request-Method: GET\r\n");
    let login = format!("{HOST}Authorization: Bearer nonsense\r\n");
    vec![
        Request::new(
            "another host",
            Ends::With(200),
            head("GET", route, "Host: evil.example\r\n"),
        ),
        Request::new("another origin", Ends::With(200), head("GET", route, &origin)),
        Request::new("a preflight", Ends::With(405), head("OPTIONS", route, &preflight)),
        Request::new("a login", Ends::With(200), head("GET", route, &login)),
    ]
}

fn other_paths(route: &str) -> Vec<Request> {
    let get = |name, target: &str| Request::new(name, Ends::With(404), head("GET", target, HOST));
    let with_query = head("GET", &format!("{route}?file=../../../etc/passwd"), HOST);
    vec![
        get("nowhere", "/"),
        get("an unknown path", "/debug/pprof/heap"),
        get("a path below", &format!("{route}/config")),
        get("a slash too many", &format!("{route}/")),
        get("a NUL", &format!("{route}%00")),
        get("a way up", &format!("{route}/../../../../etc/passwd")),
        get("a way up from the root", "/../../../../etc/passwd"),
        get("a way up in disguise", &format!("{route}/..%2f..%2f..%2fetc%2fpasswd")),
        Request::new("a way up behind a question mark", Ends::With(200), with_query),
    ]
}

fn large(route: &str) -> Vec<Request> {
    let body = vec![b'x'; 10 * MIB];
    let length = format!("{HOST}Content-Length: {}\r\n", body.len());
    let chunked = format!("{HOST}Transfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n", body.len()).into_bytes();
    let with = |method, headers: &str, rest: &[&[u8]]| [head(method, route, headers), rest.concat()].concat();
    let lines = "X-Y: z\r\n".repeat(5_000);
    let long_target = |bytes| format!("{route}?{}", "x".repeat(bytes));
    let long_header = format!("{HOST}X-Y: {}\r\n", "z".repeat(MIB));
    let negative = format!("{HOST}Content-Length: -1\r\n");
    vec![
        Request::new("a body", Ends::Cut(200), with("GET", &length, &[&body])),
        Request::new("a body to post", Ends::Cut(405), with("POST", &length, &[&body])),
        Request::new("a chunk", Ends::Cut(405), with("POST", &chunked, &[&chunk, &body])),
        Request::new("a slow body", Ends::Cut(405), with("POST", &length, &[&body[..1_000]])).dripping(),
        Request::new("a slow question", Ends::With(200), head("GET", route, HOST)).dripping(),
        Request::new("a long line", Ends::Refused, head("GET", &long_target(MIB), HOST)),
        Request::new(
            "a line of 100 kB",
            Ends::Refused,
            head("GET", &long_target(100_000), HOST),
        ),
        Request::new("a long header", Ends::Refused, head("GET", route, &long_header)),
        Request::new(
            "5,000 headers",
            Ends::Refused,
            head("GET", route, &format!("{HOST}{lines}")),
        ),
        Request::new(
            "a body of less than nothing",
            Ends::Refused,
            head("POST", route, &negative),
        ),
        Request::new(
            "a greeting for TLS",
            Ends::Refused,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
    ]
}

/// The next one must not be forgotten here.
#[test]
fn every_route_of_the_relay_is_in_the_table() -> Outcome {
    let mut source = String::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay/src/admin"))? {
        source.push_str(&fs::read_to_string(entry?.path())?);
    }
    let routes = source.split(".route(").skip(1);
    let routed: BTreeSet<&str> = routes.filter_map(|rest| rest.split('"').nth(1)).collect();
    ensure(routed == BTreeSet::from(ROUTES), || {
        format!("the relay has the routes {routed:?}")
    })?;
    let ways = [".route_service(", ".nest(", ".nest_service(", ".merge(", ".fallback"];
    let found: Vec<_> = ways.iter().filter(|way| source.contains(**way)).collect();
    ensure(found.is_empty(), || {
        format!("routes that this does not read: {found:?}")
    })
}

#[test]
fn no_request_changes_anything_or_holds_up_a_relay_under_load() -> Outcome {
    let mut scenario = Setup::new("hostile").start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for route in ROUTES {
        let all = [other_methods(route), foreign(route), other_paths(route), large(route)];
        for request in all.into_iter().flatten() {
            let answer = request.send(relay.admin_port())?;
            request.judge(route, &answer)?;
            is_well(&mut relay, request.name)?;
        }
    }
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.rows > 0 && report.duplicates == 0, || report.to_string())
}

/// What is said on each of so many connections, which then stay open.
fn unfinished() -> [(&'static str, usize, Vec<u8>); 6] {
    let endless = format!("GET /metrics HTTP/1.1\r\n{HOST}X-Y: {}", "z".repeat(50_000));
    let questions = format!("GET /metrics HTTP/1.1\r\n{HOST}\r\n").repeat(1_000);
    let kept_alive = format!("GET /livez HTTP/1.1\r\n{HOST}\r\n");
    [
        ("nothing", 200, Vec::new()),
        ("half a request", 200, b"GET /metr".to_vec()),
        ("half a greeting for HTTP/2", 200, b"PRI * HTTP/2.0\r\n\r\nSM".to_vec()),
        ("a header without an end", 200, endless.into_bytes()),
        ("a question whose answer nobody reads", 200, kept_alive.into_bytes()),
        ("1,000 questions whose answers nobody reads", 10, questions.into_bytes()),
    ]
}

#[test]
fn connections_that_stay_open_hold_nothing_up_and_are_let_go() -> Outcome {
    let mut scenario = Setup::new("crowd").start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for (name, number, bytes) in unfinished() {
        let before = descriptors(&relay)?;
        let mut crowd = Vec::new();
        for _ in 0..number {
            let mut stream = connect(relay.admin_port())?;
            stream.write_all(&bytes)?;
            crowd.push(stream);
        }
        has_descriptors(&relay, &format!("{name}: a connection for each"), |now| {
            now + OTHERS >= before + number
        })?;
        is_well(&mut relay, name)?;
        drop(crowd);
        has_descriptors(&relay, &format!("{name}: no connection left"), |now| {
            now <= before + OTHERS
        })?;
        is_well(&mut relay, name)?;
    }
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.rows > 0 && report.duplicates == 0, || report.to_string())
}

#[test]
fn whoever_says_nothing_is_let_go() -> Outcome {
    let mut scenario = Setup::new("silent").start()?;
    let relay = scenario.streaming_relay()?;
    let before = descriptors(&relay)?;
    let crowd: Vec<TcpStream> = (0..50).map(|_| connect(relay.admin_port())).collect::<Outcome<_>>()?;
    has_descriptors(&relay, "a connection for each", |now| {
        now + OTHERS >= before + crowd.len()
    })?;
    has_descriptors(&relay, "no connection left", |now| now <= before + OTHERS)
}

/// More than the relay has places for, each of which says a byte a second and never finishes.
#[test]
fn whoever_asks_without_end_is_let_go() -> Outcome {
    let mut scenario = Setup::new("dripping").start()?;
    let relay = scenario.streaming_relay()?;
    let mut crowd: Vec<TcpStream> = (0..DRIPPING)
        .map(|_| connect(relay.admin_port()))
        .collect::<Outcome<_>>()?;
    for stream in &mut crowd {
        stream.write_all(b"GET /livez HTTP/1.1\r\nX-Y: ")?;
    }
    let port = relay.admin_port();
    let (let_go, is_over) = sync_channel::<()>(0);
    let status = thread::scope(|scope| {
        scope.spawn(move || {
            while is_over.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                for stream in &mut crowd {
                    // Who has been let go finds the door shut.
                    let _ = stream.write_all(b"y");
                }
            }
        });
        let status = wait_for("an answer for an honest client", || {
            ask(port, "/livez")
                .map(|(status, _)| status)
                .map_err(|error| error.to_string())
        });
        drop(let_go);
        status
    })?;
    ensure(status == 200, || format!("status {status}"))
}

fn descriptors(relay: &Relay) -> Outcome<usize> {
    Ok(fs::read_dir(relay.proc_file("fd"))?.count())
}

fn has_descriptors(relay: &Relay, what: &str, wanted: impl Fn(usize) -> bool) -> Outcome {
    wait_for(what, || match descriptors(relay) {
        Ok(now) if wanted(now) => Ok(()),
        other => Err(format!("{other:?} open files")),
    })
}

/// It publishes what is written, is live and ready, shows its numbers, and has not grown.
fn is_well(relay: &mut Relay, after: &str) -> Outcome {
    let acknowledged = relay.figures()?.get("events_acked_total");
    relay.wait_for_figure("events_acked_total", |now| now > acknowledged)?;
    let (live, _) = ask(relay.admin_port(), "/livez")?;
    let (shown, figures) = ask(relay.admin_port(), "/metrics")?;
    let is_shown = figures.contains("outbox_relay_events_acked_total ");
    ensure(live == 200 && shown == 200 && is_shown, || {
        format!("after {after}: /livez {live}, /metrics {shown} {figures}")
    })?;
    let readiness = relay.readiness()?;
    ensure(readiness.phase() == "streaming", || {
        format!("after {after}: {}", readiness.body)
    })?;
    let peak = relay.peak_memory_kib()?;
    ensure(peak <= MEMORY_MAX_KIB, || {
        format!("after {after}: {peak} KiB resident, at most {MEMORY_MAX_KIB} are allowed")
    })
}
