//! What else than the library decides what a process computes: other libraries in it, and variables
//! that put something before it or around it.

use std::collections::BTreeMap;
use std::path::Path;

use engine::bytes::Storage;

use crate::file::provenance::{INTRUDING, Input};

/// Of this process, the libraries with these hashes and this program left out.
pub fn surroundings(known: &[String]) -> BTreeMap<String, String> {
    let set = |name: &str| Some((format!("${name}"), std::env::var(name).ok()?));
    let mut found: BTreeMap<String, String> = INTRUDING.into_iter().filter_map(set).collect();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let own = std::env::current_exe().unwrap_or_default();
    for path in code(&maps) {
        if Path::new(path) == own || found.contains_key(path) {
            continue;
        }
        let hash = match Input::open(Path::new(path), Storage::Map) {
            Ok((input, _)) => input.sha256,
            Err(_) => "unreadable".into(),
        };
        if !known.contains(&hash) {
            found.insert(path.to_owned(), hash);
        }
    }
    found
}

/// The files of which pages are mapped to be executed, in the format of /proc/PID/maps.
fn code(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|line| {
        let mut fields = line.splitn(6, ' ');
        let rights = fields.nth(1)?;
        let path = fields.nth(3)?.trim_start();
        (rights.contains('x') && path.starts_with('/')).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_executed_are_found_and_nothing_else() {
        let maps = "\
7f00-7f10 r-xp 00001000 08:01 12      /lib/x86_64-linux-gnu/libm.so.6
7f10-7f20 r--p 00001000 08:01 12      /lib/x86_64-linux-gnu/libm.so.6
7f20-7f30 r-xp 00000000 00:00 0       [vdso]
7f30-7f40 rwxp 00000000 00:00 0
7f40-7f50 r-xp 00000000 08:01 99      /tmp/a folder/pre.so (deleted)
";
        let found: Vec<&str> = code(maps).collect();
        let expected = [
            "/lib/x86_64-linux-gnu/libm.so.6",
            "/tmp/a folder/pre.so (deleted)",
        ];
        assert_eq!(found, expected);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_its_c_library_around_it_unless_that_is_known() {
        let found = surroundings(&[]);
        let libc = found.iter().find(|(path, _)| path.contains("libc.so"));
        let (path, hash) = libc.expect("tests are linked to it");
        assert_eq!(hash.len(), 64, "{path}");
        let known = std::slice::from_ref(hash);
        assert!(!surroundings(known).contains_key(path));
    }
}
