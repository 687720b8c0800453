//! A pass allocates nothing once it has been through its sizes, on any thread.

#[path = "../it/model/random.rs"]
#[allow(dead_code)] // it makes more than is needed here
mod random;

use std::alloc::{GlobalAlloc, Layout, System};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::bytes::ModelBytes;
use engine::config::Config;
use engine::gguf::Gguf;
use engine::kernels::Kernel;
use engine::numerics::{Profile, arithmetic};
use engine::transformer::{self, Nodes, Output, State};
use engine::weights::Weights;

use random::{Format, Recipe};

#[global_allocator]
static COUNTING: Counting = Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller got `at` from `alloc` above, which got it from the system.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Tokens of a prefill, enough for every tile and for several threads to be worth it.
const PREFILL: usize = 40;

/// Alone in its process, whose every allocation is counted: the standard runner has a thread of its
/// own, and allocates to say that a test takes long.
fn main() {
    const NAME: &str = "a_pass_allocates_nothing_after_the_first_of_its_size";
    let told = |word: &str| std::env::args().any(|argument| argument == word);
    if told("--list") {
        if !told("--ignored") {
            println!("{NAME}: test");
        }
        return;
    }
    a_pass_allocates_nothing_after_the_first_of_its_size();
    println!("test {NAME} ... ok");
}

fn a_pass_allocates_nothing_after_the_first_of_its_size() {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(vec![0u8; 100]));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before, "it counts");

    let mut passes = 0;
    for (linear, embedding) in [
        (Format::I2s, Format::F16),
        (Format::Q6K, Format::Q8_0),
        (Format::Bf16, Format::F32),
    ] {
        let recipe = Recipe {
            width: 256,
            heads: 4,
            head_dim: 64,
            inner: 768,
            linear,
            embedding,
            ..Recipe::new("bitnet-b1.58")
        };
        let file = random::file(&recipe, random::tensors(&recipe));
        for kernel in Kernel::available() {
            // Emulated halves are slow, and how they are added up is no matter of memory.
            let profiles = Profile::ALL
                .into_iter()
                .filter(|&p| p != Profile::GgmlNeonFp16);
            for profile in profiles {
                for threads in [1, 2] {
                    passes += count_passes(file.clone(), kernel, profile, threads);
                }
            }
        }
    }
    println!("{passes} passes allocated nothing");
}

/// Runs prefills and decodes, and counts from the second of each on.
fn count_passes(file: Vec<u8>, kernel: Kernel, profile: Profile, threads: usize) -> usize {
    let gguf = Gguf::parse(ModelBytes::from_vec(file)).expect("a valid file");
    let config = Config::from_gguf(&gguf).expect("a valid model");
    let weights = Weights::bind(&gguf, &config, None, kernel).expect("a valid model");
    let threads = NonZeroUsize::new(threads).expect("not zero");
    let arithmetic = arithmetic(profile, kernel);
    let state = State::new(&config, arithmetic, 128, PREFILL, threads);
    let mut state = state.expect("enough memory");
    let tokens: Vec<u32> = (0..PREFILL as u32).collect();
    let mut logits = transformer::logits(&config, 1).expect("enough memory");
    let mut counted = 0;
    for round in 0..2 {
        for (count, one_by_one) in [(PREFILL, false), (1, false), (1, false), (4, true)] {
            state.multiplier.take_one_by_one(one_by_one);
            state.reserve(count).expect("enough memory");
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let mut probe = ();
            let mut nodes = Nodes::new(&mut probe);
            let own = &tokens[..count];
            let output = Output::Logits(&mut logits);
            transformer::forward(&config, &weights, own, &mut state, &mut nodes, output);
            let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
            if round > 0 {
                let (kernel, profile) = (kernel.name(), profile.name());
                assert_eq!(
                    made, 0,
                    "{count} tokens, {kernel}, {profile}, {threads} threads"
                );
                counted += 1;
            }
        }
        state.cache.truncate(0);
    }
    counted
}
