//! Operations traced one by one: what `trace` and `compare` located, its own error apart from what
//! it inherited, and the certificates of roundings.

use maud::{Markup, html};
use serde::Deserialize;

use super::figures::{count, counted, size};
use super::heat::{self, Cell, Known};
use super::page::{heads, scroll};
use crate::case::coverage::Count;
use crate::case::observation::Identity;
use crate::judge::detail::RowDistance;

/// As it stands in the JSON, as far as it is shown.
#[derive(Deserialize)]
pub struct Located {
    /// Who the reference is.
    pub reference: Identity,
    computed_by: Option<Identity>,
    profile: String,
    rung: String,
    nodes: Vec<Node>,
    coverage: Count,
    alone: Count,
    missing: Vec<String>,
    unjudged: Vec<String>,
    blamed: Option<Blame>,
    logits: String,
}

#[derive(Deserialize)]
struct Node {
    key: String,
    does: String,
    tensor: Option<String>,
    values: usize,
    total: Gap,
    local: Option<Gap>,
    inherited: Option<Gap>,
    #[serde(default)]
    rows: Vec<RowDistance>,
    flips: Option<Flips>,
}

#[derive(Deserialize)]
struct Gap {
    differing: usize,
    first: Option<Difference>,
    max_ulps: Option<u64>,
    nmse: Option<f64>,
}

#[derive(Deserialize)]
struct Difference {
    index: usize,
    bits: [u32; 2],
    ulps: Option<u64>,
}

#[derive(Deserialize)]
struct Flips {
    rounding: String,
    flipped: usize,
    legal: usize,
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    index: usize,
    rounded: [f64; 2],
    before: [f64; 2],
    distance: [f64; 2],
    allowed: f64,
    legal: bool,
}

#[derive(Deserialize)]
struct Blame {
    key: String,
    because: String,
}

/// Which of the three errors a map shows.
type Error = (&'static str, &'static str, fn(&Node) -> Option<&Gap>);

const ERRORS: [Error; 3] = [
    (
        "local",
        "Local error: each operation alone, on the reference's inputs",
        |n| n.local.as_ref(),
    ),
    (
        "inherited",
        "Inherited error: what came with the inputs",
        |n| n.inherited.as_ref(),
    ),
    ("total", "Total error: local and inherited", |n| {
        Some(&n.total)
    }),
];

impl Located {
    /// Who it is about, in words.
    pub fn about(&self) -> String {
        let ours = match &self.computed_by {
            Some(guest) => guest.to_string(),
            None => format!("the engine ({})", self.profile),
        };
        format!("{ours} beside {}", self.reference)
    }

    /// The answer in words.
    pub fn answer(&self) -> String {
        let differ = self.nodes.iter().filter(|n| n.total.differing > 0).count();
        match &self.blamed {
            Some(blamed) => format!("{}: {}", blamed.key, blamed.because),
            None if differ == 0 => "every bit of every node is equal".into(),
            None => format!("no operation is to blame; {differ} nodes differ within the rung"),
        }
    }

    /// The node to blame, said at the top of a page.
    pub fn blamed(&self) -> Option<(&str, &str)> {
        self.blamed.as_ref().map(|b| (&b.key[..], &b.because[..]))
    }

    /// All of it; `from` is where it is in the JSON.
    pub fn render(&self, from: &str) -> Markup {
        html! {
            p.facts {
                (self.about()) "; an operation alone is held to " code { (self.rung) }
                "; nodes compared "
                (counted(self.coverage.compared, &format!("{from}/coverage/compared"))) " of "
                (counted(self.coverage.declared, &format!("{from}/coverage/declared")))
                ", judged alone "
                (counted(self.alone.compared, &format!("{from}/alone/compared"))) " of "
                (counted(self.alone.declared, &format!("{from}/alone/declared")))
            }
            @if let Some((at, node)) = self.suspect() {
                (node.in_full(&format!("{from}/nodes/{at}")))
            }
            @for (field, caption, error) in ERRORS {
                @if field == "total" || self.nodes.iter().any(|n| n.total.differing > 0) {
                    (self.map(field, caption, error, from))
                }
            }
            (self.positions(from))
            @if self.nodes.iter().all(|n| n.local.is_none()) {
                p.absent {
                    "This engine does not go on from values it is given: no operation was judged "
                    "alone, so there is no local and no inherited error."
                }
            }
            (self.table(from))
            (self.certificates(from))
            (list("Nodes of the reference that are not here", &self.missing))
            (list("Nodes that the reference lacks: judged with what reads them", &self.unjudged))
            p.absent { "SHA-256 of the logits: " code.hash { (self.logits) } }
        }
    }

    /// The blamed node, else the first that differs alone.
    fn suspect(&self) -> Option<(usize, &Node)> {
        let blamed = |n: &Node| self.blamed.as_ref().is_some_and(|b| b.key == n.key);
        let alone = |n: &Node| n.local.as_ref().is_some_and(|gap| gap.differing > 0);
        let mut nodes = self.nodes.iter().enumerate();
        let found = nodes.clone().find(|(_, n)| blamed(n));
        found.or_else(|| nodes.find(|(_, n)| alone(n)))
    }

    fn map(
        &self,
        field: &str,
        caption: &str,
        error: fn(&Node) -> Option<&Gap>,
        from: &str,
    ) -> Markup {
        let cells = self.nodes.iter().enumerate().filter_map(|(at, node)| {
            let gap = error(node)?;
            Some((
                &node.key[..],
                gap.cell(node, format!("{from}/nodes/{at}/{field}")),
            ))
        });
        heat::by_layer(caption, cells).render()
    }

