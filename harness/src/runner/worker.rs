//! The engine on the far side of the channel on which references answer: in a process of its own,
//! on the same terms, under the same clock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::bytes::{ModelBytes, Storage};
use engine::kernels::Kernel;
use engine::numerics::Profile;
use engine::session::{EvalError, SessionOptions, Wanted};
use engine::{Model, Session, Token};

use super::engine::Probed;
use crate::case::schedule::{self, Schedule, Timed};
use crate::file::provenance;
use crate::file::reading::Reading;
use crate::io::process::{Resident, resident};
use crate::reference::isolation::{
    Answer, Channel, Cost, Done, Hello, ModelFile, PROTOCOL, Part, Request, Serve, Stop,
};

/// What the engine calls itself on the channel.
pub fn api() -> String {
    format!("engine {}", env!("CARGO_PKG_VERSION"))
}

/// How the engine computes.
#[derive(Debug, Clone, Copy)]
pub struct Computing {
    /// Inner loops.
    pub kernel: Kernel,
    /// Order of float operations.
    pub profile: Profile,
    /// What was said about files that leave something open.
    pub reading: Reading,
}

/// The engine, and the model it was asked about last.
pub struct EngineWorker {
    computing: Computing,
    storage: Storage,
    held: Option<Held>,
}

struct Held {
    path: PathBuf,
    sha256: String,
    model: Model,
    load: Duration,
}

impl EngineWorker {
    /// With no model yet.
    pub fn start(computing: Computing, storage: Storage) -> (Self, Hello) {
        let worker = EngineWorker {
            computing,
            storage,
            held: None,
        };
        let (kernel, profile) = (computing.kernel.name(), computing.profile.name());
        let word = ffi::control_word();
        let hello = Hello {
            protocol: PROTOCOL,
            api: api(),
            system_info: format!("{kernel}, {profile}"),
            sha256: Vec::new(),
            knows_i2_s: true,
            details: BTreeMap::new(),
            control_word: [word, word],
            ..Hello::default()
        };
        (worker, hello)
    }

    /// A model file, opened unless it is the one that was asked about last.
    fn hold(&mut self, file: &ModelFile, channel: &mut Channel) -> Result<&Held, Stop> {
        let at_hand = |held: &Held| held.path == file.path;
        if !self.held.as_ref().is_some_and(at_hand) {
            self.held = None; // only one is in memory
            channel.phase("hashing the model")?;
            let hashed = ModelBytes::open(&file.path, self.storage);
            let (bytes, stamp) = hashed.map_err(refused)?;
            let sha256 = provenance::sha256(&bytes);
            drop(bytes);
            channel.phase("loading the model")?;
            let computing = &self.computing;
            let options = computing
                .reading
                .options(self.storage, Some(computing.kernel));
            let began = Instant::now();
            let model = Model::open(&file.path, &options).map_err(refused)?;
            let load = began.elapsed();
            stamp.still_holds(&file.path).map_err(refused)?;
            self.held = Some(Held {
                path: file.path.clone(),
                sha256,
                model,
                load,
            });
        }
        Ok(self.held.as_ref().expect("just opened"))
    }
}

impl Held {
    /// Follows a schedule in a session of its own, sends the rows it keeps, and says what it cost.
    fn time(
        &self,
        schedule: &Schedule,
        profile: Profile,
        likeliest: bool,
        channel: &mut Channel,
    ) -> Result<Cost, Stop> {
        channel.phase("following a schedule")?;
        let options = SessionOptions {
            context: schedule.context(),
            ubatch: schedule.ubatch,
            threads: schedule.threads,
            profile,
        };
        let began = Instant::now();
        let mut session = Session::new(&self.model, options).map_err(refused)?;
        if likeliest && !session.screen() {
            let message = "the head of this model cannot be screened";
            return Err(Stop::Refused(message.into()));
        }
        let begin = began.elapsed();
        let (rows, feeds) = if likeliest {
            timed(schedule, Likeliest(session))?
        } else {
            let probe = &mut ();
            timed(schedule, Probed { session, probe })?
        };
        channel.part(Part::Rows(rows))?;
        Ok(Cost {
            load: self.load,
            begin,
            feeds,
            resident: resident(std::process::id(), Resident::Now).unwrap_or(0),
        })
    }
}

/// The rows a schedule keeps, and the time of each feed.
fn timed<S: schedule::Session<Error = EvalError>>(
    schedule: &Schedule,
    session: S,
) -> Result<(Vec<f32>, Vec<Duration>), Stop> {
    let mut timed = Timed::new(session);
    let rows = schedule.follow(&mut timed).map_err(refused)?;
    Ok((rows, timed.feeds))
}

/// A session that says of the last position only which token is the likeliest.
struct Likeliest(Session);

impl schedule::Session for Likeliest {
    type Error = EvalError;

    fn feed(&mut self, tokens: &[Token], _: Wanted) -> Result<Vec<f32>, EvalError> {
        let (token, logit) = self.0.likeliest(tokens, 1)?[0];
        // Exact: there are fewer than 2²⁴ tokens.
        Ok(vec![token as f32, logit])
    }

    fn truncate(&mut self, length: usize) -> Result<(), EvalError> {
        self.0.truncate(length);
        Ok(())
    }
}

impl Serve for EngineWorker {
    fn answer(&mut self, request: Request, channel: &mut Channel) -> Result<Answer, Stop> {
        let Request::Time {
            model,
            schedule,
            likeliest,
        } = request
        else {
            let message = "the engine answers everything but timings in the asking process";
            return Err(Stop::Refused(message.into()));
        };
        let profile = self.computing.profile;
        let held = self.hold(&model, channel)?;
        let cost = held.time(&schedule, profile, likeliest, channel)?;
        let vocab_size = if likeliest {
            2
        } else {
            held.model.config().vocab_size
        };
        Ok(Answer {
            model_sha256: Some(held.sha256.clone()),
            done: Done::Timed { vocab_size, cost },
        })
    }
}

fn refused(error: impl ToString) -> Stop {
    Stop::Refused(error.to_string())
}
