//! How far the text of a JSON string goes without a byte that means something: eight bytes at a time.

/// How many bytes stand before the first that ends a string, begins an escape or may not stand in one (RFC 8259 section
/// 7): `"`, `\\` and control characters.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let ends = ends(u64::from_le_bytes(*word));
        if ends != 0 {
            return index * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    bytes.len() - rest.len() + length
}

/// The lowest bit and the highest bit of every byte.
const LOW: u64 = u64::from_le_bytes([0x01; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// A word whose lowest bit set is the highest bit of the first byte that ends plain text; 0 where there is none. Bytes
/// behind that one may be marked wrongly, since what is borrowed in a subtraction comes from them.
fn ends(word: u64) -> u64 {
    let quote = word ^ (LOW * u64::from(b'"'));
    let backslash = word ^ (LOW * u64::from(b'\\'));
    let below = |word: u64, limit: u64| word.wrapping_sub(LOW * limit) & !word & HIGH;
    below(quote, 1) | below(backslash, 1) | below(word, 0x20)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain_length;

    fn one_by_one(bytes: &[u8]) -> usize {
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        bytes.iter().position(ends).unwrap_or(bytes.len())
    }

    #[test]
    fn every_byte_is_judged_alike_in_every_place_of_a_word() {
        for byte in 0..=u8::MAX {
            for (place, before) in (0..16).flat_map(|place| [(place, b'a'), (place, 0xff)]) {
                let mut bytes = vec![before; 16];
                bytes[place] = byte;
                assert_eq!(
                    plain_length(&bytes),
                    one_by_one(&bytes),
                    "{byte:#x} at {place}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn words_are_read_as_bytes_are(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(plain_length(&bytes), one_by_one(&bytes));
        }

        #[test]
        fn mostly_plain_text_too(bytes in proptest::collection::vec(0x1e_u8..0x5e, 0..40)) {
            prop_assert_eq!(plain_length(&bytes), one_by_one(&bytes));
        }
    }
}
