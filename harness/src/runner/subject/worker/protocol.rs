//! An engine that stays up and speaks the protocol: lines of JSON on its standard input and output,
//! one answer to each request, arrays as base64 of little-endian `f32`.
//!
//! `harness subject` prints the whole of it on one page; `adapters/` has it in Python and in C.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::Token;
use engine::encoding::float::Float;
use engine::session::Wanted;
use serde::{Deserialize, Serialize};

use super::child::{end_like, shell};
use super::{About, Asked, Engine};
use crate::case::ability::Ability;
use crate::case::observation::TracedNode;
use crate::case::schedule::Session;
use crate::io::array::decoded;
use crate::reference::isolation::{Channel, Shown, Stop};
use crate::runner::Followed;

/// The version that is spoken.
pub const VERSION: u32 = 1;
/// The longest line that is read.
const LONGEST: u64 = 1 << 30;

/// What is asked, a line each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Ask<'a> {
    /// Who are you?
    Hello {
        /// [`VERSION`].
        protocol: u32,
    },
    /// Open a model file.
    Open {
        /// Its path.
        model: &'a str,
    },
    /// Which ids is this text, special tokens added and read in it?
    Tokenize {
        /// The text.
        text: &'a str,
    },
    /// Which text are these ids, special tokens shown?
    Detokenize {
        /// The ids.
        tokens: &'a [Token],
    },
    /// Begin with an empty cache.
    Begin {
        /// Positions it holds.
        context: usize,
        /// Tokens computed together at most.
        ubatch: usize,
        /// Threads.
        threads: usize,
        /// Whether nodes are to be shown.
        nodes: bool,
        /// What it is to go on from instead of what it computed for these nodes.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        replace: Vec<SpokenNode>,
    },
    /// Compute these tokens after those before them.
    Feed {
        /// The ids.
        tokens: &'a [Token],
        /// `all` or `last`: whose logits are wanted.
        logits: &'static str,
    },
    /// Forget every position from this one on.
    Truncate {
        /// How many are left.
        length: usize,
    },
    /// End.
    Bye,
}

/// What is answered. Everything but `ok` belongs to some request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    ok: bool,
    error: String,
    protocol: u32,
    name: String,
    profile: Option<String>,
    offers: Vec<Ability>,
    vocab: usize,
    tokens: Vec<Token>,
    text: String,
    logits: String,
    nodes: Vec<SpokenNode>,
}

impl Said {
    /// An answer, if the line is one: what was asked for, or why not.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let said: Said = serde_json::from_slice(line).map_err(|why| {
            let shown: String = String::from_utf8_lossy(line).chars().take(80).collect();
            format!("it said {:?}, which is no answer: {why}", shown.trim())
        })?;
        if said.ok || !said.error.is_empty() {
            return Ok(said);
        }
        Err("its answer is neither ok nor has it an error".into())
    }

    /// Its rows of logits.
    pub fn logits(&self, rows: usize, vocab: usize) -> Result<Vec<f32>, String> {
        let what = format!("logits of {rows} rows of {vocab}");
        floats(&what, &self.logits, rows.checked_mul(vocab))
    }

    /// The nodes it shows of those that are asked for.
    pub fn nodes(&self, asked: &Shown) -> Result<Vec<TracedNode>, String> {
        let asked = self.nodes.iter().filter(|node| asked.has(&node.key));
        asked.map(SpokenNode::read).collect()
    }
}

/// As many values as there should be.
fn floats(what: &str, data: &str, expected: Option<usize>) -> Result<Vec<f32>, String> {
    let bytes = STANDARD.decode(data);
    let bytes = bytes.map_err(|why| format!("{what}: no base64: {why}"))?;
    let count = bytes.len() / 4;
    if bytes.len() % 4 == 0 && expected == Some(count) {
        return Ok(decoded(Float::F32, &bytes));
    }
    let expected = expected.map_or("none".into(), |n| n.to_string());
    let bytes = bytes.len();
    Err(format!(
        "{what}: {bytes} bytes, where {expected} values of four bytes were expected"
    ))
}

/// A node on its way in either direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpokenNode {
    key: String,
    shape: Vec<usize>,
    data: String,
}

impl SpokenNode {
    fn read(&self) -> Result<TracedNode, String> {
        let size = |count: usize, n: &usize| count.checked_mul(*n);
        let count = self.shape.iter().try_fold(1, size);
        Ok(TracedNode {
            values: floats(&self.key, &self.data, count)?,
            shape: self.shape.clone(),
            key: self.key.clone(),
        })
    }
}

impl From<&TracedNode> for SpokenNode {
    fn from(node: &TracedNode) -> Self {
        SpokenNode {
            key: node.key.clone(),
            shape: node.shape.clone(),
            data: STANDARD.encode(Float::F32.encode(&node.values)),
        }
    }
}

/// A process that speaks.
pub struct Speaking {
    child: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
    about: About,
    vocab: usize,
    /// What was wrong with what it said; it is not asked again.
    broken: Option<String>,
}

