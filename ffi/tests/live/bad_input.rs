//! Everything wrong that a caller or a file can do is an answer, not a crash.
#![forbid(unsafe_code)]

use std::path::Path;

use ffi::{Error, Model, ModelOptions, SessionOptions, Status, Wanted};

use tempfile::NamedTempFile;

use crate::bench::{Bench, Check, PROMPT, fixture, small};

pub const CHECKS: &[Check] = &[
    Check::any("bad_input::files_that_are_no_models_are_refused", files),
    Check::any("bad_input::a_truncated_model_is_refused", truncated),
    Check::any("bad_input::impossible_contexts_are_refused", contexts),
    Check::any("bad_input::impossible_batches_are_refused", batches),
    Check::ik(
        "bad_input::flash_attention_that_was_not_built_is_refused",
        flash,
    ),
    Check::any("bad_input::unknown_tokens_are_refused", tokens),
];

fn load(bench: &Bench, path: &Path) -> Result<Model, Error> {
    bench.library.model(path, &ModelOptions::default())
}

fn status(result: Result<impl Sized, Error>) -> (Status, String) {
    match result.map(drop).expect_err("it must be refused") {
        Error::Refused {
            status, message, ..
        } => (status, message),
        other => panic!("{other}"),
    }
}

fn holding(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn files(bench: &Bench) {
    let refused = |path: &Path| {
        let (status, message) = status(load(bench, path));
        assert_eq!(status, Status::Failed, "{message}");
        assert!(
            message.len() > "the model was not loaded".len(),
            "the log is kept: {message}"
        );
    };
    refused(Path::new("/no/such/file.gguf"));
    refused(&std::env::temp_dir());
    for bytes in [
        &b""[..],
        b"GGUF",
        b"not a model, but longer than a header would be......",
    ] {
        refused(holding(bytes).path());
    }
    let refusal = load(bench, Path::new("a\0b")).unwrap_err();
    assert!(matches!(refusal, Error::Argument { .. }), "{refusal}");
}

fn truncated(bench: &Bench) {
    let whole = std::fs::read(fixture("moby-tiny/moby-tiny-bitnet.gguf")).unwrap();
    for length in [64, whole.len() / 2, whole.len() - 64 * 1024] {
        let file = holding(&whole[..length]);
        let (status, message) = status(load(bench, file.path()));
        assert!(
            matches!(status, Status::Failed | Status::Exception),
            "{length}: {message}"
        );
    }
}

fn contexts(bench: &Bench) {
    let model = bench.moby();
    let impossible = [
        SessionOptions {
            context: 0,
            ..small()
        },
        SessionOptions {
            batch: 0,
            ..small()
        },
        SessionOptions {
            ubatch: 0,
            ..small()
        },
        SessionOptions {
            threads: 0,
            ..small()
        },
        SessionOptions {
            context: u32::MAX,
            ..small()
        },
    ];
    for options in impossible {
        assert_eq!(
            status(model.session(&options)).0,
            Status::Invalid,
            "{options:?}"
        );
    }
}

fn batches(bench: &Bench) {
    let model = bench.moby();
    let mut session = model
        .session(&SessionOptions {
            batch: 32,
            ..small()
        })
        .unwrap();
    let mut refused = |tokens: &[u32], first, wanted: Wanted<'_>| {
        assert_eq!(
            status(session.decode(tokens, first, wanted)).0,
            Status::Invalid
        );
    };
    refused(&[], 0, Wanted::All);
    refused(&[1; 513], 0, Wanted::All);
    refused(&[1; 8], 1 << 20, Wanted::All);
    refused(&[1; 8], 0, Wanted::At(&[]));
    refused(&[1; 8], 0, Wanted::At(&[8]));
    refused(&[1024], 0, Wanted::All);
    let beyond = session.decode(&[1], usize::MAX, Wanted::All).unwrap_err();
    assert!(matches!(beyond, Error::Argument { .. }), "{beyond}");
    let fine = session.decode(&PROMPT, 0, Wanted::At(&[0, 10])).unwrap();
    assert_eq!(
        fine.len(),
        2 * 1024,
        "a refused call leaves the session usable"
    );
}

fn tokens(bench: &Bench) {
    let model = bench.moby();
    assert_eq!(status(model.token(1024)).0, Status::Invalid);
    assert_eq!(
        status(model.detokenize(&[5, 1024], true, ffi::Text::Pieces)).0,
        Status::Invalid
    );
    assert!(model.token(1023).is_ok());
    let empty = model.tokenize(b"", false, false).unwrap();
    assert!(empty.is_empty());
}

fn flash(bench: &Bench) {
    let model = bench.moby();
    let asked = model.session(&SessionOptions {
        flash_attention: true,
        ..small()
    });
    assert_eq!(status(asked).0, Status::Unsupported);
}
