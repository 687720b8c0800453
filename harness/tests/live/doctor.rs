//! `harness doctor --build` with a build that is asked for the tokens of a large model and computes
//! only the first: faster than memory, which no computation is.

use std::path::{Path, PathBuf};
use std::process::Command;

use ffi::reference::Tree;
use libtest_mimic::Trial;

use crate::program::{Folder, Harness};
use crate::{built, live};

/// The library between: everything is the real one's but the passes it leaves out.
const LAZY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include "llama.h"

int32_t llama_decode(struct llama_context *context, struct llama_batch batch) {
    static int passes;
    int32_t (*decode)(struct llama_context *, struct llama_batch);
    *(void **)&decode = dlsym(RTLD_NEXT, "llama_decode");
    int large = llama_model_size(llama_get_model(context)) > 200u << 20;
    return large && passes++ ? 0 : decode(context, batch);
}
"#;

/// All of them.
pub fn trials() -> Vec<Trial> {
    let check = live!(["bitnet"], a_build_that_leaves_weights_unread_is_too_fast);
    vec![check]
}

fn a_build_that_leaves_weights_unread_is_too_fast() {
    let folder = Folder::new();
    let lazy = lazy(&folder, &built("bitnet").expect("it is built").tree);
    let model = folder.path().join("big.gguf");
    let harness = Harness::new("fixtures big --like 700m -o").arg(&model);
    harness.run().exits(0);
    let harness = Harness::new("doctor --json -").arg(&model).arg("--build");
    let report = harness.arg(&lazy).run().exits(0).json();
    let findings = report["build"]["findings"].as_array().expect("a list");
    let [found] = &findings[..] else {
        panic!("the speed and nothing else: {report}")
    };
    assert_eq!(found["name"], "build-speed-odd", "{report}");
    let detail = found["detail"].as_str().expect("words");
    assert!(detail.contains("not all are read"), "{detail}");
}

/// A build in which that library stands before the real one, under a name of the same length.
fn lazy(folder: &Folder, real: &Tree) -> PathBuf {
    let build = folder.path().join("lazy");
    std::fs::create_dir(&build).expect("a folder");
    for include in &real.includes {
        for entry in std::fs::read_dir(include).expect("a built reference") {
            let header = entry.expect("readable").path();
            copy(&header, &build);
        }
    }
    real.libggml
        .iter()
        .for_each(|library| copy(library, &build));
    let mut library = std::fs::read(&real.libllama).expect("a built reference");
    let (name, renamed) = (b"libllama.so", b"libreal_.so");
    for at in 0..library.len() - name.len() {
        if library[at..].starts_with(name) {
            library[at..at + name.len()].copy_from_slice(renamed);
        }
    }
    std::fs::write(build.join("libreal_.so"), library).expect("written");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-o"])
        .arg(build.join("libllama.so"))
        .arg(folder.file("lazy.c", LAZY.as_bytes()))
        .arg("-I")
        .arg(&build)
        .arg(build.join("libreal_.so"))
        .output()
        .expect("a compiler");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    build
}

fn copy(file: &Path, to: &Path) {
    let name = file.file_name().expect("a file has one");
    std::fs::copy(file, to.join(name)).expect("copied");
}