impl Speaking {
    /// Starts a command line and says hello.
    pub fn start(line: &str) -> Result<Self, Stop> {
        let mut command = shell(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (into, from) = child
            .stdin
            .take()
            .zip(child.stdout.take())
            .expect("both piped");
        let mut speaking = Speaking {
            child,
            into,
            from: BufReader::new(from),
            about: About::default(),
            vocab: 0,
            broken: None,
        };
        let protocol = VERSION;
        let said = speaking.ask(&Ask::Hello { protocol })?;
        if said.protocol != VERSION {
            let theirs = said.protocol;
            return Err(speaking.complain(format!(
                "it speaks version {theirs} of the protocol, and this harness version {VERSION}"
            )));
        }
        if said.name.trim().is_empty() {
            return Err(speaking.complain("its hello has no name".into()));
        }
        speaking.about = About {
            print: format!("{} {line}", said.name),
            name: said.name,
            profile: said.profile,
            offered: said.offers,
        };
        Ok(speaking)
    }

    /// Asks, and takes an answer that is one.
    pub fn ask(&mut self, asked: &Ask<'_>) -> Result<Said, Stop> {
        if let Some(why) = &self.broken {
            return Err(Stop::Refused(why.clone()));
        }
        let mut line = serde_json::to_vec(asked).map_err(std::io::Error::other)?;
        line.push(b'\n');
        // One that does not read is found out when nothing comes back.
        let _ = self.into.write_all(&line).and_then(|()| self.into.flush());
        let mut answer = Vec::new();
        let most = &mut self.from.by_ref().take(LONGEST);
        most.read_until(b'\n', &mut answer)?;
        if answer.last() != Some(&b'\n') {
            if answer.len() as u64 == LONGEST {
                return Err(self.complain(format!("its line is longer than {LONGEST} bytes")));
            }
            let status = self.child.wait()?;
            if status.success() {
                let what = "it ended well, but before it had answered";
                return Err(self.complain(what.into()));
            }
            end_like(status);
        }
        let said = Said::read(&answer).map_err(|why| self.complain(why))?;
        if said.ok {
            Ok(said)
        } else {
            Err(Stop::Refused(said.error))
        }
    }

    /// Ends it for what it said.
    fn complain(&mut self, why: String) -> Stop {
        let _ = self.child.kill(); // it may be gone
        self.broken = Some(why.clone());
        Stop::Refused(why)
    }

    fn begin(&mut self, asked: &Asked) -> Result<(), Stop> {
        let schedule = &asked.schedule;
        let begin = Ask::Begin {
            context: schedule.context(),
            ubatch: schedule.ubatch,
            threads: schedule.threads,
            nodes: asked.shown != Shown::Nothing,
            replace: asked.replaced.iter().map(SpokenNode::from).collect(),
        };
        self.ask(&begin).map(drop)
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        let _ = self.ask(&Ask::Bye);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Engine for Speaking {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn open(&mut self, model: &Path, _: &mut Channel) -> Result<(), Stop> {
        let path = std::path::absolute(model)?;
        let model = &path.to_string_lossy();
        self.vocab = self.ask(&Ask::Open { model })?.vocab;
        if self.vocab == 0 {
            return Err(self.complain("its answer to open has no vocab".into()));
        }
        Ok(())
    }

    fn tokenize(&mut self, text: &str) -> Result<Vec<Token>, Stop> {
        Ok(self.ask(&Ask::Tokenize { text })?.tokens)
    }

    fn detokenize(&mut self, tokens: &[Token]) -> Result<Vec<u8>, Stop> {
        Ok(self.ask(&Ask::Detokenize { tokens })?.text.into_bytes())
    }

    fn follow(&mut self, asked: &Asked, _: &mut Channel) -> Result<Followed, Stop> {
        let replaces = self.about.offered.contains(&Ability::Replace);
        if !asked.replaced.is_empty() && !replaces {
            return Err(Stop::Refused("it does not offer to replace nodes".into()));
        }
        self.begin(asked)?;
        let nodes = Vec::new();
        let mut feeding = Feeding {
            engine: self,
            shown: &asked.shown,
            nodes,
        };
        let rows = asked.schedule.follow(&mut feeding)?;
        Ok(Followed {
            named: Vec::new(),
            rows,
            nodes: feeding.nodes,
            vocab_size: self.vocab,
        })
    }
}

/// A session of it, along a schedule.
struct Feeding<'a> {
    engine: &'a mut Speaking,
    shown: &'a Shown,
    nodes: Vec<TracedNode>,
}

impl Session for Feeding<'_> {
    type Error = Stop;

    fn feed(&mut self, tokens: &[Token], wanted: Wanted) -> Result<Vec<f32>, Stop> {
        let (logits, rows) = match wanted {
            Wanted::All => ("all", tokens.len()),
            Wanted::Last => ("last", 1),
        };
        let said = self.engine.ask(&Ask::Feed { tokens, logits })?;
        let vocab = self.engine.vocab;
        let taken = said.nodes(self.shown).and_then(|nodes| {
            self.nodes.extend(nodes);
            said.logits(rows, vocab)
        });
        taken.map_err(|why| self.engine.complain(why))
    }

    fn truncate(&mut self, length: usize) -> Result<(), Stop> {
        self.engine.ask(&Ask::Truncate { length }).map(drop)
    }
}
