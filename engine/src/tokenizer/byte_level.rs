//! The alphabet of byte-level vocabularies: every byte has one visible character.
#![forbid(unsafe_code)]

/// Bytes that are visible by themselves stand for themselves, the others for the characters from
/// U+0100 on, in order.
const CHARACTERS: [char; 256] = {
    let mut characters = ['\0'; 256];
    let mut next = 0x100u32;
    let mut byte = 0;
    while byte < 256 {
        let visible = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if visible { byte as u32 } else { next };
        if !visible {
            next += 1;
        }
        characters[byte] = match char::from_u32(code) {
            Some(character) => character,
            None => panic!("below the surrogates"),
        };
        byte += 1;
    }
    characters
};

/// The character that stands for a byte.
pub(super) fn character(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// The byte a character stands for, if it stands for one.
pub(super) fn byte(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        // The hidden bytes in order: 0x00..=0x20, 0x7f..=0xa0, 0xad.
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        for value in 0..=u8::MAX {
            assert_eq!(byte(character(value)), Some(value));
        }
        let known = ('\0'..=char::MAX).filter(|&c| byte(c).is_some()).count();
        assert_eq!(known, 256);
    }

    #[test]
    fn space_and_newline_are_the_letters_everybody_knows() {
        assert_eq!(character(b' '), 'Ġ');
        assert_eq!(character(b'\n'), 'Ċ');
        assert_eq!(character(b'a'), 'a');
    }
}
