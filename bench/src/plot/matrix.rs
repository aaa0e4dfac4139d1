//! `matrix.svg`: what the relay drains of every kind of backlog, one dimension at a time.

use super::Plot;
use super::bars::{Bar, Bars, Panel};
use super::frame::Frame;
use super::kept::{Case, CaseTurn, Matrix};
use super::number::{count, medians_of, short, with_commas};
use super::palette::{RELAY, RELAY_PALE};
use crate::failure::Failure;
use crate::median::median;

const COLUMNS: u32 = 3;

/// What backlogs differ in, and what a case has of it, in words.
type Dimension = (&'static str, fn(&Case) -> String);

const DIMENSIONS: [Dimension; 5] = [
    ("Rows", |case| {
        format!("{} bytes", with_commas(f64::from(case.row_bytes)))
    }),
    ("Transactions", |case| count(case.rows_per_transaction, "row")),
    ("Payload", |case| case.payload.clone()),
    ("Way in", |case| match case.door.as_str() {
        "unix" => "unix socket".to_owned(),
        "tls" => "TLS on both sides".to_owned(),
        other => other.to_uppercase(),
    }),
    ("Brokers", |case| match case.brokers.as_str() {
        "1" => "1 broker".to_owned(),
        many => format!("{many} brokers"),
    }),
];

pub(super) fn plot(matrix: &Matrix, file: &str) -> Result<Plot, Failure> {
    let bars = Bars {
        panels: panels(&matrix.cases),
        columns: COLUMNS,
        common_scale: true,
    };
    let turns = matrix.cases.first().map_or(0, |case| case.turns.len());
    let frame = Frame {
        title: title(&matrix.cases),
        subtitle: subtitle(&matrix.cases),
        legend: Vec::new(),
        small_print: vec![
            format!(
                "{}. After each number: against pg_recvlogical on an equal slot, which publishes nothing. \
                 All bars have one scale; the usual case is the dark one.",
                medians_of(turns, "turn")
            ),
            matrix.circumstances.small_print(file),
        ],
    };
    frame.plot("matrix.svg", bars.height(), |canvas, top| bars.draw(canvas, top))
}

impl CaseTurn {
    fn ratio(&self) -> f64 {
        self.relay.events_per_s() / self.recvlogical.events_per_s()
    }
}

impl Case {
    fn events_per_s(&self) -> f64 {
        median(self.turns.iter().map(|turn| turn.relay.events_per_s()))
    }

    fn ratio(&self) -> f64 {
        median(self.turns.iter().map(CaseTurn::ratio))
    }

    /// The dimensions in which it is not as another case.
    fn differs_from(&self, other: &Case) -> Vec<&'static str> {
        let different = DIMENSIONS.iter().filter(|(_, of)| of(self) != of(other));
        different.map(|(name, _)| *name).collect()
    }

    fn in_words(&self) -> String {
        DIMENSIONS.map(|(_, of)| of(self)).join(", ")
    }
}

/// The case that most of the others differ from in one thing alone.
fn usual(cases: &[Case]) -> Option<&Case> {
    let neighbours = |case: &Case| cases.iter().filter(|other| other.differs_from(case).len() == 1).count();
    // Of several the first.
    cases.iter().rev().max_by_key(|case| neighbours(case))
}

/// One for each dimension in which something differs, and one for what differs in several.
fn panels(cases: &[Case]) -> Vec<Panel> {
    let Some(usual) = usual(cases) else {
        return Vec::new();
    };
    let mut panels = Vec::new();
    for (dimension, of) in DIMENSIONS {
        let is_of_it = |case: &&Case| matches!(case.differs_from(usual)[..], [only] if only == dimension);
        if cases.iter().any(|case| is_of_it(&case)) {
            let shown = cases
                .iter()
                .filter(|case| is_of_it(case) || case.differs_from(usual).is_empty());
            panels.push(panel(
                dimension,
                shown.map(|case| bar(&of(case), case, usual)).collect(),
            ));
        }
    }
    let others = cases.iter().filter(|case| case.differs_from(usual).len() > 1);
    let others: Vec<Bar> = others.map(|case| bar(&case.in_words(), case, usual)).collect();
    if panels.is_empty() && others.is_empty() {
        panels.push(panel("The only case", vec![bar(&usual.in_words(), usual, usual)]));
    } else if !others.is_empty() {
        panels.push(panel("Others", others));
    }
    panels
}

fn panel(heading: &str, bars: Vec<Bar>) -> Panel {
    Panel {
        heading: heading.to_owned(),
        hint: "events/s, more is better".to_owned(),
        bars,
    }
}

