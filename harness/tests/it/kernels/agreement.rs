//! The engine against itself, sound and with faults: each kernel has some, each must be caught.
#![forbid(unsafe_code)]

use engine::kernels::Kernel;
use engine::numerics::Profile;
use ffi::TypeFacts;
use harness::judge::outcome::Outcome;
use harness::oracle::kernels::{Ending, Row, Scope, examine, outcome, table};
use harness::reference::isolation::{Call, Death, Kind, WorkerExit};
use harness::runner::kernels::engine::EngineKernels;
use harness::runner::kernels::family::Family;
use harness::runner::kernels::question::Answer;
use harness::runner::kernels::question::Computer;
use harness::runner::kernels::question::Question;

use crate::kernels::faults::{Damage, as_p64, faults, sum_forgotten};

/// The engine, damaged.
struct Faulty {
    ours: EngineKernels,
    damage: Damage,
}

impl Computer for Faulty {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        self.ours.describe(kind)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        let mut answer = self.ours.compute(question)?;
        (self.damage)(question, &mut answer);
        Ok(answer)
    }
}

fn sound() -> EngineKernels {
    EngineKernels::new(Profile::GgmlAvx512, Kernel::best())
}

fn scope(family: &str) -> Scope {
    Scope {
        seed: 1,
        cases: 4,
        families: vec![Family::by_name(family).expect("known")],
        case: None,
        same_arithmetic: true,
        same_author: true,
    }
}

#[test]
fn the_engine_agrees_with_itself_on_every_kernel_with_all_instructions() {
    for kernel in Kernel::available() {
        let scope = Scope {
            families: Family::all(),
            ..scope("i2_s-dot")
        };
        let mut other = EngineKernels::new(Profile::GgmlAvx512, kernel);
        for row in examine(&mut other, &mut sound(), &scope, &mut || ()) {
            assert_eq!(row.outcome(), Outcome::Ok, "{row:?}");
            assert!(row.cases >= 20 && row.values > 200, "{row:?}");
            let excused = row.excused.total();
            assert_eq!(row.equal as u64 + excused, row.values as u64, "{row:?}");
            // Only the bits of a NaN that arithmetic made may depend on the instructions.
            assert!(
                row.excused.names().all(|name| name == "nan-bits"),
                "{row:?}"
            );
            assert!(row.kernel.ends_with("-dot") || excused == 0, "{row:?}");
        }
    }
}

#[test]
fn every_kernel_has_a_fault_and_every_fault_is_caught() {
    let faults = faults();
    for family in Family::all().iter().map(|family| family.name()) {
        let has_one = faults.iter().any(|(kernel, ..)| *kernel == family);
        assert!(has_one, "no fault is planted in {family}");
    }
    let mut missed = Vec::new();
    println!("{:<17}{:<28}first difference, shrunk", "kernel", "fault");
    for (kernel, fault, damage) in faults {
        let ours = sound();
        let mut faulty = Faulty { ours, damage };
        let rows = examine(&mut sound(), &mut faulty, &scope(&kernel), &mut || ());
        let Some(first) = &rows[0].first else {
            missed.push((kernel, fault));
            continue;
        };
        assert_eq!(rows[0].outcome(), Outcome::Divergence);
        let (shrunk, place) = (&first.shrunk_to, &first.difference.place);
        println!("{kernel:<17}{fault:<28}{shrunk}: {place}");
    }
    assert_eq!(missed, [], "faults that were not caught");
}

#[test]
fn one_question_is_asked_again_alone_and_shows_the_same() {
    let mut faulty = Faulty {
        ours: sound(),
        damage: sum_forgotten,
    };
    let all = examine(
        &mut sound(),
        &mut faulty,
        &scope("i8_s-activation"),
        &mut || (),
    );
    let first = all[0].first.as_ref().expect("caught");
    let alone = Scope {
        case: Some(first.case),
        ..scope("i8_s-activation")
    };
    let again = examine(&mut sound(), &mut faulty, &alone, &mut || ());
    assert_eq!(again[0].cases, 1);
    assert_eq!(again[0].first.as_ref(), Some(first));
}

/// A reference whose arithmetic wraps, and one that is wrong beside it.
#[test]
fn a_wrong_answer_is_not_excused_by_the_wrap_of_another() {
    let wraps: Damage = |_, answer| {
        let mask = |sum: f32| f32::from(sum as i32 as i16);
        answer
            .values
            .iter_mut()
            .for_each(|value| *value = mask(*value));
    };
    let mut theirs = Faulty {
        ours: sound(),
        damage: wraps,
    };
    // Wrapping the whole sum instead of each lane is not what the reference does.
    let rows = examine(&mut theirs, &mut sound(), &scope("i2_s-dot"), &mut || ());
    assert_eq!(rows[0].outcome(), Outcome::Divergence);
}

#[test]
fn a_reference_that_packs_as_another_processor_does_is_told_by_name() {
    let mut theirs = Faulty {
        ours: sound(),
        damage: as_p64,
    };
    let rows = examine(&mut theirs, &mut sound(), &scope("i2_s-encode"), &mut || ());
    let first = rows[0].first.as_ref().expect("another packing differs");
    assert_eq!(first.packing, Some("i2_s-p64"));
    let text = table::render(&rows, "harness kernels", None);
    assert!(text.contains("packs as i2_s-p64"), "{text}");
}

/// Answers until it is asked to encode, and dies of that.
struct Mortal(EngineKernels);

