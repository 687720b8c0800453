//! Finds a reference, or builds it, and compiles our interface against it.
//!
//! Nothing here is loaded: the result is a [`Prepared`], which [`crate::Library::open`] takes. All
//! of it happens at run time, with the tools `cmake`, `ninja` and a compiler where something must
//! be built, so that building this program needs none of them.
//!
//! Each module may use the ones above it in this table, never the ones below.
//!
//! | module | what it is for |
//! |---|---|
//! | [`tool`] | runs a program to its end and keeps what it wrote |
//! | [`cache`](mod@cache) | where results live, whole or not at all |
//! | [`tree`] | the headers and libraries below a directory |
//! | [`recipe`] | what can be built by name, and how |
//! | [`checkout`] | the same for a user's own directory |
//! | [`fetch`] | a recipe's source from the registry |
//! | [`patch`] | what keeps a source from building |
//! | [`cmake`] | configures and builds |
//! | [`provenance`] | where a build comes from |
//! | [`build`](mod@build) | from a source to a place in the cache |
//! | [`shim`] | our interface, compiled against a tree |
#![forbid(unsafe_code)]

mod build;
mod cache;
mod checkout;
mod cmake;
mod fetch;
mod patch;
mod provenance;
mod recipe;
mod shim;
mod tool;
mod tree;

use std::path::{Path, PathBuf};

pub use cache::Cache;
pub use cmake::{STEP, run as run_step};
pub use provenance::Provenance;
pub use recipe::{Family, Recipe, known, named};
pub use tree::Tree;

use crate::error::Error;

/// The environment variable that names a reference or its directory.
pub const VARIABLE: &str = "BITNET_CPP_DIR";

/// The command that makes the usual reference.
pub const COMMAND: &str = "eval \"$(scripts/reference.sh bitnet)\"";

/// Which reference is meant.
#[derive(Debug, Clone)]
pub enum Spec {
    /// One of those this program can build.
    Named(&'static Recipe),
    /// A checkout, built or not, a build directory, or a place in the cache.
    Directory(PathBuf),
}

/// A reference that can be opened.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What it is called: the recipe's name, or the directory's.
    pub name: String,
    /// Our interface, compiled against it.
    pub shim: PathBuf,
    /// Its headers and libraries.
    pub tree: Tree,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// What happens where a known reference is not built. A user's own directory is built all the same:
/// whoever names it has nothing to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Fetch and build it; minutes.
    Build,
    /// Answer [`Error::Absent`] with the command that builds it.
    Fail,
}

impl Spec {
    /// A known name, else a directory.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(recipe) = named(text) {
            return Ok(Spec::Named(recipe));
        }
        if Path::new(text).is_dir() {
            return Ok(Spec::Directory(text.into()));
        }
        let names: Vec<_> = known().iter().map(|recipe| recipe.name).collect();
        Err(Error::UnknownName {
            name: text.to_owned(),
            known: names.join(", "),
        })
    }

    /// What [`VARIABLE`] says, if it is set.
    pub fn from_environment() -> Result<Option<Self>, Error> {
        let set = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        // A path need not be UTF-8, and one that leads nowhere is an error all the same.
        set.map(|value| match value.to_str() {
            None if Path::new(&value).is_dir() => Ok(Spec::Directory(value.into())),
            _ => Spec::parse(&value.to_string_lossy()),
        })
        .transpose()
    }
}

/// Makes a reference ready to be opened. `report` hears a line before every step that takes long.
pub fn prepare(
    asked: &Spec,
    cache: &Cache,
    if_missing: IfMissing,
    report: &mut dyn FnMut(&str),
) -> Result<Prepared, Error> {
    cache.require_own()?;
    let (name, tree) = match asked {
        Spec::Named(recipe) => {
            let dir = installed(recipe, cache, if_missing, report)?;
            (recipe.name.to_owned(), Tree::find(&dir)?)
        }
        Spec::Directory(dir) => (checkout::name(dir), adopt(dir, cache, report)?),
    };
    let provenance = Provenance::of(&tree)?;
    let shim = shim::compiled(&tree, cache, report)?;
    let name = provenance.name.clone().unwrap_or(name);
    Ok(Prepared {
        name,
        shim,
        tree,
        provenance,
    })
}

