//! What was verified of a run as text for a person.

use super::{Product, Verdict, Verified};
use crate::io::table::{Table, number, words};

/// The table of what is not right, or of every product, then the summary.
pub fn render(found: &Verified, all: bool, width: Option<usize>) -> String {
    let mut text = format!("products of {}, seed {}\n", found.by, found.seed);
    let shown = |p: &&Product| all || p.verdict != Verdict::Right;
    let table = Table::of(
        found.products.iter().filter(shown),
        &[
            (words("node"), |p: &Product| p.node.clone()),
            (words("tensor"), |p| p.tensor.clone()),
            (number("positions"), |p| p.positions.to_string()),
            (words("verdict"), verdict),
        ],
    );
    if !table.is_empty() {
        text += &table.render(width);
    }
    text + &summary(found)
}

fn verdict(product: &Product) -> String {
    match &product.verdict {
        Verdict::Right => "right".into(),
        Verdict::Wrong(why) => format!("WRONG: {why}"),
        Verdict::Unverifiable(why) => format!("unverifiable: {why}"),
    }
}

fn summary(found: &Verified) -> String {
    let of = |wanted: fn(&Verdict) -> bool| {
        let verdicts = found.products.iter().map(|p| &p.verdict);
        verdicts.filter(|verdict| wanted(verdict)).count()
    };
    let right = of(|v| *v == Verdict::Right);
    let wrong = of(|v| matches!(v, Verdict::Wrong(_)));
    let multiplications: u64 = found.products.iter().map(|p| p.multiplications).sum();
    let others = found.sums_of_floats.iter();
    let others: Vec<String> = others
        .map(|(format, n)| format!("{n} of {format}"))
        .collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(
            "not asked about, as they are sums of floats: {}\n",
            others.join(", ")
        )
    };
    let (coverage, preparing) = (found.coverage, found.preparing_s);
    format!(
        "products {coverage}: {right} right, {wrong} wrong; {multiplications} multiplications not \
         repeated\n{preparing:.2} s to prepare the matrices, {:.3} s to check; a wrong product \
         passes once in 2^61\n{others}",
        found.checking_s
    )
}
