//! Text in columns: as wide as its words need, and never wider than the terminal.
#![forbid(unsafe_code)]

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};

/// Between two columns.
const GAP: u16 = 2;
/// What a column of words keeps when the terminal is too narrow for all of them.
const LEAST: u16 = 8;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    align: CellAlignment,
}

/// A column of words: begins at its left edge, and may be broken into several lines.
pub const fn words(name: &'static str) -> Column {
    let align = CellAlignment::Left;
    Column { name, align }
}

/// A column of numbers: ends at its right edge, and is never broken.
pub const fn number(name: &'static str) -> Column {
    let align = CellAlignment::Right;
    Column { name, align }
}

/// What a column shows of a row.
pub type Cell<R> = fn(&R) -> String;

/// A heading and rows, each with a cell for every column.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows yet.
    pub fn new(columns: &[Column]) -> Self {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// A row for each of `rows`, a column for what each function makes of one.
    pub fn of<'r, R: 'r>(
        rows: impl IntoIterator<Item = &'r R>,
        columns: &[(Column, Cell<R>)],
    ) -> Self {
        let heading: Vec<Column> = columns.iter().map(|(column, _)| *column).collect();
        let mut table = Self::new(&heading);
        for row in rows {
            table.row(columns.iter().map(|(_, cell)| cell(row)));
        }
        table
    }

    /// One more row. Cells left out at its end are empty.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert!(cells.len() <= self.columns.len(), "a column for every cell");
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Heading and rows, a line each; cells of words are broken where they would not fit into
    /// `width`. `None` is as wide as needed: a file or a pipe.
    pub fn render(&self, width: Option<usize>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(self.columns.iter().map(|column| column.name));
        table.add_rows(&self.rows);
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            // The gap behind the last column is cut off again.
            table.set_width(u16::try_from(width).unwrap_or(u16::MAX).saturating_add(GAP));
        }
        let natural = table.column_max_content_widths();
        for ((drawn, column), natural) in table.column_iter_mut().zip(&self.columns).zip(natural) {
            drawn.set_padding((0, GAP)).set_cell_alignment(column.align);
            if column.align == CellAlignment::Right {
                drawn.set_constraint(ColumnConstraint::ContentWidth);
            } else if natural >= LEAST {
                let least = Width::Fixed(LEAST + GAP);
                drawn.set_constraint(ColumnConstraint::LowerBoundary(least));
            }
        }
        let lines = table.lines();
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

/// A number as a cell: few digits, and a word where there is none.
pub fn scientific(value: Option<f64>) -> String {
    match value {
        None => "none".into(),
        Some(0.0) => "0".into(),
        Some(value) => format!("{value:.1e}"),
    }
}

/// A ratio in decibels as a cell: infinitely many where nothing is in the way of the signal.
pub fn decibels(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(f64::INFINITY) => "inf".into(),
        Some(value) => format!("{value:.1} dB"),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[words("case"), number("bits"), words("why")]);
        table.row(["é-case", "12", "a reason of several words"]);
        table.row(["b", "3"]);
        table
    }

    #[test]
    fn columns_line_up_whatever_the_letters() {
        let text = "case    bits  why\né-case    12  a reason of several words\nb          3\n";
        assert_eq!(sample().render(None), text);
        assert_eq!(sample().render(Some(200)), text, "room is not filled");
    }

    #[test]
    fn words_give_way_to_a_narrow_terminal_and_numbers_do_not() {
        let text = sample().render(Some(24));
        assert!(text.lines().all(|line| line.width() <= 24), "{text}");
        let joined: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(joined.len(), 12, "every word is there: {text}");
        let text = sample().render(Some(3));
        assert!(text.contains("12") && text.contains("bits"), "{text}");
    }

    #[test]
    fn no_number_is_not_printed_as_one() {
        assert_eq!(scientific(None), "none");
        assert_eq!(scientific(Some(0.0)), "0");
        assert_eq!(scientific(Some(1.25e-15)), "1.2e-15");
        assert_eq!(decibels(Some(f64::INFINITY)), "inf");
        assert_eq!(decibels(Some(63.14)), "63.1 dB");
    }
}
