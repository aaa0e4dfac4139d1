//! The same live load through each of them, in turn: what an event waits, and what waiting for events costs.

use std::fmt::Write;

use serde::Serialize;

use super::peer::Peer;
use crate::carrier::Carrier;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::median::median;
use crate::steady::{Load, Steady, measure};
use crate::topic::Topic;
use crate::{progress, turns};

/// One load for all, one after the other.
#[derive(Debug, Serialize)]
pub(super) struct Turn {
    pub(super) relay: Steady,
    /// In the order of the peers.
    pub(super) peers: Vec<Steady>,
}

/// Medians over the pairs. A ratio is the relay's figure over the peer's.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Numbers {
    relay_p50_ms: f64,
    relay_p99_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    p50_ratio: f64,
    p99_ratio: f64,
    relay_cpu_percent: f64,
    cpu_percent: f64,
}

/// Offers the load to the relay and to each of the peers, so many times.
pub(super) fn in_turn(
    installation: &Installation,
    peers: &[Peer],
    load: Load,
    repetitions: u32,
    interrupt: &Interrupt,
) -> Result<Vec<Turn>, Failure> {
    let relay: (&dyn Carrier, &Topic) = (&installation.relay, &installation.topic);
    let peers = peers.iter().map(|peer| (peer.carrier.as_ref(), &peer.topic));
    let all: Vec<(&dyn Carrier, &Topic)> = [relay].into_iter().chain(peers).collect();
    let turn = |turn: u32| {
        let steadies = turns::in_rotation(turn, &all, |(carrier, topic)| {
            let (nth, rate) = (turn + 1, load.rate_events_per_s);
            progress::step(&format!(
                "{nth} of {repetitions}: {rate} events/s through {}",
                carrier.name()
            ));
            measure(installation, topic, *carrier, load, interrupt)
        });
        let mut steadies = steadies?.into_iter();
        Ok(Turn {
            relay: steadies.next().expect("the relay was measured"),
            peers: steadies.collect(),
        })
    };
    (0..repetitions).map(turn).collect()
}

impl Numbers {
    /// Of the peer at this place; none if there was no live load.
    pub(super) fn of(turns: &[Turn], index: usize) -> Option<Numbers> {
        let pairs = turns.iter().map(|turn| Some((&turn.relay, turn.peers.get(index)?)));
        let pairs: Vec<(&Steady, &Steady)> = pairs.collect::<Option<_>>()?;
        if pairs.is_empty() {
            return None;
        }
        let relay = |figure: fn(&Steady) -> f64| median(pairs.iter().map(|(relay, _)| figure(relay)));
        let peer = |figure: fn(&Steady) -> f64| median(pairs.iter().map(|(_, peer)| figure(peer)));
        let ratio = |figure: fn(&Steady) -> f64| median(pairs.iter().map(|(relay, peer)| figure(relay) / figure(peer)));
        let p50_ms = |steady: &Steady| steady.latencies.insert_to_consumer.p50_ms;
        let p99_ms = |steady: &Steady| steady.latencies.insert_to_consumer.p99_ms;
        let cpu_percent = |steady: &Steady| steady.cpu_percent.carrier;
        Some(Numbers {
            relay_p50_ms: relay(p50_ms),
            relay_p99_ms: relay(p99_ms),
            p50_ms: peer(p50_ms),
            p99_ms: peer(p99_ms),
            p50_ratio: ratio(p50_ms),
            p99_ratio: ratio(p99_ms),
            relay_cpu_percent: relay(cpu_percent),
            cpu_percent: peer(cpu_percent),
        })
    }

    /// One `name=value` a line.
    pub(super) fn lines(&self, label: &str) -> String {
        format!(
            "{label}_insert_to_consumer_p50_ms={:.2}\n{label}_insert_to_consumer_p99_ms={:.2}\n\
             {label}_relay_insert_to_consumer_p50_ms={:.2}\n{label}_relay_insert_to_consumer_p99_ms={:.2}\n\
             {label}_insert_to_consumer_p50_ratio={:.5}\n{label}_insert_to_consumer_p99_ratio={:.5}\n\
             {label}_live_cpu_percent={:.1}\n{label}_relay_live_cpu_percent={:.1}\n",
            self.p50_ms,
            self.p99_ms,
            self.relay_p50_ms,
            self.relay_p99_ms,
            self.p50_ratio,
            self.p99_ratio,
            self.cpu_percent,
            self.relay_cpu_percent,
        )
    }
}

/// A Markdown table with a line for each measurement; nothing if there is none.
pub(super) fn table(turns: &[Turn]) -> String {
    let mut table = String::new();
    for (index, steady) in turns
        .iter()
        .flat_map(|turn| [&turn.relay].into_iter().chain(&turn.peers))
        .enumerate()
    {
        if index == 0 {
            table.push_str(
                "\n| live load through | events/s | insert→consumer ms: p50 | p99 | max | CPU %: carrier | walsender | broker | peak MiB | load |\n\
                 | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
            );
        }
        let (latency, cpu) = (&steady.latencies.insert_to_consumer, &steady.cpu_percent);
        let _ = writeln!(
            table,
            "| {} | {} | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} |",
            steady.carrier,
            steady.load.rate_events_per_s,
            latency.p50_ms,
            latency.p99_ms,
            latency.max_ms,
            cpu.carrier,
            cpu.walsender,
            cpu.broker,
            steady.peak_rss_mib,
            steady.load_average
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steady::Latency;

    fn steady(p50_ms: f64, p99_ms: f64) -> Steady {
        Steady::example(1_000, Latency::example(p50_ms, p99_ms))
    }

    #[test]
    fn ratios_are_made_pair_by_pair_before_the_median() {
        let pairs = [
            ((1.0, 10.0), (4.0, 20.0)),
            ((2.0, 10.0), (4.0, 40.0)),
            ((6.0, 10.0), (8.0, 10.0)),
        ];
        let turns = pairs.map(|(relay, peer)| Turn {
            relay: steady(relay.0, relay.1),
            peers: vec![steady(peer.0, peer.1)],
        });
        let lines = Numbers::of(&turns, 0).expect("a peer").lines("other");
        for line in [
            "other_relay_insert_to_consumer_p50_ms=2.00",
            "other_insert_to_consumer_p50_ms=4.00",
            "other_insert_to_consumer_p50_ratio=0.50000",
            "other_insert_to_consumer_p99_ratio=0.50000",
            "other_live_cpu_percent=40.0",
        ] {
            assert!(lines.lines().any(|found| found == line), "{line} is not in\n{lines}");
        }
    }

    #[test]
    fn without_a_live_load_or_a_peer_there_are_no_numbers() {
        assert!(Numbers::of(&[], 0).is_none());
        let turn = Turn {
            relay: steady(1.0, 2.0),
            peers: Vec::new(),
        };
        assert!(Numbers::of(&[turn], 0).is_none());
    }
}
