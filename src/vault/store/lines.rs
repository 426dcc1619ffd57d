//! What is inside the store: a line that names the form, then a line for each secret.
//!
//! Not JSON, whose reader would leave copies of values in memory. A line is `NAME TIME VALUE`: seconds since 1970, and
//! the value's bytes in base64 (RFC 4648 §4).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::name::SecretName;
use crate::secret::Secret;

const FIRST: &str = "exeat secrets 1";

/// A secret of the store.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: SecretName,
    pub(super) set: OffsetDateTime,
    pub(super) secret: Secret,
}

/// Reads all lines; nothing, unless every one is understood.
pub(super) fn read(plain: &[u8]) -> Option<Vec<Entry>> {
    let text = std::str::from_utf8(plain).ok()?.strip_suffix('\n')?;
    let mut lines = text.split('\n');
    if lines.next()? != FIRST {
        return None;
    }
    let entries: Vec<Entry> = lines.map(entry).collect::<Option<_>>()?;
    entries
        .is_sorted_by(|a, b| a.name < b.name)
        .then_some(entries)
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let (name, set, value) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    Some(Entry {
        name: SecretName::parse(name).ok()?,
        set: OffsetDateTime::from_unix_timestamp(set.parse().ok()?).ok()?,
        secret: Secret::new(STANDARD.decode(value).ok()?).ok()?,
    })
}

/// Writes entries, which are sorted by name.
pub(super) fn write(entries: &[Entry]) -> Zeroizing<Vec<u8>> {
    let length = |it: &Entry| it.secret.expose().len() * 4 / 3 + 128;
    let room = FIRST.len() + 1 + entries.iter().map(length).sum::<usize>();
    // Room for all of it at once: growing would leave parts behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(FIRST);
    text.push('\n');
    for Entry { name, set, secret } in entries {
        write!(text, "{name} {} ", set.unix_timestamp()).expect("a String takes every text");
        STANDARD.encode_string(secret.expose(), &mut text);
        text.push('\n');
    }
    Zeroizing::new(std::mem::take(&mut *text).into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_was_written_here_is_read() {
        for (plain, count) in [
            ("exeat secrets 1\n", Some(0)),
            ("exeat secrets 1\na 0 eA==\nb 1700000000 eA==\n", Some(2)),
            ("", None),
            ("exeat secrets 1", None),
            ("exeat secrets 2\n", None),
            ("exeat secrets 1\na 0 eA==", None),
            ("exeat secrets 1\n\n", None),
            ("exeat secrets 1\na 0 eA== \n", None),
            ("exeat secrets 1\na 0\n", None),
            ("exeat secrets 1\na x eA==\n", None),
            ("exeat secrets 1\na 0 eA\n", None),
            ("exeat secrets 1\na 0 \n", None),
            ("exeat secrets 1\na 0 Cg==\n", None),
            ("exeat secrets 1\n~ 0 eA==\n", None),
            ("exeat secrets 1\nb 0 eA==\na 0 eA==\n", None),
            ("exeat secrets 1\na 0 eA==\na 0 eA==\n", None),
        ] {
            assert_eq!(
                read(plain.as_bytes()).map(|it| it.len()),
                count,
                "{plain:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            entries in prop::collection::btree_map(
                "[a-z]{5,64}",
                (0..4_000_000_000_i64, prop::collection::vec(1..10_u8, 1..300)),
                0..5,
            ),
        ) {
            let entry = |(name, (set, bytes)): (&String, &(i64, Vec<u8>))| Entry {
                name: SecretName::parse(name).unwrap(),
                set: OffsetDateTime::from_unix_timestamp(*set).unwrap(),
                secret: Secret::new(bytes.clone()).unwrap(),
            };
            let entries: Vec<Entry> = entries.iter().map(entry).collect();
            let plain = write(&entries);
            let read = read(&plain).unwrap();
            prop_assert_eq!(read.len(), entries.len());
            for (one, two) in read.iter().zip(&entries) {
                prop_assert_eq!((&one.name, one.set), (&two.name, two.set));
                prop_assert_eq!(one.secret.expose(), two.secret.expose());
            }
        }
    }
}
