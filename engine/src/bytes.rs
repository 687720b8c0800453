//! Owns a model file's bytes, mapped or read, and hands out checked ranges that keep them alive.
//!
//! Mapped bytes can be pulled from under us: truncating the file kills the process, rewriting it
//! changes numbers silently. So reading is the default, and [`FileStamp`] tells afterwards
//! whether the file is still the one that was opened.

use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::refusal::{Code, Refusal};

/// How the bytes get into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// One copy in memory that no other process can touch.
    #[default]
    Read,
    /// The file's pages themselves: instant, but at the mercy of whoever writes to the file.
    Map,
}

enum Held {
    Owned(Vec<u8>),
    /// The file, or memory that was asked of the system by the page.
    Mapped(memmap2::Mmap),
}

/// All bytes of one model file. Cloning shares them.
#[derive(Clone)]
pub struct ModelBytes(Arc<Held>);

impl ModelBytes {
    /// Opens a regular file and holds its bytes, together with the stamp it had when opened.
    pub fn open(path: &Path, storage: Storage) -> Result<(Self, FileStamp), Refusal> {
        let field = path.display().to_string();
        let io = |e: io::Error| Refusal::new(Code::Io, &field, "a readable file", e);
        let mut file = open_regular(path, &field)?;
        let stamp = FileStamp::of(&file).map_err(io)?;
        let held = match storage {
            Storage::Map if stamp.size > 0 => {
                // SAFETY: the map is read-only and private to this process. Another process that
                // truncates the file can still end us with SIGBUS; callers who cannot accept that
                // choose `Storage::Read`, and `FileStamp` reports the change to those who can.
                Held::Mapped(unsafe { memmap2::Mmap::map(&file) }.map_err(io)?)
            }
            _ => read_all(&mut file, stamp.size, &field)?,
        };
        Ok((ModelBytes(Arc::new(held)), stamp))
    }

    /// Bytes that never were a file.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        ModelBytes(Arc::new(Held::Owned(bytes)))
    }

    /// A range that keeps the whole alive. `None` if it does not lie inside.
    pub fn range(&self, range: Range<u64>) -> Option<ByteRange> {
        let start = usize::try_from(range.start).ok()?;
        let end = usize::try_from(range.end).ok()?;
        self.get(start..end)?;
        Some(ByteRange {
            bytes: self.clone(),
            start,
            end,
        })
    }
}

impl From<Vec<u8>> for ModelBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_vec(bytes)
    }
}

/// Opens a regular file; `None` where there is nothing of that name.
pub(crate) fn regular_file(path: &Path, field: &str) -> Result<Option<File>, Refusal> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => open_regular(path, field).map(Some),
    }
}

/// Asked before opening, because opening a pipe waits for its writer, and again of what was opened,
/// because the name may mean something else by then.
fn open_regular(path: &Path, field: &str) -> Result<File, Refusal> {
    let io = |e: io::Error| Refusal::new(Code::Io, field, "a readable file", e);
    refuse_irregular(&std::fs::metadata(path).map_err(io)?, field)?;
    let file = File::open(path).map_err(io)?;
    refuse_irregular(&file.metadata().map_err(io)?, field)?;
    Ok(file)
}

fn refuse_irregular(metadata: &std::fs::Metadata, field: &str) -> Result<(), Refusal> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() {
        "a directory"
    } else {
        "a device, pipe or socket"
    };
    let rule = "a regular file";
    Err(Refusal::new(Code::NotARegularFile, field, rule, found))
}

/// From here on a file is read into memory of large pages: what is smaller stays in a cache.
const LARGE: usize = 16 << 20;

/// Reads exactly what `size` promised and not a byte more, refusing instead of aborting when
/// memory is short.
fn read_all(file: &mut File, size: u64, field: &str) -> Result<Held, Refusal> {
    let too_big = || {
        let found = format!("{size} bytes");
        Refusal::new(Code::OutOfMemory, field, "enough memory", found)
    };
    let io = |e: io::Error| match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            let rule = format!("{size} bytes");
            Refusal::new(Code::FileChanged, field, rule, "fewer")
        }
        _ => Refusal::new(Code::Io, field, "a readable file", e),
    };
    let capacity = usize::try_from(size).map_err(|_| too_big())?;
    if capacity >= LARGE
        && let Some(mut pages) = large_pages(capacity)
    {
        file.read_exact(&mut pages).map_err(io)?;
        return Ok(Held::Mapped(pages.make_read_only().map_err(io)?));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(capacity).map_err(|_| too_big())?;
    bytes.resize(capacity, 0);
    file.read_exact(&mut bytes).map_err(io)?;
    Ok(Held::Owned(bytes))
}

/// Memory of its own for a file that is read again with every token: a page of the usual 4 KiB
/// costs a processor more to find than to read, and the pages of a file have no other size.
/// `None` where the system gives no memory this way.
fn large_pages(size: usize) -> Option<memmap2::MmapMut> {
    let pages = memmap2::MmapMut::map_anon(size).ok()?;
    #[cfg(target_os = "linux")]
    // Advice alone: without it the memory is as good, and slower.
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Deref for ModelBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Held::Owned(bytes) => bytes,
            Held::Mapped(map) => map,
        }
    }
}

