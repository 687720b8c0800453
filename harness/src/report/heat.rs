//! Heat maps: tables of distances whose cells are coloured, hold their number as text, and say in
//! words what they are.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::figures::size;
use super::levels::{METRICS, Metric};
use super::page::scroll;
use crate::case::observation::Lane;
use crate::judge::compare::{Findings, LaneFindings, NodeDistance, PositionFindings};
use crate::judge::detail::RowDistance;
use crate::numbers::metrics::Distance;
use crate::runner::anatomy::NodeName;

/// One cell: where it is in words and in the JSON, and what is known of it.
pub struct Cell {
    /// In words.
    pub place: String,
    /// In the JSON.
    pub from: String,
    /// Every bit is equal.
    pub equal: bool,
    /// NMSE, ULPs and KL, as far as they are known and mean something here.
    pub metrics: [Known; 3],
    /// What else is to be said of it.
    pub note: String,
}

/// What is known of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// It is not there.
    Absent,
    /// It is there, and a number unless a value is none.
    Here(Option<f64>),
}

impl Known {
    fn text(self, equal: bool) -> String {
        match self {
            _ if equal => "=".into(),
            Known::Absent => "·".into(),
            Known::Here(number) => short(number),
        }
    }
}

/// So short that a cell holds it.
fn short(number: Option<f64>) -> String {
    match number {
        None => "!".into(),
        Some(number) if (1.0..1000.0).contains(&number) => format!("{number:.0}"),
        Some(number) if number > 0.0 => format!("{number:.0e}"),
        Some(_) => "0".into(),
    }
}

