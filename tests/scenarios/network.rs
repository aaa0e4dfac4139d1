//! The network between the relay and its servers (P1, P2, P3, P7): a round of the campaign, at other moments each time.

use fastrand::Rng;
use outbox_relay_tests::campaign::PARTS;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};

const FAULTS: usize = 4;

#[test]
fn cuts_holes_and_delays_on_either_side_lose_and_reorder_nothing() -> Outcome {
    let part = PARTS.iter().find(|part| part.name == "network");
    let part = part.ok_or_else(|| Failure::new("the campaign has no such part"))?;
    let seed = fastrand::u64(1..1_000_000);
    println!("make campaign ARGS='--part network --seed {seed} --faults {FAULTS} --trial' replays it");
    let round = (part.run)(&mut Rng::with_seed(seed), FAULTS)?;
    ensure(round.faults == FAULTS, || format!("{} faults", round.faults))?;
    round.report.accept()
}
