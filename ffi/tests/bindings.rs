//! `src/bindings.rs` is what bindgen makes of `shim/bitnet_shim.h`, and of nothing else.
#![cfg(feature = "bindgen")]
#![forbid(unsafe_code)]

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shim/bitnet_shim.h");
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bindings.rs");

/// Without `live`, the crate compiles whatever the bindings are.
const UPDATE: &str = "UPDATE_BINDINGS=1 cargo test -p ffi --no-default-features \\
                      --features bindgen --test bindings";

/// What bindgen writes without a word, and the word that belongs above it.
const ZEROED: &str = concat!(
    "        unsafe",
    " {\n",
    "            ::std::ptr::write_bytes"
);
const ZEROED_SAFELY: &str =
    "        // SAFETY: the header has numbers and pointers only, for which zero is a value.\n";
const FOUND: &str = concat!("        let bitnet_shim_abi = unsafe", " {");
const FOUND_SAFELY: &str = "        // SAFETY: this and all below: the caller vouches that the \
                            library has the header's signatures.\n";

#[test]
fn the_committed_bindings_are_those_of_the_header() {
    let fresh = generate();
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        std::fs::write(COMMITTED, &fresh).expect("src/bindings.rs is writable");
    }
    let committed = std::fs::read_to_string(COMMITTED).expect("src/bindings.rs is readable");
    let same = committed == fresh;
    assert!(
        same,
        "src/bindings.rs is not what the header says; regenerate it with:\n{UPDATE}"
    );
}

fn generate() -> String {
    bindgen::Builder::default()
        .header(HEADER)
        .raw_line("//! Made by bindgen from `shim/bitnet_shim.h`; see `tests/bindings.rs`.")
        .raw_line("#![allow(missing_docs, non_camel_case_types, dead_code, clippy::all)]")
        .raw_line("#![allow(clippy::undocumented_unsafe_blocks, clippy::missing_safety_doc)]")
        .allowlist_item("(bitnet_shim|BITNET_SHIM).*")
        .dynamic_library_name("Shim")
        .dynamic_link_require_all(true)
        .wrap_unsafe_ops(true)
        .derive_default(true)
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("bindgen knows it"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .disable_header_comment()
        .formatter(bindgen::Formatter::Prettyplease)
        .generate()
        .expect("bindgen reads the header")
        .to_string()
        .replace(ZEROED, &format!("{ZEROED_SAFELY}{ZEROED}"))
        .replace(FOUND, &format!("{FOUND_SAFELY}{FOUND}"))
}