/// A table with a heading for each column and each row. `None` is a place where nothing is.
pub struct Map {
    /// What it shows, in words.
    pub caption: String,
    /// What the rows are, and the columns.
    pub axes: [&'static str; 2],
    /// Headings of the columns.
    pub columns: Vec<String>,
    /// Rows with their headings.
    pub rows: Vec<(String, Vec<Option<Cell>>)>,
}

impl Map {
    /// As a table that the keyboard moves in; nothing where there are no rows.
    pub fn render(&self) -> Markup {
        if self.rows.is_empty() {
            return html! {};
        }
        let tall = self.columns.iter().any(|name| name.chars().count() > 4);
        html! {
            figure.map {
                figcaption { (self.caption) }
                (scroll(&self.caption, html! {
                    table.heat role="grid" aria-label=(self.caption) {
                        thead { tr {
                            th scope="col" { (self.axes[0]) span.slash { " \\ " } (self.axes[1]) }
                            @for name in &self.columns {
                                th scope="col" .tall[tall] { span { (name) } }
                            }
                        } }
                        tbody { @for (name, cells) in &self.rows {
                            tr {
                                th scope="row" { (name) }
                                @for cell in cells { (cell_of(cell.as_ref())) }
                            }
                        } }
                    }
                }))
                p.told aria-hidden="true" { "Point at a cell, or walk with the arrow keys." }
            }
        }
    }
}

fn cell_of(cell: Option<&Cell>) -> Markup {
    let Some(cell) = cell else {
        return html! { td.none {} };
    };
    let step = |(metric, known): (&Metric, &Known)| match known {
        Known::Absent if cell.equal => 0,
        Known::Absent => 99,
        Known::Here(number) => metric.step(cell.equal, *number),
    };
    let steps = METRICS.iter().zip(&cell.metrics).map(step);
    let steps: Vec<String> = steps.map(|step| step.to_string()).collect();
    let texts = cell.metrics.map(|known| known.text(cell.equal));
    html! {
        td class={ "l" (steps[0]) } tabindex="-1" data-from=(cell.from) data-steps=(steps.join(" "))
            data-texts=(texts.join(" ")) aria-label=(said(cell)) { (texts[0]) }
    }
}

/// All that is known of a cell, in words.
fn said(cell: &Cell) -> String {
    let mut words = vec![cell.place.clone()];
    if cell.equal {
        words.push("every bit equal".into());
    } else {
        let known = METRICS.iter().zip(&cell.metrics);
        words.extend(known.filter_map(|(metric, known)| match known {
            Known::Absent => None,
            Known::Here(number) => Some(format!("{} {}", metric.name, size(*number))),
        }));
    }
    if !cell.note.is_empty() {
        words.push(cell.note.clone());
    }
    words.join(", ")
}

/// The choice of the metric and the colours' meaning, for all maps of a page.
pub fn legend() -> Markup {
    html! {
        fieldset.metrics {
            legend { "Colour the maps by" }
            @for (at, metric) in METRICS.iter().enumerate() {
                label {
                    input type="radio" name="metric" value=(at) checked[at == 0];
                    " " (metric.name)
                }
            }
            @for (at, metric) in METRICS.iter().enumerate() {
                ol.scale hidden[at != 0] data-metric=(at)
                    aria-label={ "Colours of " (metric.name) } {
                    li.l0 { "=" }
                    @for (step, from) in metric.legend.iter().enumerate() {
                        li class={ "l" (step + 1) } { (from) }
                    }
                    li.l9 { "no number" }
                }
            }
        }
    }
}

/// Lanes × positions: the logits.
pub fn of_logits(lanes: &[LaneFindings], from: &str) -> Map {
    let mut positions: Vec<usize> = lanes
        .iter()
        .flat_map(|lane| lane.positions.iter().map(|p| p.position))
        .collect();
    positions.sort_unstable();
    positions.dedup();
    let row = |(at, lane): (usize, &LaneFindings)| {
        let cell = |position: &usize| {
            let place = lane
                .positions
                .iter()
                .position(|p| p.position == *position)?;
            let from = format!("{from}/lanes/{at}/positions/{place}");
            Some(of_position(lane.lane, &lane.positions[place], from))
        };
        (
            lane.lane.name().to_owned(),
            positions.iter().map(cell).collect(),
        )
    };
    Map {
        caption: "Logits, lane by position of the prompt".into(),
        axes: ["lane", "position"],
        columns: positions.iter().map(usize::to_string).collect(),
        rows: lanes.iter().enumerate().map(row).collect(),
    }
}

fn of_position(lane: Lane, found: &PositionFindings, from: String) -> Cell {
    let Distance {
        values, bit_equal, ..
    } = found.distance;
    let same = if found.top1_equal {
        "the same"
    } else {
        "another"
    };
    let ulps = match found.detail.max_ulps {
        None if !found.detail.is_empty() => Known::Here(None),
        None => Known::Absent,
        Some(ulps) => Known::Here(Some(ulps as f64)),
    };
    Cell {
        place: format!("{} position {}", lane.name(), found.position),
        from,
        equal: found.distance.is_bit_identical(),
        metrics: [
            Known::Here(found.distance.nmse),
            ulps,
            Known::Here(found.kl),
        ],
        note: format!("{bit_equal}/{values} logits bit-identical, {same} most likely token"),
    }
}

/// Layers × nodes: the traced values.
pub fn of_nodes(findings: &Findings, from: &str) -> Map {
    let nodes = findings.nodes.compared.iter().enumerate();
    let cells = nodes.map(|(at, node)| {
        let cell = of_node(node, format!("{from}/nodes/compared/{at}"));
        (&node.key[..], cell)
    });
    by_layer(
        "Traced nodes, layer by operation, in the order of the pass",
        cells,
    )
}

/// Layers × nodes: cells of nodes, by their keys, in the order of the pass.
pub fn by_layer<'k>(caption: &str, cells: impl Iterator<Item = (&'k str, Cell)>) -> Map {
    let mut columns: Vec<String> = Vec::new();
    let mut layers: BTreeMap<Option<usize>, BTreeMap<usize, Cell>> = BTreeMap::new();
    for (key, cell) in cells {
        let (layer, name) = placed(key);
        let known = columns.iter().position(|column| *column == name);
        let column = known.unwrap_or(columns.len());
        if known.is_none() {
            columns.push(name);
        }
        layers.entry(layer).or_default().insert(column, cell);
    }
    let row = |(layer, mut cells): (Option<usize>, BTreeMap<usize, Cell>)| {
        let name = layer.map_or("model".to_owned(), |layer| layer.to_string());
        let cells = (0..columns.len()).map(|column| cells.remove(&column));
        (name, cells.collect())
    };
    Map {
        caption: caption.to_owned(),
        axes: ["layer", "node"],
        rows: layers.into_iter().map(row).collect(),
        columns,
    }
}

