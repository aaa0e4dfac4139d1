//! What a load needs, given what events cost. Numbers in, numbers out.

use serde::Serialize;

use super::storage;
use super::task::{Demand, Task, USE_AT_PEAK_MAX};

const DAY_S: f64 = 86_400.0;
const DAY_H: f64 = 24.0;
const US_PER_S: f64 = 1e6;
const MS_PER_S: f64 = 1e3;
const BYTES_PER_MB: f64 = 1e6;

/// What is to be carried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) events_per_day: f64,
    /// How many times the average the peak is.
    pub(super) peak_factor: f64,
    pub(super) row_bytes: f64,
    /// How long topics keep records.
    pub(super) retention_hours: f64,
    /// How long the outbox table keeps rows.
    pub(super) outbox_retention_hours: f64,
    pub(super) partition_mb_per_s: f64,
    pub(super) consumer_ms_per_event: f64,
    pub(super) replication_factor: f64,
    /// How many times smaller records are once they are compressed.
    pub(super) compression_ratio: f64,
}

/// What events cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    pub(super) relay_cpu_us_per_event: f64,
    pub(super) walsender_cpu_us_per_event: Option<f64>,
    /// What one relay on one slot carries.
    pub(super) peak_tps: f64,
    pub(super) relay_rss_mib: f64,
    pub(super) wal_bytes_per_event: f64,
}

/// Cores at two rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Cores {
    pub(super) average: f64,
    pub(super) peak: f64,
}

/// What it needs.
#[derive(Debug, Serialize)]
pub(super) struct Sizing {
    pub(super) average_tps: f64,
    pub(super) peak_tps: f64,
    /// What one relay carries, as a multiple of the peak.
    pub(super) headroom: f64,
    /// Slots, each with a relay and outbox tables of its own, so that none is used beyond its margin.
    pub(super) slots: f64,
    /// Of all relays together.
    pub(super) relay_cores: Cores,
    pub(super) walsender_cores: Option<Cores>,
    pub(super) wal_bytes_a_day: f64,
    /// What the slot keeps of a server whose relay is away.
    pub(super) wal_bytes_an_hour_at_peak: f64,
    /// On top, with random ids in the primary key.
    pub(super) page_images_bytes_a_day: f64,
    pub(super) outbox_rows: f64,
    pub(super) outbox_bytes: f64,
    pub(super) kafka_bytes_a_day: f64,
    /// Over all replicas.
    pub(super) kafka_bytes_stored: f64,
    pub(super) partitions_for_throughput: f64,
    pub(super) consumers: f64,
    pub(super) partitions: f64,
    /// The smallest for one relay.
    pub(super) task: Option<Task>,
    /// That one, with the next smaller and the next larger one.
    pub(super) tasks: Vec<Task>,
    /// CPU units and MiB, where any size can be asked for.
    pub(super) container: (f64, f64),
}

/// Sizes everything.
pub(super) fn size(load: &Load, costs: &Costs) -> Sizing {
    let average_tps = average_tps(load.events_per_day);
    let peak_tps = average_tps * load.peak_factor;
    let cores = |cpu_us_per_event: f64| Cores {
        average: average_tps * cpu_us_per_event / US_PER_S,
        peak: peak_tps * cpu_us_per_event / US_PER_S,
    };
    let relay_cores = cores(costs.relay_cpu_us_per_event);
    let slots = at_least_one(peak_tps / (costs.peak_tps * USE_AT_PEAK_MAX));
    let demand = Demand {
        cores: relay_cores.peak / slots,
        memory_mib: costs.relay_rss_mib,
    };
    let outbox_rows = load.events_per_day * load.outbox_retention_hours / DAY_H;
    let kafka_bytes_a_day = load.events_per_day * load.row_bytes / load.compression_ratio;
    let partition_bytes_per_s = load.partition_mb_per_s * BYTES_PER_MB;
    let partitions_for_throughput = at_least_one(peak_tps * load.row_bytes / partition_bytes_per_s);
    let consumers = at_least_one(peak_tps * load.consumer_ms_per_event / MS_PER_S / USE_AT_PEAK_MAX);
    Sizing {
        average_tps,
        peak_tps,
        headroom: costs.peak_tps / peak_tps,
        slots,
        relay_cores,
        walsender_cores: costs.walsender_cpu_us_per_event.map(cores),
        wal_bytes_a_day: load.events_per_day * costs.wal_bytes_per_event,
        wal_bytes_an_hour_at_peak: load.events_per_day / DAY_H * load.peak_factor * costs.wal_bytes_per_event,
        page_images_bytes_a_day: storage::page_images_bytes_a_day(load.events_per_day, outbox_rows),
        outbox_rows,
        outbox_bytes: storage::table_bytes(outbox_rows, load.row_bytes),
        kafka_bytes_a_day,
        kafka_bytes_stored: kafka_bytes_a_day * load.replication_factor * load.retention_hours / DAY_H,
        partitions_for_throughput,
        consumers,
        partitions: partitions_for_throughput.max(consumers),
        task: demand.smallest_task(),
        tasks: demand.neighbours(),
        container: demand.exact(),
    }
}

