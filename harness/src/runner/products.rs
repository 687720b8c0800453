//! What multiplies each format in each order of sums on this machine: what a run could exercise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use engine::flavor::Shape;
use engine::format::{FORMATS, Format, Product};
use engine::kernels::Kernel;
use engine::matrix::Matrix;
use engine::numerics::{Arithmetic, Profile, arithmetic};
use engine::transformer::probe::{Part, Step};

use crate::case::observation::Lane;
use crate::case::taken::{Path, Taken, WHOLE, way};

/// By format and kernel, as in [`Taken`], the orders of sums.
pub type Products = BTreeMap<String, BTreeSet<String>>;

/// Every product of the kernels that this machine can run.
pub fn here() -> &'static Products {
    static HERE: LazyLock<Products> = LazyLock::new(|| {
        let mut found = Products::new();
        for (kernel, profile) in Kernel::available()
            .into_iter()
            .flat_map(|kernel| Profile::ALL.map(|profile| (kernel, profile)))
        {
            for format in FORMATS {
                let kernel = multiplied_by(format, kernel, arithmetic(profile, kernel));
                let orders = found.entry(product(format.name, &kernel)).or_default();
                orders.insert(profile.name().to_owned());
            }
        }
        found
    });
    &HERE
}

/// As [`Matrix::kernel`] names it for a matrix of that format.
fn multiplied_by(format: &Format, kernel: Kernel, arithmetic: &dyn Arithmetic) -> String {
    let instructions = arithmetic.instructions();
    match format.product {
        Product::Kernels { choose, .. } => {
            let gemm = choose(arithmetic.block_order(), kernel);
            gemm.name().to_owned()
        }
        Product::Floats(_) => format!("{instructions}-{}", format.name),
        Product::Decoded => format!("{instructions}-f32-{}", format.name),
    }
}

fn product(format: &str, kernel: &str) -> String {
    format!("{format} {kernel}")
}

/// The format of a product; none of a step.
pub fn format_of(what: &str) -> Option<&'static Format> {
    let (format, _) = what.split_once(' ').unwrap_or((what, ""));
    Format::named(format)
}

/// Every way in which something can be taken: a product, the format of a table, a step.
pub fn ways(what: &str) -> Vec<String> {
    let lanes = |path, rest| Lane::ALL.map(|lane| way(path, lane, rest));
    if Step::ALL.iter().any(|step| step.name() == what) {
        return lanes(Path::Step, false).into();
    }
    let Some(format) = format_of(what) else {
        return Vec::new();
    };
    if what == format.name {
        return vec![way(Path::Embedding, Lane::Prefill, false)];
    }
    let rest = (1..WHOLE).any(|rest| {
        let cols = WHOLE * WHOLE + rest;
        format.bytes_needed(Shape { rows: WHOLE, cols }).is_some()
    });
    let rests = [Some(false), rest.then_some(true)].into_iter().flatten();
    let paths = [Path::Linear, Path::Head];
    let all = rests.flat_map(|rest| paths.map(|path| lanes(path, rest)));
    all.flatten().collect()
}

/// Notes a part that has run, for so many tokens together.
pub fn note(taken: &mut Taken, part: Part<'_>, tokens: usize) {
    let lane = if tokens == 1 {
        Lane::Decode
    } else {
        Lane::Prefill
    };
    let (path, matrix, arithmetic) = match part {
        Part::Embedding(matrix) => {
            let path = way(Path::Embedding, lane, false);
            return taken.add(matrix.encoding().to_owned(), path);
        }
        Part::Step(step) => {
            return taken.add(step.name().to_owned(), way(Path::Step, lane, false));
        }
        Part::Linear(matrix, arithmetic) => (Path::Linear, matrix, arithmetic),
        Part::Head(matrix, arithmetic) => (Path::Head, matrix, arithmetic),
    };
    let what = product(matrix.encoding(), &matrix.kernel(arithmetic));
    let rest = !matrix.cols().is_multiple_of(WHOLE);
    taken.add(what, way(path, lane, rest));
}

/// What tells a part that has run from others that have, without a name.
pub fn key(part: Part<'_>, tokens: usize) -> (u8, usize, bool) {
    let address = |matrix: &Matrix| std::ptr::from_ref(matrix) as usize;
    let (kind, which) = match part {
        Part::Embedding(matrix) => (0, address(matrix)),
        Part::Linear(matrix, _) => (1, address(matrix)),
        Part::Head(matrix, _) => (2, address(matrix)),
        Part::Step(step) => (3, step as usize),
    };
    (kind, which, tokens == 1)
}
