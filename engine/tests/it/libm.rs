//! sin, cos, exp, ln and pow against the C library whose bits they promise: by hashes recorded from
//! it, which are checked everywhere, and by itself, where this machine has it.
//!
//! A sample of a million arguments by default. With `LIBM_EXHAUSTIVE=all`, or some of the names
//! below with commas between them, all 2³² of a function, and 2³⁰ pairs for pow:
//! `LIBM_EXHAUSTIVE=all cargo test --release -p engine --test libm -- --nocapture`

use engine::numerics::libm;
use std::f32::consts::FRAC_PI_4;
use std::ops::Range;
use std::thread;

/// What is compared. Pairs and single arguments are numbered alike, so that they share all else.
struct Function {
    name: &'static str,
    ours: fn(u64) -> f32,
    platform: fn(u64) -> f32,
    sample: fn() -> Vec<u64>,
    /// How many numbers there are to compare in an exhaustive run.
    all: u64,
    /// Of the results for the sample. glibc 2.36, x86-64 with FMA; `exp_aarch64`: aarch64.
    recorded: u64,
}

const FUNCTIONS: [Function; 7] = [
    Function {
        name: "sin",
        ours: |n| libm::sin(single(n)),
        platform: |n| single(n).sin(),
        sample: singles,
        all: 1 << 32,
        recorded: 0x5e61_2a57_939f_72d9,
    },
    Function {
        name: "cos",
        ours: |n| libm::cos(single(n)),
        platform: |n| single(n).cos(),
        sample: singles,
        all: 1 << 32,
        recorded: 0x1bc1_e0e1_2255_a7d4,
    },
    Function {
        name: "exp",
        ours: |n| libm::exp(single(n)),
        platform: |n| single(n).exp(),
        sample: singles,
        all: 1 << 32,
        recorded: 0x9100_793c_1633_e02c,
    },
    Function {
        name: "exp_aarch64",
        ours: |n| libm::exp_aarch64(single(n)),
        platform: |n| single(n).exp(),
        sample: singles,
        all: 1 << 32,
        recorded: 0x309e_80db_4336_b39c,
    },
    Function {
        name: "ln",
        ours: |n| libm::ln(single(n)),
        platform: |n| single(n).ln(),
        sample: singles,
        all: 1 << 32,
        recorded: 0x65df_9262_ec30_c2e0,
    },
    Function {
        name: "pow",
        ours: |n| pair(n, libm::pow),
        platform: |n| pair(n, f32::powf),
        sample: pairs,
        all: 1 << 30,
        recorded: 0x654c_a372_39ef_d80c,
    },
    Function {
        name: "pow of ends",
        ours: |n| end_pair(n, libm::pow),
        platform: |n| end_pair(n, f32::powf),
        sample: || (0..END_PAIRS).collect(),
        all: END_PAIRS,
        recorded: 0x47fb_1b72_2e29_b51d,
    },
];

fn single(number: u64) -> f32 {
    f32::from_bits(number as u32)
}

/// Every 4099th bit pattern, what lies around the places where a function changes its ways, and
/// the arguments whose results tell glibc's builds apart.
fn singles() -> Vec<u64> {
    // Subnormals, the polynomials alone, the reductions, overflow and underflow, NaN.
    let places = [
        0x0000_0000,
        0x0080_0000,
        0x3980_0000,
        0x3f40_0000,
        0x42f0_0000,
        0x42b1_7218,
        0x42b2_0000,
        0x42cf_f1b5,
        0x42d0_0000,
        0x7f80_0000,
        0x7fc0_0000,
        0x7fff_ffff,
    ];
    let turns = (1..160).map(|n| (n as f32 * FRAC_PI_4).to_bits());
    let unfused = [
        0x4202_422f,
        0x427c_65d9,
        0x4255_b0a9,
        0x42a3_5c07,
        0x42a3_5d44,
        0x42a9_7360,
    ];
    let around = places.into_iter().chain(turns).chain(unfused);
    let around = around.flat_map(|bits: u32| (0..128).map(move |i| (bits + i).wrapping_sub(64)));
    let both_signs = around.flat_map(|bits| [bits, bits ^ 1 << 31]);
    let strided = (0..u32::MAX).step_by(4099);
    strided.chain(both_signs).map(u64::from).collect()
}

/// Of the rotation's steps, then of pairs at random.
fn pairs() -> Vec<u64> {
    (0..STEPS + 1_000_000).collect()
}

/// The published bases of the rotation; the head dimensions are the even numbers to 512.
const BASES: [f32; 12] = [
    1e4,
    1e5,
    5e5,
    1e6,
    5e6,
    1e7,
    1e8,
    1e9,
    1e10,
    4e4,
    2.5e5,
    1_000_042.0,
];
const STEPS: u64 = 256 * BASES.len() as u64;

/// A function of two singles, of the pair with that number: first the steps, then moderate pairs
/// and arbitrary bit patterns in turn.
fn pair(number: u64, function: fn(f32, f32) -> f32) -> f32 {
    if number < STEPS {
        let dimensions = 2 * (number % 256 + 1);
        let base = BASES[(number / 256) as usize];
        return function(base, -2.0 / dimensions as f32);
    }
    let (x, y) = (mixed(2 * number), mixed(2 * number + 1));
    if number.is_multiple_of(2) {
        return function(f32::from_bits(x as u32), f32::from_bits(y as u32));
    }
    // x from 2⁻²⁰ to 2²⁰, y from 2⁻²⁰ to 2⁵ and both signs: the results are mostly finite.
    let sized = |bits: u64, octaves: u64| {
        let exponent = 107 + (bits >> 32) % octaves;
        f32::from_bits((exponent << 23 | bits & 0x7f_ffff) as u32)
    };
    let y = sized(y, 25).copysign(f32::from_bits(y as u32));
    function(sized(x, 40), y)
}

