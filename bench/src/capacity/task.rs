//! Sizes of a task for a container.
//!
//! Source: Amazon ECS developer guide, "Fargate task size": CPU units (1,024 are a core) and the memory that goes with
//! each. Elsewhere any size can be asked for, and the bounds below hold as well.

use serde::Serialize;

const CPU_UNITS_PER_CORE: f64 = 1024.0;
/// What the relay may use of a task at peak: the rest is for what was not foreseen.
pub(super) const USE_AT_PEAK_MAX: f64 = 0.7;
/// A task that stays below both at peak is too big.
const CPU_USE_MIN: f64 = 0.3;
const MEMORY_USE_MIN: f64 = 0.5;

/// CPU units, and memory in MiB: the least, the most, and the steps between.
const STEPS: [(u32, u32, u32, u32); 8] = [
    (256, 512, 1_024, 512),
    (256, 2_048, 2_048, 1_024),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

/// What a size is for the relay at peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    TooSmall,
    Fits,
    TooBig,
}

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Task {
    pub(super) cpu_units: u32,
    pub(super) memory_mib: u32,
    /// Parts of the whole that are used at peak.
    pub(super) cpu_use: f64,
    pub(super) memory_use: f64,
    pub(super) verdict: Verdict,
}

/// What the relay uses at peak.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub(super) cores: f64,
    pub(super) memory_mib: f64,
}

impl Demand {
    fn on(self, cpu_units: u32, memory_mib: u32) -> Task {
        let cpu_use = self.cores * CPU_UNITS_PER_CORE / f64::from(cpu_units);
        let memory_use = self.memory_mib / f64::from(memory_mib);
        let verdict = if cpu_use > USE_AT_PEAK_MAX || memory_use > USE_AT_PEAK_MAX {
            Verdict::TooSmall
        } else if cpu_use < CPU_USE_MIN && memory_use < MEMORY_USE_MIN {
            Verdict::TooBig
        } else {
            Verdict::Fits
        };
        Task {
            cpu_units,
            memory_mib,
            cpu_use,
            memory_use,
            verdict,
        }
    }

    /// For every step of CPU and memory, from the smallest on.
    fn tasks(self) -> impl Iterator<Item = Task> {
        STEPS.into_iter().flat_map(move |(cpu_units, least, most, step)| {
            let sizes = (least..=most).step_by(step as usize);
            sizes.map(move |memory_mib| self.on(cpu_units, memory_mib))
        })
    }

    /// The smallest task that carries it; `None` where there is none.
    pub(super) fn smallest_task(self) -> Option<Task> {
        self.tasks().find(|task| task.verdict != Verdict::TooSmall)
    }

    /// The smallest task that carries it between the next smaller and the next larger one; the largest of all where none
    /// carries it.
    pub(super) fn neighbours(self) -> Vec<Task> {
        let tasks: Vec<Task> = self.tasks().collect();
        let smallest = tasks.iter().position(|task| task.verdict != Verdict::TooSmall);
        let at = smallest.unwrap_or(tasks.len());
        tasks[at.saturating_sub(1)..tasks.len().min(at + 2)].to_vec()
    }

    /// The CPU units and MiB that a container needs where any size can be asked for.
    pub(super) fn exact(self) -> (f64, f64) {
        let cpu_units = self.cores * CPU_UNITS_PER_CORE / USE_AT_PEAK_MAX;
        (cpu_units.ceil(), (self.memory_mib / USE_AT_PEAK_MAX).ceil())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn demand(cores: f64, memory_mib: f64) -> Demand {
        Demand { cores, memory_mib }
    }

    #[test]
    fn the_smallest_task_keeps_a_margin_for_cpu() {
        // A tenth of a core is 40 % of a quarter, 0.2 cores are 80 % of it and 40 % of a half.
        let size = |cores| {
            demand(cores, 60.0)
                .smallest_task()
                .map(|task| (task.cpu_units, task.memory_mib))
        };
        assert_eq!(size(0.1), Some((256, 512)));
        assert_eq!(size(0.2), Some((512, 1_024)));
        assert_eq!(size(1.3), Some((2_048, 4_096)));
        assert_eq!(size(12.0), None);
    }

    #[test]
    fn the_smallest_task_keeps_a_margin_for_memory() {
        let size = |memory| {
            demand(0.1, memory)
                .smallest_task()
                .map(|task| (task.cpu_units, task.memory_mib))
        };
        assert_eq!(size(400.0), Some((256, 1_024)));
        assert_eq!(size(800.0), Some((256, 2_048)));
        assert_eq!(size(1_500.0), Some((512, 3_072)));
    }

    #[test]
    fn a_task_is_too_big_only_when_neither_cpu_nor_memory_is_used() {
        assert_eq!(demand(0.05, 100.0).on(256, 512).verdict, Verdict::TooBig);
        assert_eq!(demand(0.10, 100.0).on(256, 512).verdict, Verdict::Fits);
        assert_eq!(demand(0.05, 300.0).on(256, 512).verdict, Verdict::Fits);
        assert_eq!(demand(0.20, 100.0).on(256, 512).verdict, Verdict::TooSmall);
    }

    #[test]
    fn a_task_is_told_with_the_next_smaller_and_the_next_larger_one() {
        let sizes = |cores, memory| {
            let tasks = demand(cores, memory).neighbours();
            tasks
                .iter()
                .map(|task| (task.cpu_units, task.memory_mib))
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(0.1, 60.0), [(256, 512), (256, 1_024)], "none is smaller");
        assert_eq!(sizes(0.1, 400.0), [(256, 512), (256, 1_024), (256, 2_048)]);
        assert_eq!(sizes(0.2, 60.0), [(256, 2_048), (512, 1_024), (512, 2_048)]);
        assert_eq!(sizes(12.0, 60.0), [(16_384, 122_880)], "none carries it");
    }

    #[test]
    fn where_any_size_can_be_asked_for_the_margin_is_the_same() {
        assert_eq!(demand(0.07, 70.0).exact(), (103.0, 100.0));
    }
}
