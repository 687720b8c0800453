//! A vocabulary of an enemy's choice, and texts that are tokenized with it.

use arbitrary::{Arbitrary, Unstructured};
use engine::bytes::ModelBytes;
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, ValueType, Writer};
use engine::tokenizer::{TextStream, Tokenizer};

use crate::drawn::drawn;
use crate::refused;

drawn! {
    struct Input {
        model: u8,
        pre: u8,
        /// Whether each byte has a token, as sound vocabularies have.
        bytes: bool,
        tokens: Vec<(String, i8, f32)>,
        merges: Vec<Merge>,
        roles: Vec<(u8, u32)>,
        flags: Vec<(u8, bool)>,
        texts: Vec<Vec<Part>>,
        ids: Vec<u16>,
    }
}

drawn! {
    enum Merge {
        /// Two tokens of the vocabulary.
        Of(u16, u16),
        Text(String),
    }
}

drawn! {
    enum Part {
        /// A token's own text.
        Token(u16),
        Text(String),
        Space(u8),
    }
}

const MODELS: [&str; 4] = ["gpt2", "llama", "bert", ""];
const PRES: [&str; 6] = [
    "llama-bpe",
    "gpt-2",
    "qwen2",
    "default",
    "falcon3",
    "nothing",
];
const ROLES: [&str; 8] = [
    "bos", "eos", "eot", "unknown", "padding", "fim_pre", "eom", "sep",
];
const FLAGS: [&str; 4] = [
    "add_bos_token",
    "add_eos_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
];

/// Each byte as vocabularies of that kind have it.
fn byte(gpt2: bool, byte: u32) -> (String, i32) {
    if gpt2 {
        let printable = |b: &u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
        let moved = (0..byte).filter(|b| !printable(b)).count() as u32;
        let shown = if printable(&byte) { byte } else { 256 + moved };
        (char::from_u32(shown).expect("below 512").into(), 1)
    } else {
        (format!("<0x{byte:02X}>"), 6)
    }
}

impl Input {
    fn file(&self) -> (Vec<u8>, Vec<String>) {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let model = MODELS[usize::from(self.model) % MODELS.len()];
        let mut all: Vec<(String, i32, f32)> = Vec::new();
        if self.bytes {
            let bytes = (0..256).map(|b| byte(model == "gpt2", b));
            all.extend(bytes.map(|(text, kind)| (text, kind, 0.0)));
        }
        let tokens = self.tokens.iter().take(300);
        all.extend(tokens.map(|(text, kind, score)| (text.clone(), i32::from(kind % 8), *score)));
        let texts: Vec<String> = all.iter().map(|(text, ..)| text.clone()).collect();
        let of = |which: u16| texts.get(usize::from(which) % texts.len().max(1));
        let merges = self.merges.iter().take(300).map(|merge| match merge {
            Merge::Of(a, b) => {
                let part = |which| of(which).map_or("", String::as_str);
                format!("{} {}", part(*a), part(*b))
            }
            Merge::Text(text) => text.clone(),
        });
        let kinds = all.iter().map(|(_, kind, _)| Field::I32(*kind)).collect();
        let scores: Vec<f32> = all.iter().map(|(.., score)| *score).collect();
        let pre = PRES[usize::from(self.pre) % PRES.len()];
        let mut writer = Writer::new(3)
            .key(&key("model"), model)
            .key(&key("pre"), pre)
            .key(&key("tokens"), texts.clone())
            .key(&key("token_type"), Field::Array(ValueType::I32, kinds))
            .key(&key("scores"), scores)
            .key(&key("merges"), merges.collect::<Vec<_>>());
        for (role, id) in self.roles.iter().take(8) {
            let role = ROLES[usize::from(*role) % ROLES.len()];
            writer = writer.key(&key(&format!("{role}_token_id")), *id);
        }
        for (flag, set) in self.flags.iter().take(4) {
            writer = writer.key(&key(FLAGS[usize::from(*flag) % FLAGS.len()]), *set);
        }
        (writer.finish(), texts)
    }
}

/// Reads the vocabulary, and there and back the texts.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let (file, texts) = input.file();
    let gguf = match Gguf::parse(ModelBytes::from_vec(file)) {
        Ok(gguf) => gguf,
        Err(refusal) => return refused(&refusal),
    };
    let tokenizer = match Tokenizer::from_metadata(&gguf.metadata) {
        Ok(Some(tokenizer)) => tokenizer,
        Ok(None) => return,
        Err(refusal) => return refused(&refusal),
    };
    let size = tokenizer.vocab_size() as u32;
    for parts in input.texts.iter().take(4) {
        let text: String = parts
            .iter()
            .take(64)
            .map(|part| part.text(&texts))
            .collect();
        for (special, parsed) in [(false, false), (true, true), (false, true)] {
            let ids = tokenizer.encode(&text, special, parsed);
            assert!(ids.iter().all(|&id| id < size), "{ids:?} of {size}");
            back(&tokenizer, &ids);
        }
    }
    let ids: Vec<u32> = input.ids.iter().take(64).map(|&id| u32::from(id)).collect();
    back(&tokenizer, &ids);
}

/// The text of ids is what their bytes say, however they are cut.
fn back(tokenizer: &Tokenizer, ids: &[u32]) {
    for special in [false, true] {
        let bytes = tokenizer.decode_bytes(ids, special);
        let text = tokenizer.decode(ids, special);
        assert_eq!(text, String::from_utf8_lossy(&bytes));
        let mut stream = TextStream::default();
        let cut: String = bytes.chunks(3).map(|part| stream.push(part)).collect();
        assert_eq!(cut + &stream.finish(), text);
        for &id in ids {
            tokenizer.piece(id, special);
            let _ = (
                tokenizer.kind(id),
                tokenizer.score(id),
                tokenizer.token_text(id),
            );
        }
    }
}

impl Part {
    fn text(&self, tokens: &[String]) -> String {
        match self {
            Part::Token(id) => {
                let token = tokens.get(usize::from(*id) % tokens.len().max(1));
                token.cloned().unwrap_or_default()
            }
            Part::Text(text) => text.clone(),
            Part::Space(count) => " ".repeat(usize::from(*count)),
        }
    }
}
