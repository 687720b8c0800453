//! Which C++ references are built; those that are not are told aloud.
#![forbid(unsafe_code)]

use ffi::reference::{Asked, Cache, IfMissing, Prepared, prepare};

/// The reference of that name, if it is built.
pub fn built(name: &str) -> Option<Prepared> {
    let cache = Cache::from_environment().expect("there is a place for a cache");
    let asked = Asked::parse(name).expect("a known name");
    let found = prepare(&asked, &cache, IfMissing::Fail, &mut |_| ());
    if let Err(why) = &found {
        println!("SKIPPED: {why}");
    }
    found.ok()
}
