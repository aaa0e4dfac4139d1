//! Asks a relay's admin listener.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// The figures of one scrape, by name with labels as Prometheus prints them.
#[derive(Debug, Clone, Default)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// A figure; 0 where there is none. The prefix `outbox_relay_` is added.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(&format!("outbox_relay_{name}")).copied().unwrap_or(0.0)
    }

    /// Of all series whose name and labels begin so.
    pub fn sum_of(&self, start: &str) -> f64 {
        let start = format!("outbox_relay_{start}");
        self.0
            .iter()
            .filter(|(name, _)| name.starts_with(&start))
            .map(|(_, value)| value)
            .sum()
    }

    /// A counter.
    pub fn count(&self, name: &str) -> usize {
        format!("{:.0}", self.get(name)).parse().unwrap_or(0)
    }

    /// Everything that may only grow, with its whole name.
    pub fn counters(self) -> impl Iterator<Item = (String, f64)> {
        let grows = |name: &str| {
            let name = name.split('{').next().unwrap_or_default();
            ["_total", "_count", "_bucket", "_sum"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        self.0.into_iter().filter(move |(name, _)| grows(name))
    }

    /// Reads the exposition format. Lines that it does not understand are left out.
    pub fn parse(text: &str) -> Figures {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        Figures(
            samples
                .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
                .collect(),
        )
    }
}

/// Status code and body of one route.
///
/// # Errors
/// Nobody listens, or what answers does not speak HTTP.
pub fn ask(port: u16, route: &str) -> io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(
        stream,
        "GET {route} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status
        .zip(body)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_name_and_labels() {
        let figures =
            Figures::parse("# HELP x y\noutbox_relay_a_total 3\noutbox_relay_p{phase=\"halted\"} 1\nbad line here\n");
        assert_eq!(figures.count("a_total"), 3);
        assert!((figures.get("a_total") - 3.0).abs() < f64::EPSILON);
        assert!((figures.get("p{phase=\"halted\"}") - 1.0).abs() < f64::EPSILON);
        assert!(figures.get("missing").abs() < f64::EPSILON);
    }
}
