//! Text in columns: as wide as its words need, and never wider than the terminal.
#![forbid(unsafe_code)]

mod lines;

use console::measure_text_width;

use self::lines::{broken, cut};

/// Between two columns.
const GAP: usize = 2;
/// What a column of longer words keeps when the terminal is too narrow for all of them.
const LEAST: usize = 8;
/// What a long word keeps in a row of its own.
const CUT: usize = 24;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    edge: Edge,
    /// Whether a narrow terminal may do without it.
    spare: bool,
    /// Whether its cells are never broken.
    whole: bool,
}

/// Where the cells of a column begin or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Left,
    Right,
}

impl Column {
    const fn of(name: &'static str, edge: Edge) -> Self {
        Column {
            name,
            edge,
            spare: false,
            whole: false,
        }
    }

    /// The same, left out where the terminal is too narrow for all columns: the last one first.
    pub const fn spare(self) -> Self {
        let spare = true;
        Column { spare, ..self }
    }

    /// The same, its words never broken: whoever looks for them finds them.
    pub const fn whole(self) -> Self {
        let whole = true;
        Column { whole, ..self }
    }
}

/// A column of words: begins at its left edge, and may be broken into several lines.
pub const fn words(name: &'static str) -> Column {
    Column::of(name, Edge::Left)
}