/// Where pow has its own rules, whole numbers odd and even among them; all in both signs.
const ENDS: [f32; 16] = [
    0.0,
    1e-45,
    f32::MIN_POSITIVE,
    0.5,
    0.999_999_94,
    1.0,
    1.5,
    2.0,
    3.0,
    8_388_609.0,
    16_777_215.0,
    16_777_216.0,
    16_777_218.0,
    f32::MAX,
    f32::INFINITY,
    f32::NAN,
];
const END_PAIRS: u64 = 4 * (ENDS.len() * ENDS.len()) as u64;

/// A function of two singles, of the pair of ends with that number.
fn end_pair(number: u64, function: fn(f32, f32) -> f32) -> f32 {
    let signed = |index: u64| {
        let end = ENDS[(index / 2) as usize % ENDS.len()];
        if index.is_multiple_of(2) { end } else { -end }
    };
    let ends = 2 * ENDS.len() as u64;
    function(signed(number % ends), signed(number / ends))
}

/// The finalising mix of SplitMix64: unrelated numbers from consecutive ones.
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Which NaN it is depends on the CPU, in every library.
fn bits(x: f32) -> u32 {
    if x.is_nan() { f32::NAN } else { x }.to_bits()
}

/// FNV-1a, a result at a time.
fn hash(numbers: &[u64], function: impl Fn(u64) -> f32) -> u64 {
    let results = numbers.iter().map(|&number| bits(function(number)));
    results.fold(0xcbf2_9ce4_8422_2325, |hash, bits| {
        (hash ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// How many results differ, and the first of them.
fn differences(function: &Function, numbers: impl Iterator<Item = u64>) -> (u64, Option<u64>) {
    let differing = numbers.filter(|&n| bits((function.ours)(n)) != bits((function.platform)(n)));
    differing.fold((0, None), |(count, first), number| {
        (count + 1, first.or(Some(number)))
    })
}

/// The same over all numbers, on all CPUs.
fn all_differences(function: &Function) -> (u64, Option<u64>) {
    let cpus = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let part = |i: u64| -> Range<u64> { function.all * i / cpus..function.all * (i + 1) / cpus };
    thread::scope(|scope| {
        let parts = (0..cpus).map(|i| scope.spawn(move || differences(function, part(i))));
        let parts: Vec<_> = parts.collect();
        let parts = parts.into_iter().map(|part| part.join().expect("no panic"));
        parts.fold((0, None), |(count, first), (more, next)| {
            (count + more, first.or(next))
        })
    })
}

#[test]
fn the_bits_are_those_recorded_from_glibc() {
    for function in &FUNCTIONS {
        let sample = (function.sample)();
        let (name, found) = (function.name, hash(&sample, function.ours));
        println!("{name}: {found:#018x}, {} arguments", sample.len());
        assert_eq!(found, function.recorded, "{name}: {found:#018x}");
    }
}

#[test]
fn the_bits_are_those_of_this_machines_glibc() {
    let wanted = std::env::var("LIBM_EXHAUSTIVE").unwrap_or_default();
    let (mut compared, mut exhausted) = (0, 0);
    for function in &FUNCTIONS {
        let (name, sample) = (function.name, (function.sample)());
        let exhaust = wanted == "all" || wanted.split(',').any(|wanted| wanted == name);
        let theirs = hash(&sample, function.platform);
        if theirs != function.recorded {
            let (differ, _) = differences(function, sample.iter().copied());
            let of = sample.len();
            println!("{name}: skipped, the C library has {theirs:#018x}: {differ} of {of} differ");
            continue;
        }
        let (of, (differ, first)) = if exhaust {
            (function.all, all_differences(function))
        } else {
            let sampled = differences(function, sample.iter().copied());
            (sample.len() as u64, sampled)
        };
        println!("{name}: {differ} of {of} results differ from the C library's");
        assert_eq!(differ, 0, "{name}: the first one is number {first:x?}");
        compared += 1;
        exhausted += usize::from(exhaust);
    }
    let skipped = FUNCTIONS.len() - compared;
    println!("{compared} functions compared, {exhausted} exhaustively, {skipped} skipped");
    assert!(
        wanted.is_empty() || exhausted > 0,
        "{wanted}: no such function, or no glibc here to compare with"
    );
}

#[test]
fn one_wrong_result_in_a_million_changes_the_hash() {
    let sample = singles();
    let [fused, rounded] = [libm::exp, libm::exp_aarch64];
    let differ = |n: &&u64| fused(single(**n)).to_bits() != rounded(single(**n)).to_bits();
    let arguments: std::collections::BTreeSet<u64> =
        sample.iter().filter(differ).copied().collect();
    assert_eq!(
        arguments.into_iter().collect::<Vec<_>>(),
        [0x4202_422f, 0xc27c_65d9]
    );
    assert_ne!(
        hash(&sample, |n| fused(single(n))),
        hash(&sample, |n| rounded(single(n)))
    );
    let last_bit = |n| {
        let wrong = u32::from(n == 0x4255_b0a9);
        f32::from_bits(libm::sin(single(n)).to_bits() ^ wrong)
    };
    assert_ne!(
        hash(&sample, |n| libm::sin(single(n))),
        hash(&sample, last_bit)
    );
}
