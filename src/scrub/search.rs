//! Finding many forms in much text: a filter that looks at four bytes of every few, and a comparison where it says so.
//!
//! Every form that is `stride + 3` bytes long or longer holds four bytes that begin at a multiple of `stride`, wherever
//! it stands. So text is looked at there and nowhere else: each look hashes four bytes and tests one bit. The four
//! bytes that count are those near the end of a form, since beginnings such as `sk-` are shared and public.
//!
//! Ten secrets in all forms are over two hundred patterns, for which an automaton takes a step for each byte.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use crate::scrub::forms;
use crate::scrub::forms::Form;
use crate::secret::Secret;

/// Fewer bytes than this stand in texts by chance: a secret of six letters would take a word out of every reply.
pub const SHORTEST: usize = 8;

/// What a look reads.
const GRAM: usize = 4;

/// Looking at fewer places saves little more, and each of them is a bit of the filter for each form.
const LONGEST_STRIDE: usize = 16;

/// Bits of the filter for each place that can be hit, so that one look in so many is followed by a comparison in vain.
const BITS_EACH: usize = 128;

/// Bytes of the smallest filter, and of the largest: beyond the nearest caches a look costs more than a comparison.
const FILTER: (usize, usize) = (1024, 1024 * 1024);

/// All forms of some secrets, ready to be found.
#[derive(Default)]
pub struct Forms {
    all: Index,
    /// As the names of headers have them: in small letters, which `http` makes of them.
    names: Index,
}

/// Texts that are looked for, all at once.
#[derive(Default)]
struct Index {
    forms: Vec<Form>,
    longest: usize,
    stride: usize,
    /// One bit for each hash; a power of two of them.
    filter: Zeroizing<Vec<u8>>,
    shift: u32,
    /// In order, each with its place.
    grams: Zeroizing<Vec<u32>>,
    places: Vec<Place>,
}

/// Where four bytes stand in a form.
#[derive(Clone, Copy)]
struct Place {
    form: usize,
    offset: usize,
}

impl Forms {
    /// The forms of all secrets that are not too short.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let secrets = secrets.into_iter().map(Secret::expose);
        let long: Vec<&[u8]> = secrets.filter(|it| it.len() >= SHORTEST).collect();
        let in_small = |it: &&[u8]| Form::new(it.to_ascii_lowercase());
        Self {
            all: Index::of(long.iter().flat_map(|it| forms::of(it)).collect()),
            names: Index::of(long.iter().map(in_small).collect()),
        }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.all.forms.is_empty()
    }

    /// Bytes of the longest form.
    pub fn longest(&self) -> usize {
        self.all.longest
    }

    /// Whether a form stands in a text.
    pub fn stand_in(&self, text: &[u8]) -> bool {
        !self.find(text).is_empty()
    }

    /// Whether a form stands in the name of a header, where letters have lost their case.
    pub fn stand_in_name(&self, name: &[u8]) -> bool {
        self.stand_in(name) || !self.names.find(name).is_empty()
    }

    /// Everything in a text that belongs to a form, in order. What overlaps or touches is one.
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.all.find(text)
    }
}

impl Index {
    fn of(mut forms: Vec<Form>) -> Self {
        forms.sort_unstable_by(|a, b| a.as_slice().cmp(b));
        forms.dedup();
        let lengths = || forms.iter().map(|it| it.len());
        let Some(shortest) = lengths().min() else {
            return Self::default();
        };
        let mut ready = Self {
            longest: lengths().max().unwrap_or_default(),
            stride: (shortest + 1 - GRAM).min(LONGEST_STRIDE),
            forms,
            ..Self::default()
        };
        ready.index();
        ready
    }

    fn index(&mut self) {
        let mut found = Vec::with_capacity(self.forms.len() * self.stride);
        for (form, bytes) in self.forms.iter().enumerate() {
            let end = bytes.len() + 1 - GRAM;
            for offset in end - self.stride..end {
                found.push((gram(&bytes[offset..]), Place { form, offset }));
            }
        }
        found.sort_by_key(|(gram, _)| *gram);
        let bytes = (found.len() * BITS_EACH / 8).next_power_of_two();
        let bytes = bytes.clamp(FILTER.0, FILTER.1);
        self.shift = u32::BITS - (bytes * 8).ilog2();
        self.filter = Zeroizing::new(vec![0; bytes]);
        self.grams = Zeroizing::new(Vec::with_capacity(found.len()));
        for (gram, place) in &mut found {
            let hash = hash(*gram) >> self.shift;
            self.filter[(hash / 8) as usize] |= 1 << (hash % 8);
            self.grams.push(std::mem::take(gram));
            self.places.push(*place);
        }
    }

    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.forms.is_empty() {
            return found;
        }
        let mut at = 0;
        // A sixth faster than going over `text.chunks(self.stride)`.
        while let Some(look) = text.get(at..).and_then(<[u8]>::first_chunk) {
            let gram = u32::from_le_bytes(*look);
            if self.may_be(gram) {
                self.compare(text, at, gram, &mut found);
            }
            at += self.stride;
        }
        match found.is_empty() {
            true => found,
            false => merged(found),
        }
    }

    #[inline]
    fn may_be(&self, gram: u32) -> bool {
        let hash = hash(gram) >> self.shift;
        let byte = self.filter.get((hash / 8) as usize);
        byte.is_some_and(|byte| byte >> (hash % 8) & 1 != 0)
    }

    /// Kept apart from the loop, which seldom calls it.
    #[cold]
    fn compare(&self, text: &[u8], at: usize, gram: u32, found: &mut Vec<Range<usize>>) {
        let first = self.grams.partition_point(|it| *it < gram);
        let alike = self.grams[first..].iter().take_while(|it| **it == gram);
        for place in &self.places[first..first + alike.count()] {
            let form = &self.forms[place.form];
            let Some(start) = at.checked_sub(place.offset) else {
                continue;
            };
            if text[start..].starts_with(form) {
                found.push(start..start + form.len());
            }
        }
    }
}

/// Nothing but how many there are.
impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forms({})", self.all.forms.len())
    }
}

fn gram(bytes: &[u8]) -> u32 {
    bytes.first_chunk().copied().map_or(0, u32::from_le_bytes)
}

/// Fibonacci hashing: the high bits depend on every bit of the four bytes.
fn hash(gram: u32) -> u32 {
    gram.wrapping_mul(0x9E37_79B1)
}

fn merged(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|it| it.start);
    found.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    found
}
