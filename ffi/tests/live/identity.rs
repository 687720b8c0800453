//! A reference is what it says it is, and opening it changes nothing of ours.
#![forbid(unsafe_code)]

use ffi::{Error, Library, control_word};

use crate::bench::{Bench, Check};

pub const CHECKS: &[Check] = &[
    Check::any("identity::the_loaded_library_is_the_prepared_one", loaded),
    Check::any("identity::opening_twice_is_opening_once", twice),
    Check::any("identity::a_second_reference_is_refused", second),
    Check::any(
        "identity::rounding_and_denormals_are_left_alone",
        float_environment,
    ),
    Check::recorded("identity::an_altered_library_is_refused", altered),
];

fn loaded(bench: &Bench) {
    let identity = bench.library.identity();
    let expected = bench.prepared.tree.libllama.canonicalize().unwrap();
    assert_eq!(identity.libllama.canonicalize().unwrap(), expected);
    assert!(identity.libggml.is_file());
    assert!(identity.system_info.contains(" = "), "{identity:?}");
    assert!(
        identity.details["sizeof_context_params"]
            .parse::<usize>()
            .unwrap()
            > 64
    );
    assert_eq!(
        bench.prepared.provenance.sha256.len(),
        1 + bench.prepared.tree.libggml.len()
    );
}

fn twice(bench: &Bench) {
    let again = Library::open(&bench.prepared).unwrap();
    assert_eq!(again.identity(), bench.library.identity());
}

fn second(bench: &Bench) {
    let mut other = bench.prepared.clone();
    other.shim = "/another/libbitnet_shim.so".into();
    let refusal = Library::open(&other).unwrap_err();
    assert!(
        matches!(refusal, Error::SecondReference { .. }),
        "{refusal}"
    );
}

/// `Library::call` compares around every call; this compares around all of them.
fn float_environment(bench: &Bench) {
    let fresh = std::thread::spawn(control_word).join().unwrap();
    assert_eq!(control_word(), fresh, "{:?}", bench.library);
    assert_ne!(
        std::hint::black_box(1e-39_f32) * std::hint::black_box(0.5),
        0.0
    );
}

/// The record beside the libraries holds their hashes, so that a file changed later is noticed.
fn altered(bench: &Bench) {
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path();
    let root = &bench.prepared.tree.root;
    for folder in ["include", "lib"] {
        std::fs::create_dir_all(copy.join(folder)).unwrap();
        for entry in std::fs::read_dir(root.join(folder)).unwrap().flatten() {
            std::fs::copy(entry.path(), copy.join(folder).join(entry.file_name())).unwrap();
        }
    }
    std::fs::copy(root.join("reference.json"), copy.join("reference.json")).unwrap();
    let provenance =
        |dir| ffi::reference::Provenance::of(&ffi::reference::Tree::find(dir).unwrap());
    assert_eq!(provenance(copy).unwrap(), bench.prepared.provenance);
    let library = copy
        .join("lib")
        .join(bench.prepared.tree.libllama.file_name().unwrap());
    let mut bytes = std::fs::read(&library).unwrap();
    bytes.push(0);
    std::fs::write(&library, bytes).unwrap();
    let refusal = provenance(copy);
    assert!(refusal.unwrap_err().to_string().contains("not those that"));
}
