//! Random shapes through two sources of logits: agreement, every way to disagree, what is made of
//! a difference, and what was covered. With a real reference as well, where one is built.
#![forbid(unsafe_code)]

mod program;
mod recorded;

use engine::bytes::ModelBytes;
use engine::config::Architecture;
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::numerics::Profile;
use harness::case::observation::Identity;
use harness::case::schedule::Schedule;
use harness::fixture::random::RandomShape;
use harness::judge::outcome::Outcome;
use harness::oracle::shapes::*;
use harness::reference::isolation::{Death, Kind};
use harness::runner::engine::Engine;
use harness::runner::{RunError, Runner};

const EVERYWHERE: [Architecture; 2] = [Architecture::Bitnet, Architecture::Llama];
/// A number whose weights are F32, so that the order of operations shows.
const FLOATS: u64 = 3;

fn engine(profile: Profile) -> Engine {
    Engine::new(Kernel::best(), 1).with_profile(profile)
}

fn plan(first: u64, count: u64) -> Plan {
    Plan::new(EVERYWHERE.to_vec(), first, count)
}

fn examined(plan: &Plan, ours: &mut dyn Runner, theirs: &mut dyn Runner) -> Report {
    examine(&mut Pair { ours, theirs }, plan, Mode::Live, &mut |_| ())
}

/// Answers what `answer` makes of the engine's answer to an edited file.
struct Meddler<E, A> {
    edit: E,
    answer: A,
}

