//! A text, however it is cut, in which a secret stands in any form: the same comes out, as long as it was, without the
//! secret and otherwise unchanged, and what is held back has nothing to do with what it is.
//!
//! An input is four lengths of pieces, a secret up to the end of its line, and the text. In it `~` and a byte stand for
//! a form of the secret; from 0x80 on, for the first half of it.

use std::sync::Arc;

use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use exeat::scrub::Forms;
use exeat::scrub::MASK;
use exeat::scrub::SHORTEST;
use exeat::scrub::Scrubber;
use exeat::secret::Secret;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

use super::cuts;

/// Known beside the one of the input.
const ANOTHER: &[u8] = b"SECRET-AAAA";

/// Longer inputs show nothing more, and with every piece what is held back is looked through again.
const MOST_BYTES: usize = 2000;
const MOST_PIECES: usize = 200;

/// Scrubs the text whole, in pieces, and byte by byte where it is short.
pub fn check(bytes: &[u8]) {
    let Some((lengths, bytes)) = cuts::of(bytes) else {
        return;
    };
    let mut lines = bytes.splitn(2, |it| *it == b'\n');
    let (secret, text) = (lines.next(), lines.next().unwrap_or_default());
    let secret = secret.unwrap_or_default();
    let Ok(kept) = Secret::new(secret.to_vec()) else {
        return;
    };
    let another = Secret::new(ANOTHER.to_vec()).expect("a secret");
    let forms = Arc::new(Forms::of([&kept, &another]));
    let written = forms_of(secret);
    let mut text = unfolded(text, &written);
    text.truncate(MOST_BYTES);

    let mut whole = Bytes::from(text.clone());
    let masked = forms.mask(&mut whole);
    assert_unchanged(&text, &whole, &forms);
    if secret.len() >= SHORTEST {
        for form in written.iter().chain(&forms_of(ANOTHER)) {
            // What is made of the mask's own byte cannot be told from a mask.
            let is_there = whole.windows(form.len()).any(|it| it == form);
            assert!(!is_there || form.contains(&MASK), "{}", form.escape_ascii());
        }
    }
    let shortest = text.len() / MOST_PIECES + 1;
    for lengths in [lengths, [1; 4]] {
        let lengths = lengths.map(|it| it.max(shortest));
        assert_eq!(
            in_pieces(&forms, &text, &lengths),
            (whole.clone(), masked),
            "{lengths:?}"
        );
    }
}

fn assert_unchanged(text: &[u8], masked: &[u8], forms: &Forms) {
    assert_eq!(text.len(), masked.len());
    let found = forms.find(text);
    let mut expected = text.to_vec();
    for range in found {
        expected[range].fill(MASK);
    }
    assert_eq!(masked, expected);
}

fn in_pieces(forms: &Arc<Forms>, text: &[u8], lengths: &[usize]) -> (Bytes, u64) {
    let mut scrubber = Scrubber::new(forms.clone());
    let (mut shown, mut come, mut open) = (Vec::new(), 0, 0);
    for piece in cuts::pieces(text, lengths) {
        shown.extend(scrubber.push(Bytes::copy_from_slice(piece)));
        come += piece.len();
        open = match piece.iter().rposition(|it| *it == b'\n') {
            Some(at) => piece.len() - at - 1,
            None => open + piece.len(),
        };
        let held = open.min(forms.longest() - 1);
        assert_eq!(scrubber.held(), held);
        assert_eq!(shown.len(), come - held);
    }
    shown.extend(scrubber.finish());
    (shown.into(), scrubber.masked())
}

/// All but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How others write a secret.
fn forms_of(secret: &[u8]) -> Vec<Vec<u8>> {
    let encoded = percent_encode(secret, RESERVED).to_string();
    let form: String = form_urlencoded::byte_serialize(secret).collect();
    let hex: String = secret.iter().map(|it| format!("{it:02x}")).collect();
    let mut forms = vec![
        secret.to_vec(),
        encoded.into_bytes(),
        form.into_bytes(),
        hex.to_ascii_uppercase().into_bytes(),
        hex.into_bytes(),
    ];
    for before in 0..3 {
        for engine in [STANDARD, URL_SAFE] {
            forms.push(in_base64(secret, before, &engine));
        }
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let quoted = serde_json::to_string(text).expect("a text is JSON");
        forms.push(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
        let escaped = escaped.replace('>', "&gt;").replace('"', "&quot;");
        forms.push(escaped.replace('\'', "&#39;").into_bytes());
    }
    forms
}

/// What is the same in the base64 of every text in which the secret stands behind so many bytes.
fn in_base64(secret: &[u8], before: usize, engine: &impl base64::Engine) -> Vec<u8> {
    let among = |byte: u8| {
        let text = [&vec![byte; before][..], secret, &[byte; 3]].concat();
        engine.encode(text).into_bytes()
    };
    let (one, two) = (among(0), among(0xff));
    let pairs = one.iter().zip(two).skip_while(|(one, two)| *one != two);
    let same = pairs.take_while(|(one, two)| *one == two);
    same.map(|(one, _)| *one).collect()
}

fn unfolded(text: &[u8], forms: &[Vec<u8>]) -> Vec<u8> {
    let mut unfolded = Vec::new();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.clone().next()) {
            (b'~', Some(which)) => {
                bytes.next();
                let form = &forms[usize::from(which & 0x7f) % forms.len()];
                let half = if *which < 0x80 { 1 } else { 2 };
                unfolded.extend_from_slice(&form[..form.len() / half]);
            }
            _ => unfolded.push(*byte),
        }
    }
    unfolded
}
