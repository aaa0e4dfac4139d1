//! Every number that the relay exports. Names and labels stand here and nowhere else.

use std::collections::BTreeMap;

use outbox_decoder::{Lsn, Timestamp};
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::health::{Phase, Snapshot};
use super::logging::lines_dropped;
use crate::clock::unix_seconds;
use crate::dead_letter::Counts as LetterCounts;

/// Upper bounds in seconds: from a local acknowledgement to an outage that somebody was called for.
const COMMIT_TO_ACK_SECONDS: [f64; 17] = [
    0.001, 0.002, 0.003, 0.005, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0,
];

/// Those that are not resolved.
const LETTER_STATES: [&str; 3] = ["failed", "parked", "redriving"];

const WAL_STATUSES: [&str; 4] = ["reserved", "extended", "unreserved", "lost"];

/// The relay's metrics. An LSN is exported as a byte position; a sample is exact up to 2^53 bytes, 8 PiB of WAL.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    phase: GaugeVec,
    fault: GaugeVec,
    slot_wal_status: GaugeVec,
    /// Rows taken from the slot.
    pub events_received: IntCounter,
    /// Records handed to the producer, those sent again included.
    pub events_published: IntCounter,
    /// Records acknowledged by the brokers.
    pub events_acknowledged: IntCounter,
    /// Deliveries that failed, by error type.
    pub publish_failures: IntCounterVec,
    /// Records published again although an earlier attempt may have reached the topic.
    pub possible_duplicates: IntCounter,
    /// Connections made again, by peer.
    pub reconnects: IntCounterVec,
    /// Times the line was stopped and its producer rebuilt.
    pub producer_rebuilds: IntCounter,
    /// From the commit in PostgreSQL to the acknowledgement of its last record.
    commit_to_ack: Histogram,
    /// Records that wait for their acknowledgement.
    pub in_flight_events: IntGauge,
    /// Their bytes, overhead included.
    pub in_flight_bytes: IntGauge,
    /// The budget of the former.
    pub in_flight_events_max: IntGauge,
    /// The budget of the latter.
    pub in_flight_bytes_max: IntGauge,
    /// Highest position received.
    pub received_lsn: Gauge,
    /// Everything up to here is acknowledged.
    pub acknowledged_lsn: Gauge,
    /// What the server was last told.
    pub confirmed_lsn: Gauge,
    /// Commit time of the newest transaction received.
    pub last_received_commit: Gauge,
    /// Commit time of the newest transaction acknowledged.
    last_acknowledged_commit: Gauge,
    /// Commit time of the oldest transaction that is not acknowledged; 0 when there is none.
    pub oldest_unacknowledged_commit: Gauge,
    /// When the server was last heard.
    pub last_message: Gauge,
    dead_letters: IntGaugeVec,
    dead_letters_oldest: Gauge,
    /// Keys whose later events wait behind a dead letter.
    pub dead_letters_parked_keys: IntGauge,
    /// How many letters may be unresolved.
    pub dead_letters_max: IntGauge,
    /// How many keys may be parked.
    pub dead_letters_parked_keys_max: IntGauge,
    /// Delivery states written.
    pub delivery_states_written: IntCounter,
    /// Events that the brokers have acknowledged and whose states are not written yet.
    pub delivery_states_waiting: IntGauge,
    events_set_aside: IntCounterVec,
    redrives: IntCounterVec,
    letter_notices: IntCounterVec,
    head_notices: IntCounterVec,
    slot_lag: Gauge,
    slot_retained_wal: Gauge,
    slot_safe_wal_size: Gauge,
    slot_active: Gauge,
    log_lines_dropped: IntCounter,
    retention_state: GaugeVec,
    /// Outbox rows removed.
    pub retention_rows_removed: IntCounter,
    /// Outbox rows archived before.
    pub retention_rows_archived: IntCounter,
    /// Resolved dead letters removed.
    pub retention_letters_removed: IntCounter,
    /// Rounds of the janitor that ended with an error.
    pub retention_failures: IntCounter,
    retention_round: Gauge,
}

/// What the janitor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionState {
    /// There is nothing to do now.
    Waiting,
    /// It removes.
    Removing,
    /// The relay is behind, and goes first.
    Lagging,
    /// Another relay's janitor works.
    Standby,
    /// Of some rows nobody knows whether they were published.
    Unproven,
    /// Something is wrong; the log says what.
    Failing,
}

impl RetentionState {
    const ALL: [(&'static str, Self); 6] = [
        ("waiting", Self::Waiting),
        ("removing", Self::Removing),
        ("lagging", Self::Lagging),
        ("standby", Self::Standby),
        ("unproven", Self::Unproven),
        ("failing", Self::Failing),
    ];
}

/// An LSN as a metric.
#[allow(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53 bytes, which is 8 PiB of WAL"
)]
pub fn lsn_bytes(lsn: Lsn) -> f64 {
    lsn.as_u64() as f64
}

