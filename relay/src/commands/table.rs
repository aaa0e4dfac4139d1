//! A table for people, as wide as the terminal.

use std::fmt::Write;
use std::io::IsTerminal;

use super::output::on_one_line;

const GAP: usize = 2;
/// Less than this of a cell says nothing.
const WIDTH_MIN: usize = 6;

/// Rows of cells under their heads.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    heads: [&'static str; N],
    /// Whether a column may be shortened.
    gives: [bool; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Without rows. A head that ends in `…` says that its column may be shortened.
    pub(super) fn new(heads: [&'static str; N]) -> Self {
        Self {
            heads: heads.map(|head| head.trim_end_matches('…')),
            gives: heads.map(|head| head.ends_with('…')),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| on_one_line(&cell)));
    }

    /// For standard output: shortened where that is a terminal, whole where something else reads.
    pub(super) fn for_output(&self) -> String {
        let terminal = std::io::stdout().is_terminal();
        let width = terminal.then(terminal_size::terminal_size).flatten();
        self.fitted(width.map_or(usize::MAX, |(columns, _)| usize::from(columns.0)))
    }

    fn fitted(&self, width: usize) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        for cells in std::iter::once(self.heads.map(str::to_owned)).chain(self.rows.iter().cloned()) {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(widths) {
                let cell = shortened(cell, width);
                let _ = write!(line, "{cell:<width$}", width = width + GAP);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// What each column takes: the widest that gives gives first.
    fn widths(&self, width: usize) -> [usize; N] {
        let mut widths = self.heads.map(|head| head.chars().count());
        for cells in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let room = width.saturating_sub(GAP * N.saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            let giving = (0..N).filter(|&column| self.gives[column] && widths[column] > WIDTH_MIN);
            let Some(widest) = giving.max_by_key(|&column| widths[column]) else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }
}

fn shortened(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let start: String = cell.chars().take(width.saturating_sub(1)).collect();
    start + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["ID", "TOPIC…", "KEY…"]);
        table.row(["1".into(), "orders.placed".into(), "k\n1".into()]);
        table.row(["23".into(), "x".into(), "a key that is rather long".into()]);
        table
    }

    #[test]
    fn a_table_is_whole_where_there_is_room() {
        let whole = "ID  TOPIC          KEY\n1   orders.placed  k\\n1\n23  x              a key that is rather long\n";
        assert_eq!(table().fitted(usize::MAX), whole);
    }

    #[test]
    fn a_table_is_as_wide_as_the_terminal_and_its_widest_columns_give() {
        let fitted = table().fitted(30);
        assert!(fitted.lines().all(|line| line.chars().count() <= 30), "{fitted}");
        assert!(fitted.contains("orders.plac…"), "{fitted}");
        assert!(fitted.contains("a key that …"), "{fitted}");
    }

    #[test]
    fn a_table_never_shortens_what_does_not_give() {
        let fitted = table().fitted(5);
        assert!(fitted.contains("\n23  "), "{fitted}");
    }
}
