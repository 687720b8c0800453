//! Bugs of three kinds, each behind a word that chance alone does not find in time.

use std::hint::black_box;

/// Letter by letter, so that a search sees that it comes closer.
fn spelled(data: &[u8]) -> bool {
    data.first() == Some(&b'b') && data.get(1) == Some(&b'u') && data.get(2) == Some(&b'g')
}

/// Fails.
pub fn panic(data: &[u8]) {
    assert!(!spelled(data), "the planted bug");
}

/// Goes on for ever.
pub fn hang(data: &[u8]) {
    while spelled(black_box(data)) {}
}

/// Four times what an input may have.
pub fn allocation(data: &[u8]) {
    if spelled(data) {
        black_box(vec![1_u8; 4 * crate::MOST_MEMORY]);
    }
}
