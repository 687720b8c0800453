//! Where elements of a few bits lie: side by side in bytes, or in planes, so that one load of a
//! vector holds neighbours.
#![forbid(unsafe_code)]

/// Elements of so many bits. A byte holds `8 / bits` of them, which are `width` apart.
#[derive(Debug, Clone, Copy)]
pub struct Planes {
    /// Bits of an element.
    pub bits: u32,
    /// Elements from one of a byte to the next: 1 where neighbours share bytes.
    pub width: usize,
}

impl Planes {
    /// One element.
    #[inline(always)]
    pub fn get(self, bytes: &[u8], index: usize) -> u8 {
        let (byte, shift) = self.place(index);
        bytes[byte] >> shift & self.mask()
    }

    /// Adds the lowest bits of an element to bytes that are zero there.
    #[inline(always)]
    pub fn put(self, bytes: &mut [u8], index: usize, element: u8) {
        let (byte, shift) = self.place(index);
        bytes[byte] |= (element & self.mask()) << shift;
    }

    /// Writes elements into bytes that are zero, plane by plane.
    #[inline(always)]
    pub fn put_all(self, bytes: &mut [u8], elements: impl AsRef<[u8]>) {
        let a_byte = (8 / self.bits) as usize;
        let groups = elements.as_ref().chunks(self.width * a_byte);
        for (bytes, group) in bytes.chunks_mut(self.width).zip(groups) {
            for (shift, plane) in (0..)
                .step_by(self.bits as usize)
                .zip(group.chunks(self.width))
            {
                for (byte, &element) in bytes.iter_mut().zip(plane) {
                    *byte |= (element & self.mask()) << shift;
                }
            }
        }
    }

    #[inline(always)]
    fn place(self, index: usize) -> (usize, u32) {
        let a_byte = (8 / self.bits) as usize;
        let (group, plane) = (index / (self.width * a_byte), index / self.width % a_byte);
        let byte = group * self.width + index % self.width;
        (byte, plane as u32 * self.bits)
    }

    fn mask(self) -> u8 {
        (1 << self.bits) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_holds_neighbours_or_elements_far_apart() {
        let near = Planes { bits: 2, width: 1 };
        assert_eq!(near.get(&[0b11_10_01_00], 2), 2);
        let far = Planes { bits: 4, width: 32 };
        let mut bytes = [0; 64];
        far.put(&mut bytes, 32 + 64 + 7, 0xf5);
        assert_eq!(bytes[32 + 7], 0x50);
        assert_eq!(far.get(&bytes, 32 + 64 + 7), 5);
        let bit = Planes { bits: 1, width: 32 };
        assert_eq!(bit.get(&[0x80; 32], 7 * 32 + 3), 1);
        assert_eq!(bit.get(&[0x80; 32], 6 * 32 + 3), 0);
    }
}
