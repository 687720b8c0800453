//! What holds for every byte string: no panic, memory and work in proportion to the metadata.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::gguf::writer::Field;
use engine::gguf::{Gguf, Value};
use engine::refusal::Code;
use engine::tokenizer::Tokenizer;

use crate::base::{F32, ones};
use crate::builder::{Built, Draft, array, bool, f32, raw, text, texts, u16, u32, u64};
use crate::heap::{peak_of, requests_of};

/// Heap that may be used whatever the file's size.
pub const SLACK: u64 = 16 << 20;

/// Requests for memory that may be made whatever the file's size.
pub const REQUESTS: u64 = 4096;

/// The watchdog of these tests, and the only time in them: what takes so long hangs, on whatever
/// machine. Nothing is concluded from how long anything else took.
const HANG: Duration = Duration::from_secs(300);

/// Does `work`, and ends this program with a word about it if it hangs.
pub fn watched<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    let what = what.to_owned();
    let dog = std::thread::spawn(move || {
        if waiting.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{what}: hangs, which is no end within {HANG:?}");
            std::process::exit(101);
        }
    });
    let result = work();
    drop(done);
    dog.join().expect("it only waits");
    result
}

/// Parses, and walks everything that was accepted. Panics with `what` if that panics or takes
/// more heap than `metadata` bytes entitle it to.
fn hold(what: &dyn Fn() -> String, bytes: Vec<u8>, metadata: u64) -> Result<(), Code> {
    let bytes = ModelBytes::from_vec(bytes);
    let attempt = AssertUnwindSafe(|| peak_of(|| Gguf::parse(bytes)));
    let (parsed, peak) = catch_unwind(attempt).unwrap_or_else(|_| panic!("{}", what()));
    let allowed = 4 * metadata + SLACK;
    assert!(
        peak <= allowed,
        "{}: {peak} bytes of heap, {allowed} allowed",
        what()
    );
    let gguf = parsed.map_err(|refusal| {
        assert!(!refusal.to_string().is_empty());
        refusal.code
    })?;
    catch_unwind(AssertUnwindSafe(|| walk(&gguf))).unwrap_or_else(|_| panic!("{}", what()));
    Ok(())
}

/// Touches everything an accepted file offers.
fn walk(gguf: &Gguf) {
    for (key, value) in gguf.metadata.iter() {
        let owned = Field::from(value);
        if let (Value::Array(array), Field::Array(of, items)) = (value, owned) {
            assert_eq!((array.element_type, array.len), (of, items.len() as u64));
        }
        let _ = (gguf.metadata.string(key), gguf.metadata.array(key));
        let _ = (
            gguf.metadata.u32(key),
            gguf.metadata.f32(key),
            gguf.metadata.bool(key),
        );
    }
    for tensor in gguf.tensors.iter() {
        assert_eq!(gguf.region(tensor).len() as u64, tensor.gap);
        assert!(tensor.known_bytes().is_none_or(|bytes| bytes <= tensor.gap));
        assert_eq!(gguf.tensors.get(&tensor.name), Some(tensor));
    }
    let _ = Config::from_gguf(gguf);
}

/// A file of less than two thousand bytes with every value type in it.
fn tiny() -> Built {
    let mut draft = Draft::new();
    draft.set("general.architecture", text("llama"));
    draft.set("general.alignment", u32(32));
    draft.set("llama.block_count", u64(1));
    draft.set("llama.attention.head_count", u16(2));
    draft.set("a.f32", f32(0.5));
    draft.set("a.bool", bool(1));
    for (type_id, size) in [(0, 1), (1, 1), (3, 2), (5, 4), (11, 8), (12, 8)] {
        draft.set(&format!("a.{type_id}"), raw(type_id, &vec![1; size]));
    }
    draft.set("a.texts", texts(["one", "", "three"]));
    let inner = texts(["x", "yy"]).payload;
    let empty = array(9, []).payload;
    draft.set("a.nested", array(9, [inner, empty]));
    draft.tensor("token_embd.weight", &[8, 4], F32, ones(32));
    draft.tensor("blk.0.attn_q.weight", &[128], 36, vec![0x19; 64]);
    draft.tensor("output_norm.weight", &[8], F32, ones(8));
    draft.build()
}

