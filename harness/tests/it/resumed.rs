//! A run that goes on from a receipt believes nothing that it can refute, and nothing that another
//! build or machine made.
#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::LazyLock;

use harness::receipt::Receipt;

use crate::program::{Answer, Folder, Harness};

fn run(more: &[&Path], words: &str) -> Answer {
    let command = Harness::new("crossval --case b158-ishmael,qk256-ahab");
    let command = command.args(words);
    more.iter()
        .fold(command, |command, path| command.arg(path))
        .run()
}

/// What a whole run leaves.
fn sound() -> &'static Receipt {
    static SOUND: LazyLock<Receipt> = LazyLock::new(|| {
        let answer = run(&[], "--json -").exits(0);
        Receipt::read(answer.stdout.as_bytes()).expect("a receipt")
    });
    &SOUND
}

/// The words that refuse it, and what was done to it.
type Forgery = (&'static str, fn(&mut Receipt));

/// A run that goes on from a receipt that was changed and, as anybody can, sealed again.
fn resumed(change: impl FnOnce(&mut Receipt)) -> Answer {
    let mut receipt = sound().clone();
    change(&mut receipt);
    let receipt = Receipt::assemble(
        receipt.coverage.cases.declared,
        receipt.cases,
        receipt.failures,
        receipt.circumstances,
    );
    from(&receipt)
}

fn from(receipt: &Receipt) -> Answer {
    let folder = Folder::new();
    let file = folder.file("earlier.json", receipt.to_json().as_bytes());
    run(&[&file], "--resume")
}

#[test]
fn a_sound_receipt_is_gone_on_from_whole_or_in_part() {
    resumed(|_| ()).exits(0);
    let answer = resumed(|earlier| {
        earlier.cases.truncate(1);
    });
    assert!(answer.exits(0).stdout.contains("cases 2/2"));
}

#[test]
fn what_verify_refutes_is_not_taken_over() {
    let forged: [Forgery; 5] = [
        ("[TEXT]", |r| {
            r.cases[0].claims.greedy_text = "It is done.".into()
        }),
        ("[TOKENS]", |r| r.cases[0].claims.tokens[2] ^= 1),
        ("[FACTS]", |r| {
            r.cases[0].claims.model.architecture = "bitnet".into()
        }),
        ("[INPUTS]", |r| r.circumstances.inputs.clear()),
        ("[OUTPUT]", |r| {
            let outputs = r.cases[0].claims.outputs.values_mut();
            outputs.for_each(|hash| *hash = "0".repeat(64));
        }),
    ];
    for (code, change) in forged {
        let answer = resumed(change).exits(2);
        let said = &answer.stderr;
        assert!(
            said.contains("cannot resume") && said.contains(code),
            "{code}: {said}"
        );
    }
}

#[test]
fn the_work_of_another_build_or_machine_is_not_taken_over() {
    let others: [Forgery; 4] = [
        ("another build of this program", |r| {
            r.circumstances.machine.program = "0".repeat(64);
        }),
        ("on another machine, or steered otherwise", |r| {
            r.circumstances.machine.processors += 1;
        }),
        ("on another machine, or steered otherwise", |r| {
            let environment = &mut r.circumstances.machine.environment;
            environment.insert("LD_PRELOAD".into(), "other.so".into());
        }),
        ("one of its inputs changed", |r| {
            r.circumstances
                .changed_inputs
                .push("fixtures/cases.json".into());
        }),
    ];
    for (words, change) in others {
        let answer = resumed(change).exits(2);
        assert!(answer.stderr.contains(words), "{words}: {}", answer.stderr);
    }
    let mut unsealed = sound().clone();
    unsealed.seal = "0".repeat(64);
    assert!(
        from(&unsealed)
            .exits(2)
            .stderr
            .contains("its seal is broken")
    );
}

#[test]
fn a_receipt_of_other_cases_is_no_answer_to_these() {
    let renamed = resumed(|earlier| earlier.cases[0].claims.case = "edges-the-end".into());
    let said = renamed.exits(2).stderr;
    assert!(said.contains("cannot resume"), "{said}");
    let doubled = resumed(|earlier| {
        let twice = earlier.cases[0].clone();
        earlier.cases[1] = twice;
    });
    let said = doubled.exits(2).stderr;
    assert!(said.contains("cannot resume"), "{said}");
}