/// A column of numbers: ends at its right edge, and is never broken.
pub const fn number(name: &'static str) -> Column {
    Column::of(name, Edge::Right).whole()
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

    /// Heading and rows, a line each; where they do not fit into `width`, spare columns are left
    /// out and cells of words broken. `None` is as wide as needed: a file or a pipe.
    pub fn render(&self, width: Option<usize>) -> String {
        self.narrowed(width, usize::MAX).draw(width)
    }

    /// As a table of Markdown, every column there.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(
            self.columns
                .iter()
                .map(|c| c.name.replace('|', "\\|"))
                .collect(),
        );
        let rule = |column: &Column| match column.edge {
            Edge::Right => "---:".to_owned(),
            Edge::Left => "---".to_owned(),
        };
        text += &line(self.columns.iter().map(rule).collect());
        for row in &self.rows {
            text += &line(row.iter().map(|cell| cell.replace('|', "\\|")).collect());
        }
        text
    }

    /// Where cells stand in rows that are printed one by one: wide enough for those of this table
    /// or, where a terminal is not, with long words cut in their middle.
    pub fn layout(&self, width: Option<usize>) -> Layout {
        let table = self.narrowed(width, CUT);
        let place = |(column, natural): (&Column, usize)| Place {
            cell: self.place_of(column),
            column: *column,
            width: natural,
        };
        let columns = table.columns.iter().zip(table.widths());
        let mut places: Vec<Place> = columns.map(place).collect();
        let all: usize = places.iter().map(|p| p.width + GAP).sum();
        let beyond = width.map_or(0, |width| all.saturating_sub(width + GAP));
        let words = places.iter_mut().filter(|p| p.column.edge == Edge::Left);
        if let Some(widest) = words.max_by_key(|place| place.width) {
            widest.width = widest
                .width
                .saturating_sub(beyond)
                .max(CUT.min(widest.width));
        }
        let limited = width.is_some();
        Layout { places, limited }
    }

    fn place_of(&self, column: &Column) -> usize {
        let found = self.columns.iter().position(|c| c.name == column.name);
        found.expect("a narrowed table has no other columns")
    }

    /// Without the spare columns that there is no room for, if the others need no more than their
    /// content, and columns of words no more than `least`.
    fn narrowed(&self, width: Option<usize>, least: usize) -> Table {
        let mut table = self.clone();
        let Some(width) = width else {
            return table;
        };
        let needed = |table: &Table| {
            let columns = table.columns.iter().zip(table.widths());
            let columns = columns.map(|(column, natural)| {
                if column.whole {
                    natural
                } else {
                    natural.min(least)
                }
            });
            columns.map(|one| one + GAP).sum::<usize>()
        };
        while needed(&table) > width + GAP {
            let Some(spare) = table.columns.iter().rposition(|column| column.spare) else {
                break;
            };
            table.columns.remove(spare);
            for row in table.rows.iter_mut().filter(|row| spare < row.len()) {
                row.remove(spare);
            }
        }
        table
    }

    /// How wide each column is by its content.
    fn widths(&self) -> Vec<usize> {
        let width = |(at, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            let cells = cells.map(|cell| measure_text_width(cell));
            cells.fold(measure_text_width(column.name), usize::max)
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    /// How wide each column is: by its content or, where there is no room for all of it, columns
    /// that may be broken share what the others leave: short ones keep their content, long ones
    /// get the same each.
    fn fitted(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths = self.widths();
        let Some(width) = width else {
            return widths;
        };
        let (whole, mut long): (Vec<usize>, Vec<usize>) =
            (0..widths.len()).partition(|at| self.columns[*at].whole);
        long.sort_by_key(|at| widths[*at]);
        let whole: usize = whole.iter().map(|at| widths[*at]).sum();
        let mut room = width.saturating_sub(whole + GAP * widths.len().saturating_sub(1));
        for (done, at) in long.iter().enumerate() {
            let share = room / (long.len() - done);
            widths[*at] = widths[*at].min(share.max(LEAST));
            room = room.saturating_sub(widths[*at]);
        }
        widths
    }

    fn draw(&self, width: Option<usize>) -> String {
        let widths = self.fitted(width);
        let heading = self.columns.iter().map(|column| column.name).collect();
        let rows = self.rows.iter();
        let rows = rows.map(|row| row.iter().map(String::as_str).collect::<Vec<&str>>());
        let row = |cells: Vec<&str>| {
            let cells = cells.into_iter().zip(&widths);
            let cells: Vec<Vec<String>> = cells.map(|(cell, width)| broken(cell, *width)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
            let text = |at: usize| {
                let places = self.columns.iter().zip(&widths).enumerate();
                line(places.map(|(place, (column, width))| {
                    let part = cells.get(place).and_then(|cell| cell.get(at));
                    (column.edge, *width, part.map_or("", String::as_str))
                }))
            };
            (0..height).map(text).collect::<String>()
        };
        std::iter::once(heading).chain(rows).map(row).collect()
    }
}

/// Where the cells of a row stand, decided before the rows are known.
#[derive(Debug, Clone)]
pub struct Layout {
    places: Vec<Place>,
    /// Whether longer words would not fit into the terminal.
    limited: bool,
}

#[derive(Debug, Clone)]
struct Place {
    cell: usize,
    column: Column,
    width: usize,
}

impl Layout {
    /// The names of the columns, as a line.
    pub fn heading(&self) -> String {
        self.draw(|place| place.column.name)
    }

    /// A row, as a line.
    pub fn line(&self, cells: &[String]) -> String {
        self.draw(|place| cells.get(place.cell).map_or("", String::as_str))
    }

    fn draw<'c>(&'c self, cell: impl Fn(&'c Place) -> &'c str) -> String {
        let places = self.places.iter();
        let cells: Vec<String> = places
            .map(|place| {
                if self.limited {
                    cut(cell(place), place.width.max(CUT))
                } else {
                    cell(place).to_owned()
                }
            })
            .collect();
        let places = self.places.iter().zip(&cells);
        line(places.map(|(place, cell)| (place.column.edge, place.width, &cell[..])))
    }
}

/// A line of cells, each at its edge of so many columns.
fn line<'c>(cells: impl Iterator<Item = (Edge, usize, &'c str)>) -> String {
    let mut line = String::new();
    for (edge, width, cell) in cells {
        let room = width.saturating_sub(measure_text_width(cell));
        let (before, behind) = match edge {
            Edge::Left => (0, room + GAP),
            Edge::Right => (room, GAP),
        };
        line += &format!("{:before$}{cell}{:behind$}", "", "");
    }
    line.trim_end().to_owned() + "\n"
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
    fn a_short_word_is_not_broken_however_narrow_the_terminal() {
        let mut table = Table::new(&[words("case"), words("lane"), number("a number of many")]);
        table.row(["a-long-case-name", "prefill", "1"]);
        let text = table.render(Some(30));
        assert!(
            text.contains("prefill") && !text.contains("a-long-case-name"),
            "{text}"
        );
    }

    #[test]
    fn what_fits_is_never_broken_for_what_does_not() {
        let mut table = Table::new(&[words("case"), words("with"), number("bit-equal")]);
        let long = "bitnet-portable-".repeat(5);
        table.row(["edges-the-end", &long, "22528/22528"]);
        for width in [60, 80] {
            let text = table.render(Some(width));
            assert!(text.contains("\nedges-the-end  "), "{width}: {text}");
            assert!(text.lines().all(|line| line.width() <= width), "{text}");
        }
    }

    #[test]
    fn spare_columns_go_before_any_word_is_broken() {
        let columns = [words("case"), number("bits").spare(), words("why").spare()];
        let mut table = Table::new(&columns);
        table.row(["a-case", "12", "because"]);
        let without_why = "case    bits\na-case    12\n";
        assert_eq!(table.render(Some(15)), without_why);
        assert_eq!(table.render(Some(9)), "case\na-case\n");
        let layout = table.layout(Some(15));
        let row = ["b", "3", "so"].map(str::to_owned);
        let shown = layout.heading() + &layout.line(&row);
        assert_eq!(shown, "case    bits\nb          3\n");
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