#[test]
fn every_truncation_is_refused() {
    let tiny = tiny();
    for len in 0..tiny.bytes.len() {
        let what = || format!("cut at {len}");
        let verdict = hold(&what, tiny.bytes[..len].to_vec(), len as u64);
        assert!(verdict.is_err(), "accepted although {}", what());
    }
    assert_eq!(hold(&|| "uncut".into(), tiny.bytes.clone(), 0), Ok(()));
}

#[test]
fn no_changed_byte_is_worse_than_a_refusal() {
    let tiny = tiny();
    let (mut accepted, mut refused) = (0, 0);
    for at in 0..tiny.place("tensors.end") as usize {
        for value in [0, 1, 9, 0x7f, 0x80, 0xff, !tiny.bytes[at]] {
            let mut bytes = tiny.bytes.clone();
            bytes[at] = value;
            match hold(
                &|| format!("byte {at} = {value}"),
                bytes,
                tiny.bytes.len() as u64,
            ) {
                Ok(()) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(
        accepted > 100 && refused > 100,
        "the sweep reaches both answers"
    );
}

#[test]
fn no_random_edit_is_worse_than_a_refusal() {
    let tiny = tiny();
    let end = tiny.place("tensors.end");
    for seed in 1..=50_000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = tiny.bytes.clone();
        for _ in 0..1 + random.below(4) {
            random.edit(&mut bytes, end);
        }
        let len = bytes.len() as u64;
        let _ = hold(&|| format!("seed {seed}"), bytes, len);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Overwrites, inserts or removes a few bytes before `end`; numbers as they are in attacks.
    fn edit(&mut self, bytes: &mut Vec<u8>, end: u64) {
        let at = (self.below(end) as usize).min(bytes.len());
        let until = (at + 1 + self.below(12) as usize).min(bytes.len());
        let lengths = [
            0,
            1,
            7,
            255,
            1 << 31,
            u64::from(u32::MAX),
            1 << 61,
            u64::MAX - 7,
        ];
        let number = lengths[self.below(8) as usize].to_le_bytes();
        match self.below(4) {
            0 => bytes[at..until].fill(self.0 as u8),
            1 => drop(bytes.splice(at..until, number)),
            2 => drop(bytes.drain(at..until)),
            _ => {
                let copied = bytes[at..until].to_vec();
                drop(bytes.splice(at..at, copied));
            }
        }
    }
}

/// Files whose index is as large as it can be for their size. The slack is not granted here.
#[test]
fn the_densest_files_stay_within_four_times_their_metadata() {
    let mut keys = Draft::new();
    for index in 0..200_000u32 {
        // Three bytes of key: as short as that many different keys can be.
        keys.add(format!("{index:x}").as_bytes(), raw(0, &[1]));
    }
    let mut tensors = Draft::new();
    for index in 0..100_000u32 {
        tensors.tensor(&format!("{index:x}"), &[1], 24, vec![0]);
    }
    let mut strings = Draft::new();
    strings.set("k", texts(vec![b"\xff"; 500_000]));
    let mut odd = Draft::new();
    for index in 0..100_000u32 {
        odd.add(format!("K{index:x}").as_bytes(), text(b"\xff"));
    }
    for (what, draft) in [
        ("keys", keys),
        ("tensors", tensors),
        ("strings", strings),
        ("odd", odd),
    ] {
        let built = draft.build();
        let metadata = built.place("tensors.end");
        let bytes = ModelBytes::from_vec(built.bytes);
        let parse = || requests_of(|| Gguf::parse(bytes));
        let ((parsed, requests), peak) = peak_of(|| watched(what, parse));
        let parsed = parsed.unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        let ratio = peak as f64 / metadata as f64;
        println!(
            "{what}: {metadata} bytes of metadata, heap {ratio:.2} times that, {requests} requests"
        );
        assert!(
            peak <= 4 * metadata,
            "{what}: {peak} bytes of heap for {metadata}"
        );
        assert!(
            requests <= metadata / 4,
            "{what}: {requests} requests for {metadata}"
        );
        assert!(
            parsed.warnings.len() <= 2,
            "one warning per kind, however many fields"
        );
    }
}

/// Vocabularies whose tables are as large as they can be for their size.
#[test]
fn the_densest_vocabularies_stay_within_four_times_their_metadata() {
    let count = 300_000u32;
    let mut bpe = Draft::new();
    bpe.set("tokenizer.ggml.model", text("gpt2"));
    bpe.set(
        "tokenizer.ggml.tokens",
        texts((0..count).map(|index| format!("{index:x}"))),
    );
    let pairs = (0..count).map(|index| format!("{:x} {:x}", index & 0xfff, index >> 12));
    bpe.set("tokenizer.ggml.merges", texts(pairs));
    let mut spm = Draft::new();
    spm.set("tokenizer.ggml.model", text("llama"));
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let words = (0..count).map(|index| format!("{index:x}"));
    spm.set("tokenizer.ggml.tokens", texts(bytes.chain(words)));
    for (what, draft) in [("bpe", bpe), ("spm", spm)] {
        let built = draft.build();
        let metadata = built.place("tensors.end");
        let gguf = Gguf::parse(ModelBytes::from_vec(built.bytes)).expect("valid");
        let read = || requests_of(|| Tokenizer::from_metadata(&gguf.metadata));
        let ((tokenizer, requests), peak) = peak_of(|| watched(what, read));
        let ratio = peak as f64 / metadata as f64;
        println!(
            "{what}: {metadata} bytes of metadata, heap {ratio:.2} times that, {requests} requests"
        );
        assert!(
            requests <= metadata / 4,
            "{what}: {requests} requests for {metadata}"
        );
        assert!(tokenizer.is_ok_and(|tokenizer| tokenizer.is_some()));
        assert!(
            peak <= 4 * metadata + SLACK,
            "{what}: {peak} bytes of heap for {metadata}"
        );
    }
}

/// Counts that the file is large enough for, but does not hold.
#[test]
fn a_lying_count_costs_nothing() {
    for (field, entry) in [("header.tensor_count", 33), ("header.metadata_count", 14)] {
        let mut built = tiny();
        built.bytes.resize(64 << 20, 0);
        let most = (built.bytes.len() as u64 - 24) / entry;
        built.patch_u64(field, most);
        let bytes = ModelBytes::from_vec(built.bytes);
        let (parsed, peak) = peak_of(|| Gguf::parse(bytes).err().map(|refusal| refusal.code));
        assert!(
            parsed.is_some() && parsed != Some(Code::CountImplausible),
            "{parsed:?}"
        );
        assert!(peak < 1 << 20, "{field}: {peak} bytes of heap");
    }
}

/// Keys and names that agree in all but their ends, the worst that a comparison can meet.
#[test]
fn long_common_beginnings_do_not_make_it_slow() {
    let mut draft = Draft::new();
    for index in 0..2000 {
        draft.add(format!("{}{index}", "k".repeat(30_000)).as_bytes(), u32(1));
    }
    for index in 0..60_000 {
        draft.tensor(&format!("{}{index}", "n".repeat(50)), &[1], F32, ones(1));
    }
    let bytes = ModelBytes::from_vec(draft.build().bytes);
    let parse = || requests_of(|| Gguf::parse(bytes));
    let (gguf, requests) = watched("common beginnings", parse);
    let gguf = gguf.expect("unusual but valid");
    println!("60 MB of keys and 60 000 tensors: {requests} requests");
    assert_eq!((gguf.metadata.len(), gguf.tensors.len()), (2000, 60_000));
    assert!(requests < 4 * 62_000, "{requests} requests");
}
