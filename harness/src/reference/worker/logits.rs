//! Schedules, followed: the logits they keep, or the nodes on the way.
#![forbid(unsafe_code)]

use std::path::Path;

use ffi::{Session, SessionOptions, Wanted};

use super::observe::Keeper;
use super::{Reference, refused};
use crate::case::observation::TracedNode;
use crate::case::schedule::{Schedule, Step};
use crate::reference::isolation::{Channel, Reply, Stop};

impl Reference {
    /// Follows each schedule in a context of its own. Returns the hash of the model.
    pub(super) fn follow(
        &self,
        file: &Path,
        schedules: &[Schedule],
        channel: &mut Channel,
    ) -> Result<String, Stop> {
        let (model, sha256) = self.model(file, channel)?;
        for (i, schedule) in schedules.iter().enumerate() {
            let (number, all) = (i + 1, schedules.len());
            let threads = schedule.threads;
            channel.phase(&format!("schedule {number} of {all}, threads {threads}"))?;
            let mut session = model.session(&options(schedule)?).map_err(refused)?;
            let rows = follow(&mut session, schedule)?;
            channel.say(&Reply::Rows, &rows)?;
        }
        Ok(sha256)
    }

    /// Follows a schedule and sends every node that recordings would hold. Returns the hash of the
    /// model.
    pub(super) fn watch(
        &self,
        file: &Path,
        schedule: &Schedule,
        channel: &mut Channel,
    ) -> Result<String, Stop> {
        let (model, sha256) = self.model(file, channel)?;
        channel.phase("the schedule, observed")?;
        let options = options(schedule)?;
        let mut keeper = Keeper::default();
        let session = model.observed_session(&options, &mut keeper);
        follow(&mut session.map_err(refused)?, schedule)?;
        for TracedNode { key, shape, values } in keeper.nodes {
            channel.say(&Reply::Node { key, shape }, &values)?;
        }
        Ok(sha256)
    }
}

/// Room for all that is fed, and no more.
fn options(schedule: &Schedule) -> Result<SessionOptions, Stop> {
    let small = |n: usize| u32::try_from(n).map_err(|_| Stop::Refused(format!("{n} is too many")));
    let context = small(schedule.context())?;
    Ok(SessionOptions {
        context,
        batch: context,
        ubatch: small(schedule.ubatch)?,
        threads: small(schedule.threads)?,
        flash_attention: false,
    })
}

/// The rows of logits that are kept.
fn follow(session: &mut Session<'_>, schedule: &Schedule) -> Result<Vec<f32>, Stop> {
    let (mut kept, mut at) = (Vec::new(), 0);
    for step in &schedule.steps {
        let tokens = step.tokens();
        let mut fed = |wanted| session.decode(tokens, at, wanted).map_err(refused);
        match step {
            Step::Truncate(len) => {
                session.truncate(*len).map_err(refused)?;
                at = at.min(*len);
            }
            // A library refuses to compute nothing.
            _ if tokens.is_empty() => {}
            Step::Feed(_) => kept.extend(fed(Wanted::All)?),
            Step::Last(_) => kept.extend(fed(Wanted::Last)?),
            Step::Distract(_) => drop(fed(Wanted::All)?),
        }
        at += tokens.len();
    }
    Ok(kept)
}