/// What the server says of the slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotFigures {
    /// Everything up to here was confirmed.
    pub confirmed: Option<Lsn>,
    /// WAL written since the confirmed position.
    pub lag_bytes: f64,
    /// WAL that the server keeps for the slot.
    pub retained_wal_bytes: f64,
    /// WAL that may still be written before the slot is at risk; `None` means no limit is set.
    pub safe_wal_bytes: Option<f64>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: String,
    /// Whether a walsender uses it.
    pub active: bool,
}

/// Registers while the struct is built. A name used twice is a mistake in this file and found by its test.
struct Maker(Registry);

impl Maker {
    fn add<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect("metric names and labels are constants and valid");
        self.0
            .register(Box::new(metric.clone()))
            .expect("metric names are unique");
        metric
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(format!("outbox_relay_{name}"), help))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        self.add(IntCounterVec::new(
            Opts::new(format!("outbox_relay_{name}"), help),
            &[label],
        ))
    }

    fn int_gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(format!("outbox_relay_{name}"), help))
    }

    fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(format!("outbox_relay_{name}"), help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(format!("outbox_relay_{name}"), help), labels))
    }
}

impl Default for Metrics {
    #[allow(clippy::too_many_lines, reason = "a list, which would not be clearer in parts")]
    fn default() -> Self {
        let make = Maker(Registry::new());
        make.build_info();
        let opts = HistogramOpts::new(
            "outbox_relay_commit_to_ack_seconds",
            "From the commit in PostgreSQL to the acknowledgement of the transaction's last record by Kafka.",
        );
        let metrics = Self {
            phase: make.gauges(
                "up_phase",
                "1 for the phase the relay is in, 0 for the others.",
                &["phase"],
            ),
            fault: make.gauges(
                "fault",
                "1 for each fault that stands now; the codes are in docs/FAULTS.md.",
                &["part", "code"],
            ),
            slot_wal_status: make.gauges("slot_wal_status", "1 for the wal_status that PostgreSQL gives the replication slot, 0 for the others.", &["status"]),
            events_received: make.counter("events_received_total", "Outbox rows taken from the slot."),
            events_published: make.counter(
                "publish_attempts_total",
                "Records handed to the producer, those sent again included.",
            ),
            events_acknowledged: make.counter("events_acked_total", "Records acknowledged by Kafka."),
            publish_failures: make.counters(
                "publish_failures_total",
                "Failed deliveries by error type; a record that the producer does not take counts once.",
                "error_type",
            ),
            possible_duplicates: make.counter(
                "possible_duplicates_total",
                "Records published again although an earlier attempt may have reached the topic: at most so many are there twice.",
            ),
            reconnects: make.counters("reconnects_total", "Connections made again, by peer.", "peer"),
            producer_rebuilds: make.counter("producer_rebuilds_total", "Times the Kafka producer was stopped and rebuilt."),
            commit_to_ack: make.add(Histogram::with_opts(opts.buckets(COMMIT_TO_ACK_SECONDS.to_vec()))),
            in_flight_events: make.int_gauge("in_flight_events", "Records that wait for their acknowledgement."),
            in_flight_bytes: make.int_gauge("in_flight_bytes", "Bytes of the records that wait for their acknowledgement, the producer's overhead included."),
            in_flight_events_max: make.int_gauge("in_flight_events_max", "How many records may wait for their acknowledgement."),
            in_flight_bytes_max: make.int_gauge("in_flight_bytes_max", "Bytes that the records waiting for their acknowledgement may take, overhead included."),
            received_lsn: make.gauge("received_lsn_bytes", "Highest LSN received, as a byte position."),
            acknowledged_lsn: make.gauge("acked_lsn_bytes", "Everything up to this LSN is acknowledged by Kafka, as a byte position."),
            confirmed_lsn: make.gauge("confirmed_lsn_bytes", "The LSN last confirmed to PostgreSQL, as a byte position."),
            last_received_commit: make.gauge(
                "last_received_commit_timestamp_seconds",
                "Commit time of the newest transaction received.",
            ),
            last_acknowledged_commit: make.gauge(
                "last_acked_commit_timestamp_seconds",
                "Commit time of the newest transaction acknowledged.",
            ),
            oldest_unacknowledged_commit: make.gauge(
                "oldest_unacked_commit_timestamp_seconds",
                "Commit time of the oldest transaction that is not acknowledged; 0 when there is none.",
            ),
            last_message: make.gauge("last_message_timestamp_seconds", "When PostgreSQL was last heard."),
            dead_letters: make.add(IntGaugeVec::new(
                Opts::new(
                    "outbox_relay_dead_letters",
                    "Dead letters that are not resolved, by state.",
                ),
                &["state"],
            )),
            dead_letters_oldest: make.gauge(
                "dead_letters_oldest_timestamp_seconds",
                "When the oldest dead letter that is not resolved was set aside; 0 when there is none.",
            ),
            dead_letters_parked_keys: make.int_gauge(
                "dead_letters_parked_keys",
                "Keys whose later events wait behind a dead letter.",
            ),
            dead_letters_max: make.int_gauge(
                "dead_letters_max",
                "How many dead letters may be unresolved before the line halts at the next one.",
            ),
            dead_letters_parked_keys_max: make.int_gauge(
                "dead_letters_parked_keys_max",
                "How many keys may be parked before the line halts at the next one.",
            ),
            events_set_aside: make.counters(
                "events_set_aside_total",
                "Events handed to the dead letters, by error type.",
                "error_type",
            ),
            redrives: make.counters(
                "redrives_total",
                "Dead letters published again, by result: succeeded or failed.",
                "result",
            ),
            letter_notices: make.counters(
                "dead_letter_notices_total",
                "Notices of dead letters for dead_letters.topic, by result: published, published_as_reference (without the payload), refused for good, and failed attempts, which are made again.",
                "result",
            ),
            head_notices: make.counters(
                "audit_head_notices_total",
                "Heads of the audit trail for audit.topic, by result: published, and failed attempts, which are made again.",
                "result",
            ),
            slot_lag: make.gauge(
                "slot_confirmed_flush_lag_bytes",
                "WAL written since the replication slot's confirmed LSN.",
            ),
            slot_retained_wal: make.gauge("slot_retained_wal_bytes", "WAL that PostgreSQL keeps for the replication slot."),
            slot_safe_wal_size: make.gauge(
                "slot_safe_wal_size_bytes",
                "WAL that may still be written before the replication slot is at risk; +Inf without a limit.",
            ),
            slot_active: make.gauge("slot_active", "1 while a walsender uses the replication slot."),
            log_lines_dropped: make.counter(
                "log_lines_dropped_total",
                "Log lines that were not written because nobody took them.",
            ),
            retention_state: make.gauges(
                "retention_state",
                "1 for what the janitor does, 0 for the others; none without one.",
                &["state"],
            ),
            retention_rows_removed: make.counter(
                "retention_rows_removed_total",
                "Published outbox rows removed, by the janitor of this relay.",
            ),
            retention_rows_archived: make.counter(
                "retention_rows_archived_total",
                "Outbox rows archived before their removal.",
            ),
            retention_letters_removed: make
                .counter("retention_letters_removed_total", "Resolved dead letters removed."),
            retention_failures: make.counter(
                "retention_failures_total",
                "Rounds of the janitor that ended with an error; the log says which.",
            ),
            retention_round: make.gauge(
                "retention_last_round_timestamp_seconds",
                "When the janitor last came to the end of a round; 0 before the first.",
            ),
            delivery_states_written: make.counter(
                "delivery_states_written_total",
                "Delivery states written, of outboxes with delivery_state.",
            ),
            delivery_states_waiting: make
                .int_gauge("delivery_states_waiting", "Events that the brokers have acknowledged and whose delivery states are not written yet."),
            registry: make.0,
        };
        metrics.forget_slot();
        metrics
    }
}

