//! Text ↔ token ids, from the vocabulary inside a GGUF file.
//!
//! Two algorithms: byte-level byte-pair encoding (`gpt2`) with the word rules the file names, and
//! SentencePiece (`llama`). Both see only the text between special tokens.
#![forbid(unsafe_code)]

mod bpe;
mod byte_level;
mod detokenize;
mod index;
mod merges;
mod partition;
mod reach;
mod roles;
mod sentencepiece;
mod split;
mod stream;
mod texts;
mod unicode;
mod vocabulary;

use std::borrow::Cow;

use crate::Token;
use crate::gguf::{Metadata, Value, Warning};
use crate::refusal::{Code, Refusal};

use bpe::Bpe;
use detokenize::Spelling;
use merges::Merges;
use partition::{Fragment, Partition};
use roles::{Defaults, Roles};
use sentencepiece::SentencePiece;
use split::Family;
use vocabulary::{Oddity, Vocabulary};

pub use stream::TextStream;
pub use vocabulary::TokenKind;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";

/// A vocabulary and the algorithm that goes with it.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    algorithm: Algorithm,
    roles: Roles,
    /// What is found in text that may hold special tokens.
    special: Partition,
    /// What is found in every text.
    user_defined: Partition,
    /// Special tokens that swallow the white space behind them, in order.
    strip_after: Vec<Token>,
    chat_template: Option<String>,
    warnings: Vec<Warning>,
}

enum Algorithm {
    Bpe(Bpe),
    SentencePiece(SentencePiece),
}

impl Tokenizer {
    /// Builds the tokenizer the metadata describes; `None` for files that say `no_vocab`.
    pub fn from_metadata(metadata: &Metadata) -> Result<Option<Self>, Refusal> {
        let model = metadata
            .string(MODEL)?
            .ok_or_else(|| metadata.missing(MODEL, "\"gpt2\", \"llama\" or \"no_vocab\""))?;
        match model {
            "no_vocab" => Ok(None),
            "gpt2" => Self::byte_level(metadata).map(Some),
            "llama" => Self::sentencepiece(metadata).map(Some),
            _ => {
                let known = "\"gpt2\", \"llama\" or \"no_vocab\"";
                let found = format!("{model:?}");
                Err(metadata.refuse(Code::UnknownTokenizer, MODEL, known, found))
            }
        }
    }

    fn byte_level(metadata: &Metadata) -> Result<Self, Refusal> {
        let mut warnings = Vec::new();
        let family = family(metadata, &mut warnings)?;
        let vocabulary = Vocabulary::read(metadata, false, &mut warnings)?;
        let merges = Merges::read(metadata, &vocabulary, &mut warnings)?;
        let defaults = Defaults {
            bos: 11,
            eos: 11,
            add_bos: family.add_bos,
            add_space_prefix: false,
            clean_spaces: family.clean_spaces,
        };
        let algorithm = |_: &Vocabulary| Ok(Algorithm::Bpe(Bpe { family, merges }));
        Self::assemble(metadata, vocabulary, algorithm, &defaults, warnings)
    }

    fn sentencepiece(metadata: &Metadata) -> Result<Self, Refusal> {
        let mut warnings = Vec::new();
        let vocabulary = Vocabulary::read(metadata, true, &mut warnings)?;
        let defaults = Defaults {
            bos: 1,
            eos: 2,
            add_bos: true,
            add_space_prefix: true,
            clean_spaces: false,
        };
        let algorithm = |vocabulary: &Vocabulary| {
            SentencePiece::new(metadata, vocabulary).map(Algorithm::SentencePiece)
        };
        Self::assemble(metadata, vocabulary, algorithm, &defaults, warnings)
    }

