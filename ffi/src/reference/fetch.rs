//! Brings a crate's source here with cargo, which checks it against the registry's index.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::reference::cache::{Cache, create_dir};
use crate::reference::recipe::Recipe;
use crate::reference::tool::run;

/// The root of the recipe's source. It lies in cargo's own registry: read it, do not write to it.
pub fn source(recipe: &Recipe, cache: &Cache) -> Result<PathBuf, Error> {
    let scratch = cache.scratch()?;
    let manifest = scratch.path().join("Cargo.toml");
    write(&manifest, &manifest_text(recipe))?;
    create_dir(&scratch.path().join("src"))?;
    write(&scratch.path().join("src/lib.rs"), "")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(&manifest);
    let metadata = run("fetching the source", &mut metadata)?;
    let lock = scratch.path().join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).map_err(|e| Error::io(&lock, e))?;
    require_checksum(recipe, &lock, &manifest)?;
    let root = package_root(recipe, &metadata).ok_or_else(|| {
        let what = format!("cargo fetched no {} {}", recipe.package, recipe.version);
        Error::not_a_reference(&manifest, what)
    })?;
    Ok(root.join(recipe.folder))
}

fn manifest_text(recipe: &Recipe) -> String {
    let (package, version) = (recipe.package, recipe.version);
    format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n\n\
         [dependencies]\n{package} = \"={version}\"\n"
    )
}

/// The index could be another one than ours; the source must be the one the recipe was tried with.
fn require_checksum(recipe: &Recipe, lock: &str, manifest: &Path) -> Result<(), Error> {
    let lock: toml::Table = lock.parse().unwrap_or_default();
    let packages = lock.get("package").and_then(|packages| packages.as_array());
    let package = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").and_then(toml::Value::as_str) == Some(recipe.package));
    let stated = package.and_then(|package| package.get("checksum")?.as_str());
    if stated == Some(recipe.checksum) {
        return Ok(());
    }
    let stated = stated.unwrap_or("none");
    let what = format!(
        "the registry states checksum {stated} for {} {}, the recipe was made for {}",
        recipe.package, recipe.version, recipe.checksum
    );
    Err(Error::not_a_reference(manifest, what))
}

fn package_root(recipe: &Recipe, metadata: &str) -> Option<PathBuf> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let package = metadata["packages"].as_array()?.iter().find(|package| {
        package["name"] == recipe.package && package["version"] == recipe.version
    })?;
    let manifest = package["manifest_path"].as_str()?;
    Some(Path::new(manifest).parent()?.to_owned())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::{package_root, require_checksum};
    use crate::reference::recipe::named;
    use std::path::Path;

    #[test]
    fn another_checksum_is_refused() {
        let recipe = named("bitnet").unwrap();
        let lock = |sum: &str| {
            format!(
                "[[package]]\nname = \"{}\"\nchecksum = \"{sum}\"\n",
                recipe.package
            )
        };
        let check = |lock: &str| require_checksum(recipe, lock, Path::new("x"));
        assert!(check(&lock(recipe.checksum)).is_ok());
        let text = check(&lock("beef")).unwrap_err().to_string();
        assert!(
            text.contains("beef") && text.contains(recipe.checksum),
            "{text}"
        );
        assert!(check("[[package]]\nname = \"other\"\n").is_err());
    }

    #[test]
    fn the_source_is_where_cargo_says() {
        let recipe = named("bitnet").unwrap();
        let metadata = r#"{"packages":[{"name":"bitnet-cpp-sys","version":"0.0.5",
            "manifest_path":"/r/bitnet-cpp-sys-0.0.5/Cargo.toml"}]}"#;
        let root = package_root(recipe, metadata).unwrap();
        assert_eq!(root, Path::new("/r/bitnet-cpp-sys-0.0.5"));
        assert!(package_root(recipe, "{}").is_none());
    }
}