pub(super) fn average_tps(events_per_day: f64) -> f64 {
    events_per_day / DAY_S
}

fn at_least_one(whole: f64) -> f64 {
    whole.ceil().max(1.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Ten million events a day with everything else as it is by default.
    pub(in super::super) const TEN_MILLION: Load = Load {
        events_per_day: 10e6,
        peak_factor: 4.0,
        row_bytes: 600.0,
        retention_hours: 168.0,
        outbox_retention_hours: 24.0,
        partition_mb_per_s: 10.0,
        consumer_ms_per_event: 5.0,
        replication_factor: 3.0,
        compression_ratio: 1.0,
    };
    pub(in super::super) const MEASURED: Costs = Costs {
        relay_cpu_us_per_event: 5.0,
        walsender_cpu_us_per_event: Some(3.0),
        peak_tps: 150_000.0,
        relay_rss_mib: 66.0,
        wal_bytes_per_event: 750.0,
    };

    fn assert_near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.001, "{found}, not {expected}");
    }

    #[test]
    fn ten_million_events_a_day_are_little_work() {
        let sizing = size(&TEN_MILLION, &MEASURED);
        assert_near(sizing.average_tps, 115.74);
        assert_near(sizing.peak_tps, 462.96);
        assert_near(sizing.headroom, 324.0);
        assert_near(sizing.relay_cores.peak, 0.002_315);
        assert_near(sizing.walsender_cores.expect("a cost").average, 0.000_347_2);
        assert_near(sizing.slots, 1.0);
    }

    #[test]
    fn ten_million_events_a_day_fill_disks() {
        let sizing = size(&TEN_MILLION, &MEASURED);
        assert_near(sizing.wal_bytes_a_day, 7.5e9);
        assert_near(sizing.wal_bytes_an_hour_at_peak, 1.25e9);
        assert_near(sizing.outbox_rows, 10e6);
        assert_near(sizing.kafka_bytes_a_day, 6e9);
        assert_near(sizing.kafka_bytes_stored, 126e9);
        let compressed = Load {
            compression_ratio: 2.0,
            ..TEN_MILLION
        };
        assert_near(size(&compressed, &MEASURED).kafka_bytes_stored, 63e9);
    }

    #[test]
    fn slow_consumers_need_more_partitions_than_the_bytes_do() {
        // 463 events/s of 5 ms are 2.3 consumers without a pause, 3.3 with 70 % of their time used.
        let sizing = size(&TEN_MILLION, &MEASURED);
        assert_near(sizing.partitions_for_throughput, 1.0);
        assert_near(sizing.consumers, 4.0);
        assert_near(sizing.partitions, 4.0);
    }

    #[test]
    fn large_rows_need_more_partitions_than_quick_consumers_do() {
        let load = Load {
            events_per_day: 1e9,
            row_bytes: 2_000.0,
            consumer_ms_per_event: 0.01,
            ..TEN_MILLION
        };
        // 46,296 events/s of 2,000 bytes are 92.6 MB/s.
        let sizing = size(&load, &MEASURED);
        assert_near(sizing.partitions, 10.0);
        assert_near(sizing.consumers, 1.0);
    }

    #[test]
    fn a_peak_above_what_one_relay_carries_is_divided() {
        let load = Load {
            events_per_day: 5e9,
            ..TEN_MILLION
        };
        // 231,481 events/s, of which one relay takes 105,000 with its margin.
        let sizing = size(&load, &MEASURED);
        assert_near(sizing.slots, 3.0);
        assert_near(sizing.relay_cores.peak, 1.157_4);
        // A third of the work: 0.386 cores.
        assert_eq!(sizing.task.map(|task| task.cpu_units), Some(1_024));
    }
}
