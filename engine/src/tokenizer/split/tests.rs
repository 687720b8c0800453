//! Word boundaries written out by hand from the published expressions.

use super::*;

fn words<'a>(family_name: &str, text: &'a str) -> Vec<&'a str> {
    let mut words = Vec::new();
    let stages = family(family_name).expect("a known name").stages;
    split(stages, text, |word| words.push(word));
    assert_eq!(words.concat(), text, "{family_name} loses or repeats text");
    words
}

/// Blanks, letters with and without case, digits of two scripts, contractions, symbols that are
/// no punctuation, and line breaks, in one text.
const TEXT: &str = "I'LL don't  pay $12345.50 or ½`x`\n\n  «да»";

#[test]
fn default_cuts_punctuation_first_and_digits_by_threes() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'", "t", " ", " pay", " ", "$", "123", "45", ".", "50", " or", " ",
        "½", "`", "x", "`", "\n\n  ", "«", "да", "»",
    ];
    assert_eq!(words("default", TEXT), expected);
}

#[test]
fn falcon_takes_the_backtick_for_punctuation() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'", "t", " ", " pay", " ", "$", "123", "45", ".", "50", " or",
        " ½", "`", "x", "`", "\n\n  ", "«", "да", "»",
    ];
    assert_eq!(words("falcon", TEXT), expected);
    assert_eq!(words("falcon", "a `` b"), ["a", " ", "``", " b"]);
    assert_eq!(words("default", "a `` b"), ["a", " ``", " b"]);
}

#[test]
fn falcon3_and_falcon_e_cut_every_ascii_digit() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'", "t", " ", " pay", " ", "$", "1", "2", "3", "4", "5", ".", "5",
        "0", " or", " ½", "`", "x", "`", "\n\n  ", "«", "да", "»",
    ];
    assert_eq!(words("falcon3", TEXT), expected);
    assert_eq!(words("falcon_e", TEXT), expected);
    assert_eq!(words("falcon3", "a 42 ٤٢"), ["a", " ", "4", "2", " ٤٢"]);
}

#[test]
fn gpt2_keeps_numbers_whole_and_knows_small_contractions_only() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'t", " ", " pay", " $", "12345", ".", "50", " or", " ½", "`", "x",
        "`", "\n\n ", " «", "да", "»",
    ];
    assert_eq!(words("gpt-2", TEXT), expected);
    assert_eq!(words("mpt", TEXT), expected);
}

#[test]
fn llama3_knows_contractions_in_capitals_and_cuts_numbers_by_threes() {
    #[rustfmt::skip]
    let expected = [
        "I", "'LL", " don", "'t", " ", " pay", " $", "123", "45", ".", "50", " or", " ", "½", "`x",
        "`\n\n", " ", " «", "да", "»",
    ];
    assert_eq!(words("llama-bpe", TEXT), expected);
    assert_eq!(words("llama3", " \n \n  x"), [" \n \n", " ", " x"]);
    assert_eq!(words("llama-v3", "a  "), ["a", "  "]);
    assert_eq!(words("llama-v3", "\tx\u{a0}y"), ["\tx", "\u{a0}y"]);
}

#[test]
fn qwen2_differs_from_llama3_in_single_digits() {
    #[rustfmt::skip]
    let expected = [
        "I", "'LL", " don", "'t", " ", " pay", " $", "1", "2", "3", "4", "5", ".", "5", "0", " or",
        " ", "½", "`x", "`\n\n", " ", " «", "да", "»",
    ];
    assert_eq!(words("qwen2", TEXT), expected);
}

#[test]
fn starcoder_refact_and_command_r_isolate_every_number() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'t", " ", " pay", " $", "1", "2", "3", "4", "5", ".", "5", "0",
        " or", " ", "½", "`", "x", "`", "\n\n ", " «", "да", "»",
    ];
    for name in ["starcoder", "refact", "command-r"] {
        assert_eq!(words(name, TEXT), expected, "{name}");
    }
}

#[test]
fn deepseek_coder_isolates_line_breaks_and_numbers() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'", "t", " ", " pay", " $", "1", "2", "3", "4", "5", ".", "5", "0",
        " or", " ", "½", "`", "x", "`", "\n", "\n", " ", " «", "да", "»",
    ];
    assert_eq!(words("deepseek-coder", TEXT), expected);
}

#[test]
fn deepseek_llm_knows_cased_letters_and_its_own_punctuation() {
    #[rustfmt::skip]
    let expected = [
        "I", "'", "LL", " don", "'", "t", " ", " pay", " $", "12345", ".", "50", " or", " ", "½",
        "`", "x", "`", "\n", "\n", "  «", "да", "»",
    ];
    assert_eq!(words("deepseek-llm", TEXT), expected);
    // Letters are cut off a word by the punctuation stage, whose range holds all of ASCII's.
    assert_eq!(words("deepseek-llm", "aé"), ["a", "é"]);
    assert_eq!(words("deepseek-llm", "x  \ty  "), ["x", "  ", "\ty", "  "]);
    assert_eq!(
        words("deepseek-llm", "中文1９가x\u{3000}。"),
        ["中文", "1９", "가", "x", "\u{3000}", "。"]
    );
}

#[test]
fn every_name_is_known_once_and_others_are_not() {
    let names: Vec<&str> = FAMILIES
        .iter()
        .flat_map(|family| family.names)
        .copied()
        .collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    assert_eq!(names[0], "default");
    assert!(family("tekken").is_none());
}

/// A rule that looked back, or ahead without end, would not come back from these.
#[test]
fn a_long_run_of_one_character_is_cut_in_one_pass() {
    for one in ["a", " ", "7", "\n", ".", "\u{3000}", "中", "\t\n", "' "] {
        let text = one.repeat((1 << 18) / one.len()) + "x";
        for family in FAMILIES {
            let mut bytes = 0;
            split(family.stages, &text, |word| bytes += word.len());
            assert_eq!(bytes, text.len(), "{:?} of {one:?}", family.names);
        }
    }
}
