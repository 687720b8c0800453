//! The engine as a program of its own, which the harness judges where it does not run itself.
//!
//! `subject serve [PROFILE]` speaks the protocol of `harness subject --help` on its standard
//! streams, for `--subject 'serve: …'`. `subject values FILE…` writes, for every tensor of each
//! file, its values and its product with some activations in each profile, as little-endian floats.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::bytes::{ModelBytes, Storage};
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::numerics::{Profile, arithmetic};
use engine::session::{OpenOptions, SessionOptions, Wanted};
use engine::transformer::Multiplier;
use engine::transformer::probe::{Node, Probe};
use engine::{Model, Session, Token};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(Profile::default()),
        ["serve", name] => serve(Profile::from_name(name).ok_or("there is no such profile")?),
        ["values", files @ ..] => files.iter().try_for_each(|file| values(Path::new(file))),
        _ => Err("usage: subject serve [PROFILE] | values FILE…".into()),
    }
}

/// Answers line after line.
fn serve(profile: Profile) -> Outcome<()> {
    let mut served = Served {
        profile,
        model: None,
        session: None,
        shows_nodes: false,
    };
    for line in io::stdin().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let mut answer = match served.answer(&asked) {
            Ok(answer) => answer,
            Err(why) => json!({ "ok": false, "error": why.to_string() }),
        };
        if answer["ok"].is_null() {
            answer["ok"] = true.into();
        }
        println!("{answer}");
        if asked["op"] == "bye" {
            break;
        }
    }
    Ok(())
}

struct Served {
    profile: Profile,
    model: Option<Model>,
    session: Option<Session>,
    shows_nodes: bool,
}

impl Served {
    fn answer(&mut self, asked: &Value) -> Outcome<Value> {
        let number = |key: &str| asked[key].as_u64().ok_or(format!("no {key}"));
        let text = |key: &str| asked[key].as_str().ok_or(format!("no {key}"));
        match text("op")? {
            "hello" => Ok(json!({
                "protocol": 1,
                "name": format!("engine on {}", std::env::consts::ARCH),
                "profile": self.profile.name(),
                "offers": ["tokenize", "prefill", "decode", "rows", "nodes", "greedy",
                    "detokenize"],
            })),
            "open" => {
                let options = OpenOptions::default();
                let model = Model::open(Path::new(text("model")?), &options)?;
                let vocab = model.config().vocab_size;
                self.session = None;
                self.model = Some(model);
                Ok(json!({ "vocab": vocab }))
            }
            "tokenize" => {
                let words = self.model()?.tokenizer().ok_or("there is no vocabulary")?;
                Ok(json!({ "tokens": words.encode(text("text")?, true, true) }))
            }
            "detokenize" => {
                let words = self.model()?.tokenizer().ok_or("there is no vocabulary")?;
                Ok(json!({ "text": words.decode(&tokens(asked)?, true) }))
            }
            "begin" => {
                let options = SessionOptions {
                    context: number("context")? as usize,
                    ubatch: number("ubatch")? as usize,
                    threads: 1, // WebAssembly has no others, and no bit depends on it
                    profile: self.profile,
                };
                self.session = Some(Session::new(self.model()?, options)?);
                self.shows_nodes = asked["nodes"] == true;
                Ok(json!({}))
            }
            "feed" => self.feed(&tokens(asked)?, asked["logits"] == "last"),
            "truncate" => {
                let length = number("length")? as usize;
                self.session
                    .as_mut()
                    .ok_or("nothing has begun")?
                    .truncate(length);
                Ok(json!({}))
            }
            "bye" => Ok(json!({})),
            other => Err(format!("{other:?} is not known here").into()),
        }
    }

    fn model(&self) -> Result<&Model, &'static str> {
        self.model.as_ref().ok_or("no model is open")
    }

    fn feed(&mut self, tokens: &[Token], last: bool) -> Outcome<Value> {
        let session = self.session.as_mut().ok_or("nothing has begun")?;
        let wanted = if last { Wanted::Last } else { Wanted::All };
        let mut shown = Shown::default();
        if self.shows_nodes {
            let logits = session.feed(tokens, wanted, &mut shown)?;
            Ok(json!({ "logits": encoded(&logits), "nodes": shown.nodes }))
        } else {
            let logits = session.feed(tokens, wanted, &mut ())?;
            Ok(json!({ "logits": encoded(&logits) }))
        }
    }
}

/// Every node of a feed.
#[derive(Default)]
struct Shown {
    seen: HashMap<Node, usize>,
    nodes: Vec<Value>,
}

impl Probe for Shown {
    fn at(&mut self, node: Node, shape: &[usize], values: &mut [f32]) {
        // Counted over the whole feed, whatever ubatches it takes.
        let any = Node {
            occurrence: 0,
            ..node
        };
        let seen = self.seen.entry(any).or_default();
        let key = Node {
            occurrence: *seen,
            ..node
        }
        .to_string();
        *seen += 1;
        let data = encoded(values);
        self.nodes
            .push(json!({ "key": key, "shape": shape, "data": data }));
    }
}

fn tokens(asked: &Value) -> Outcome<Vec<Token>> {
    Ok(serde_json::from_value(asked["tokens"].clone())?)
}

fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn encoded(floats: &[f32]) -> String {
    STANDARD.encode(bytes(floats))
}

/// Every tensor, decoded and multiplied.
fn values(path: &Path) -> Outcome<()> {
    let (file, _) = ModelBytes::open(path, Storage::Read)?;
    let gguf = Gguf::parse(file)?;
    let kernel = Kernel::best();
    let mut out = io::stdout().lock();
    for tensor in gguf.tensors.iter() {
        let matrix = Matrix::from_tensor(&gguf, tensor, None, kernel)?;
        let mut row = vec![0.0; matrix.cols()];
        for at in 0..matrix.rows() {
            matrix.decode_row(at, &mut row);
            out.write_all(&bytes(&row))?;
        }
        let numbers = 0..matrix.cols();
        let activations: Vec<f32> = numbers
            .map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0)
            .collect();
        let mut product = vec![0.0; matrix.rows()];
        for profile in Profile::ALL {
            let arithmetic = arithmetic(profile, kernel);
            let mut multiplier = Multiplier::new(arithmetic, NonZeroUsize::MIN);
            multiplier.multiply(&matrix, &activations, &mut product);
            out.write_all(&bytes(&product))?;
        }
    }
    Ok(())
}
