//! An engine behind HTTP: llama-server, or one that speaks as OpenAI's completions do. It tells the
//! most likely tokens and no rows, so that is what is judged.

use std::path::Path;

use engine::Token;
use serde_json::{Value, json};

use super::{About, Asked, Engine};
use crate::case::ability::Ability;
use crate::case::schedule::Step;
use crate::io::http::JsonServer;
use crate::reference::isolation::{Channel, Stop};
use crate::runner::Followed;

/// Tokens of a position that are asked for.
const TOP: usize = 10;

/// What dialect a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// llama-server's own.
    Llama,
    /// OpenAI's, with ids as names of tokens.
    OpenAi,
}

/// A server.
pub struct Server {
    server: JsonServer,
    dialect: Dialect,
    name: String,
    url: String,
}

impl Server {
    /// Finds out which it is.
    pub fn find(url: &str) -> Result<Self, Stop> {
        let server = JsonServer::at(url).map_err(Stop::Refused)?;
        let props = server.ask("props", None);
        let (dialect, name) = match &props {
            Ok(props) => (
                Dialect::Llama,
                model_in(props, &["model_path", "model_alias"]),
            ),
            Err(no_props) => match server.ask("v1/models", None) {
                Ok(models) => (Dialect::OpenAi, model_in(&models["data"][0], &["id"])),
                Err(no_models) => {
                    let why = format!("neither llama-server's ({no_props}) nor OpenAI's");
                    return Err(Stop::Refused(format!("{why} ({no_models}) answers")));
                }
            },
        };
        Ok(Server {
            server,
            dialect,
            name: name.unwrap_or_else(|| "a server".into()),
            url: url.to_owned(),
        })
    }

    /// The most likely tokens of the next `count` positions behind `tokens`, greedily.
    fn next(&self, tokens: &[Token], count: usize) -> Result<Vec<Vec<(Token, f32)>>, Stop> {
        let found = match self.dialect {
            Dialect::Llama => {
                let asked = json!({
                    "prompt": tokens, "n_predict": count, "n_probs": TOP, "temperature": 0,
                    "top_k": 1, "samplers": ["temperature"], "cache_prompt": false,
                    "ignore_eos": false, "stream": false,
                });
                let said = self.ask("completion", &asked)?;
                let rows = said["completion_probabilities"].as_array().cloned();
                rows.unwrap_or_default().iter().map(llama_row).collect()
            }
            Dialect::OpenAi => {
                let asked = json!({
                    "model": self.name, "prompt": tokens, "max_tokens": count, "logprobs": TOP,
                    "temperature": 0, "return_tokens_as_token_ids": true,
                });
                let said = self.ask("v1/completions", &asked)?;
                let rows = said["choices"][0]["logprobs"]["top_logprobs"]
                    .as_array()
                    .cloned();
                rows.unwrap_or_default().iter().map(openai_row).collect()
            }
        };
        let found: Option<Vec<Vec<(Token, f32)>>> = found;
        found.filter(|rows| !rows.is_empty()).ok_or_else(|| {
            let why = "its answer has no ids with log-probabilities: is it one that tells them?";
            Stop::Refused(why.into())
        })
    }

    fn ask(&self, path: &str, body: &Value) -> Result<Value, Stop> {
        self.server.ask(path, Some(body)).map_err(Stop::Refused)
    }
}

fn model_in(from: &Value, keys: &[&str]) -> Option<String> {
    let name = keys.iter().find_map(|key| from[*key].as_str())?;
    let file = Path::new(name).file_name();
    Some(file.map_or(name.into(), |file| file.to_string_lossy().into_owned()))
}

/// `{"top_logprobs": [{"id": 5, "logprob": -0.1}, …]}`
fn llama_row(row: &Value) -> Option<Vec<(Token, f32)>> {
    let pair = |one: &Value| {
        let id = Token::try_from(one["id"].as_u64()?).ok()?;
        Some((id, one["logprob"].as_f64()? as f32))
    };
    row["top_logprobs"].as_array()?.iter().map(pair).collect()
}

/// `{"token_id:5": -0.1, …}`
fn openai_row(row: &Value) -> Option<Vec<(Token, f32)>> {
    let pair = |(name, logprob): (&String, &Value)| {
        let id = name.strip_prefix("token_id:")?.parse().ok()?;
        Some((id, logprob.as_f64()? as f32))
    };
    row.as_object()?.iter().map(pair).collect()
}

impl Engine for Server {
    fn about(&self) -> About {
        let mut offered = vec![Ability::Prefill, Ability::Greedy];
        if self.dialect == Dialect::Llama {
            offered.push(Ability::Tokenize);
        }
        About {
            name: format!("server of {}", self.name),
            profile: None,
            offered,
            print: self.url.clone(),
        }
    }

    /// What a server computes with is its own affair: it was started with a model.
    fn open(&mut self, _: &Path, _: &mut Channel) -> Result<(), Stop> {
        Ok(())
    }

    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, Stop> {
        let asked = json!({ "content": text, "add_special": true, "parse_special": true });
        let said = self.ask("tokenize", &asked)?;
        let ids = said["tokens"].as_array().cloned().unwrap_or_default();
        let ids = ids.iter().map(|id| Token::try_from(id.as_u64()?).ok());
        let none = || Stop::Refused("its answer to tokenize has no ids".into());
        ids.collect::<Option<_>>().ok_or_else(none)
    }

    fn follow(&mut self, asked: &Asked, channel: &mut Channel) -> Result<Followed, Stop> {
        let rows = match &asked.schedule.steps[..] {
            [Step::Feed(tokens)] => {
                let all: Vec<usize> = (0..tokens.len()).collect();
                let wanted = asked.schedule.only.as_ref().unwrap_or(&all);
                let mut rows = Vec::new();
                for &position in wanted.iter().filter(|p| **p < tokens.len()) {
                    channel.phase(&format!("asking for position {position}"))?;
                    rows.extend(self.next(&tokens[..=position], 1)?.into_iter().next());
                }
                rows
            }
            [Step::Last(tokens), Step::Greedy(more)] => self.next(tokens, more + 1)?,
            _ => {
                let message = "a server goes on behind a prompt, and nothing else";
                return Err(Stop::Refused(message.into()));
            }
        };
        let width = rows.iter().map(Vec::len).min().unwrap_or(0);
        let mut followed = Followed {
            rows: Vec::new(),
            vocab_size: width,
            nodes: Vec::new(),
            named: Vec::new(),
        };
        for mut row in rows {
            row.sort_by(|a, b| b.1.total_cmp(&a.1));
            row.truncate(width);
            let (names, logprobs): (Vec<Token>, Vec<f32>) = row.into_iter().unzip();
            followed.named.push(names);
            followed.rows.extend(logprobs);
        }
        Ok(followed)
    }
}