impl<E, A> Runner for Meddler<E, A>
where
    E: FnMut(Vec<u8>) -> Vec<u8>,
    A: FnMut(Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, RunError>,
{
    fn identity(&self) -> Identity {
        engine(Profile::GgmlAvx512).identity()
    }

    fn logits(&mut self, file: &[u8], ways: &[Schedule]) -> Result<Vec<Vec<f32>>, RunError> {
        let file = (self.edit)(file.to_vec());
        (self.answer)(engine(Profile::GgmlAvx512).logits(&file, ways)?)
    }
}

#[test]
fn the_engine_agrees_with_itself_and_every_trial_is_shown_as_it_ends() {
    let plan = Plan::new(vec![Architecture::Bitnet, Architecture::BitnetB158], 1, 2);
    let mut ours = engine(Profile::GgmlAvx2);
    let mut theirs = ScheduleVariants::new(Profile::GgmlAvx2);
    let mut pair = Pair {
        ours: &mut ours,
        theirs: &mut theirs,
    };
    let mut seen = Vec::new();
    let report = examine(&mut pair, &plan, Mode::RustOnly, &mut |report| {
        seen.push((report.trials.len(), report.status));
    });
    assert_eq!(seen, [(1, Outcome::Incomplete), (2, Outcome::RustOnly)]);
    assert!(report.logits > 10_000 && report.differing == 0);
    assert!(report.render(None).contains("which is no parity"));
}

#[test]
fn another_order_of_operations_differs_and_becomes_small() {
    let mut ours = engine(Profile::GgmlAvx2);
    let mut theirs = engine(Profile::GgmlAvx512);
    let report = examined(&plan(FLOATS, 1), &mut ours, &mut theirs);
    assert_eq!(
        report.status,
        Outcome::Divergence,
        "{}",
        report.render(None)
    );
    let smallest = report.smallest.expect("a difference");
    assert!(smallest.finished && smallest.questions < 250);
    assert!(smallest.difference.ulps.is_some_and(|n| n > 0));
    // Products of F32 rows come first, and their lanes are added in another order.
    let node = smallest.node.as_ref().expect("both show theirs");
    assert!(node.key.starts_with("Qcur-0|MUL_MAT"), "{node:?}");
    let trial = spelled(&smallest);
    assert!(trial.shape.smaller().len() < 4, "{}", trial.shape);
    assert!(trial.schedules[0].context() <= 2, "{}", trial.schedules[0]);
    let again = examined(&Plan::only(trial), &mut ours, &mut theirs);
    let repeated = again.smallest.expect("the words repeat it");
    assert_eq!(repeated.difference, smallest.difference);
    assert_eq!(repeated.shape, smallest.shape);
}

/// The trial that the words of a report stand for.
fn spelled(smallest: &Smallest) -> Trial {
    let shape = RandomShape::from_seed(0, None);
    Trial {
        number: 0,
        shape: shape.changed(&smallest.shape).expect("its own words"),
        schedules: vec![smallest.schedule.parse().expect("its own words")],
    }
}

/// The file with the sign of the first weight of a matrix turned.
fn turned(mut file: Vec<u8>) -> Vec<u8> {
    let gguf = Gguf::parse(ModelBytes::from_vec(file.clone())).expect("sound");
    let mut tensors = gguf.tensors.iter();
    let down = tensors.find(|tensor| tensor.name == "blk.0.ffn_down.weight");
    let last_byte = down.expect("every block has one").offset as usize + 3;
    file[last_byte] ^= 0x80;
    file
}

#[test]
fn one_changed_weight_differs_and_becomes_small() {
    let mut ours = Meddler {
        edit: turned,
        answer: Ok,
    };
    let mut theirs = engine(Profile::GgmlAvx512);
    let report = examined(&plan(FLOATS, 1), &mut ours, &mut theirs);
    assert_eq!(
        report.status,
        Outcome::Divergence,
        "{}",
        report.render(None)
    );
    let trial = spelled(&report.smallest.expect("a difference"));
    assert_eq!((trial.shape.layers, trial.shape.kv_heads), (1, 1));
    assert_eq!(trial.schedules[0].kept(), 1, "{}", trial.schedules[0]);
}

fn lost(kind: Kind) -> RunError {
    RunError::Lost(Box::new(Death {
        kind,
        phase: "schedule 1 of 5".into(),
        signal: None,
        exit_code: None,
        complaint: None,
        assertion: None,
        last_words: String::new(),
        memory_seen: 0,
        milliseconds: 1,
    }))
}

type Answer = fn(Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, RunError>;

/// Each way in which a trial can end: whose answer it is (ours or theirs), what that comes to,
/// and the words.
const ENDS: [(bool, Answer, Outcome, &str); 8] = [
    (true, Ok, Outcome::Ok, "1/1 compared, 0 differ"),
    (
        false,
        |_| Err(RunError::Declined("unknown model architecture".into())),
        Outcome::Incomplete,
        "DECLINED",
    ),
    (
        false,
        |_| Err(lost(Kind::Timeout)),
        Outcome::ReferenceDied,
        "NO MORE TIME: reference_timeout",
    ),
    (
        false,
        |_| Err(lost(Kind::Crashed)),
        Outcome::ReferenceDied,
        "REFERENCE DIED",
    ),
    (
        false,
        |found| Ok(found[1..].to_vec()),
        Outcome::ReferenceDied,
        "fewer logits",
    ),
    (true, |_| panic!("planted"), Outcome::EngineDied, "planted"),
    (
        true,
        |_| Err(RunError::Refused("planted".into())),
        Outcome::Divergence,
        "THE ENGINE HAS NO ANSWER: planted",
    ),
    (
        true,
        |mut found| {
            found[0][7] += 1.0;
            Ok(found)
        },
        Outcome::Divergence,
        "DIFFERS in 1 of",
    ),
];

/// Trials of which each ends in its own way.
fn ended(ends: &[usize]) -> Report {
    let (mut turn, mut answered) = (0, 0);
    let mut theirs = Meddler {
        edit: |file| file,
        answer: |found| {
            let (ours, answer, _, _) = ENDS[ends[turn.min(ends.len() - 1)]];
            turn += 1;
            if ours { Ok(found) } else { answer(found) }
        },
    };
    let asked: Vec<usize> = ends.iter().copied().filter(|end| ENDS[*end].0).collect();
    let mut ours = Meddler {
        edit: |file| file,
        answer: |found| {
            let end = asked[answered.min(asked.len() - 1)];
            answered += 1;
            ENDS[end].1(found)
        },
    };
    // The same trial each time, which is small.
    examined(&plan(1, ends.len() as u64), &mut ours, &mut theirs)
}

#[test]
fn every_pair_of_ends_comes_to_the_worse_and_hides_no_divergence() {
    for (one, (_, _, first, words)) in ENDS.iter().enumerate() {
        let report = ended(&[one]);
        let said = report.render(None);
        assert_eq!(
            (report.status, said.contains(words)),
            (*first, true),
            "{said}"
        );
        for (other, (_, _, second, _)) in ENDS.iter().enumerate() {
            let report = ended(&[one, other]);
            let worse = *first.max(second);
            assert_eq!(report.status, worse, "{}", report.render(None));
        }
    }
}

#[test]
fn what_is_no_number_agrees_with_nothing() {
    let broken = || Meddler {
        edit: |file| file,
        answer: |mut found: Vec<Vec<f32>>| {
            found[0][7] = f32::NAN;
            Ok(found)
        },
    };
    let report = examined(&plan(1, 1), &mut broken(), &mut broken());
    assert_eq!((report.status, report.differing), (Outcome::Divergence, 1));
}

#[test]
fn two_hundred_numbers_cover_everything_wherever_they_begin() {
    let families = [
        EVERYWHERE.to_vec(),
        vec![Architecture::Bitnet],
        vec![Architecture::Llama],
        vec![Architecture::Bitnet25],
        [&EVERYWHERE[..], &[Architecture::BitnetB158]].concat(),
    ];
    for (architectures, first) in families.into_iter().zip([1, 1, 1000, 5, 77]) {
        let plan = Plan::new(architectures.clone(), first, 200);
        let mut table = Coverage::new(&plan);
        for trial in plan.trials() {
            assert!(trial.number > first + 40 || !table.is_complete());
            let fits = |way: &Schedule| way.context() <= trial.shape.context;
            assert!(trial.schedules.iter().all(fits), "{}", trial.shape);
            table.add(&trial, true);
        }
        let short = table.rows.iter().filter(|row| table.is_short(row));
        let short: Vec<_> = short.collect();
        assert!(table.is_complete(), "{architectures:?}: {short:?}");
        let unforeseen = table.rows.iter().find(|row| !row.demanded);
        assert_eq!(unforeseen, None, "a value that nobody demanded");
        let last = plan.trials().last().expect("there are 200");
        table.add(&last, false);
        assert!(!table.is_complete(), "one that was not compared shows");
    }
}

#[test]
fn a_run_that_misses_a_value_is_incomplete_and_a_short_one_demands_what_it_tried() {
    let full = plan(1, 200);
    let mut table = Coverage::new(&full);
    for trial in full.trials().filter(|trial| trial.shape.head_dim != 96) {
        table.add(&trial, true);
    }
    assert!(!table.is_complete() && !table.combinations.is_complete());
    let short: Vec<_> = table
        .rows
        .iter()
        .filter(|row| table.is_short(row))
        .collect();
    assert_eq!(short.len(), 1, "{short:?}");
    assert_eq!(short[0].value, "96");
    let few = plan(1, 3);
    let mut table = Coverage::new(&few);
    few.trials().for_each(|trial| table.add(&trial, true));
    assert!(table.is_complete() && !table.full);
}

/// The reference adds products of I2_S weights in 16 bits and widens them every 32 blocks of 128:
/// a lane holds 8 products a block, each at most 2 × 127.
#[test]
fn no_row_is_long_enough_to_overflow_the_reference() {
    const LONGEST: usize = 128 * (i16::MAX as usize / (8 * 2 * 127));
    for trial in plan(1, 400).trials() {
        let shape = &trial.shape;
        let attended = shape.heads() * shape.head_dim;
        let longest = shape.width.max(attended).max(shape.inner);
        assert!(longest <= LONGEST, "{shape}");
    }
}
