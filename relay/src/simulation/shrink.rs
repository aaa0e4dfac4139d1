//! Makes a plan that fails as small as it still fails: fewer steps, then fewer kinds of fault.

use super::actions::Faults;
use super::judge::Violation;
use super::mutation::Mutation;
use super::world::{Plan, World};

pub(super) fn shrink(plan: &Plan, mutation: Option<Mutation>, first: Violation) -> (Plan, Violation) {
    let (mut smallest, mut violation) = (*plan, first);
    let mut keep_if_it_fails = |candidate: Plan| match World::run(&candidate, mutation) {
        Err(found) => {
            violation = found;
            Some(candidate)
        }
        Ok(_) => None,
    };
    for fault in 0..Faults::BITS {
        let candidate = Plan {
            faults: smallest.faults & !(1 << fault),
            ..smallest
        };
        if candidate != smallest
            && let Some(smaller) = keep_if_it_fails(candidate)
        {
            smallest = smaller;
        }
    }
    let mut cut = smallest.steps / 2;
    while cut > 0 {
        let candidate = Plan {
            steps: smallest.steps.saturating_sub(cut),
            ..smallest
        };
        match keep_if_it_fails(candidate) {
            Some(smaller) => smallest = smaller,
            None => cut /= 2,
        }
        cut = cut.min(smallest.steps);
    }
    (smallest, violation)
}
