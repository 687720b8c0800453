//! A folder of recordings: each has a folder of its own, and one list has the hash of every file.
//! Nothing that is there is replaced by half, and nothing by accident.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::exit::Failure;
use crate::file::provenance;
use crate::io::atomic;

/// The list, in the format of `sha256sum`.
pub const LIST: &str = "checksums.txt";

/// A recording, as the files it is made of.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What the list of a shelf says; nothing where there is no shelf yet.
pub fn listed(shelf: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let path = shelf.join(LIST);
    if path.is_file() {
        provenance::checksums(&path)
    } else {
        Ok(BTreeMap::new())
    }
}

/// The names of the recordings on a shelf, in order.
pub fn names(shelf: &Path) -> Result<Vec<String>, Failure> {
    let listed = listed(shelf)?;
    let names = listed.keys().filter_map(|path| path.split('/').next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.dedup();
    Ok(names)
}

/// Adds a recording, of which there is none of that name.
pub fn add(shelf: &Path, name: &str, files: &Files) -> Result<(), Failure> {
    let folder = shelf.join(name);
    if folder.exists() {
        let folder = folder.display();
        let message = format!(
            "{folder} is there already: evidence is replaced by `harness accept`, or removed by \
             hand, never here"
        );
        return Err(Failure::input(message));
    }
    write(&folder, files)?;
    list(shelf, name, files)
}

/// Takes a recording away, whatever state it is in.
pub fn remove(shelf: &Path, name: &str) -> Result<(), Failure> {
    list(shelf, name, &Files::new())?;
    match fs::remove_dir_all(shelf.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Failure::environment(e)),
        _ => Ok(()),
    }
}

/// Puts a recording where one of its name is, or adds it. `sound` has the last word: where it
/// refuses, or anything before it fails, what was there is there again.
pub fn replace(
    shelf: &Path,
    name: &str,
    files: &Files,
    sound: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let before = listed(shelf)?;
    let aside = tempfile::Builder::new().prefix(".").tempdir_in(shelf);
    let aside = aside.map_err(Failure::environment)?;
    let (new, old) = (aside.path().join("new"), aside.path().join("old"));
    write(&new, files)?;
    let place = shelf.join(name);
    let there = place.exists();
    let moved = |from: &Path, to: &Path| fs::rename(from, to).map_err(Failure::environment);
    if there {
        moved(&place, &old)?;
    }
    let done = moved(&new, &place).and_then(|()| list(shelf, name, files));
    let Err(failure) = done.and_then(|()| sound()) else {
        return Ok(());
    };
    // What is not there needs no removing.
    let _ = fs::remove_dir_all(&place);
    let back = if there { moved(&old, &place) } else { Ok(()) };
    match back.and_then(|()| write_list(shelf, &before)) {
        Ok(()) => Err(failure),
        Err(also) => {
            let kept = aside.keep();
            let kept = kept.display();
            Err(Failure::environment(format!(
                "{failure}; what was there could not be put back and is kept in {kept}: {also}"
            )))
        }
    }
}

fn write(folder: &Path, files: &Files) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(Failure::environment)?;
    for (file, bytes) in files {
        atomic::write(&folder.join(file), bytes).map_err(Failure::environment)?;
    }
    Ok(())
}

/// Lists these files of a recording, and no others of it.
fn list(shelf: &Path, name: &str, files: &Files) -> Result<(), Failure> {
    let mut listed = listed(shelf)?;
    listed.retain(|path, _| path.split('/').next() != Some(name));
    let hashes = files.iter();
    listed
        .extend(hashes.map(|(file, bytes)| (format!("{name}/{file}"), provenance::sha256(bytes))));
    write_list(shelf, &listed)
}

fn write_list(shelf: &Path, listed: &BTreeMap<String, String>) -> Result<(), Failure> {
    let lines = listed.iter();
    let lines: String = lines
        .map(|(file, hash)| format!("{hash}  {file}\n"))
        .collect();
    atomic::write(&shelf.join(LIST), lines.as_bytes()).map_err(Failure::environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_out_unsound_leaves_everything_as_it_was() {
        let shelf = tempfile::tempdir().expect("a folder");
        let shelf = shelf.path();
        let files = |text: &str| Files::from([("a".to_owned(), text.as_bytes().to_vec())]);
        add(shelf, "one", &files("before")).expect("new");
        assert!(add(shelf, "one", &files("again")).is_err(), "it is there");
        let state = || {
            let folders = fs::read_dir(shelf).expect("readable").count();
            let content = fs::read(shelf.join("one/a")).expect("there");
            (folders, content, listed(shelf).expect("a list"))
        };
        let before = state();
        let unsound = || Err(Failure::input("unsound"));
        for name in ["one", "two"] {
            let refused = replace(shelf, name, &files("after"), unsound);
            assert_eq!(refused.expect_err("refused").message, "unsound");
            assert_eq!(state(), before, "{name}");
        }
        replace(shelf, "one", &files("after"), || Ok(())).expect("sound");
        assert_eq!(state().1, b"after");
        assert_ne!(state().2, before.2, "another hash");
        remove(shelf, "one").expect("it is there");
        assert_eq!(names(shelf).expect("a list"), Vec::<String>::new());
    }
}