/// A part of a model's bytes that can be kept and cloned without copying.
#[derive(Clone)]
pub struct ByteRange {
    bytes: ModelBytes,
    start: usize,
    end: usize,
}

impl ByteRange {
    /// A part of this range, counted from its start. `None` if it does not lie inside.
    pub fn part(&self, part: Range<u64>) -> Option<ByteRange> {
        let start = u64::try_from(self.start).ok()?;
        let len = u64::try_from(self.len()).ok()?;
        if part.start > part.end || part.end > len {
            return None;
        }
        self.bytes.range(start + part.start..start + part.end)
    }
}

impl Deref for ByteRange {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// What identifies a file's content without reading it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Size in bytes.
    pub size: u64,
    /// Time of the last write.
    pub modified: Option<SystemTime>,
    /// Time of the last change of anything about it, in seconds and parts of them, which only the
    /// system sets; zero where the platform has none.
    pub changed: (i64, i64),
    /// Device and inode, zero where the platform has none.
    pub inode: (u64, u64),
}

impl FileStamp {
    fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|m| Self::from_metadata(&m))
    }

    fn from_metadata(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt;
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            (changed, (metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        let (changed, inode) = ((0, 0), (0, 0));
        FileStamp {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            changed,
            inode,
        }
    }

    /// Whether `path` still names the file this stamp was taken from, unchanged.
    pub fn still_holds(&self, path: &Path) -> Result<(), Refusal> {
        let field = path.display().to_string();
        match std::fs::metadata(path) {
            Ok(metadata) if Self::from_metadata(&metadata) == *self => Ok(()),
            Ok(metadata) => {
                let now = Self::from_metadata(&metadata);
                Err(Refusal::new(
                    Code::FileChanged,
                    field,
                    format!("{self:?}"),
                    format!("{now:?}"),
                )
                .hint("the model changed while it was in use: nothing computed from it counts"))
            }
            Err(e) => Err(Refusal::new(
                Code::FileChanged,
                field,
                "the file that was opened",
                e,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_outside_is_none_and_inside_keeps_the_bytes_alive() {
        let bytes = ModelBytes::from_vec(vec![1, 2, 3]);
        assert!(bytes.range(1..4).is_none());
        assert!(bytes.range(u64::MAX - 1..u64::MAX).is_none());
        let tail = bytes.range(1..3).expect("inside");
        drop(bytes);
        assert_eq!(&*tail, &[2, 3]);
    }

    #[test]
    fn a_directory_is_refused_by_name() {
        let Err(refusal) = ModelBytes::open(&std::env::temp_dir(), Storage::Read) else {
            panic!("a directory was opened as a model");
        };
        assert_eq!(refusal.code, Code::NotARegularFile);
    }

    #[test]
    fn files_of_both_sizes_are_read_whole_and_a_shorter_one_is_refused() {
        let path = std::env::temp_dir().join(format!("large-{}", std::process::id()));
        for size in [3, LARGE + 3] {
            let mut content = vec![0; size];
            (content[0], content[size - 1]) = (1, 2);
            std::fs::write(&path, &content).expect("temporary file");
            let (bytes, _) = ModelBytes::open(&path, Storage::Read).expect("opens");
            assert!(*bytes == content);
            let mut file = File::open(&path).expect("own file");
            let refusal = read_all(&mut file, size as u64 + 1, "file").err();
            assert_eq!(refusal.map(|refusal| refusal.code), Some(Code::FileChanged));
        }
        std::fs::remove_file(&path).expect("temporary file");
    }

    #[test]
    fn a_rewritten_file_no_longer_holds() {
        let path = std::env::temp_dir().join(format!("stamp-{}", std::process::id()));
        std::fs::write(&path, b"before").expect("temporary file");
        for storage in [Storage::Read, Storage::Map] {
            let (bytes, stamp) = ModelBytes::open(&path, storage).expect("opens");
            assert_eq!(&*bytes, b"before");
            assert!(stamp.still_holds(&path).is_ok());
        }
        let (_, stamp) = ModelBytes::open(&path, Storage::Read).expect("opens");
        std::fs::write(&path, b"after!!").expect("temporary file");
        let refusal = stamp.still_holds(&path).expect_err("the size differs");
        assert_eq!(refusal.code, Code::FileChanged);
        std::fs::remove_file(&path).expect("temporary file");
    }

    #[cfg(unix)]
    #[test]
    fn a_time_that_was_put_back_hides_no_rewriting() {
        let path = std::env::temp_dir().join(format!("put-back-{}", std::process::id()));
        std::fs::write(&path, b"before").expect("temporary file");
        let (_, stamp) = ModelBytes::open(&path, Storage::Read).expect("opens");
        // The clock of a file system ticks a few times in a hundredth of a second.
        std::thread::sleep(std::time::Duration::from_millis(30));
        std::fs::write(&path, b"behind").expect("temporary file");
        let file = File::options()
            .write(true)
            .open(&path)
            .expect("temporary file");
        file.set_modified(stamp.modified.expect("Unix"))
            .expect("own file");
        let refusal = stamp.still_holds(&path).expect_err("it was written");
        assert_eq!(refusal.code, Code::FileChanged);
        std::fs::remove_file(&path).expect("temporary file");
    }
}
