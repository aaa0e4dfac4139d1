//! Every state of a small world: two partitions, three transactions and at most two crashes, in every order.
//!
//! The relay cannot be copied, so a state is known by the steps that lead to it, and reached by going them again. They are
//! visited breadth first: the way to a violation is a shortest one. States with the same digest are one, which is what
//! makes an end of it: nothing that a digest takes in grows for ever.
//!
//! Nothing is mended here. That everything can be finished is read from the steps: from every state some lead to where
//! all is readable and confirmed, and none of them is a crash.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use super::judge::Violation;
use super::mutation::Mutation;
use super::small::{SEED, STEPS, Small, Step};
use super::world::World;

/// How often a process or the connection between two ends.
const CRASHES: u32 = 2;
/// Below this, something is not visited any more: there were 101,755.
const STATES_MIN: usize = 80_000;

/// What went wrong, and after which steps.
struct Found {
    violation: Violation,
    way: Vec<Step>,
    mutation: Option<Mutation>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            violation,
            way,
            mutation,
        } = self;
        let mutation = mutation.map_or_else(String::new, |mutation| format!("MUTATION={mutation:?} "));
        write!(
            f,
            "{violation}\nreplay: {mutation}STEPS='{}' cargo test -p outbox-relay --lib \
             simulation::exhaustive::replay -- --ignored --nocapture",
            list(way)
        )
    }
}

fn list(way: &[Step]) -> String {
    let names: Vec<String> = way.iter().map(|step| format!("{step:?}")).collect();
    names.join(" ")
}

/// An assertion of the relay's own does not say how it came to that.
struct SaidOnPanic<'a>(&'a [Step]);

impl Drop for SaidOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("STEPS='{}'", list(self.0));
        }
    }
}

fn walk(first: &World, crashes: u32, way: &[Step]) -> Result<Small, Violation> {
    let _said = SaidOnPanic(way);
    let mut small = Small::beside(first, crashes);
    for step in way {
        small.go(*step)?;
    }
    Ok(small)
}

struct State {
    /// The number of the state before it, and the step from there.
    before: (usize, Step),
    possible: Vec<Step>,
    is_finished: bool,
}

struct Search {
    first: World,
    mutation: Option<Mutation>,
    crashes: u32,
    states: Vec<State>,
    numbers: HashMap<u64, usize>,
    /// From which states a state is reached without a crash.
    reached_from: Vec<Vec<usize>>,
    untaken: Vec<Step>,
    steps: u64,
}

impl Search {
    /// Visits everything.
    fn run(mutation: Option<Mutation>, crashes: u32) -> Result<Self, Found> {
        let mut search = Self {
            first: World::new(SEED, mutation),
            mutation,
            crashes,
            states: Vec::new(),
            numbers: HashMap::new(),
            reached_from: Vec::new(),
            untaken: STEPS.to_vec(),
            steps: 0,
        };
        // Nothing leads to the first state: what stands for the step to it is never gone.
        search.enter(&Small::beside(&search.first, crashes), (0, Step::Tick));
        let mut next = 0;
        while next < search.states.len() {
            search.go_on_from(next)?;
            next += 1;
        }
        Ok(search)
    }

    fn go_on_from(&mut self, number: usize) -> Result<(), Found> {
        let mut way = self.way_to(number);
        for step in self.states[number].possible.clone() {
            way.push(step);
            let small = walk(&self.first, self.crashes, &way).map_err(|violation| Found {
                violation,
                way: way.clone(),
                mutation: self.mutation,
            })?;
            way.pop();
            let reached = self.enter(&small, (number, step));
            if !step.is_crash() {
                self.reached_from[reached].push(number);
            }
            self.untaken.retain(|untaken| *untaken != step);
            self.steps += 1;
        }
        Ok(())
    }

    /// The number of a state, which it gets when it is new.
    fn enter(&mut self, small: &Small, before: (usize, Step)) -> usize {
        let newest = self.states.len();
        let number = *self.numbers.entry(small.digest()).or_insert(newest);
        if number == newest {
            self.states.push(State {
                before,
                possible: STEPS.into_iter().filter(|step| small.is_possible(*step)).collect(),
                is_finished: small.is_finished(),
            });
            self.reached_from.push(Vec::new());
        }
        number
    }

    fn way_to(&self, mut number: usize) -> Vec<Step> {
        let mut way = Vec::new();
        while number > 0 {
            let (before, step) = self.states[number].before;
            way.push(step);
            number = before;
        }
        way.reverse();
        way
    }

    /// A state from which nothing leads to the end, unless something crashes once more.
    fn hopeless(&self) -> Option<usize> {
        let mut has_hope: Vec<bool> = self.states.iter().map(|state| state.is_finished).collect();
        let mut open: Vec<usize> = (0..self.states.len()).filter(|number| has_hope[*number]).collect();
        while let Some(number) = open.pop() {
            for &before in &self.reached_from[number] {
                if !std::mem::replace(&mut has_hope[before], true) {
                    open.push(before);
                }
            }
        }
        has_hope.iter().position(|has_hope| !has_hope)
    }
}

#[test]
fn all_states_of_two_partitions_three_transactions_and_two_crashes_keep_every_promise() {
    let began = Instant::now();
    let search = Search::run(None, CRASHES).unwrap_or_else(|found| panic!("{found}"));
    let (states, steps) = (search.states.len(), search.steps);
    println!("states={states} steps={steps} seconds={}", began.elapsed().as_secs());
    let hopeless = search.hopeless().map(|number| list(&search.way_to(number)));
    assert_eq!(hopeless, None, "these steps lead to where nothing can be finished");
    assert_eq!(search.untaken, [], "never possible");
    assert!(states >= STATES_MIN, "{states} states");
}

/// Those that can do wrong where no broker refuses anything, and each within one crash.
#[test]
fn a_bug_that_is_planted_is_found_on_a_shortest_way() {
    for mutation in [
        Mutation::ConfirmsEarly,
        Mutation::KeepalivePassesInFlight,
        Mutation::ConfirmsByArrival,
        Mutation::ConfirmsAcrossConnections,
    ] {
        let Err(found) = Search::run(Some(mutation), 1) else {
            panic!("{mutation:?} is not found");
        };
        let is_it = |name: &&str| found.violation.0.starts_with(*name);
        assert!(mutation.shows_as().iter().any(is_it), "{mutation:?}: {found}");
        let again = |mutation| walk(&World::new(SEED, mutation), 1, &found.way).err();
        assert_eq!(again(Some(mutation)), Some(found.violation.clone()), "{found}");
        assert_eq!(again(None), None, "without the bug nothing is wrong with {found}");
        println!("{mutation:?}: {found}");
    }
}

/// What the line of a failure calls, with `STEPS`, and with `MUTATION` if a bug was planted.
#[test]
#[ignore = "replays the steps that a failure printed"]
fn replay() {
    let steps = std::env::var("STEPS").expect("STEPS='Connect Deliver …'");
    let named = |name: &str| STEPS.into_iter().find(|step| format!("{step:?}") == name);
    let way: Option<Vec<Step>> = steps.split_whitespace().map(named).collect();
    let planted = std::env::var("MUTATION").ok();
    let mutation = planted.and_then(|name| {
        let is_it = |mutation: &Mutation| format!("{mutation:?}") == name;
        Mutation::ALL.into_iter().find(is_it)
    });
    let walked = walk(&World::new(SEED, mutation), CRASHES, &way.expect("known steps"));
    if let Err(violation) = walked {
        panic!("{violation}");
    }
}
