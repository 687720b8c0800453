//! Which smaller questions may show a difference as well: fewer rows, shorter ones, more zeros.
#![forbid(unsafe_code)]

use std::ops::Range;

use crate::numbers::shrink::{self, spans};
use crate::reference::isolation::Call;
use crate::runner::kernels::activations::Activations;
use crate::runner::kernels::engine::{format_bytes, format_of};
use crate::runner::kernels::question::Question;

/// Questions asked at most on the way.
const BUDGET: usize = 400;

/// The smallest question found that `shows` it.
pub fn shrink(question: Question, mut shows: impl FnMut(&Question) -> bool) -> Question {
    let still_fails = |smaller: Question| shows(&smaller).then_some(smaller);
    shrink::shrink(question, candidates, still_fails, BUDGET).smallest
}

/// Halves first, then ever shorter stretches of zeros.
fn candidates(question: &Question) -> impl Iterator<Item = Question> + use<> {
    let whole = question.clone();
    let (count, unit) = inputs(question);
    let zeroed = spans(count / unit).filter_map(move |span| {
        let smaller = zeroed(&whole, span.start * unit..span.end * unit);
        (bits(&smaller) != bits(&whole)).then_some(smaller)
    });
    halves(question).into_iter().chain(zeroed)
}

/// How many numbers may become zeros, from the question's end, and how many of them only together.
fn inputs(question: &Question) -> (usize, usize) {
    match question.call {
        Call::Encode { .. } | Call::Activation { .. } => (question.values.len(), 1),
        Call::Dot {
            kind, activations, ..
        } => {
            let form = format_of(kind).map(Activations::of);
            (activations, form.map_or(1, |form| form.block().1))
        }
        _ => (0, 1),
    }
}

fn zeroed(question: &Question, span: Range<usize>) -> Question {
    let mut smaller = question.clone();
    if question.values.is_empty() {
        let first = question.bytes.len() - inputs(question).0;
        smaller.bytes[first..][span].fill(0);
    } else {
        smaller.values[span].fill(0.0);
    }
    smaller
}

fn bits(question: &Question) -> (Vec<u32>, &[u8]) {
    let values = question.values.iter().map(|value| value.to_bits());
    (values.collect(), &question.bytes)
}

/// The question about one half of its rows, or of its only row, in turn.
fn halves(question: &Question) -> Vec<Question> {
    let Question {
        call,
        values,
        bytes,
    } = question;
    match *call {
        Call::Encode {
            kind,
            columns,
            rows,
        } => {
            let unit = if rows > 1 { columns } else { stored(kind).0 };
            let encode = |half: &[f32]| {
                let columns = if rows > 1 { columns } else { half.len() };
                let rows = half.len() / columns;
                let call = Call::Encode {
                    kind,
                    columns,
                    rows,
                };
                with(call, half, &[])
            };
            split(values, unit).map(encode).collect()
        }
        Call::Activation { kind, .. } => {
            let block = Activations::of_kind(kind).map_or(1, |form| form.block().0);
            let count = |half: &[f32]| half.len();
            let of = |half| {
                with(
                    Call::Activation {
                        kind,
                        count: count(half),
                    },
                    half,
                    &[],
                )
            };
            split(values, block).map(of).collect()
        }
        Call::Decode { kind, .. } | Call::Codes { kind, .. } => {
            let (block, stride) = stored(kind);
            let of = |half: &[u8]| {
                let (count, bytes) = (half.len() / stride * block, half.len());
                let call = match call {
                    Call::Codes { .. } => Call::Codes { kind, count },
                    _ => Call::Decode { kind, count, bytes },
                };
                with(call, &[], half)
            };
            split(bytes, stride).map(of).collect()
        }
        Call::Dot { .. } => halves_of_product(question),
        Call::Describe { .. } => Vec::new(),
    }
}

fn halves_of_product(question: &Question) -> Vec<Question> {
    let Call::Dot {
        kind,
        columns,
        rows,
        weights,
        ..
    } = question.call
    else {
        return Vec::new();
    };
    let Some(format) = format_of(kind) else {
        return Vec::new();
    };
    let (weights, activations) = question.bytes.split_at(weights);
    let of = |weights: &[u8], activations: &[u8], columns, rows| {
        let call = Call::Dot {
            kind,
            columns,
            rows,
            weights: weights.len(),
            activations: activations.len(),
        };
        with(call, &[], &[weights, activations].concat())
    };
    if rows > 1 {
        let stride = weights.len() / rows;
        let rows = split(weights, stride);
        let half = |half: &[u8]| of(half, activations, columns, half.len() / stride);
        return rows.map(half).collect();
    }
    let form = Activations::of(format);
    let block = format.block().max(form.block().0);
    let (stride, step) = (format_bytes(format, block), form.bytes(block));
    let columns = split(weights, stride).zip(split(activations, step));
    columns
        .map(|(weights, activations)| of(weights, activations, weights.len() / stride * block, 1))
        .collect()
}

/// Elements of a stored row that only make sense together, and their bytes.
fn stored(kind: i32) -> (usize, usize) {
    format_of(kind).map_or((1, 1), |format| {
        (format.block(), format_bytes(format, format.block()))
    })
}

/// Both halves, cut between units; nothing where there is one unit only.
fn split<T>(whole: &[T], unit: usize) -> impl Iterator<Item = &[T]> {
    let middle = whole.len() / unit / 2 * unit;
    let (left, right) = whole.split_at(middle);
    [left, right].into_iter().filter(move |_| middle > 0)
}

fn with(call: Call, values: &[f32], bytes: &[u8]) -> Question {
    Question {
        call,
        values: values.to_vec(),
        bytes: bytes.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::kernels::family::Family;

    #[test]
    fn one_bad_value_is_all_that_is_left() {
        let mut values = vec![1.0; 300];
        values[217] = 77.0;
        let question = with(
            Call::Activation {
                kind: 37,
                count: 300,
            },
            &values,
            &[],
        );
        let found = shrink(question, |asked| asked.values.contains(&77.0));
        assert_eq!(found.values, [77.0]);
        assert_eq!(found.call, Call::Activation { kind: 37, count: 1 });
    }

    #[test]
    fn a_product_loses_rows_columns_and_activations() {
        let dot = Family::by_name("q8_0-dot").expect("known");
        let question = (0..)
            .map(|case| dot.question(3, case))
            .find(|question| matches!(question.call, Call::Dot { columns, .. } if columns > 500))
            .expect("some are long");
        let found = shrink(question, |_| true);
        let call = Call::Dot {
            kind: 8,
            columns: 32,
            rows: 1,
            weights: 34,
            activations: 34,
        };
        assert_eq!(found.call, call);
        assert_eq!(found.bytes[34..], [0; 34]);
    }

    #[test]
    fn what_is_lost_by_any_change_stays_whole() {
        let question = Family::ALL[0].question(1, 40);
        let kept = shrink(question.clone(), |_| false);
        assert_eq!(kept, question);
    }
}