/// The place of a known reference in the cache, built if need be.
fn installed(
    recipe: &Recipe,
    cache: &Cache,
    if_missing: IfMissing,
    report: &mut dyn FnMut(&str),
) -> Result<PathBuf, Error> {
    let dir = recipe.install_dir(cache);
    if dir.is_dir() {
        return Ok(dir);
    }
    if if_missing == IfMissing::Fail {
        return Err(Error::Absent {
            what: format!("reference {} is not built", recipe.name),
            command: format!("eval \"$(scripts/reference.sh {})\"", recipe.name),
        });
    }
    report(&format!("fetching {} {}", recipe.package, recipe.version));
    let source = fetch::source(recipe, cache)?;
    build::build(&recipe.plan(), &source, &dir, cache, report)?;
    Ok(dir)
}

/// A user's directory: as it is if it is built, else built elsewhere from a copy.
fn adopt(dir: &Path, cache: &Cache, report: &mut dyn FnMut(&str)) -> Result<Tree, Error> {
    let unbuilt = match Tree::find(dir) {
        Err(unbuilt @ Error::NotBuilt(_)) => unbuilt,
        found => return found,
    };
    let Some(plan) = checkout::plan(dir) else {
        return Err(checkout::empty_submodule(dir).unwrap_or(unbuilt));
    };
    let install_dir = cache.reference("checkout", &checkout::key(&plan, dir)?);
    if !install_dir.is_dir() {
        build::build(&plan, dir, &install_dir, cache, report)?;
    }
    Tree::find(&install_dir)
}

#[cfg(test)]
mod tests {
    use super::{Cache, IfMissing, Spec, named, prepare};
    use crate::error::Error;

    #[test]
    fn names_come_before_directories_and_others_are_listed() {
        assert!(matches!(Spec::parse("ik"), Ok(Spec::Named(recipe)) if recipe.name == "ik"));
        assert!(matches!(Spec::parse("/"), Ok(Spec::Directory(_))));
        let text = Spec::parse("no-such-thing").unwrap_err().to_string();
        assert!(text.contains("bitnet-neon-fp16, ik, llama"), "{text}");
    }

    #[test]
    fn what_is_not_built_comes_with_its_command() {
        let cache = Cache::at("/nonexistent");
        let asked = Spec::Named(named("llama").unwrap());
        let refusal = prepare(&asked, &cache, IfMissing::Fail, &mut |_| {}).unwrap_err();
        assert!(matches!(refusal, Error::Absent { .. }));
        assert!(
            refusal.to_string().contains("scripts/reference.sh llama"),
            "{refusal}"
        );
    }

    #[test]
    fn a_directory_of_something_else_is_not_built() {
        let cache = Cache::at("/nonexistent");
        let asked = Spec::Directory(concat!(env!("CARGO_MANIFEST_DIR"), "/src").into());
        let refusal = prepare(&asked, &cache, IfMissing::Build, &mut |_| {}).unwrap_err();
        assert!(matches!(refusal, Error::NotBuilt(_)), "{refusal}");
    }

    #[test]
    fn a_submodule_that_was_not_fetched_comes_with_its_command() {
        let checkout = tempfile::tempdir().unwrap();
        let dir = checkout.path();
        let modules =
            "[submodule \"3rdparty/llama.cpp\"]\n\tpath = 3rdparty/llama.cpp\n\turl = x\n";
        std::fs::write(dir.join(".gitmodules"), modules).unwrap();
        std::fs::write(dir.join("CMakeLists.txt"), "").unwrap();
        let refused = || {
            let asked = Spec::Directory(dir.to_owned());
            let cache = Cache::at("/nonexistent");
            prepare(&asked, &cache, IfMissing::Build, &mut |_| {}).unwrap_err()
        };
        let command = format!(
            "cd '{}' && git submodule update --init --recursive",
            dir.display()
        );
        let missing = refused().to_string();
        std::fs::create_dir_all(dir.join("3rdparty/llama.cpp")).unwrap();
        let empty = refused().to_string();
        for text in [missing, empty] {
            assert!(text.contains("3rdparty/llama.cpp is empty"), "{text}");
            assert!(text.contains(&command), "{text}");
        }
        std::fs::write(dir.join("3rdparty/llama.cpp/README"), "").unwrap();
        assert!(
            matches!(refused(), Error::NotBuilt(_)),
            "it is there, and is something else"
        );
    }
}
