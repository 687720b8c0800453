//! Texts that tokenizers get wrong, written down, and runs of one character.

use engine::Token;
use engine::tokenizer::{TokenKind, Tokenizer};

use crate::case::observation::tokenization::{EscapedBytes, Question};

/// Lengths of the runs: around the powers of two that tables have, and one that is long.
const RUNS: [usize; 9] = [2, 3, 4, 7, 16, 33, 127, 512, 2048];

/// What runs are made of.
const RUN_OF: [&str; 17] = [
    " ", "\n", "\r\n", "\t", "0", "7", "a", "Z", "e\u{301}", "é", "語", "🐋", "'", ".", "\u{a0}",
    "\0", "\u{2581}",
];

/// Special tokens whose text is put into texts: all of most vocabularies, some of the others.
const SPECIAL: usize = 24;

/// Texts by subject. The empty one comes first.
#[rustfmt::skip]
const TEXTS: &[&str] = &[
    // White space.
    "", " ", "  ", "\n", "\r", "\r\n", "\t", "a", " a", "a ", " a ", "  a  ", "\na", "a\n",
    "\n\n\na", "a \n b", "a\r\nb\rc\nd", "a\n\r\nb", " \n \n ", "\t\t a\t b \t",
    "a   b    c     d",
    // Prose and code.
    "Hello, world!", "Hello,world", "hello HELLO HeLLo", "Call me Ishmael.",
    "end of sentence. Next", "snake_case camelCase PascalCase kebab-case",
    "https://example.org/a?b=c&d=e#f", "a@b.cd", "if (x == 0) { return y[0] -> z; } // ok",
    // Punctuation, and blanks before it.
    "\"quoted\" 'single' `tick` «guillemets» “curly”", "...!!??,,;;::--", "$+<=>^~|`",
    "(){}[]<>/\\|", "a.b,c;d:e!f?g", " . , ? ! ' \" ", "a , b . c ! d ?", "x ' y ' z",
    // Short forms, in small letters and capitals, after other apostrophes, before other letters.
    "we 're I 'm he 's they 've don 't he 'd they 'll",
    "I'm you're he's we've they'll I'd don't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D DON'T",
    "I'm YoU'Re he'S wE'vE tHeY'lL i'D doN'T", "'s't're've'm'll'd", "'S'T'RE'VE'M'LL'D",
    "'sé 'té 'ré", "'ſ 'K ſs \u{212a}", "’s ’t it’s", "''s '''m", "' s ' t",
    // Numbers of every kind.
    "0", "00", "000", "0000", "1234567890", "12345678901234567890123", "1,234,567.89",
    "3.14159e-10", "0x1F", "1 2 3", "1a2b3c", "a1", "１２３４", "①②③", "Ⅷ", "½¾", "٣٤٥٦", "१२३४",
    "𝟘𝟙𝟚", "²³", "一二三",
    // Letters with marks, ligatures, case.
    "été naïve café Ångström", "e\u{301}a\u{308}o\u{302}", "\u{301}",
    "a\u{301}\u{302}\u{303}\u{304}b", "ﬁ ﬂ ﬀ", "ǅ ǈ ʰ ˠ ª º", "Straße İstanbul ıI",
    // Scripts, also from right to left.
    "Ελληνικά Ωμέγα ς", "Русский язык Ёё", "ქართული Აა", "Հայերեն", "עברית שלום",
    "العربية مرحبا", "\u{200f}abc\u{200e}", "\u{202e}reversed\u{202c}", "हिन्दी नमस्ते",
    "தமிழ்", "ไทยภาษา", "ພາສາລາວ", "བོད་ཡིག", "អក្សរខ្មែរ", "አማርኛ", "ᏣᎳᎩ ꮳꮃꭹ", "日本語のテキスト",
    "カタカナ ﾊﾝｶｸ", "中文字符，标点。", "한국어 텍스트", "ㅎㅏㄴ", "𠀀𠮷野家",
    // Wide punctuation, currency, letters beyond the first plane.
    "。、「」『』", "！／：～‘‟", "\u{3000}a\u{3000}\u{3000}b", "￥€£¢₿", "𝒜𝓑𝔠 𝕏", "𐍈𐌰 𐐀𐐨", "ꙮ",
    // Blanks that are not the usual one, and what is not seen.
    "\u{a0}", "a\u{a0}b", "\u{2003}\u{2009}\u{200a}x", "\u{85}", "a\u{85}b", "\u{2028}\u{2029}",
    "\u{200b}\u{200c}\u{200d}\u{2060}", "\u{feff}", "\u{feff}text", "te\u{feff}xt",
    "\u{1680}\u{180e}\u{205f}",
    // Emoji: joined, coloured, flags.
    "🐋", "🐋🐳", " 🐋 ", "👩\u{200d}👩\u{200d}👧\u{200d}👦", "🏳\u{fe0f}\u{200d}🌈", "👍\u{1f3fd}",
    "🇩🇪🇫🇷", "1\u{fe0f}\u{20e3}", "☺\u{fe0f}☹", "👨\u{1f3ff}\u{200d}🚀x", "\u{1f3fb}", "\u{fe0f}",
    // Control characters.
    "\0", "a\0b", "\0\0\0", "\u{1}\u{2}\u{3}\u{1f}\u{7f}", "\u{80}\u{9f}",
    "\u{1b}[31mred\u{1b}[0m", "\u{8}\u{b}\u{c}",
    // Code points that are no characters, or nobody's.
    "\u{fffd}", "\u{ffff}\u{fffe}", "\u{e000}\u{f8ff}", "\u{10ffff}", "\u{fdd0}",
    "\u{d7ff}\u{e000}", "\u{378}\u{530}",
    // What vocabularies write themselves.
    "\u{2581}", "\u{2581}a", "a\u{2581}b", " \u{2581} ", "<0x0A>", "<0xFF> <0x20>", "Ġ Ċ ĉ",
    "ĠĠa", "[UNK_BYTE_0x20]",
    // Special tokens of many vocabularies, whole and in parts.
    "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|im_start|>user\n<|im_end|>",
    "<|eot_id|>", "<|begin_of_text|>", " <s> ", "<s></s>", "a<s>b", "< s >", "<|", "|>",
    "<|end", "<<s>>", "<｜end▁of▁sentence｜>", "[INST] [/INST]", "<|endoftext|><|endoftext|>",
    "<|endoftext|> a", "<unk>\n\n a", "<|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>",
];