impl Computer for Mortal {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        self.0.describe(kind)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        if !matches!(question.call, Call::Encode { .. }) {
            return self.0.compute(question);
        }
        Err(death(question))
    }
}

fn death(question: &Question) -> WorkerExit {
    WorkerExit::Died(Box::new(Death {
        kind: Kind::Crashed,
        phase: question.call.to_string(),
        signal: Some(6),
        exit_code: None,
        complaint: None,
        assertion: Some("GGML_ASSERT(n % 2 == 0)".into()),
        last_words: String::new(),
        memory_seen: 0,
        milliseconds: 1,
    }))
}

#[test]
fn a_death_costs_one_kernel() {
    let names = ["f16-encode", "f16-decode"];
    let scope = Scope {
        families: names
            .map(|name| Family::by_name(name).expect("known"))
            .to_vec(),
        ..scope("f16-dot")
    };
    let rows = examine(&mut Mortal(sound()), &mut sound(), &scope, &mut || ());
    let Ending::Died(why) = &rows[0].ending else {
        panic!("{:?}", rows[0]);
    };
    assert!(
        why.contains("while encoding") && why.contains("GGML_ASSERT"),
        "{why}"
    );
    assert_eq!(rows[1].outcome(), Outcome::Ok);
    assert_eq!(outcome(&rows), Outcome::ReferenceDied);
}

#[test]
fn a_panic_of_the_engine_is_not_blamed_on_the_reference() {
    let mut faulty = Faulty {
        ours: sound(),
        damage: |_, _| panic!("planted"),
    };
    let rows = examine(&mut sound(), &mut faulty, &scope("f16-decode"), &mut || ());
    assert!(matches!(&rows[0].ending, Ending::EngineDied(why) if why.contains("planted")));
    assert_eq!(rows[0].outcome(), Outcome::EngineDied);
}

/// Wrong until it has been asked so often, then dead.
struct WrongThenDead(EngineKernels, usize);

impl Computer for WrongThenDead {
    fn describe(&mut self, kind: i32) -> Result<Option<TypeFacts>, WorkerExit> {
        self.0.describe(kind)
    }

    fn compute(&mut self, question: &Question) -> Result<Answer, WorkerExit> {
        if self.1 == 0 {
            return Err(death(question));
        }
        self.1 -= 1;
        let mut answer = self.0.compute(question)?;
        answer.sum = answer.sum.map(|sum| sum + 1);
        Ok(answer)
    }
}

#[test]
fn a_difference_is_kept_whenever_the_reference_dies_afterwards() {
    let whole = {
        let mut wrong = WrongThenDead(sound(), usize::MAX);
        examine(
            &mut wrong,
            &mut sound(),
            &scope("i8_s-activation"),
            &mut || (),
        )
    };
    let smallest = &whole[0].first.as_ref().expect("it differs").shrunk_to;
    // It dies of the first smaller question, while shrinking, and of the second case.
    for answered in [1, 2, 3, 20] {
        let mut wrong = WrongThenDead(sound(), answered);
        let rows = examine(
            &mut wrong,
            &mut sound(),
            &scope("i8_s-activation"),
            &mut || (),
        );
        let row = &rows[0];
        assert!(matches!(row.ending, Ending::Died(_)), "{row:?}");
        assert_eq!(row.outcome(), Outcome::Divergence, "after {answered}");
        let first = row.first.as_ref().expect("what was found is kept");
        assert_eq!(first.shrunk_to == first.asked, answered == 1, "{first:?}");
        assert_eq!(&first.shrunk_to == smallest, answered == 20, "{first:?}");
        let text = table::render(&rows, "harness kernels", None);
        assert!(text.contains("DIFFERS; LOST: "), "{text}");
        assert!(
            text.contains("differs in case 0") && text.contains("GGML_ASSERT"),
            "{text}"
        );
    }
}

#[test]
fn of_every_two_rows_the_worse_counts_and_a_divergence_is_never_hidden() {
    let row = |ending: Ending, differ| Row {
        cases: 1,
        judged: true,
        ending,
        differ,
        ..Row::default()
    };
    let why = || String::from("why");
    let rows = [
        (row(Ending::Complete, 0), Outcome::Ok),
        (row(Ending::NotThere(why()), 0), Outcome::Ok),
        (row(Ending::Refused(why()), 0), Outcome::Incomplete),
        (row(Ending::Died(why()), 0), Outcome::ReferenceDied),
        (row(Ending::EngineDied(why()), 0), Outcome::EngineDied),
        (row(Ending::Complete, 1), Outcome::Divergence),
        (row(Ending::Refused(why()), 1), Outcome::Divergence),
        (row(Ending::Died(why()), 1), Outcome::Divergence),
        (row(Ending::EngineDied(why()), 1), Outcome::Divergence),
    ];
    for (one, expected) in &rows {
        assert_eq!(one.outcome(), *expected);
        for (other, also) in &rows {
            assert_eq!(outcome([one, other]), *expected.max(also));
        }
    }
    let measured = Row {
        judged: false,
        ..row(Ending::Complete, 1)
    };
    assert_eq!(measured.outcome(), Outcome::Ok);
    let unasked = Row {
        cases: 0,
        ..row(Ending::NotThere(why()), 0)
    };
    assert_eq!(outcome([&unasked]), Outcome::Incomplete);
    assert_eq!(outcome([]), Outcome::Incomplete);
}