/// The layer of a node, and its name without it; operation and occurrence only where they tell two
/// nodes apart that have one name.
fn placed(key: &str) -> (Option<usize>, String) {
    let node = NodeName::of(key);
    let name = key.split('|').next().unwrap_or(key);
    // `Qcur-0 (reshaped)` is the same node in every layer, as `Qcur-0` is.
    let (name, more) = name.split_once(' ').unwrap_or((name, ""));
    let name = match node.layer {
        Some(layer) => name.strip_suffix(&format!("-{layer}")).unwrap_or(name),
        None => name,
    };
    let rest = key.split_once('|').map_or("", |(_, rest)| rest);
    let operation = rest.strip_suffix("#0").unwrap_or(rest).to_lowercase();
    let words = [name, more, &operation];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    (node.layer, words.join(" "))
}

fn of_node(node: &NodeDistance, from: String) -> Cell {
    let Distance {
        values, bit_equal, ..
    } = node.distance;
    let ulps = node.detail.max_ulps.map(|ulps| ulps as f64);
    Cell {
        place: node.key.clone(),
        from,
        equal: node.distance.is_bit_identical(),
        metrics: [
            Known::Here(node.distance.nmse),
            if node.detail.is_empty() {
                Known::Absent
            } else {
                Known::Here(ulps)
            },
            Known::Absent,
        ],
        note: format!("{bit_equal}/{values} values bit-identical"),
    }
}

/// A node position by position: its key, its rows, and where they are in the JSON.
type Positions<'n> = (&'n str, &'n [RowDistance], String);

/// Layers × positions: of nodes with a row for each position, in the order of the pass, the last of
/// each layer.
pub fn by_position<'n>(nodes: impl Iterator<Item = Positions<'n>>) -> Map {
    let mut last: Vec<(Option<usize>, Positions<'n>)> = Vec::new();
    for node in nodes.filter(|(_, rows, _)| !rows.is_empty()) {
        let layer = NodeName::of(node.0).layer;
        last.retain(|(known, _)| *known != layer);
        last.push((layer, node));
    }
    let positions = last.iter().map(|(_, (_, rows, _))| rows.len());
    let positions = positions.max().unwrap_or(0);
    let row = |(_, (key, rows, from)): &(_, Positions<'n>)| {
        let cell = |position: usize| {
            let from = format!("{from}/{position}");
            Some(of_row(key, position, rows.get(position)?, from))
        };
        ((*key).to_owned(), (0..positions).map(cell).collect())
    };
    Map {
        caption: "The last node of each layer that differs, by position of the prompt".into(),
        axes: ["node", "position"],
        columns: (0..positions)
            .map(|position| position.to_string())
            .collect(),
        rows: last.iter().map(row).collect(),
    }
}

/// The same of the traced nodes of a comparison.
pub fn of_layers(findings: &Findings, from: &str) -> Map {
    by_position(
        findings
            .nodes
            .compared
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let from = format!("{from}/nodes/compared/{at}/detail/rows");
                (&node.key[..], &node.detail.rows[..], from)
            }),
    )
}

fn of_row(key: &str, position: usize, row: &RowDistance, from: String) -> Cell {
    let ulps = row.max_ulps.map(|ulps| ulps as f64);
    let kl = row.kl.map_or(Known::Absent, |kl| Known::Here(Some(kl)));
    Cell {
        place: format!("{key} position {position}"),
        from,
        equal: row.differing == 0,
        metrics: [Known::Here(row.nmse), Known::Here(ulps), kl],
        note: format!("{} values differ", row.differing),
    }
}
