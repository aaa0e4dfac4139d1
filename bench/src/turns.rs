//! Whose turn it is. Who comes second finds caches that are warm, a broker that still writes, and a host that has changed
//! its mind: everybody is first, and last, as often.

use crate::failure::Failure;

/// Measures all of them, in the first turn in their order, in each further turn beginning with the next one. The results are
/// in their order, whoever came first.
pub(crate) fn in_rotation<C, M>(
    turn: u32,
    all: &[C],
    mut measure: impl FnMut(&C) -> Result<M, Failure>,
) -> Result<Vec<M>, Failure> {
    let places = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let first = turn.checked_rem(places).unwrap_or_default() as usize;
    let begin = (first..all.len()).chain(0..first);
    let measured = begin.map(|place| Ok((place, measure(&all[place])?)));
    let mut measured = measured.collect::<Result<Vec<(usize, M)>, Failure>>()?;
    measured.sort_by_key(|(place, _)| *place);
    Ok(measured.into_iter().map(|(_, measured)| measured).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_begins_with_the_next_one_and_the_results_stay_in_order() {
        let turn = |turn| {
            let mut order = String::new();
            let results = in_rotation(turn, &['a', 'b', 'c'], |who| {
                order.push(*who);
                Ok(who.to_ascii_uppercase())
            });
            (order, results.expect("nothing fails").into_iter().collect::<String>())
        };
        let turns = [0, 1, 2, 3].map(turn);
        let orders = ["abc", "bca", "cab", "abc"];
        for ((order, results), expected) in turns.iter().zip(orders) {
            assert_eq!((order.as_str(), results.as_str()), (expected, "ABC"));
        }
    }

    #[test]
    fn nobody_comes_after_one_that_has_failed() {
        let mut tried = Vec::new();
        let failed = in_rotation(1, &[1, 2, 3], |who| {
            tried.push(*who);
            if *who == 3 { Err(Failure::Interrupted) } else { Ok(()) }
        });
        assert!(failed.is_err());
        assert_eq!(tried, [2, 3]);
        assert!(in_rotation(1, &[], |()| Ok(())).is_ok_and(|none| none.is_empty()));
    }
}
