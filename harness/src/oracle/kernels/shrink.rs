//! A question made smaller as long as it still shows the same thing.
#![forbid(unsafe_code)]

use crate::reference::isolation::Call;
use crate::runner::kernels::activations::Activations;
use crate::runner::kernels::engine::{format_bytes, format_of};
use crate::runner::kernels::question::Question;

/// Questions asked at most on the way.
const TRIES: usize = 400;

/// The smallest question found that `shows` it: fewer rows, shorter ones, more zeros.
pub fn shrink(question: Question, mut shows: impl FnMut(&Question) -> bool) -> Question {
    let mut smallest = question;
    let mut tries = 0;
    let mut stage = 0;
    while let Some(candidates) = candidates(&smallest, stage) {
        let mut found = None;
        for candidate in candidates {
            if tries == TRIES {
                return smallest;
            }
            tries += 1;
            if shows(&candidate) {
                found = Some(candidate);
                break;
            }
        }
        match found {
            Some(smaller) => smallest = smaller,
            None => stage += 1,
        }
    }
    smallest
}

/// What to try next: halves first, then ever shorter stretches of zeros; nothing after the last
/// stage.
fn candidates(question: &Question, stage: usize) -> Option<Vec<Question>> {
    if stage == 0 {
        return Some(halves(question));
    }
    let (length, unit) = zeroed(question);
    let stretch = (length >> stage).next_multiple_of(unit);
    let before = (length >> (stage - 1)).next_multiple_of(unit);
    if length == 0 || stretch >= before.max(unit + 1) || stretch == 0 {
        return None;
    }
    let starts = (0..length).step_by(stretch);
    let with_zeros = starts.filter_map(|start| {
        let end = length.min(start + stretch);
        let mut smaller = question.clone();
        match smaller.values.is_empty() {
            false => smaller.values[start..end].fill(0.0),
            true => {
                let first = smaller.bytes.len() - length;
                smaller.bytes[first + start..first + end].fill(0);
            }
        }
        let same = smaller.values.iter().map(|v| v.to_bits());
        let same = same.eq(question.values.iter().map(|v| v.to_bits()));
        (!same || smaller.bytes != question.bytes).then_some(smaller)
    });
    Some(with_zeros.collect())
}

/// How much of a question may be zeros, from its end, and in what units.
fn zeroed(question: &Question) -> (usize, usize) {
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

/// The question about one half of its rows, or of its only row, in turn.
fn halves(question: &Question) -> Vec<Question> {
    match question.call {
        Call::Dot { .. } => halves_of_product(question),
        Call::Encode {
            kind,
            columns,
            rows,
        } => {
            let block = format_of(kind).map_or(1, |f| f.block());
            let unit = if rows > 1 { columns } else { block };
            let of = |values: &[f32]| {
                let (columns, rows) = match rows > 1 {
                    true => (columns, values.len() / columns),
                    false => (values.len(), 1),
                };
                let call = Call::Encode {
                    kind,
                    columns,
                    rows,
                };
                with(call, values, &[])
            };
            split(&question.values, unit).map_or(Vec::new(), |(a, b)| vec![of(a), of(b)])
        }
        Call::Activation { kind, .. } => {
            let block = Activations::of_kind(kind).map_or(1, |form| form.block().0);
            let of = |values: &[f32]| {
                let count = values.len();
                with(Call::Activation { kind, count }, values, &[])
            };
            split(&question.values, block).map_or(Vec::new(), |(a, b)| vec![of(a), of(b)])
        }
        Call::Decode { kind, .. } | Call::Codes { kind, .. } => {
            let Some(format) = format_of(kind) else {
                return Vec::new();
            };
            let (block, stride) = (format.block(), format_bytes(format, format.block()));
            let of = |bytes: &[u8]| {
                let count = bytes.len() / stride * block;
                let call = match question.call {
                    Call::Codes { .. } => Call::Codes { kind, count },
                    _ => Call::Decode {
                        kind,
                        count,
                        bytes: bytes.len(),
                    },
                };
                with(call, &[], bytes)
            };
            split(&question.bytes, stride).map_or(Vec::new(), |(a, b)| vec![of(a), of(b)])
        }
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
    let form = Activations::of(format);
    let (weights, activations) = question.bytes.split_at(weights);
    let of = |weights: &[u8], activations: &[u8], columns: usize, rows: usize| {
        let call = Call::Dot {
            kind,
            columns,
            rows,
            weights: weights.len(),
            activations: activations.len(),
        };
        with(call, &[], &[weights, activations].concat())
    };
    let stride = weights.len() / rows.max(1);
    if rows > 1 {
        let (top, bottom) = weights.split_at(rows / 2 * stride);
        return vec![
            of(top, activations, columns, rows / 2),
            of(bottom, activations, columns, rows - rows / 2),
        ];
    }
    let block = format.block().max(form.block().0);
    let left = columns / block / 2 * block;
    if left == 0 {
        return Vec::new();
    }
    let (w, a) = (format_bytes(format, left), form.bytes(left));
    vec![
        of(&weights[..w], &activations[..a], left, 1),
        of(&weights[w..], &activations[a..], columns - left, 1),
    ]
}

fn split<T>(whole: &[T], unit: usize) -> Option<(&[T], &[T])> {
    let middle = whole.len() / unit / 2 * unit;
    (middle > 0).then(|| whole.split_at(middle))
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
