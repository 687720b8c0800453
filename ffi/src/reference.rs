//! Finds a reference, or builds it, and compiles our interface against it.
//!
//! Nothing here is loaded: the result is a [`Prepared`], which [`crate::Library::open`] takes. All
//! of it happens at run time, with the tools `clang`, `cmake` and `ninja` where something must be
//! built, so that building this program needs none of them. The crates `cc` and `cmake` are made
//! for build scripts (they print directives on stdout and panic on failure); one compiler call and
//! two of cmake are plainer, and their output ends up in the error.
#![forbid(unsafe_code)]

mod cache;
mod construction;
mod fetch;
mod mend;
mod provenance;
mod recipe;
mod shim;
mod tool;
mod tree;

use std::path::{Path, PathBuf};

pub use cache::Cache;
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
pub enum Asked {
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

/// Whether something missing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Fetch and build it; minutes.
    Build,
    /// Answer [`Error::Absent`] with the command that builds it.
    Refuse,
}

impl Asked {
    /// A known name, else a directory.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(recipe) = named(text) {
            return Ok(Asked::Named(recipe));
        }
        if Path::new(text).is_dir() {
            return Ok(Asked::Directory(text.into()));
        }
        let names: Vec<_> = known().iter().map(|recipe| recipe.name).collect();
        Err(Error::UnknownName {
            name: text.to_owned(),
            known: names.join(", "),
        })
    }

    /// What [`VARIABLE`] says, if it is set.
    pub fn from_environment() -> Result<Option<Self>, Error> {
        let set = std::env::var(VARIABLE)
            .ok()
            .filter(|value| !value.is_empty());
        set.map(|value| Asked::parse(&value)).transpose()
    }
}

/// Makes a reference ready to be opened. `report` hears a line before every step that takes long.
pub fn prepare(
    asked: &Asked,
    cache: &Cache,
    missing: Missing,
    report: &mut dyn FnMut(&str),
) -> Result<Prepared, Error> {
    let (name, tree) = match asked {
        Asked::Named(recipe) => {
            let place = construct(recipe, cache, missing, report)?;
            (recipe.name.to_owned(), Tree::find(&place)?)
        }
        Asked::Directory(dir) => {
            let name = dir
                .file_name()
                .unwrap_or(dir.as_os_str())
                .to_string_lossy()
                .into_owned();
            (name, adopt(dir, cache, report)?)
        }
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
pub fn construct(
    recipe: &'static Recipe,
    cache: &Cache,
    missing: Missing,
    report: &mut dyn FnMut(&str),
) -> Result<PathBuf, Error> {
    let place = recipe.place(cache);
    if place.is_dir() {
        return Ok(place);
    }
    if missing == Missing::Refuse {
        return Err(Error::Absent {
            what: format!("reference {} is not built", recipe.name),
            command: format!("eval \"$(scripts/reference.sh {})\"", recipe.name),
        });
    }
    report(&format!("fetching {} {}", recipe.package, recipe.version));
    let source = fetch::source(recipe, cache)?;
    construction::install(recipe.plan(), &source, &place, cache, report)?;
    Ok(place)
}

/// A user's directory: as it is if it is built, else built elsewhere from a copy.
fn adopt(dir: &Path, cache: &Cache, report: &mut dyn FnMut(&str)) -> Result<Tree, Error> {
    let unbuilt = match Tree::find(dir) {
        Err(unbuilt @ Error::NotBuilt(_)) => unbuilt,
        found => return found,
    };
    let plan = Family::of_source(dir).ok_or(unbuilt)?.plan(dir);
    let place = cache.reference("checkout", &plan.key_of_checkout(dir)?);
    if !place.is_dir() {
        construction::install(plan, dir, &place, cache, report)?;
    }
    Tree::find(&place)
}

/// The reference to use without having been told: the environment's, else a built `bitnet`.
pub fn usual(cache: &Cache, report: &mut dyn FnMut(&str)) -> Result<Prepared, Error> {
    if let Some(asked) = Asked::from_environment()? {
        return prepare(&asked, cache, Missing::Refuse, report);
    }
    let recipe = named("bitnet").expect("it is in the list of known references");
    prepare(&Asked::Named(recipe), cache, Missing::Refuse, report)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Cache, Missing, named, prepare};
    use crate::error::Error;

    #[test]
    fn names_come_before_directories_and_others_are_listed() {
        assert!(matches!(Asked::parse("ik"), Ok(Asked::Named(recipe)) if recipe.name == "ik"));
        assert!(matches!(Asked::parse("/"), Ok(Asked::Directory(_))));
        let text = Asked::parse("no-such-thing").unwrap_err().to_string();
        assert!(text.contains("bitnet-neon-fp16, ik, llama"), "{text}");
    }

    #[test]
    fn what_is_not_built_comes_with_its_command() {
        let cache = Cache::at("/nonexistent");
        let asked = Asked::Named(named("llama").unwrap());
        let refusal = prepare(&asked, &cache, Missing::Refuse, &mut |_| {}).unwrap_err();
        assert!(matches!(refusal, Error::Absent { .. }));
        assert!(
            refusal.to_string().contains("scripts/reference.sh llama"),
            "{refusal}"
        );
    }

    #[test]
    fn a_directory_of_something_else_is_not_built() {
        let cache = Cache::at("/nonexistent");
        let asked = Asked::Directory(concat!(env!("CARGO_MANIFEST_DIR"), "/src").into());
        let refusal = prepare(&asked, &cache, Missing::Build, &mut |_| {}).unwrap_err();
        assert!(matches!(refusal, Error::NotBuilt(_)), "{refusal}");
    }
}
