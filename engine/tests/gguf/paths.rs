//! What is opened may not be a model at all, or be far too large to look at.
#![cfg(unix)]

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use engine::bytes::{ModelBytes, Storage};
use engine::gguf::Gguf;
use engine::refusal::{Code, Refusal};

use crate::base::Base;
use crate::heap::peak_of;
use crate::promises;

fn open(path: &Path, storage: Storage) -> Result<ModelBytes, Refusal> {
    ModelBytes::open(path, storage).map(|(bytes, _)| bytes)
}

fn refusal(path: &Path, storage: Storage) -> Refusal {
    match open(path, storage) {
        Ok(_) => panic!("{} was opened as a model", path.display()),
        Err(refusal) => refusal,
    }
}

/// A folder of this test's own, removed when it is done.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("engine-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind at worst; the test has its verdict.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn x01_only_regular_files_are_opened_and_nothing_blocks() {
    let folder = Folder::new("x01");
    let pipe = folder.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let socket = folder.0.join("socket");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(&pipe, &link).expect("a link");
    for path in [&folder.0, &pipe, &socket, &link, Path::new("/dev/zero")] {
        for storage in [Storage::Read, Storage::Map] {
            let refusal = refusal(path, storage);
            assert_eq!(refusal.code, Code::NotARegularFile, "{refusal}");
        }
    }
}

#[test]
fn x02_paths_that_cannot_be_opened_are_named_without_obeying_them() {
    let folder = Folder::new("x02");
    let long = "p".repeat(4096);
    for name in ["absent\n\u{1b}[2J.gguf", "nul\0inside", long.as_str()] {
        let refusal = refusal(&folder.0.join(name), Storage::Read);
        assert_eq!(refusal.code, Code::Io, "{refusal}");
        let shown = refusal.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert!(shown.len() < 1000, "{}", shown.len());
    }
}

#[test]
fn x03_a_link_is_followed_once() {
    let folder = Folder::new("x03");
    let [model, link] = ["model", "link"].map(|name| folder.0.join(name));
    std::fs::write(&model, Base::LlamaF32.draft().build().bytes).expect("a file");
    std::os::unix::fs::symlink(&model, &link).expect("a link");
    let (bytes, stamp) = ModelBytes::open(&link, Storage::Read).expect("opens");
    std::fs::remove_file(&link).expect("ours");
    std::os::unix::fs::symlink(&folder.0, &link).expect("a link");
    assert!(
        Gguf::parse(bytes).is_ok(),
        "what was opened is what is parsed"
    );
    assert_eq!(
        stamp.still_holds(&link).map_err(|r| r.code),
        Err(Code::FileChanged)
    );
    assert_eq!(stamp.still_holds(&model), Ok(()));
}

/// One TiB where the file system allows it, of which only the header is there.
#[test]
fn x07_a_sparse_file_is_not_read() {
    let folder = Folder::new("x07");
    let path = folder.0.join("sparse");
    let mut file = File::create(&path).expect("a file");
    let built = Base::LlamaF32.draft().build();
    file.write_all(&built.bytes).expect("written");
    let mut possible =
        |size: &u64| file.set_len(*size).is_ok() && open(&path, Storage::Map).is_ok();
    let size = [1u64 << 40, 1 << 36, 1 << 32]
        .into_iter()
        .find(&mut possible);
    let size = size.expect("4 GiB that are not there can be mapped");
    let before = pages_touched();
    let parse = || open(&path, Storage::Map).and_then(Gguf::parse);
    let (parsed, peak) = peak_of(|| promises::watched("a sparse file", parse));
    let pages = pages_touched() - before;
    println!("{size} bytes: {pages} pages touched, {peak} bytes of heap");
    let gguf = parsed.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(gguf.warnings.len(), 1);
    assert_eq!(gguf.warnings[0].name, "TRAILING_DATA");
    assert!(
        peak < 4 * built.place("tensors.end"),
        "{peak} bytes of heap"
    );
    // Reading it would touch one page in sixteen, as the kernel maps their neighbours with them; an
    // emulator touches some of its own to keep account of the map.
    assert!(pages < size >> 18, "{pages} pages touched");
}

/// How often this thread touched memory that was not there yet, a page at the least each time;
/// where nobody counts it the sparse file is for the watchdog.
fn pages_touched() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let behind_the_name = stat.rsplit(") ").next().unwrap_or_default();
    let faults = behind_the_name.split(' ').nth(7);
    faults.and_then(|count| count.parse().ok()).unwrap_or(0)
}
