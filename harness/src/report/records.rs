//! Records of one kind as a table, and any other value of JSON in words.

use maud::{Markup, html};
use serde_json::Value;

use super::figures::{count, size};
use super::page::scroll;

/// A table of records, a column for each place in them; nothing where there are none. `from` is
/// where they are in the JSON.
pub fn table(caption: &str, records: &[Value], columns: &[&str], from: &str) -> Markup {
    if records.is_empty() {
        return html! {};
    }
    html! {
        (scroll(caption, html! {
            table {
                caption { (caption) }
                thead { tr { @for name in columns {
                    th scope="col" { (name.split('/').next().unwrap_or(name).replace('_', " ")) }
                } } }
                tbody { @for (at, record) in records.iter().enumerate() {
                    tr { @for (place, name) in columns.iter().enumerate() {
                        @let value = record.pointer(&format!("/{name}"));
                        @let value = value.unwrap_or(&Value::Null);
                        @let shown = shown(value, &format!("{from}/{at}/{name}"));
                        @if place == 0 { th scope="row" { (shown) } }
                        @else if value.is_number() { td.number { (shown) } }
                        @else { td { (shown) } }
                    } }
                } }
            }
        }))
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A value; a number with its place.
pub fn shown(value: &Value, from: &str) -> Markup {
    match value {
        Value::Null => html! { "–" },
        Value::Bool(true) => html! { "yes" },
        Value::Bool(false) => html! { "no" },
        Value::String(text) if is_hash(text) => html! { code.hash { (text) } },
        Value::String(text) => html! { (text) },
        Value::Number(number) => html! { data value=(number) data-from=(from) {
            @match (number.as_u64(), number.as_f64()) {
                (Some(whole), _) => (count(whole as usize)),
                (None, number) => (size(number)),
            }
        } },
        Value::Array(all) => html! {
            @for (at, one) in all.iter().enumerate() {
                @if at > 0 { ", " }
                (shown(one, &format!("{from}/{at}")))
            }
        },
        Value::Object(fields) => html! {
            @for (at, (name, one)) in fields.iter().enumerate() {
                @if at > 0 { "; " }
                (name.replace('_', " ")) " " (shown(one, &format!("{from}/{name}")))
            }
        },
    }
}