/// Bytes that are no text: lone, cut off, overlong, surrogates, beyond the last character.
#[rustfmt::skip]
const NO_TEXTS: &[&[u8]] = &[
    b"\x80", b"\xbf", b"a\x80b", b"\xc3", b"\xc3 ", b"\xc3\xc3\xa9", b"\xe2\x82", b"a\xe2\x82",
    b"\xf0\x9f\x90", b"\xf0\x9f\x90a", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb0\x8b",
    b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff", b"\xfe\xff",
    b"valid \xe8\xaa\x9e then \xff not", b"\xff\xff\xff\xff",
];

/// All questions that need no dice: these texts, the runs, the prompts that are given, and what
/// this vocabulary makes of its special tokens.
pub fn questions(tokenizer: &Tokenizer, prompts: &[String]) -> Vec<Question> {
    let mut texts: Vec<Vec<u8>> = TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect();
    texts.extend(NO_TEXTS.iter().map(|bytes| bytes.to_vec()));
    texts.extend(prompts.iter().map(|prompt| prompt.as_bytes().to_vec()));
    for of in RUN_OF {
        texts.extend(RUNS.map(|length| of.repeat(length).into_bytes()));
    }
    for text in special(tokenizer) {
        texts.extend(around(&text));
    }
    let mut questions: Vec<Question> = texts
        .into_iter()
        .map(|text| Question::Text(EscapedBytes(text)))
        .collect();
    questions.extend(lists(tokenizer));
    questions
}

/// The texts of the tokens that are looked for in texts.
pub fn special(tokenizer: &Tokenizer) -> Vec<Vec<u8>> {
    use TokenKind::{Control, Unknown, UserDefined};
    let tokens = 0..tokenizer.vocab_size() as Token;
    let marks = tokens.filter(|&token| {
        let kind = tokenizer.kind(token);
        kind.is_some_and(|kind| [Control, Unknown, UserDefined].contains(&kind))
    });
    let texts = marks.filter_map(|token| tokenizer.token_text(token));
    texts.take(SPECIAL).map(<[u8]>::to_vec).collect()
}

/// A special token alone, between others, twice, in capitals, and without an end.
fn around(text: &[u8]) -> Vec<Vec<u8>> {
    let cut = text.split_last().map_or(text, |(_, most)| most);
    vec![
        text.to_vec(),
        [b" ", text, b" "].concat(),
        [b"a", text, b"b"].concat(),
        [b"a ", text, b"\n b"].concat(),
        [text, text].concat(),
        [text, b" ", text].concat(),
        [cut, text].concat(),
        text.to_ascii_uppercase(),
        cut.to_vec(),
    ]
}

/// Lists of ids by hand: none, the first and the last tokens, the same again.
fn lists(tokenizer: &Tokenizer) -> Vec<Question> {
    let last = (tokenizer.vocab_size() as Token).saturating_sub(1);
    let ends: Vec<Token> = tokenizer.bos().into_iter().chain(tokenizer.eos()).collect();
    let first: Vec<Token> = (0..=last.min(300)).collect();
    let lists = [vec![], vec![0], vec![last], vec![0; 40], ends, first];
    lists.map(Question::Ids).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_what_they_say() {
        assert!(
            NO_TEXTS
                .iter()
                .all(|bytes| std::str::from_utf8(bytes).is_err())
        );
        let mut unique = TEXTS.to_vec();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), TEXTS.len(), "a text occurs twice");
        let questions = TEXTS.len() + NO_TEXTS.len();
        assert!(questions > 180, "{questions}");
    }
}
