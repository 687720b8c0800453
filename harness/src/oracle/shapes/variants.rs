//! The engine against itself: whatever must not change a bit, changed all at once.

use engine::kernels::Kernel;
use engine::numerics::Profile;

use crate::case::observation::Identity;
use crate::case::schedule::{LEAST_PORTION, Schedule, Step};
use crate::runner::engine::Engine;
use crate::runner::{RunError, Runner};

/// The scalar kernel, on three threads where one was asked for and on one elsewhere, prompts in
/// two portions.
pub struct ScheduleVariants(Engine);

impl ScheduleVariants {
    /// In that order of float operations.
    pub fn new(profile: Profile) -> Self {
        ScheduleVariants(Engine::new(Kernel::Scalar, 1).with_profile(profile))
    }
}

impl Runner for ScheduleVariants {
    fn identity(&self) -> Identity {
        let identity = self.0.identity();
        Identity {
            name: format!("{} on three threads, in two portions", identity.name),
            ..identity
        }
    }

    fn logits(&mut self, file: &[u8], schedules: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let other: Vec<Schedule> = schedules.iter().map(other).collect();
        self.0.logits(file, &other)
    }
}

fn other(schedule: &Schedule) -> Schedule {
    // Long enough for two portions, and one as it is.
    let divisible = 2 * LEAST_PORTION..=schedule.ubatch;
    let portions = |step: &Step| match step {
        Step::Feed(tokens) if divisible.contains(&tokens.len()) => {
            let (first, second) = tokens.split_at(tokens.len() / 2);
            vec![Step::Feed(first.to_vec()), Step::Feed(second.to_vec())]
        }
        step => vec![step.clone()],
    };
    Schedule {
        threads: if schedule.threads == 1 { 3 } else { 1 },
        steps: schedule.steps.iter().flat_map(portions).collect(),
        ..schedule.clone()
    }
}