impl Maker {
    fn build_info(&self) {
        let opts = Opts::new("outbox_relay_build_info", "What runs; always 1.");
        let info = self.add(GaugeVec::new(opts, &["version"]));
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    }
}

impl Metrics {
    /// Nothing is known of the slot: a zero would be a figure.
    pub fn forget_slot(&self) {
        for gauge in [&self.slot_lag, &self.slot_retained_wal, &self.slot_safe_wal_size] {
            gauge.set(f64::NAN);
        }
        self.slot_active.set(0.0);
        self.slot_wal_status.reset();
    }

    /// Shows what the server says of the slot.
    pub fn show_slot(&self, figures: &SlotFigures) {
        self.slot_lag.set(figures.lag_bytes);
        self.slot_retained_wal.set(figures.retained_wal_bytes);
        self.slot_safe_wal_size
            .set(figures.safe_wal_bytes.unwrap_or(f64::INFINITY));
        self.slot_active.set(f64::from(u8::from(figures.active)));
        for status in WAL_STATUSES {
            let is = f64::from(u8::from(status == figures.wal_status));
            self.slot_wal_status.with_label_values(&[status]).set(is);
        }
    }

    /// An event goes to the dead letters.
    pub(crate) fn show_set_aside(&self, error_type: &'static str) {
        self.events_set_aside.with_label_values(&[error_type]).inc();
    }