    fn assemble(
        metadata: &Metadata,
        mut vocabulary: Vocabulary,
        algorithm: impl FnOnce(&Vocabulary) -> Result<Algorithm, Refusal>,
        defaults: &Defaults,
        mut warnings: Vec<Warning>,
    ) -> Result<Self, Refusal> {
        // A vocabulary too small for its special tokens lacks more than the bytes.
        let roles = Roles::read(metadata, &mut vocabulary, defaults, &mut warnings)?;
        let algorithm = algorithm(&vocabulary)?;
        use TokenKind::{Control, Unknown, UserDefined};
        let special = vocabulary.of_kinds(&[Control, Unknown, UserDefined]);
        let user_defined = vocabulary.of_kinds(&[UserDefined]);
        let strip_after = strip_after(metadata, &vocabulary, &special);
        let mut too_long = Oddity::default();
        for &token in &special {
            let len = vocabulary.text(token).map_or(0, <[u8]>::len);
            too_long.note(token as usize, len > partition::LONGEST);
        }
        let detail = "a special token too long to be looked for in text";
        too_long.report(
            "SPECIAL_TOKEN_TOO_LONG",
            "tokenizer.ggml.tokens",
            detail,
            &mut warnings,
        );
        Ok(Tokenizer {
            special: Partition::new(&vocabulary, special),
            user_defined: Partition::new(&vocabulary, user_defined),
            strip_after,
            chat_template: metadata
                .string("tokenizer.chat_template")?
                .map(str::to_owned),
            vocabulary,
            algorithm,
            roles,
            warnings,
        })
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Text to ids. `add_special` adds the BOS/EOS the model asks for, `parse_special` recognises
    /// control tokens written out in the text.
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<Token> {
        let mut tokens = Vec::new();
        if add_special && self.roles.add_bos {
            tokens.push(self.roles.bos);
        }
        let partition = if parse_special {
            &self.special
        } else {
            &self.user_defined
        };
        // At the start of a text and after a special token a word begins.
        let mut word_begins = true;
        for fragment in partition.fragments(&self.vocabulary, text, &self.strip_after) {
            match fragment {
                Fragment::Special(token) => tokens.push(token),
                Fragment::Text(text) => self.encode_text(text, word_begins, &mut tokens),
            }
            word_begins = matches!(fragment, Fragment::Special(_));
        }
        if add_special && self.roles.add_eos {
            tokens.push(self.roles.eos);
        }
        tokens
    }

    fn encode_text(&self, text: &str, word_begins: bool, tokens: &mut Vec<Token>) {
        match &self.algorithm {
            Algorithm::Bpe(bpe) => bpe.encode(&self.vocabulary, text, tokens),
            Algorithm::SentencePiece(pieces) if word_begins && self.roles.add_space_prefix => {
                pieces.encode(&self.vocabulary, &format!(" {text}"), tokens);
            }
            Algorithm::SentencePiece(pieces) => pieces.encode(&self.vocabulary, text, tokens),
        }
    }

    /// The bytes one token stands for; control tokens stand for nothing unless `special`.
    pub fn piece(&self, token: Token, special: bool) -> Cow<'_, [u8]> {
        let spelling = match self.algorithm {
            Algorithm::Bpe(_) => Spelling::ByteLevel,
            Algorithm::SentencePiece(_) => Spelling::SentencePiece,
        };
        match (self.vocabulary.text(token), self.vocabulary.kind(token)) {
            (Some(text), Some(kind)) => detokenize::piece(spelling, text, kind, special),
            _ => Cow::default(),
        }
    }

    /// Ids to text, invalid UTF-8 replaced.
    pub fn decode(&self, tokens: &[Token], special: bool) -> String {
        String::from_utf8_lossy(&self.decode_bytes(tokens, special)).into_owned()
    }

