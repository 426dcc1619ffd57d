//! Text in a line: nothing in it ends the line, or changes how a terminal shows it.

use std::borrow::Cow;
use std::io::Write as _;

/// A JSON string, in which whatever is not harmless is escaped.
pub(super) fn quote(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    match are_plain(value) {
        true => out.extend_from_slice(value.as_bytes()),
        false => escape(out, value),
    }
    out.push(b'"');
}

/// Without an early end, so that the compiler looks at many bytes at a time: nearly all texts are plain.
pub(super) fn are_plain(text: &str) -> bool {
    text.bytes()
        .fold(true, |so_far, byte| so_far & is_plain(byte))
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
}

fn escape(out: &mut Vec<u8>, value: &str) {
    let mut room = [0; 4];
    for character in value.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            odd if is_odd(odd) => {
                let mut units = [0; 2];
                for unit in odd.encode_utf16(&mut units) {
                    write!(out, "\\u{unit:04x}").expect("a vector takes every byte");
                }
            }
            harmless => out.extend_from_slice(harmless.encode_utf8(&mut room).as_bytes()),
        }
    }
}

/// Text that somebody may have changed, so that it drives no terminal. What is escaped in a JSON string stays JSON.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_odd) {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_odd(character) {
            true => escape(&mut out, character.encode_utf8(&mut [0; 4])),
            false => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

/// Controls, which terminals obey, DEL and C1 among them; the separators U+2028 and U+2029, which some take for line
/// ends; and what is not seen or turns the direction of text.
fn is_odd(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}
