//! What `harness eval` prints where no file was asked for: the likeliest tokens behind each
//! position and, in full, every node.

use engine::refusal::escape;
use engine::{Model, Token};

use crate::io::safetensors::Trace;
use crate::io::table::{Table, number, words};
use crate::numbers::metrics;

/// How many tokens of a position.
const TOKENS: usize = 3;
/// How many values of a node.
const VALUES: usize = 3;

/// The likeliest tokens of a row, each with its logit.
pub type Likeliest = Vec<(usize, f64, f32)>;

/// Of one row; nothing where a logit is no number.
pub fn likeliest(row: &[f32]) -> Likeliest {
    let mut found = metrics::likeliest(row, row, TOKENS);
    found.truncate(TOKENS);
    let found = found.into_iter();
    found
        .map(|(token, [chance, _])| (token, chance, row[token]))
        .collect()
}

/// A line for each position.
pub fn positions(model: &Model, tokens: &[Token], rows: &[Likeliest]) -> Table {
    let spelled = |token: Token| {
        let piece = model.tokenizer().map(|all| all.piece(token, true));
        piece.map_or_else(
            || format!("token {token}"),
            |piece| format!("\"{}\"", escape(&String::from_utf8_lossy(&piece))),
        )
    };
    let mut table = Table::new(&[
        number("position"),
        number("id"),
        words("text"),
        words("then, and its logit"),
    ]);
    for (at, (token, row)) in tokens.iter().zip(rows).enumerate() {
        let behind = row.iter().map(|(token, chance, logit)| {
            let spelled = spelled(*token as Token);
            format!("{spelled} {:.1} % ({logit:.4})", 100.0 * chance)
        });
        let behind: Vec<String> = behind.collect();
        table.row([
            at.to_string(),
            token.to_string(),
            spelled(*token),
            behind.join(", "),
        ]);
    }
    table
}

/// A line for each node, in the order they were computed.
pub fn nodes(trace: &Trace) -> Table {
    let mut table = Table::new(&[
        words("node"),
        words("shape"),
        words("begins with"),
        number("sum"),
    ]);
    for (name, shape, values) in trace.nodes() {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        let first = values.iter().take(VALUES);
        let first: Vec<String> = first.map(|value| format!("{value:.6}")).collect();
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        table.row([
            name.to_owned(),
            shape.join("×"),
            first.join(", "),
            format!("{sum:.6}"),
        ]);
    }
    table
}
