//! Inputs at the edges of rounding: faults of one ulp that random inputs pass and these do not.
#![forbid(unsafe_code)]

use engine::kernels::Kernel;
use engine::numerics::Profile;
use harness::runner::kernels::engine::EngineKernels;
use harness::runner::kernels::family::Family;
use harness::runner::kernels::question::{Answer, Computer, Question};

use super::faults::Damage;

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |max: f32, x| max.max(x.abs()))
}

/// Every value divided by the scale, not multiplied by its inverse: an ulp apart before rounding.
fn divided(question: &Question, answer: &mut Answer) {
    let blocks = answer.bytes.as_chunks_mut::<34>().0;
    for (bytes, values) in blocks.iter_mut().zip(question.values.chunks_exact(32)) {
        let scale = largest(values) / 127.0;
        if scale.is_normal() && (1.0 / scale).is_finite() {
            for (byte, x) in bytes[2..].iter_mut().zip(values) {
                *byte = ((x / scale).round_ties_even() as i8).cast_unsigned();
            }
        }
    }
}

/// The scale an ulp too large before it becomes a half.
fn scale_an_ulp_up(question: &Question, answer: &mut Answer) {
    let blocks = answer.bytes.as_chunks_mut::<34>().0;
    for (bytes, values) in blocks.iter_mut().zip(question.values.chunks_exact(32)) {
        let scale = half::f16::from_f32((largest(values) / 127.0).next_up());
        if scale.is_finite() {
            bytes[..2].copy_from_slice(&scale.to_le_bytes());
        }
    }
}

/// Questions of the record in which a fault of Q8_0 shows: those of that name, and random ones.
fn noticed(named: &str, damage: Damage, random: usize) -> [usize; 2] {
    let family = Family::by_name("q8_0-activation").expect("it is there");
    let mut ours = EngineKernels::new(Profile::GgmlAvx512, Kernel::Scalar);
    let mut shows = |case: usize| {
        let question = family.question(1, case);
        let sound = ours.compute(&question).expect("the engine answers");
        let mut damaged = sound.clone();
        damage(&question, &mut damaged);
        damaged != sound
    };
    let chosen = (0..family.chosen()).filter(|case| family.describe(*case) == named);
    let edges = chosen.filter(|case| shows(*case)).count();
    let drawn = family.chosen()..family.chosen() + random;
    [edges, drawn.filter(|case| shows(*case)).count()]
}

#[test]
fn a_fault_of_one_ulp_passes_random_inputs_and_is_found_at_the_edges() {
    let nothing: Damage = |_, _| {};
    let faults = [
        ("an ulp beside ties, under any scale", divided as Damage),
        (
            "scales at ties between halves, and beside them",
            scale_an_ulp_up,
        ),
    ];
    // As many random questions as are on record.
    let found =
        faults.map(|(named, damage)| [noticed(named, damage, 12), noticed(named, nothing, 12)]);
    assert_eq!(
        found,
        [[[1, 0], [0, 0]]; 2],
        "by edges and at random, with a fault and without"
    );
}
