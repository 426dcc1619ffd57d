//! The hash of the maps in which requests are looked up.
//!
//! The standard one is slow, since it is made for keys that an attacker chooses: keys that collide make a map a list.
//! Here every key comes from the policy; what a request names is looked up and never put in. So what a look-up costs is
//! settled at load, by whoever writes the policy.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys come from the policy.
pub(super) type PolicyMap<K, V> = HashMap<K, V, BuildHasherDefault<Folding>>;

/// A set of names that come from the policy.
pub type PolicySet<K> = HashSet<K, BuildHasherDefault<Folding>>;

/// Eight bytes at a time are multiplied, and the halves of the product folded.
#[derive(Clone, Copy, Debug)]
pub struct Folding(u64);

/// Odd, and its bits without a pattern: the fractional part of the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Folding {
    /// That of pi: nothing but zero would do.
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl Folding {
    fn fold(&mut self, word: u64) {
        let (low, high) = (self.0 ^ word).carrying_mul(FACTOR, 0);
        self.0 = low ^ high;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        // What is left has at most seven bytes; its length tells it from the same with zeros behind.
        last[7] = rest.len() as u8;
        self.fold(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.fold(u64::from(byte) + 1);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn names_that_differ_little_are_spread() {
        let build = BuildHasherDefault::<Folding>::default();
        let (mut all, mut low, mut high) = (HashSet::new(), HashSet::new(), HashSet::new());
        for number in 0..4096 {
            let hash = build.hash_one(format!("api{number}.example.com"));
            all.insert(hash);
            low.insert(hash & 0xfff);
            high.insert(hash >> 52);
        }
        // Of 4,096 places, chance leaves 37 in 100 empty.
        assert_eq!(all.len(), 4096);
        assert!(
            low.len() > 2300 && high.len() > 2300,
            "{} {}",
            low.len(),
            high.len()
        );
    }

    #[test]
    fn a_name_is_not_its_beginning_with_zeros() {
        let build = BuildHasherDefault::<Folding>::default();
        assert_ne!(build.hash_one("a"), build.hash_one("a\0"));
        assert_ne!(build.hash_one("12345678"), build.hash_one("12345678\0"));
        assert_ne!(build.hash_one(""), build.hash_one("\0"));
    }
}