    /// Ids to the bytes of a text. Ids that some text was turned into give whole characters, any
    /// others may not.
    pub fn decode_bytes(&self, tokens: &[Token], special: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, &token) in tokens.iter().enumerate() {
            let piece = self.piece(token, special);
            // The space that encoding put in front of the text is not part of it.
            let added = at == 0 && self.roles.add_space_prefix && piece.first() == Some(&b' ');
            bytes.extend_from_slice(&piece[usize::from(added)..]);
        }
        if self.roles.clean_spaces {
            detokenize::clean_spaces(&bytes)
        } else {
            bytes
        }
    }

    /// Whether generation stops at this token.
    pub fn is_end(&self, token: Token) -> bool {
        self.roles.ends.binary_search(&token).is_ok()
    }

    /// Beginning-of-text token, if the vocabulary has one.
    pub fn bos(&self) -> Option<Token> {
        Some(self.roles.bos)
    }

    /// End-of-text token, if the vocabulary has one.
    pub fn eos(&self) -> Option<Token> {
        Some(self.roles.eos)
    }

    /// The token behind a turn of a conversation, if the vocabulary has one.
    pub fn eot(&self) -> Option<Token> {
        self.roles.eot
    }

    /// What cuts words into tokens, as `tokenizer.ggml.model` names it.
    pub fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Bpe(_) => "gpt2",
            Algorithm::SentencePiece(_) => "llama",
        }
    }

    /// Whether the model asks for the BOS token in front of a text.
    pub fn adds_bos(&self) -> bool {
        self.roles.add_bos
    }

    /// Whether the model asks for the EOS token behind a text.
    pub fn adds_eos(&self) -> bool {
        self.roles.add_eos
    }

    /// The model's own chat template, Jinja source.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// A token as the vocabulary spells it.
    pub fn token_text(&self, token: Token) -> Option<&[u8]> {
        self.vocabulary.text(token)
    }

    /// The token the vocabulary spells so.
    pub fn token(&self, text: &[u8]) -> Option<Token> {
        self.vocabulary.find(text)
    }

    /// What a token is for.
    pub fn kind(&self, token: Token) -> Option<TokenKind> {
        self.vocabulary.kind(token)
    }

    /// The score that decides what joins first; `None` where the algorithm has no scores.
    pub fn score(&self, token: Token) -> Option<f32> {
        match &self.algorithm {
            Algorithm::Bpe(_) => None,
            Algorithm::SentencePiece(_) => Some(self.vocabulary.score(token)),
        }
    }

    /// The rules that cut text into words, e.g. `llama-bpe`; `None` for SentencePiece.
    pub fn word_rules(&self) -> Option<&'static str> {
        match &self.algorithm {
            Algorithm::Bpe(bpe) => bpe.family.names.first().copied(),
            Algorithm::SentencePiece(_) => None,
        }
    }

    /// What is odd about the vocabulary.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Whether a text begins with the BOS token under word rules of that name, unless the file says
/// otherwise.
pub fn adds_bos(word_rules: &str) -> bool {
    split::family(word_rules).is_some_and(|family| family.add_bos)
}

/// The word rules the file names.
fn family(metadata: &Metadata, warnings: &mut Vec<Warning>) -> Result<&'static Family, Refusal> {
    let name = metadata.string(PRE)?.filter(|name| !name.is_empty());
    if name.is_none() {
        warnings.push(Warning {
            name: "PRETOKENIZER_MISSING",
            field: format!("metadata.\"{PRE}\""),
            detail: "no word rules, the default ones may not be what the model saw".to_owned(),
            count: 1,
        });
    }
    let name = name.unwrap_or("default");
    split::family(name).ok_or_else(|| {
        let known: Vec<&str> = split::FAMILIES
            .iter()
            .flat_map(|f| f.names)
            .copied()
            .collect();
        let refusal = metadata.refuse(
            Code::UnknownPretokenizer,
            PRE,
            "known word rules",
            format!("{name:?}"),
        );
        refusal.hint(format!("known are {}", known.join(", ")))
    })
}

/// The special tokens that swallow the white space behind them. Files do not say it; it is known
/// of one family of models, by its name.
fn strip_after(metadata: &Metadata, vocabulary: &Vocabulary, special: &[Token]) -> Vec<Token> {
    let name = match metadata.get("general.name") {
        Some(Value::String(name)) => String::from_utf8_lossy(name).to_lowercase(),
        _ => String::new(),
    };
    if !name.contains("phi-3") && !name.contains("phi3") {
        return Vec::new();
    }
    let keep = ["<unk>", "<s>", "<|endoftext|>"].map(|text| vocabulary.find(text.as_bytes()));
    let more = vocabulary.find(b"</s>");
    let tokens = special.iter().copied().chain(more);
    let mut tokens: Vec<Token> = tokens
        .filter(|&token| !keep.contains(&Some(token)))
        .collect();
    tokens.sort_unstable();
    tokens
}

#[cfg(test)]
mod tests;
