//! A cell that is too long for its column: in several lines, or in one without its middle.
#![forbid(unsafe_code)]

use console::measure_text_width;

/// What joins the parts of a name, which is broken behind them.
const JOINTS: &str = "-/_.,:|";

/// A cell in lines of at most so many columns: broken between words; within a word that is longer
/// behind what joins its parts; within a part only if that is longer still.
pub fn broken(cell: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for text in cell.lines() {
        lines.push(String::new());
        fill(&mut lines, text, width, 0);
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Goes on with the last line, and with others below it.
fn fill(lines: &mut Vec<String>, text: &str, width: usize, depth: usize) {
    let ends = |letter: char| match depth {
        0 => letter == ' ',
        1 => JOINTS.contains(letter),
        _ => true,
    };
    for part in text.split_inclusive(ends) {
        let needed = measure_text_width(part.trim_end());
        match lines.last_mut() {
            Some(last) if measure_text_width(last) + needed <= width => last.push_str(part),
            _ if needed <= width || depth > 1 => lines.push(part.to_owned()),
            _ => fill(lines, part, width, depth + 1),
        }
    }
}

/// A word of at most so many columns, without its middle where it is longer.
pub fn cut(word: &str, width: usize) -> String {
    let all: Vec<char> = word.chars().collect();
    if all.len() <= width || width == 0 {
        return word.to_owned();
    }
    let behind = (width - 1) / 2;
    let before: String = all[..width - 1 - behind].iter().collect();
    let behind: String = all[all.len() - behind..].iter().collect();
    format!("{before}…{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_broken_behind_what_joins_its_parts_and_no_letter_stands_alone() {
        for (name, width, lines) in [
            ("edges-the-end", 13, "edges-the-end"),
            ("edges-the-end", 12, "edges-the- end"),
            ("edges-the-end", 9, "edges- the-end"),
            ("moby-tiny/b158.gguf", 10, "moby-tiny/ b158.gguf"),
            ("unbreakable", 8, "unbreaka ble"),
            ("so be-it: a reason", 9, "so be-it: a reason"),
        ] {
            assert_eq!(broken(name, width).join(" "), lines, "{name} in {width}");
        }
    }
    #[test]
    fn what_must_stay_in_one_line_loses_its_middle() {
        assert_eq!(cut("abcdefgh", 5), "ab…gh");
        assert_eq!(cut("abcde", 5), "abcde");
    }
}
