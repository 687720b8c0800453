//! What a conversion says: the plan, what became of each tensor, and what verifying found.

use std::path::Path;

use engine::checkpoint::{Plan, Planned, Written};
use engine::refusal::escape;
use serde_json::{Value, json};

use crate::io::output;
use crate::io::table::{Table, number, scientific, words};
use crate::judge::outcome::Outcome;
use crate::oracle::convert::{AsItRuns, Report};

/// Every tensor that was written, and what it lost.
pub fn written(written: &[Written], path: &Path) -> String {
    let bytes: u64 = written.iter().map(|tensor| tensor.bytes).sum();
    let columns = [
        words("tensor"),
        words("from"),
        words("to"),
        number("bytes"),
        number("scale"),
        number("changed"),
        number("by at most"),
        words("how"),
    ];
    let mut table = Table::new(&columns);
    for tensor in written {
        table.row([
            escape(&tensor.name),
            tensor.dtype.to_lowercase(),
            tensor.target.to_owned(),
            tensor.bytes.to_string(),
            tensor
                .scale
                .map_or_else(String::new, |scale| scale.to_string()),
            tensor.changed.to_string(),
            scientific(Some(tensor.worst.into())),
            tensor.how.to_owned(),
        ]);
    }
    let text = table.render(output::width());
    let count = written.len();
    text + &format!("{}: {count} tensors, {bytes} bytes\n", path.display())
}

/// The same for programs.
pub fn written_json(tensor: &Written) -> Value {
    json!({
        "name": tensor.name,
        "source": tensor.source,
        "dtype": tensor.dtype,
        "type": tensor.target,
        "bytes": tensor.bytes,
        "how": tensor.how,
        "scale": tensor.scale,
        "values_changed": tensor.changed,
        "largest_change": tensor.worst,
    })
}

/// Every tensor that would be written.
pub fn planned(plan: &Plan) -> String {
    let columns = [words("tensor"), words("dims"), words("to"), number("bytes")];
    let mut table = Table::new(&columns);
    for tensor in &plan.tensors {
        table.row([
            escape(&tensor.name),
            format!("{:?}", tensor.dims),
            tensor.target.name.to_owned(),
            tensor.bytes.to_string(),
        ]);
    }
    let bytes: u64 = plan.tensors.iter().map(|tensor| tensor.bytes).sum();
    let count = plan.tensors.len();
    table.render(output::width()) + &format!("{count} tensors, {bytes} bytes; nothing is written\n")
}

/// The same for programs.
pub fn planned_json(plan: &Plan) -> Value {
    let tensor = |tensor: &Planned| {
        json!({
            "name": tensor.name,
            "dims": tensor.dims,
            "type": tensor.target.name,
            "bytes": tensor.bytes,
        })
    };
    let tensors: Vec<Value> = plan.tensors.iter().map(tensor).collect();
    json!({ "output": null, "notes": plan.notes, "tensors": tensors })
}

/// What became of the three questions.
pub fn verified(report: &Report) -> String {
    let Report {
        weights,
        in_floats,
        as_it_runs,
        ..
    } = report;
    let (changed, values, tensors) = (weights.changed, weights.values, weights.tensors);
    let mut text =
        format!("weights     {changed} of {values} values of {tensors} tensors differ\n");
    for (what, found) in [("first", &weights.first), ("too far off", &weights.beyond)] {
        if let Some(found) = found {
            let file = found
                .file
                .map_or("nothing".into(), |value| value.to_string());
            text += &format!(
                "            {what}: {} as {}, row {}, column {}: {} in the checkpoint, \
                 {file} in the file\n",
                escape(&found.tensor),
                found.format,
                found.row,
                found.col,
                found.checkpoint,
            );
        }
    }
    let (equal, logits) = (in_floats.bit_equal, in_floats.logits);
    text += &format!("in floats   {equal} of {logits} logits have the same bits\n");
    if let Some(first) = &in_floats.first_node {
        let nmse = scientific(first.nmse);
        text += &format!(
            "            first node that differs: {}, nmse {nmse}\n",
            first.node
        );
    }
    let AsItRuns {
        positions,
        least_cosine,
        mean_kl,
        same_top1,
        surprise: [checkpoint, file],
        surprise_of_nothing,
    } = as_it_runs;
    let number = |value: &Option<f64>| value.map_or("none".into(), |value| format!("{value:.6}"));
    text += &format!(
        "as it runs  {positions} positions: least cosine {}, mean KL {}, {same_top1} likeliest \
         tokens the same\n            surprise a token: checkpoint {}, file {}, what knows \
         nothing {surprise_of_nothing:.6} nats\n",
        number(least_cosine),
        scientific(*mean_kl),
        number(checkpoint),
        number(file),
    );
    text + if report.outcome == Outcome::Ok {
        "verified\n"
    } else {
        "differs\n"
    }
}
