//! How much of the CPU time each thread has, and each function itself.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::failure::Failure;

/// The rest has little.
const FUNCTIONS_MAX: usize = 25;

/// Of all that was recorded.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct Shares {
    /// The largest first.
    threads: Vec<Share>,
    /// Without what they call; the largest first.
    functions: Vec<Share>,
}

#[derive(Debug, Serialize, PartialEq)]
struct Share {
    name: String,
    percent: f64,
}

impl Shares {
    /// Of lines with frames between semicolons, the thread first, and their weight, in time or in cycles, after the last blank.
    ///
    /// # Errors
    /// There are no samples.
    pub(super) fn of(stacks: &str) -> Result<Shares, Failure> {
        let (mut threads, mut functions) = (HashMap::new(), HashMap::new());
        let mut all = 0;
        for line in stacks.lines() {
            let Some((stack, weight)) = line.rsplit_once(' ') else {
                continue;
            };
            let weight: u64 = weight.parse().unwrap_or_default();
            let thread = stack.split(';').next().unwrap_or(stack);
            let function = stack.rsplit(';').next().unwrap_or(stack);
            all += weight;
            *threads.entry(thread).or_default() += weight;
            *functions.entry(function).or_default() += weight;
        }
        if all == 0 {
            let why = "perf has recorded no sample; see /proc/sys/kernel/perf_event_paranoid for what it may";
            return Err(Failure::NothingToMeasure(why.to_owned()));
        }
        let mut functions = sorted(&functions, all);
        functions.truncate(FUNCTIONS_MAX);
        Ok(Shares {
            threads: sorted(&threads, all),
            functions,
        })
    }
}

fn sorted(weights: &HashMap<&str, u64>, all: u64) -> Vec<Share> {
    let mut weights: Vec<(&&str, &u64)> = weights.iter().collect();
    weights.sort_unstable_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    #[expect(clippy::cast_precision_loss, reason = "shares are read to a tenth of a percent")]
    let percent = |weight: u64| 100.0 * weight as f64 / all as f64;
    let shares = weights.into_iter().map(|(name, weight)| Share {
        name: (*name).to_owned(),
        percent: percent(*weight),
    });
    shares.collect()
}

/// Markdown tables.
impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, shares) in [("thread", &self.threads), ("function itself", &self.functions)] {
            writeln!(f, "| {what} | % |\n| --- | --: |")?;
            for Share { name, percent } in shares {
                writeln!(f, "| `{}` | {percent:.1} |", name.replace('|', "\\|"))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_belongs_to_the_thread_at_the_beginning_and_to_the_function_at_the_end() {
        let shares = Shares::of("relay;main;read 30\nrelay;main;send;copy 10\nrdk:broker1;serve;copy 60\n");
        let shares = shares.expect("samples");
        let of = |shares: &[Share]| -> Vec<(String, f64)> {
            let pairs = shares.iter().map(|share| (share.name.clone(), share.percent));
            pairs.collect()
        };
        let expected = [("rdk:broker1", 60.0), ("relay", 40.0)].map(|(name, percent)| (name.to_owned(), percent));
        assert_eq!(of(&shares.threads), expected);
        let expected = [("copy", 70.0), ("read", 30.0)].map(|(name, percent)| (name.to_owned(), percent));
        assert_eq!(of(&shares.functions), expected);
    }

    #[test]
    fn without_samples_it_is_said_what_forbids_them() {
        let said = Shares::of("").expect_err("nothing was recorded").to_string();
        assert!(said.contains("perf_event_paranoid"), "{said}");
    }
}
