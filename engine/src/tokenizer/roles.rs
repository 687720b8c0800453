//! Which tokens begin and end a text, and what else a file says about encoding and decoding.
#![forbid(unsafe_code)]

use super::vocabulary::{Oddity, TokenKind, Vocabulary};
use crate::Token;
use crate::gguf::{Metadata, Warning};
use crate::refusal::{Code, Refusal};

/// What an algorithm assumes where the file says nothing.
pub(super) struct Defaults {
    pub bos: Token,
    pub eos: Token,
    pub add_bos: bool,
    pub add_space_prefix: bool,
    pub clean_spaces: bool,
}

/// The special tokens and habits of a model.
pub(super) struct Roles {
    pub bos: Token,
    pub eos: Token,
    /// What ends a turn of a conversation.
    pub eot: Option<Token>,
    /// Tokens that end a generation, in order.
    pub ends: Vec<Token>,
    pub add_bos: bool,
    pub add_eos: bool,
    /// Text after a special token, and at the start, gets a space in front.
    pub add_space_prefix: bool,
    /// Decoded text loses the blanks before punctuation.
    pub clean_spaces: bool,
}

/// A token that is known by a key or, where the key is missing, by its text.
struct Role {
    /// Later keys win.
    keys: &'static [&'static str],
    texts: &'static [&'static str],
    ends: bool,
}

const END_OF_TURN: &str = "eot_token_id";

const ROLES: &[Role] = &[
    Role {
        keys: &[END_OF_TURN],
        texts: &[
            "<|eot_id|>",
            "<|im_end|>",
            "<|end|>",
            "<end_of_turn>",
            "<|endoftext|>",
            "<EOT>",
            "<｜end▁of▁sentence｜>",
        ],
        ends: true,
    },
    Role {
        keys: &["eom_token_id"],
        texts: &["<|eom_id|>"],
        ends: true,
    },
    Role {
        keys: &["fim_pre_token_id", "prefix_token_id"],
        texts: &["<|fim_prefix|>", "<fim-prefix>", "<｜fim▁begin｜>", "<PRE>"],
        ends: false,
    },
    Role {
        keys: &["fim_suf_token_id", "suffix_token_id"],
        texts: &["<|fim_suffix|>", "<fim-suffix>", "<｜fim▁hole｜>", "<SUF>"],
        ends: false,
    },
    Role {
        keys: &["fim_mid_token_id", "middle_token_id"],
        texts: &["<|fim_middle|>", "<fim-middle>", "<｜fim▁end｜>", "<MID>"],
        ends: false,
    },
    Role {
        keys: &["fim_pad_token_id"],
        texts: &["<|fim_pad|>", "<fim-pad>", "<PAD>"],
        ends: true,
    },
    Role {
        keys: &["fim_rep_token_id"],
        texts: &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>"],
        ends: true,
    },
    Role {
        keys: &["fim_sep_token_id"],
        texts: &["<|file_sep|>"],
        ends: true,
    },
];

/// Texts that end a generation in every vocabulary that has them.
const END_TEXTS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
];

impl Roles {
    /// Reads the roles. Tokens that are known by their text become control tokens: files exist
    /// that mark them as text, and a model would go on writing behind its end.
    pub(super) fn read(
        metadata: &Metadata,
        vocabulary: &mut Vocabulary,
        defaults: &Defaults,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, Refusal> {
        let bos = id(metadata, "bos_token_id", vocabulary)?;
        let eos = id(metadata, "eos_token_id", vocabulary)?;
        let flag = |key: &str, default| {
            Ok(metadata
                .bool(&format!("tokenizer.ggml.{key}"))?
                .unwrap_or(default))
        };
        let bos = bos.map_or_else(|| default_id(metadata, "bos", defaults.bos, vocabulary), Ok)?;
        let eos = eos.map_or_else(|| default_id(metadata, "eos", defaults.eos, vocabulary), Ok)?;
        let mut ends = vec![eos];
        let mut eot = None;
        let mut by_text = Vec::new();
        for role in ROLES {
            let mut token = None;
            for key in role.keys {
                token = id(metadata, key, vocabulary)?.or(token);
            }
            if token.is_none() {
                let found = role
                    .texts
                    .iter()
                    .filter_map(|text| vocabulary.find(text.as_bytes()));
                token = found.min();
                by_text.extend(token);
            }
            ends.extend(token.filter(|_| role.ends));
            eot = eot.or(token.filter(|_| role.keys.contains(&END_OF_TURN)));
        }
        let end_texts = END_TEXTS
            .iter()
            .filter_map(|text| vocabulary.find(text.as_bytes()));
        by_text.extend(end_texts.clone());
        ends.extend(end_texts);
        ends.sort_unstable();
        ends.dedup();
        mark_as_control(vocabulary, by_text, warnings);
        Ok(Roles {
            bos,
            eos,
            eot,
            ends,
            add_bos: flag("add_bos_token", defaults.add_bos)?,
            add_eos: flag("add_eos_token", false)?,
            add_space_prefix: flag("add_space_prefix", defaults.add_space_prefix)?,
            clean_spaces: defaults.clean_spaces,
        })
    }
}

/// The token a key names, which must exist.
fn id(metadata: &Metadata, key: &str, vocabulary: &Vocabulary) -> Result<Option<Token>, Refusal> {
    let key = format!("tokenizer.ggml.{key}");
    match metadata.u32(&key)? {
        Some(token) if token as usize >= vocabulary.len() => {
            let rule = format!("a token below {}", vocabulary.len());
            Err(metadata.refuse(Code::VocabInvalid, &key, rule, token))
        }
        token => Ok(token),
    }
}

/// The token that is meant where the key is missing, which must exist too.
fn default_id(
    metadata: &Metadata,
    role: &str,
    token: Token,
    vocabulary: &Vocabulary,
) -> Result<Token, Refusal> {
    if (token as usize) < vocabulary.len() {
        return Ok(token);
    }
    let rule = format!("a token below {}", vocabulary.len());
    let found = format!("no such key, which means {token}");
    let key = format!("tokenizer.ggml.{role}_token_id");
    Err(metadata.refuse(Code::VocabInvalid, &key, rule, found))
}

fn mark_as_control(
    vocabulary: &mut Vocabulary,
    mut tokens: Vec<Token>,
    warnings: &mut Vec<Warning>,
) {
    tokens.sort_unstable();
    tokens.dedup();
    let mut marked = Oddity::default();
    for token in tokens {
        let is_text = vocabulary.kind(token) != Some(TokenKind::Control);
        marked.note(token as usize, is_text);
        vocabulary.set_kind(token, TokenKind::Control);
    }
    let detail = "a token that reads like a mark but is not of type control: taken for a mark";
    marked.report(
        "TOKEN_KIND_OVERRIDDEN",
        "tokenizer.ggml.token_type",
        detail,
        warnings,
    );
}
