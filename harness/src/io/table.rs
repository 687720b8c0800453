//! Text in columns: as wide as its words need, and never wider than the terminal.
#![forbid(unsafe_code)]

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use console::measure_text_width;

/// Between two columns.
const GAP: u16 = 2;
/// What a column of longer words keeps when the terminal is too narrow for all of them.
const LEAST: u16 = 8;
/// What a long word keeps in a row of its own.
const CUT: usize = 24;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    name: &'static str,
    align: CellAlignment,
    /// Whether a narrow terminal may do without it.
    spare: bool,
}

impl Column {
    /// The same, left out where the terminal is too narrow for all columns: the last one first.
    pub const fn spare(self) -> Self {
        let spare = true;
        Column { spare, ..self }
    }
}

/// A column of words: begins at its left edge, and may be broken into several lines.
pub const fn words(name: &'static str) -> Column {
    let (align, spare) = (CellAlignment::Left, false);
    Column { name, align, spare }
}

/// A column of numbers: ends at its right edge, and is never broken.
pub const fn number(name: &'static str) -> Column {
    let (align, spare) = (CellAlignment::Right, false);
    Column { name, align, spare }
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
        let rule = |column: &Column| match column.align {
            CellAlignment::Right => "---:".to_owned(),
            _ => "---".to_owned(),
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
        let all: usize = places.iter().map(|p| p.width + usize::from(GAP)).sum();
        let beyond = width.map_or(0, |width| all.saturating_sub(width + usize::from(GAP)));
        let words = places
            .iter_mut()
            .filter(|p| p.column.align == CellAlignment::Left);
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
            let columns = columns.map(|(column, natural)| match column.align {
                CellAlignment::Left => natural.min(least),
                _ => natural,
            });
            columns.map(|one| one + usize::from(GAP)).sum::<usize>()
        };
        while needed(&table) > width + usize::from(GAP) {
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

    fn draw(&self, width: Option<usize>) -> String {
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
            } else {
                let least = Width::Fixed(natural.min(LEAST) + GAP);
                drawn.set_constraint(ColumnConstraint::LowerBoundary(least));
            }
        }
        let lines = table.lines();
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
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
        let mut line = String::new();
        for place in &self.places {
            let cell = cell(place);
            let cell = if self.limited {
                cut(cell, place.width.max(CUT))
            } else {
                cell.to_owned()
            };
            let room = place.width.saturating_sub(measure_text_width(&cell));
            let right = place.column.align == CellAlignment::Right;
            let (before, behind) = if right { (room, 0) } else { (0, room) };
            line += &format!("{:before$}{cell}{:behind$}  ", "", "");
        }
        line.trim_end().to_owned() + "\n"
    }
}

/// A word of at most so many columns, without its middle where it is longer.
fn cut(word: &str, width: usize) -> String {
    let all: Vec<char> = word.chars().collect();
    if all.len() <= width || width == 0 {
        return word.to_owned();
    }
    let behind = (width - 1) / 2;
    let before: String = all[..width - 1 - behind].iter().collect();
    let behind: String = all[all.len() - behind..].iter().collect();
    format!("{before}…{behind}")
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
    fn spare_columns_go_before_any_word_is_broken() {
        let columns = [words("case"), number("bits").spare(), words("why").spare()];
        let mut table = Table::new(&columns);
        table.row(["a-case", "12", "because"]);
        let without_why = "case    bits\na-case    12\n";
        assert_eq!(table.render(Some(15)), without_why);
        assert_eq!(table.render(Some(9)), "case\na-case\n");
        assert_eq!(cut("abcdefgh", 5), "ab…gh");
        let layout = table.layout(Some(15));
        let row = ["b", "3", "so"].map(str::to_owned);
        assert_eq!(
            layout.heading() + &layout.line(&row),
            "case    bits\nb          3\n"
        );
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
