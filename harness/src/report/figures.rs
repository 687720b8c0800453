//! Numbers on a page: each as people read it, as a machine reads it, and with its place in the
//! JSON.

use maud::{Markup, html};

/// A count, its thousands apart.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut shown = digits[..first].to_owned();
    for (at, digit) in digits[first..].chars().enumerate() {
        if at % 3 == 0 && !shown.is_empty() {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A count that stands in the JSON at `from`.
pub fn counted(number: usize, from: &str) -> Markup {
    html! { data value=(number) data-from=(from) { (count(number)) } }
}

/// So many of a kind, in words.
pub fn many(number: usize, kind: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {kind}{plural}", count(number))
}

/// A size that stands in the JSON at `from`.
pub fn sized(number: f64, from: &str) -> Markup {
    html! { data value=(number) data-from=(from) { (size(Some(number))) } }
}

/// A count that follows from several numbers of the JSON.
pub fn summed(number: usize) -> Markup {
    html! { data value=(number) { (count(number)) } }
}

/// A size, in two digits; whole powers of ten beyond a few zeros.
pub fn size(number: Option<f64>) -> String {
    match number {
        None => "none".into(),
        Some(0.0) => "0".into(),
        Some(number) if (1e3..1e7).contains(&number) => count(number.round() as usize),
        Some(number) if (1e-3..1e3).contains(&number.abs()) => {
            let digits = (1 - number.abs().log10().floor() as i32).clamp(0, 5) as usize;
            format!("{number:.digits$}")
        }
        Some(number) => format!("{number:.1e}"),
    }
}

/// A share as a percentage that is 100 only if it is all.
pub fn share([part, all]: [usize; 2]) -> String {
    if all == 0 {
        return "none".into();
    }
    let percent = 100.0 * part as f64 / all as f64;
    if part == all {
        return "100 %".into();
    }
    format!("{:.3} %", percent.min(99.999))
}

/// A large number and what it counts.
pub fn tile(label: &str, number: Markup, note: Markup) -> Markup {
    html! {
        div.tile {
            dt { (label) }
            dd { span.big { (number) } span.note { (note) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart_and_sizes_short() {
        assert_eq!(count(0), "0");
        assert_eq!(count(867_380), "867,380");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        let shown = [0.0, 1.25e-12, 0.25, 12.5, 123.4, 12_345.6].map(|n| size(Some(n)));
        assert_eq!(shown, ["0", "1.2e-12", "0.25", "12", "123", "12,346"]);
        assert_eq!(size(None), "none");
    }

    #[test]
    fn all_but_one_of_a_million_is_not_all() {
        assert_eq!(share([1_000_000, 1_000_000]), "100 %");
        assert_eq!(share([999_999, 1_000_000]), "99.999 %");
    }
}