fn bar(name: &str, case: &Case, usual: &Case) -> Bar {
    let colour = if case.differs_from(usual).is_empty() {
        RELAY
    } else {
        RELAY_PALE
    };
    let number = format!("{}, {:.2}×", short(case.events_per_s()), case.ratio());
    Bar::plain(name, case.events_per_s(), colour, number)
}

fn title(cases: &[Case]) -> String {
    let Some(usual) = usual(cases) else {
        return "No case was measured".to_owned();
    };
    let usually = format!("{} events a second", short(usual.events_per_s()));
    let all = cases.iter().map(Case::events_per_s);
    let (lowest, highest) = all.fold((f64::INFINITY, 0.0), |(lowest, highest), one| {
        (f64::min(lowest, one), f64::max(highest, one))
    });
    match cases {
        [_] => usually,
        _ => format!(
            "{usually} usually, from {} to {} otherwise",
            short(lowest),
            short(highest)
        ),
    }
}

fn subtitle(cases: &[Case]) -> String {
    let usual = usual(cases).map_or_else(String::new, Case::in_words);
    format!("backlogs, drained to Kafka; the usual case: {usual}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::kept::Kept;

    /// A case that drains a thousand events in so many seconds.
    fn case(row_bytes: u32, rows_per_transaction: u32, door: &str, drain_s: f64) -> String {
        let drain = |drain_s: f64| {
            format!(
                r#"{{"rows": 1000, "drain_s": {drain_s}, "client": {{"cpu_us_per_row": 1.0, "peak_rss_mib": 1.0}}}}"#
            )
        };
        format!(
            r#"{{"row_bytes": {row_bytes}, "rows_per_transaction": {rows_per_transaction}, "payload": "json",
                "door": "{door}", "brokers": "1",
                "turns": [{{"recvlogical": {}, "relay": {}}}]}}"#,
            drain(1.0),
            drain(drain_s)
        )
    }

    fn matrix(cases: &[String]) -> Matrix {
        let text = format!(r#"{{"rows_asked_for": 1000, "cases": [{}]}}"#, cases.join(", "));
        match Kept::parse(&text).expect("results") {
            Kept::Matrix(matrix) => matrix,
            other => panic!("{other:?}"),
        }
    }

    fn shown(panel: &Panel) -> (String, Vec<String>) {
        let names = panel.bars.iter().map(|bar| format!("{}: {}", bar.name, bar.number));
        (panel.heading.clone(), names.collect())
    }

    #[test]
    fn each_dimension_has_a_panel_with_the_usual_case_in_it() {
        let matrix = matrix(&[
            case(100, 100, "tcp", 0.5),
            case(600, 1, "tcp", 4.0),
            case(600, 100, "tcp", 1.0),
            case(600, 100, "unix", 2.0),
        ]);
        let panels: Vec<_> = panels(&matrix.cases).iter().map(shown).collect();
        let expected = [
            ("Rows", ["100 bytes: 2,000, 2.00×", "600 bytes: 1,000, 1.00×"]),
            ("Transactions", ["1 row: 250, 0.25×", "100 rows: 1,000, 1.00×"]),
            ("Way in", ["TCP: 1,000, 1.00×", "unix socket: 500, 0.50×"]),
        ];
        let expected = expected.map(|(heading, bars)| (heading.to_owned(), bars.map(str::to_owned).to_vec()));
        assert_eq!(panels, expected);
        assert_eq!(
            title(&matrix.cases),
            "1,000 events a second usually, from 250 to 2,000 otherwise"
        );
    }

    #[test]
    fn what_differs_in_several_things_and_a_case_alone_are_shown_too() {
        let several = [
            case(600, 100, "tcp", 1.0),
            case(600, 1, "tcp", 1.0),
            case(600, 10, "tcp", 1.0),
            case(100, 1, "unix", 1.0),
        ];
        let headings = |cases: &[String]| -> Vec<String> {
            let panels = panels(&matrix(cases).cases);
            panels.into_iter().map(|panel| panel.heading).collect()
        };
        assert_eq!(headings(&several), ["Transactions", "Others"]);
        assert_eq!(headings(&several[..1]), ["The only case"]);
        assert!(headings(&[]).is_empty());
    }

    #[test]
    fn a_matrix_is_drawn_with_the_file_it_was_made_from() {
        let matrix = matrix(&[case(600, 100, "tcp", 1.0), case(600, 1, "tcp", 2.0)]);
        let plot = plot(&matrix, "drain-1.json").expect("a plot");
        assert!(
            plot.svg.contains("drain-1.json") && plot.name == "matrix.svg",
            "{}",
            plot.svg
        );
    }
}
