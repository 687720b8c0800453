//! An open-addressing hash index of `u32` ids over data that lives elsewhere.
//!
//! A map that owned its keys would cost several times the vocabulary's size in the file; this
//! costs eight bytes an entry. The hashes given must be keyed with a secret of this process, so
//! that a file cannot choose colliding keys.
#![forbid(unsafe_code)]

const EMPTY: u32 = u32::MAX;

/// The ids, found by the hash of what they stand for.
pub(super) struct Index {
    /// Ids or `EMPTY`; never more than half full.
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// Room for that many ids; it grows where more come.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Index {
            slots: vec![EMPTY; 2 * capacity + 1],
            len: 0,
        }
    }

    /// The id with that hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut slot = self.home(hash);
        loop {
            match self.slots[slot] {
                EMPTY => return None,
                id if is(id) => return Some(id),
                _ => slot = self.after(slot),
            }
        }
    }

    /// Adds an id that is not there yet. `hash_of` gives the hash of any id added before.
    pub(super) fn insert(&mut self, id: u32, hash: u64, hash_of: impl Fn(u32) -> u64) {
        if 2 * (self.len + 1) >= self.slots.len() {
            let larger = Index::with_capacity(2 * self.len + 8);
            let smaller = std::mem::replace(self, larger);
            for id in smaller.slots.into_iter().filter(|&id| id != EMPTY) {
                self.place(id, hash_of(id));
            }
        }
        self.place(id, hash);
    }

    fn place(&mut self, id: u32, hash: u64) {
        let mut slot = self.home(hash);
        while self.slots[slot] != EMPTY {
            slot = self.after(slot);
        }
        self.slots[slot] = id;
        self.len += 1;
    }

    /// Scales the hash to the number of slots without a division.
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() {
            0
        } else {
            slot + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_again_after_growing_even_where_all_hashes_collide() {
        for hash_of in [(|id| u64::from(id) << 40) as fn(u32) -> u64, |_| u64::MAX] {
            let mut index = Index::with_capacity(1);
            for id in 0..500 {
                assert_eq!(index.find(hash_of(id), |other| other == id), None);
                index.insert(id, hash_of(id), hash_of);
            }
            for id in 0..500 {
                assert_eq!(index.find(hash_of(id), |other| other == id), Some(id));
            }
        }
    }
}
