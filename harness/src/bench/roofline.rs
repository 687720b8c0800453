//! What the machine can do at most while builds are timed, and how busy others keep it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use engine::kernels::{Kernel, limits};
use serde::Serialize;

/// Bytes that each thread streams: more than caches hold.
const STREAMED: usize = 256 << 20;
/// Products are counted for about this long.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// The machine's own limits on some threads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Roofline {
    /// Bytes read from memory, in billions a second.
    pub stream_gb_per_s: f64,
    /// Products of int8 values out of registers, in billions a second.
    pub int8_gmac_per_s: f64,
}

/// How busy the machine was besides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Processes that were ready to run, over the last minute.
    pub average: Option<f64>,
    /// Share of processor time that the host of a virtual machine took away.
    pub steal: Option<f64>,
}

impl Roofline {
    /// Measured now.
    pub fn measure(threads: usize, kernel: Kernel) -> Self {
        let bytes = vec![1_u8; STREAMED * threads];
        let began = Instant::now();
        std::thread::scope(|scope| {
            for part in bytes.chunks(STREAMED) {
                scope.spawn(move || black_box(limits::stream(kernel, part)));
            }
        });
        let stream_gb_per_s = bytes.len() as f64 / began.elapsed().as_secs_f64() / 1e9;
        let products = || {
            let (began, mut rounds, mut products) = (Instant::now(), 1 << 10, 0);
            while began.elapsed() < LONG_ENOUGH {
                products += limits::int8_products(kernel, rounds);
                rounds *= 2;
            }
            products as f64 / began.elapsed().as_secs_f64() / 1e9
        };
        let int8_gmac_per_s = std::thread::scope(|scope| {
            let all: Vec<_> = (0..threads).map(|_| scope.spawn(products)).collect();
            let each = all.into_iter().map(|one| one.join().expect("no panic"));
            each.sum()
        });
        Roofline {
            stream_gb_per_s,
            int8_gmac_per_s,
        }
    }

    /// The most that was seen, each number for itself: what is a limit is never exceeded.
    pub fn most(all: &[Roofline]) -> Self {
        let of = |number: fn(&Roofline) -> f64| all.iter().map(number).fold(0.0, f64::max);
        Roofline {
            stream_gb_per_s: of(|r| r.stream_gb_per_s),
            int8_gmac_per_s: of(|r| r.int8_gmac_per_s),
        }
    }
}

/// The processor times at one moment: taken away, and all.
pub struct Busy(Option<(u64, u64)>);

impl Busy {
    /// From now on.
    pub fn begin() -> Self {
        Busy(times())
    }

    /// Until now.
    pub fn end(self) -> Load {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let steal = self.0.zip(times()).map(|(before, after)| {
            let all = after.1.saturating_sub(before.1).max(1);
            after.0.saturating_sub(before.0) as f64 / all as f64
        });
        let average = text.split(' ').next().and_then(|word| word.parse().ok());
        Load { average, steal }
    }
}

fn times() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line
        .split_whitespace()
        .map_while(|n| n.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal, then guests that user time holds already
    let (all, steal) = (numbers.iter().take(8).sum(), *numbers.get(7)?);
    Some((steal, all))
}