    fn positions(&self, from: &str) -> Markup {
        let rows = self.nodes.iter().enumerate().map(|(at, node)| {
            let from = format!("{from}/nodes/{at}/rows");
            (&node.key[..], &node.rows[..], from)
        });
        heat::by_position(rows).render()
    }

    fn table(&self, from: &str) -> Markup {
        let nodes = self.nodes.iter().enumerate();
        let differ: Vec<_> = nodes.filter(|(_, node)| node.total.differing > 0).collect();
        if differ.is_empty() {
            return html! {};
        }
        html! {
            details {
                summary { (differ.len()) " nodes that differ, in numbers" }
                (scroll("Nodes that differ", html! {
                    table {
                        (heads(&[
                            "node", "what it does", "differ", "of", "total", "local",
                            "inherited", "flips",
                        ]))
                        tbody { @for (at, node) in differ {
                            (node.row(&format!("{from}/nodes/{at}")))
                        } }
                    }
                }))
            }
        }
    }

    fn certificates(&self, from: &str) -> Markup {
        let nodes = self.nodes.iter().enumerate();
        let flips = nodes.filter_map(|(at, node)| Some((at, node, node.flips.as_ref()?)));
        let flips: Vec<_> = flips.collect();
        if flips.is_empty() {
            return html! {};
        }
        html! {
            details {
                summary { "Certificates of roundings that fell the other way" }
                p.note {
                    "Certified: the element moved no further than the rest of its row allows, and "
                    "met a boundary on its way. The first of each node are kept."
                }
                @for (at, node, flips) in flips {
                    (flips.table(node, &format!("{from}/nodes/{at}/flips")))
                }
            }
        }
    }
}

impl Node {
    fn row(&self, from: &str) -> Markup {
        let sized = |gap: Option<&Gap>| gap.map_or("–".into(), |gap| size(gap.nmse));
        html! {
            tr {
                th scope="row" { code { (self.key) } }
                td {
                    (self.does)
                    @if let Some(tensor) = &self.tensor { " (" code { (tensor) } ")" }
                }
                td.number { (counted(self.total.differing, &format!("{from}/total/differing"))) }
                td.number { (counted(self.values, &format!("{from}/values"))) }
                td.number { (size(self.total.nmse)) }
                td.number { (sized(self.local.as_ref())) }
                td.number { (sized(self.inherited.as_ref())) }
                td.number { @if let Some(f) = &self.flips { (f.legal) "/" (f.flipped) } }
            }
        }
    }

    /// The two values at which it differs first, and its three errors.
    fn in_full(&self, from: &str) -> Markup {
        let (field, gap) = match &self.local {
            Some(local) if local.differing > 0 => ("local", local),
            _ => ("total", &self.total),
        };
        let errors = [
            ("total", Some(&self.total)),
            ("local", self.local.as_ref()),
            ("inherited", self.inherited.as_ref()),
        ];
        html! {
            div.suspect {
                h3 { code { (self.key) } " " span.note { (self.does) } }
                @if let Some(first) = &gap.first {
                    @let from = format!("{from}/{field}/first");
                    dl.facts {
                        div {
                            dt { "element" }
                            dd { (counted(first.index, &format!("{from}/index"))) }
                        }
                        (first.side("reference", 0, &from))
                        (first.side("ours", 1, &from))
                        div { dt { "apart" } dd {
                            (first.ulps.map_or("no number".into(), |n| count(n as usize) + " ULP"))
                        } }
                    }
                }
                dl.facts { @for (name, gap) in errors { div {
                    dt { (name) " NMSE" }
                    dd { (gap.map_or("not judged alone".into(), |gap| size(gap.nmse))) }
                } } }
            }
        }
    }
}

impl Difference {
    fn side(&self, name: &str, side: usize, from: &str) -> Markup {
        let bits = self.bits[side];
        html! { div { dt { (name) } dd {
            data value=(bits) data-from={ (from) "/bits/" (side) } {
                (format!("{:e}", f32::from_bits(bits)))
            }
            " " code { (format!("0x{bits:08x}")) }
        } } }
    }
}

impl Gap {
    fn cell(&self, node: &Node, from: String) -> Cell {
        Cell {
            place: node.key.clone(),
            from,
            equal: self.differing == 0,
            metrics: [
                Known::Here(self.nmse),
                Known::Here(self.max_ulps.map(|ulps| ulps as f64)),
                Known::Absent,
            ],
            note: format!("{} of {} values differ", self.differing, node.values),
        }
    }
}

impl Flips {
    fn table(&self, node: &Node, from: &str) -> Markup {
        html! {
            (scroll(&format!("Certificates of {}", node.key), html! {
                table {
                    caption {
                        code { (node.key) } ", rounded to " (self.rounding) ": "
                        (self.legal) " of " (self.flipped) " certified"
                    }
                    (heads(&[
                        "element", "reference before", "ours before", "rounded to",
                        "from the boundary", "allowed", "",
                    ]))
                    tbody { @for (at, one) in self.certificates.iter().enumerate() {
                        tr.short[!one.legal] {
                            th scope="row" {
                                (counted(one.index, &format!("{from}/certificates/{at}/index")))
                            }
                            td.number { (one.before[0]) }
                            td.number { (one.before[1]) }
                            td.number { (one.rounded[0]) ", " (one.rounded[1]) }
                            td.number {
                                (size(Some(one.distance[0]))) ", " (size(Some(one.distance[1])))
                            }
                            td.number { (size(Some(one.allowed))) }
                            td {
                                @if one.legal { "certified" }
                                @else { strong { "not explained" } }
                            }
                        }
                    } }
                }
            }))
        }
    }
}

fn list(heading: &str, names: &[String]) -> Markup {
    html! {
        @if !names.is_empty() {
            details {
                summary { (heading) ": " (names.len()) }
                p { @for name in names { code { (name) } " " } }
            }
        }
    }
}
