//! Replies without hits, and the secrets that are looked for in them.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use exeat::scrub::Forms;
use exeat::scrub::Scrubber;
use exeat::secret::Secret;

/// One record of TLS.
const CHUNK: usize = 16 * 1024;

pub(crate) fn through(forms: &Arc<Forms>, text: &Bytes) {
    let mut scrubber = Scrubber::new(forms.clone());
    let mut rest = text.clone();
    while rest.len() > CHUNK {
        black_box(scrubber.push(rest.split_to(CHUNK)));
    }
    black_box(scrubber.last(rest));
    assert_eq!(scrubber.masked(), 0);
}

/// Ten secrets that no text holds; one of them with so many characters.
pub(crate) fn secrets(shortest: usize) -> Vec<Secret> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-";
    let mut state = 7_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        LETTERS[state as usize / 65_536 % LETTERS.len()]
    };
    let mut secret = |length| {
        let bytes: Vec<u8> = (0..length).map(|_| letter()).collect();
        Secret::new(bytes).expect("letters are a secret")
    };
    let mut secrets: Vec<Secret> = (0..9).map(|_| secret(40)).collect();
    secrets.push(secret(shortest));
    secrets
}

/// A list of records on one line, as APIs send it.
pub(crate) fn json(bytes: usize) -> String {
    let mut text = String::from("{\"items\":[");
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let id = number * 7919;
        let _ = write!(
            text,
            "{{\"id\":\"item-{id:06}\",\"name\":\"A thing of some sort\",\"price\":{}.99,\"url\":\"https://api.example.com/v1/items/{id}\",\"tags\":[\"new\",\"sale\"]}},",
            number % 100
        );
    }
    text.truncate(bytes);
    text
}
