//! Text in columns: as wide as its words need, and never wider than the terminal.
#![forbid(unsafe_code)]

use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: &str = "  ";
/// What a column of words keeps when the terminal is too narrow for all of them.
const LEAST: usize = 8;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    align: Align,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A column of words: begins at its left edge, and may be broken into several lines.
pub const fn words(name: &'static str) -> Column {
    let align = Align::Left;
    Column { name, align }
}

/// A column of numbers: ends at its right edge, and is never broken.
pub const fn number(name: &'static str) -> Column {
    let align = Align::Right;
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
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert!(cells.len() <= self.columns.len(), "a column for every cell");
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Heading and rows, a line each; cells of words are broken where they would not fit into
    /// `width`. `None` is as wide as needed: a file or a pipe.
    pub fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let heading: Vec<String> = self.columns.iter().map(|c| c.name.to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let cells: Vec<Vec<String>> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| broken(cell, *width))
                .collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            for line in 0..height {
                self.line(&cells, &widths, line, &mut text);
            }
        }
        text
    }

    fn line(&self, cells: &[Vec<String>], widths: &[usize], line: usize, text: &mut String) {
        let start = text.len();
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(widths) {
            let piece = cell.get(line).map_or("", String::as_str);
            let blank = " ".repeat(width.saturating_sub(piece.width()));
            if text.len() > start {
                text.push_str(GAP);
            }
            match column.align {
                Align::Left => text.extend([piece, &blank]),
                Align::Right => text.extend([blank.as_str(), piece]),
            }
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }

    /// As wide as the widest cell; where that is too much, columns of words give way, the widest
    /// first.
    fn widths(&self, most: Option<usize>) -> Vec<usize> {
        let natural = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| row[at].width());
            cells.fold(column.name.width(), usize::max)
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(natural).collect();
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        let room = most.map_or(usize::MAX, |most| most.saturating_sub(gaps));
        while widths.iter().sum::<usize>() > room {
            let shrinkable = self.columns.iter().enumerate().filter(|(at, column)| {
                let least = LEAST.max(column.name.width());
                column.align == Align::Left && widths[*at] > least
            });
            let Some((at, _)) = shrinkable.max_by_key(|(at, _)| widths[*at]) else {
                break; // numbers are not broken: the terminal has to wrap them
            };
            widths[at] -= 1;
        }
        widths
    }
}

/// A cell in lines of at most `width`: broken at spaces, and inside a word only if it must be.
fn broken(cell: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in cell.split(' ') {
        let line = lines.last().expect("there is always one");
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(String::new());
        } else if !line.is_empty() {
            lines.last_mut().expect("there is always one").push(' ');
        }
        for c in word.chars() {
            let line = lines.last_mut().expect("there is always one");
            if line.width() >= width.max(1) {
                lines.push(c.to_string());
            } else {
                line.push(c);
            }
        }
    }
    lines
}

/// A number as a cell: few digits, and a word where there is none.
pub fn scientific(value: Option<f64>) -> String {
    match value {
        None => "none".into(),
        Some(0.0) => "0".into(),
        Some(value) => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
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
    }
}
