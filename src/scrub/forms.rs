//! How one secret may be written: the exact list of forms that are looked for.
//!
//! | Form | Which |
//! |---|---|
//! | raw | the bytes |
//! | percent-encoded | everything but the unreserved characters of RFC 3986 §2.3; and leaving also `/`, or what JavaScript's `encodeURIComponent` or `encodeURI` leaves; and as forms write it (`+` for a space); hex digits in either case |
//! | JSON-escaped | RFC 8259 §7, with or without an escape for `/`, for `<`, `>`, `&` (and quotes), for `+` and `` ` ``, and for what is not ASCII; hex digits in either case |
//! | HTML-escaped | `&`, `<` and `>`; each usual way for quotes; with or without `=`, `` ` ``, `/` and `+` |
//! | escaped thoroughly | percent-encoded, with `\u` in JSON, or as HTML's decimal or hexadecimal references: all characters, or all but ASCII letters and digits; hex digits in either case |
//! | base64, base64url | RFC 4648 §4 and §5, as a part of any text: the characters that the secret alone determines, in each of the three alignments |
//! | hex | RFC 4648 §8, all digits in one case |
//!
//! What is encoded twice or by halves is not in the list, nor are other character sets (UTF-16) and other orders.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A form. Zeroed when dropped.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// A longer form is looked for in pieces, so that a reply never waits for more than the longest token has.
const LONGEST_PIECE: usize = 1024;

/// What most tokens are made of, and no writer of JSON or HTML escapes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Every form of a secret, each once, in pieces.
pub(super) fn of(secret: &[u8]) -> Vec<Form> {
    let mut forms = vec![Form::new(secret.to_vec())];
    push_percent(secret, &mut forms);
    push_json(secret, &mut forms);
    push_html(secret, &mut forms);
    push_thorough(secret, &mut forms);
    push_base64(secret, &mut forms);
    push_hex(secret, &mut forms);
    forms.sort_unstable_by(|a, b| a.as_slice().cmp(b));
    forms.dedup();
    forms.iter().flat_map(|form| pieces(form)).collect()
}

/// Of nearly equal length, so that none is so short that it stands in other texts.
fn pieces(form: &[u8]) -> impl Iterator<Item = Form> {
    let count = form.len().div_ceil(LONGEST_PIECE).max(1);
    let length = form.len().div_ceil(count).max(1);
    form.chunks(length).map(|it| Form::new(it.to_vec()))
}

fn push_percent(secret: &[u8], forms: &mut Vec<Form>) {
    if secret.iter().all(u8::is_ascii_alphanumeric) {
        return;
    }
    // What is left as it is, besides letters and digits. The last is application/x-www-form-urlencoded (URL Standard).
    const LEFT: [&[u8]; 5] = [
        b"-._~",
        b"-._~/",
        b"-._~!'()*",
        b"-._~!'()*;/?:@&=+$,#",
        b"-._*",
    ];
    for (is_form, left) in LEFT.iter().enumerate().map(|(at, left)| (at == 4, left)) {
        for digits in DIGITS {
            forms.push(written(secret, |byte, out| match byte {
                b' ' if is_form => out.push(b'+'),
                _ if byte.is_ascii_alphanumeric() || left.contains(&byte) => out.push(byte),
                _ => {
                    out.push(b'%');
                    push_digits(byte, digits, out);
                }
            }));
        }
    }
}

/// Which characters a JSON writer escapes though it need not.
#[derive(Clone, Copy)]
struct Extra {
    slash: bool,
    /// For pages that hold JSON.
    html: bool,
    quotes: bool,
    /// As .NET does, for the sake of UTF-7 and of scripts.
    plus: bool,
    not_ascii: bool,
}

fn push_json(secret: &[u8], forms: &mut Vec<Form>) {
    let Ok(text) = std::str::from_utf8(secret) else {
        return;
    };
    if secret.iter().all(|byte| is_plain(*byte)) {
        return;
    }
    for choice in 0..32 {
        let extra = Extra {
            slash: choice & 1 != 0,
            html: choice & 2 != 0,
            quotes: choice & 4 != 0,
            not_ascii: choice & 8 != 0,
            plus: choice & 16 != 0,
        };
        for digits in DIGITS {
            let mut form = Form::new(Vec::with_capacity(6 * text.len()));
            for character in text.chars() {
                push_json_character(character, extra, digits, &mut form);
            }
            forms.push(form);
        }
    }
}

fn push_json_character(character: char, extra: Extra, digits: &[u8; 16], out: &mut Vec<u8>) {
    let short = match character {
        '"' if !extra.quotes => b'"',
        '\\' => b'\\',
        '/' if extra.slash => b'/',
        '\t' => b't',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        _ => 0,
    };
    let is_long = match character {
        '\0'..='\u{1f}' => true,
        '<' | '>' | '&' => extra.html,
        '"' | '\'' => extra.quotes,
        '+' | '`' => extra.plus,
        _ => extra.not_ascii && !character.is_ascii(),
    };
    if short != 0 {
        out.extend([b'\\', short]);
    } else if is_long {
        push_units(character, digits, out);
    } else {
        out.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// As `\u` writes a character: UTF-16.
fn push_units(character: char, digits: &[u8; 16], out: &mut Vec<u8>) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        out.extend(b"\\u");
        for byte in unit.to_be_bytes() {
            push_digits(byte, digits, out);
        }
    }
}

