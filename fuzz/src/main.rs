//! Looks for inputs that break a [target](fuzz::TARGETS), guided by the code they reach.
//!
//! `FUZZ_TARGET` names the target; the words of the command line are libFuzzer's. With
//! `FUZZ_SEEDS`, the target's seeds are written to that folder first.
#![no_main]

use std::alloc::System;
use std::path::Path;
use std::sync::OnceLock;

use cap::Cap;
use fuzz::{MOST_MEMORY, TARGETS, Target};
use libfuzzer_sys::fuzz_target;

/// What asks for more than that finds none, and dies of it.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MOST_MEMORY);

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        panic!("FUZZ_TARGET is {name:?}; there are {}", names.join(", "))
    })
}

fuzz_target!(
    init: {
        let target = CHOSEN.get_or_init(chosen);
        if let Some(folder) = std::env::var_os("FUZZ_SEEDS") {
            for (number, seed) in (target.seeds)().into_iter().enumerate() {
                let path = Path::new(&folder).join(format!("seed-{number}"));
                std::fs::write(path, seed).expect("a folder for seeds");
            }
        }
    },
    |data: &[u8]| (CHOSEN.get_or_init(chosen).run)(data)
);
