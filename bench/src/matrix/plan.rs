//! Which cases are measured.

use std::collections::BTreeSet;

use serde::Serialize;

use super::case::{Brokers, Case};
use crate::backlog::PayloadType;
use crate::door::Door;

/// What the rows and the servers can be.
#[derive(Debug, Clone)]
pub(super) struct Dimensions {
    pub(super) brokers: Vec<Brokers>,
    pub(super) row_bytes: Vec<u32>,
    pub(super) rows_per_transaction: Vec<u32>,
    pub(super) payload: Vec<PayloadType>,
    pub(super) door: Vec<Door>,
}

/// A backlog to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Planned {
    #[serde(flatten)]
    pub(super) case: Case,
    pub(super) rows: u32,
}

/// What is measured, in this order, and what is not.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) cases: Vec<Planned>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A case that was asked for and is not measured.
#[derive(Debug, Serialize)]
pub(super) struct LeftOut {
    pub(super) case: String,
    pub(super) why: &'static str,
}

impl Dimensions {
    /// The usual case.
    pub(super) fn base() -> Dimensions {
        Dimensions {
            brokers: vec![Brokers::One],
            row_bytes: vec![600],
            rows_per_transaction: vec![100],
            payload: vec![PayloadType::Json],
            door: vec![Door::Tcp],
        }
    }

    /// Everything with everything.
    pub(super) fn product(&self) -> BTreeSet<Case> {
        let mut cases = BTreeSet::new();
        for &brokers in &self.brokers {
            for &row_bytes in &self.row_bytes {
                for &rows_per_transaction in &self.rows_per_transaction {
                    for &payload in &self.payload {
                        cases.extend(self.door.iter().map(|&door| Case {
                            brokers,
                            row_bytes,
                            rows_per_transaction,
                            payload,
                            door,
                        }));
                    }
                }
            }
        }
        cases
    }
}

/// Each dimension from end to end while the others stay as they usually are.
pub(super) fn matrix() -> BTreeSet<Case> {
    let base = Dimensions::base;
    let dimensions = [
        Dimensions {
            row_bytes: vec![100, 600, 1024, 10_240],
            ..base()
        },
        Dimensions {
            rows_per_transaction: vec![1, 10, 100, 1_000_000],
            ..base()
        },
        Dimensions {
            payload: vec![
                PayloadType::Json,
                PayloadType::Jsonb,
                PayloadType::Text,
                PayloadType::Bytea,
            ],
            ..base()
        },
        Dimensions {
            brokers: vec![Brokers::One, Brokers::Three],
            ..base()
        },
        Dimensions {
            door: vec![Door::Tcp, Door::Unix, Door::Tls],
            ..base()
        },
    ];
    dimensions.iter().flat_map(Dimensions::product).collect()
}

impl Plan {
    /// Of backlogs that have about so many rows.
    pub(super) fn of(cases: BTreeSet<Case>, rows: u32) -> Plan {
        let mut plan = Plan {
            cases: Vec::new(),
            left_out: Vec::new(),
        };
        for case in cases {
            match case.rows(rows) {
                Ok(rows) => plan.cases.push(Planned { case, rows }),
                Err(why) => plan.left_out.push(LeftOut {
                    case: case.title(),
                    why,
                }),
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_each_value_once_around_the_usual_case() {
        let names: Vec<String> = matrix().into_iter().map(Case::name).collect();
        let expected = [
            "100b_100tx_json_tcp",
            "600b_1tx_json_tcp",
            "600b_10tx_json_tcp",
            "600b_100tx_json_tcp",
            "600b_100tx_json_unix",
            "600b_100tx_json_tls",
            "600b_100tx_jsonb_tcp",
            "600b_100tx_text_tcp",
            "600b_100tx_bytea_tcp",
            "600b_1000000tx_json_tcp",
            "1024b_100tx_json_tcp",
            "10240b_100tx_json_tcp",
            "600b_100tx_json_tcp_3brokers",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn nothing_of_the_matrix_is_left_out() {
        let plan = Plan::of(matrix(), 500_000);
        assert!(plan.left_out.is_empty());
        let rows: BTreeSet<u32> = plan.cases.iter().map(|planned| planned.rows).collect();
        assert_eq!(rows, BTreeSet::from([104_800, 500_000, 1_000_000]));
    }

    #[test]
    fn what_cannot_be_measured_is_left_out_and_said() {
        let dimensions = Dimensions {
            brokers: vec![Brokers::One, Brokers::Three],
            door: vec![Door::Tcp, Door::Tls],
            ..Dimensions::base()
        };
        let plan = Plan::of(dimensions.product(), 1000);
        assert_eq!(plan.cases.len(), 3);
        assert_eq!(plan.left_out.len(), 1);
        assert!(plan.left_out[0].case.ends_with("tls, 3 brokers"));
    }
}
