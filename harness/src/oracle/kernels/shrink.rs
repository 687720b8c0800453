//! Which smaller questions may show a difference as well: fewer rows, shorter ones, more zeros.

use std::ops::Range;

use crate::numbers::shrink::spans;
use crate::reference::isolation::Call;
use crate::runner::kernels::activations::Activations;
use crate::runner::kernels::question::Question;

/// Halves first, then ever shorter stretches of zeros.
pub fn candidates(question: &Question) -> impl Iterator<Item = Question> + use<> {
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
        Call::Encode { .. } => (question.matrix().0.len(), 1),
        Call::Activation { .. } => (question.values.len(), 1),
        Call::Dot { activations, .. } => {
            let form = question.format().map(Activations::of);
            (activations, form.map_or(1, |form| form.block.1))
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
        smaller.values[span].fill(0.0); // never of the importance, which comes last
    }
    smaller
}

fn bits(question: &Question) -> (Vec<u32>, &[u8]) {
    let values = question.values.iter().map(|value| value.to_bits());
    (values.collect(), &question.bytes)
}

/// The question about one half of its rows, or of its only row, in turn.
fn halves(question: &Question) -> Vec<Question> {
    let (values, bytes) = (&question.values[..], &question.bytes[..]);
    if let Call::Activation { kind, .. } = question.call {
        let form = Activations::of_kind(kind);
        let of = |form: Activations| {
            let halves = split(values, form.block.0);
            halves.map(move |half| Question::activation(form, half))
        };
        return form.into_iter().flat_map(of).collect();
    }
    let Some(format) = question.format() else {
        return Vec::new();
    };
    match question.call {
        Call::Encode { columns, rows, .. } => {
            let (values, importance) = question.matrix();
            let unit = if rows > 1 { columns } else { format.block() };
            let mut weights = importance
                .into_iter()
                .flat_map(|all| split(all, format.block()));
            let encode = |half| match (importance, rows > 1) {
                (None, true) => Question::encode(format, columns, half),
                (None, false) => Question::encode(format, half.len(), half),
                (Some(all), true) => Question::encode_weighted(format, half, all),
                (Some(_), false) => {
                    let half_of_them = weights.next().expect("a half for each half");
                    Question::encode_weighted(format, half, half_of_them)
                }
            };
            split(values, unit).map(encode).collect()
        }
        Call::Dot {
            columns,
            rows,
            weights,
            ..
        } => {
            let (weights, row) = bytes.split_at(weights);
            if rows > 1 {
                let halves = split(weights, format.row_bytes(columns));
                return halves
                    .map(|half| Question::dot(format, columns, half, row))
                    .collect();
            }
            let form = Activations::of(format);
            let block = format.block().max(form.block.0);
            let stride = format.row_bytes(block);
            let halves = split(weights, stride).zip(split(row, form.bytes(block)));
            let dot = |(weights, row): (&[u8], &[u8])| {
                Question::dot(format, weights.len() / stride * block, weights, row)
            };
            halves.map(dot).collect()
        }
        _ => split(bytes, format.row_bytes(format.block()))
            .map(|half| Question::decode(format, half))
            .collect(),
    }
}

/// Both halves, cut between units; nothing where there is one unit only.
fn split<T>(whole: &[T], unit: usize) -> impl Iterator<Item = &[T]> {
    let middle = whole.len() / unit / 2 * unit;
    let (left, right) = whole.split_at(middle);
    [left, right].into_iter().filter(move |_| middle > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::shrink;
    use crate::runner::kernels::family::Family;

    fn shrink(question: Question, shows: impl Fn(&Question) -> bool) -> Question {
        let still_fails = |smaller: Question| shows(&smaller).then_some(smaller);
        shrink::shrink(question, candidates, still_fails, 400).smallest
    }

    #[test]
    fn one_bad_value_is_all_that_is_left() {
        let mut values = vec![1.0; 300];
        values[217] = 77.0;
        let question = Question::activation(Activations::I8S, &values);
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
}