fn push_html(secret: &[u8], forms: &mut Vec<Form>) {
    if secret.iter().all(|byte| is_plain(*byte)) {
        return;
    }
    const QUOTES: [&[u8]; 3] = [b"\"", b"&quot;", b"&#34;"];
    const APOSTROPHES: [&[u8]; 5] = [b"'", b"&#39;", b"&#039;", b"&#x27;", b"&apos;"];
    const OTHERS: [&[(u8, &[u8])]; 5] = [
        &[],
        &[(b'/', b"&#x2F;")],
        &[(b'=', b"&#x3D;"), (b'`', b"&#x60;")],
        &[(b'+', b"&#43;")],
        &[(b'/', b"&#x2F;"), (b'=', b"&#x3D;"), (b'`', b"&#x60;")],
    ];
    for quote in QUOTES {
        for apostrophe in APOSTROPHES {
            for others in OTHERS {
                forms.push(written(secret, |byte, out| match byte {
                    b'&' => out.extend(b"&amp;"),
                    b'<' => out.extend(b"&lt;"),
                    b'>' => out.extend(b"&gt;"),
                    b'"' => out.extend(quote),
                    b'\'' => out.extend(apostrophe),
                    _ => match others.iter().find(|(it, _)| *it == byte) {
                        Some((_, reference)) => out.extend(*reference),
                        None => out.push(byte),
                    },
                }));
            }
        }
    }
}

/// Writers that take no chances: every character is escaped, or every one but letters and digits.
fn push_thorough(secret: &[u8], forms: &mut Vec<Form>) {
    let text = std::str::from_utf8(secret);
    for stays in [|_: &u8| false, u8::is_ascii_alphanumeric] {
        for digits in DIGITS {
            forms.push(written(secret, |byte, out| match stays(&byte) {
                true => out.push(byte),
                false => {
                    out.push(b'%');
                    push_digits(byte, digits, out);
                }
            }));
        }
        let Ok(text) = text else { continue };
        let is_kept = |character: char| u8::try_from(character).is_ok_and(|it| stays(&it));
        for digits in DIGITS {
            forms.push(spelt(text, is_kept, |it, out| push_units(it, digits, out)));
        }
        for digits in DIGITS {
            forms.push(spelt(text, is_kept, |it, out| {
                push_reference(it, Some(digits), out)
            }));
        }
        forms.push(spelt(text, is_kept, |it, out| {
            push_reference(it, None, out)
        }));
    }
}

/// As HTML refers to a character by its number, which is decimal without digits to write it in hexadecimal.
fn push_reference(character: char, digits: Option<&[u8; 16]>, out: &mut Vec<u8>) {
    let number = u32::from(character);
    let Some(digits) = digits else {
        return out.extend(format!("&#{number};").bytes());
    };
    out.extend(b"&#x");
    let places = (32 - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..places).rev() {
        out.push(digits[(number >> (4 * place)) as usize & 15]);
    }
    out.push(b';');
}

fn spelt(text: &str, is_kept: impl Fn(char) -> bool, write: impl Fn(char, &mut Vec<u8>)) -> Form {
    // Room for the longest, so that growing leaves no copy behind.
    let mut form = Form::new(Vec::with_capacity(10 * text.len()));
    for character in text.chars() {
        match is_kept(character) {
            true => form.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
            false => write(character, &mut form),
        }
    }
    form
}

/// As it stands in the base64 of a longer text. A character at an end that holds bits of a neighbour is not in it.
fn push_base64(secret: &[u8], forms: &mut Vec<Form>) {
    for (before, first) in [(0, 0), (1, 2), (2, 3)] {
        let mut text = Form::new(vec![0; before]);
        text.extend_from_slice(secret);
        let end = text.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = Zeroizing::new(engine.encode(&text));
            forms.push(Form::new(encoded.as_bytes()[first..end].to_vec()));
        }
    }
}

fn push_hex(secret: &[u8], forms: &mut Vec<Form>) {
    for digits in DIGITS {
        forms.push(written(secret, |byte, out| push_digits(byte, digits, out)));
    }
}

const DIGITS: [&[u8; 16]; 2] = [b"0123456789abcdef", b"0123456789ABCDEF"];

fn push_digits(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.push(digits[usize::from(byte >> 4)]);
    out.push(digits[usize::from(byte & 15)]);
}

fn written(secret: &[u8], write: impl Fn(u8, &mut Vec<u8>)) -> Form {
    // Room for the longest, so that growing leaves no copy behind.
    let mut form = Form::new(Vec::with_capacity(6 * secret.len()));
    for byte in secret {
        write(*byte, &mut form);
    }
    form
}