    /// What has become of letters since the last time.
    pub(crate) fn show_redrives(&self, counts: LetterCounts) {
        for (result, counted) in [("succeeded", counts.redriven), ("failed", counts.returned)] {
            self.redrives.with_label_values(&[result]).inc_by(counted);
        }
    }

    /// What has become of a notice of a letter.
    pub(crate) fn show_letter_notice(&self, result: &'static str) {
        self.letter_notices.with_label_values(&[result]).inc();
    }

    /// What has become of a head of the audit trail.
    pub(crate) fn show_head_notice(&self, result: &'static str) {
        self.head_notices.with_label_values(&[result]).inc();
    }

    /// What the table of dead letters holds.
    pub(crate) fn show_unresolved(&self, by_state: &BTreeMap<String, usize>, oldest: Option<Timestamp>) {
        for state in LETTER_STATES {
            let count = by_state.get(state).copied().unwrap_or(0);
            self.dead_letters
                .with_label_values(&[state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.dead_letters_oldest.set(oldest.map_or(0.0, unix_seconds));
    }

    /// A transaction is acknowledged whole.
    pub fn show_acknowledged_commit(&self, committed_at: Timestamp, acknowledged_at: Timestamp) {
        let committed_s = unix_seconds(committed_at);
        let waited_s = unix_seconds(acknowledged_at) - committed_s;
        // The clocks are those of two machines.
        self.commit_to_ack.observe(waited_s.max(0.0));
        self.last_acknowledged_commit
            .set(self.last_acknowledged_commit.get().max(committed_s));
    }

    /// This relay does not stream from the slot any more; whether another does is seen at the next look.
    pub fn show_slot_left(&self) {
        self.slot_active.set(0.0);
    }

    /// Shows what the janitor does.
    pub fn show_retention(&self, state: RetentionState) {
        for (name, known) in RetentionState::ALL {
            let is = f64::from(u8::from(known == state));
            self.retention_state.with_label_values(&[name]).set(is);
        }
        if matches!(state, RetentionState::Waiting | RetentionState::Unproven) {
            self.retention_round.set(unix_seconds(crate::clock::now()));
        }
    }

    /// The exposition text, with the state of this moment.
    pub fn render(&self, state: &Snapshot) -> String {
        for phase in Phase::ALL {
            self.phase
                .with_label_values(&[phase.name()])
                .set(f64::from(u8::from(phase == state.phase)));
        }
        self.fault.reset();
        for (part, fault) in &state.faults {
            self.fault.with_label_values(&[part.name(), fault.code.name()]).set(1.0);
        }
        let dropped = lines_dropped().saturating_sub(self.log_lines_dropped.get());
        self.log_lines_dropped.inc_by(dropped);
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, FaultCode};
    use crate::telemetry::{Condition, Health, Part};

    #[test]
    fn every_metric_has_a_unique_name_with_the_prefix() {
        let metrics = Metrics::default();
        metrics.show_slot(&SlotFigures {
            wal_status: "extended".to_owned(),
            ..SlotFigures::default()
        });
        let text = metrics.render(&Health::default().snapshot());
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(names.len() > 20, "{text}");
        assert!(names.iter().all(|name| name.starts_with("outbox_relay_")), "{names:?}");
        assert!(text.contains("outbox_relay_up_phase{phase=\"connecting\"} 1"), "{text}");
        assert!(
            text.contains("outbox_relay_slot_wal_status{status=\"extended\"} 1"),
            "{text}"
        );
        assert!(text.contains("outbox_relay_slot_safe_wal_size_bytes inf"), "{text}");
    }

    #[test]
    fn a_fault_is_a_series_as_long_as_it_stands() {
        let (metrics, health) = (Metrics::default(), Health::default());
        let shown = || metrics.render(&health.snapshot());
        health.set(
            Part::Postgres,
            Condition::Down(Fault::new(FaultCode::SlotLost, "m", "h")),
        );
        health.set(
            Part::Line,
            Condition::Down(Fault::new(FaultCode::DeliveryFailed, "m", "h")),
        );
        let text = shown();
        for series in ["part=\"postgres\"", "part=\"line\""].map(|part| text.matches(part).count()) {
            assert_eq!(series, 1, "{text}");
        }
        let of_slot = "outbox_relay_fault{code=\"slot_lost\",part=\"postgres\"} 1";
        assert!(text.contains(of_slot), "{text}");
        health.set(Part::Postgres, Condition::Up);
        assert!(!shown().contains("slot_lost"), "{}", shown());
        assert!(shown().contains("outbox_relay_fault{code=\"delivery_failed\",part=\"line\"} 1"));
    }
}
