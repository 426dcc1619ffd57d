//! What is found, what is masked, and that cutting a text makes no difference.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::secret::Secret;

fn forms(secrets: &[&[u8]]) -> Arc<Forms> {
    let secrets: Vec<Secret> = secrets
        .iter()
        .map(|it| Secret::new(it.to_vec()).unwrap())
        .collect();
    Arc::new(Forms::of(&secrets))
}

fn masked(forms: &Forms, text: &str) -> (String, u64) {
    let mut bytes = Bytes::copy_from_slice(text.as_bytes());
    let count = forms.mask(&mut bytes);
    (String::from_utf8(bytes.to_vec()).unwrap(), count)
}

#[test]
fn every_form_in_the_list_is_found_and_masked_with_as_many_bytes() {
    const SECRET: &str = "k/é+\"a'b<c>&d=\\ e~(f):`";
    let forms = forms(&[SECRET.as_bytes()]);
    for form in [
        SECRET,
        "k%2F%C3%A9%2B%22a%27b%3Cc%3E%26d%3D%5C%20e~%28f%29%3A%60",
        "k%2f%c3%a9%2b%22a%27b%3cc%3e%26d%3d%5c%20e~%28f%29%3a%60",
        "k/%C3%A9%2B%22a%27b%3Cc%3E%26d%3D%5C%20e~%28f%29%3A%60",
        "k%2F%C3%A9%2B%22a'b%3Cc%3E%26d%3D%5C%20e~(f)%3A%60",
        "k/%C3%A9+%22a'b%3Cc%3E&d=%5C%20e~(f):%60",
        "k%2F%C3%A9%2B%22a%27b%3Cc%3E%26d%3D%5C+e%7E%28f%29%3A%60",
        r#"k/é+\"a'b<c>&d=\\ e~(f):`"#,
        r#"k\/é+\"a'b<c>&d=\\ e~(f):`"#,
        r#"k/\u00e9+\"a'b<c>&d=\\ e~(f):`"#,
        r#"k\/\u00E9+\"a'b<c>&d=\\ e~(f):`"#,
        r#"k/é+\"a'b\u003cc\u003e\u0026d=\\ e~(f):`"#,
        r#"k\/\u00E9+\u0022a\u0027b\u003Cc\u003E\u0026d=\\ e~(f):`"#,
        "k/é+\"a'b&lt;c&gt;&amp;d=\\ e~(f):`",
        "k/é+&quot;a&#39;b&lt;c&gt;&amp;d=\\ e~(f):`",
        "k/é+&quot;a&#x27;b&lt;c&gt;&amp;d=\\ e~(f):`",
        "k/é+&quot;a&apos;b&lt;c&gt;&amp;d=\\ e~(f):`",
        "k/é&#43;&#34;a&#39;b&lt;c&gt;&amp;d=\\ e~(f):`",
        "k/é+&quot;a&#39;b&lt;c&gt;&amp;d&#x3D;\\ e~(f):&#x60;",
        "k&#x2F;é+&quot;a&#39;b&lt;c&gt;&amp;d&#x3D;\\ e~(f):&#x60;",
        "k&#x2F;é+&quot;a&#039;b&lt;c&gt;&amp;d=\\ e~(f):`",
        r#"k/\u00E9\u002B\u0022a\u0027b\u003Cc\u003E\u0026d=\\ e~(f):\u0060"#,
        "%6B%2F%C3%A9%2B%22%61%27%62%3C%63%3E%26%64%3D%5C%20%65%7E%28%66%29%3A%60",
        "k%2f%c3%a9%2b%22a%27b%3cc%3e%26d%3d%5c%20e%7e%28f%29%3a%60",
        r"\u006b\u002f\u00e9\u002b\u0022\u0061\u0027\u0062\u003c\u0063\u003e\u0026\u0064\u003d\u005c\u0020\u0065\u007e\u0028\u0066\u0029\u003a\u0060",
        r"k\u002F\u00E9\u002B\u0022a\u0027b\u003Cc\u003E\u0026d\u003D\u005C\u0020e\u007E\u0028f\u0029\u003A\u0060",
        "k&#47;&#233;&#43;&#34;a&#39;b&#60;c&#62;&#38;d&#61;&#92;&#32;e&#126;&#40;f&#41;&#58;&#96;",
        "k&#x2f;&#xe9;&#x2b;&#x22;a&#x27;b&#x3c;c&#x3e;&#x26;d&#x3d;&#x5c;&#x20;e&#x7e;&#x28;f&#x29;&#x3a;&#x60;",
        "&#107;&#47;&#233;&#43;&#34;&#97;&#39;&#98;&#60;&#99;&#62;&#38;&#100;&#61;&#92;&#32;&#101;&#126;&#40;&#102;&#41;&#58;&#96;",
    ] {
        let text = format!("before{form}after");
        let expected = format!("before{}after", "*".repeat(form.len()));
        assert_eq!(masked(&forms, &text), (expected, 1), "{form}");
    }
}

#[test]
fn hex_is_found_in_either_case() {
    let forms = forms(&[b"SECRET-\xab"]);
    for hex in ["5345435245542dab", "5345435245542DAB"] {
        assert_eq!(masked(&forms, hex), ("*".repeat(16), 1));
    }
}

/// The ends may hold bits of their neighbours: at most two characters of them stay.
#[test]
fn base64_is_found_wherever_the_secret_stands_in_the_encoded_text() {
    const SECRET: &[u8] = b"\xfb\xff\xfeSECRET-AAAA";
    let forms = forms(&[SECRET]);
    for before in 0..7 {
        for after in 0..4 {
            let text = [&vec![b'x'; before][..], SECRET, &vec![b'y'; after]].concat();
            for engine in [STANDARD, URL_SAFE] {
                let encoded = engine.encode(&text);
                let (shown, count) = masked(&forms, &encoded);
                assert_eq!((count, shown.len()), (1, encoded.len()));
                let stars = shown.matches('*').count();
                assert!(
                    stars >= SECRET.len() * 8 / 6 - 1,
                    "{before} {after} {shown}"
                );
                assert!(!shown.contains(&encoded[before * 4 / 3 + 2..][..12]));
            }
        }
    }
}

#[test]
fn what_is_near_to_a_secret_stays() {
    let forms = forms(&[b"SECRET-AAAA", b"short-1"]);
    for text in [
        "",
        "S",
        "SECRET-AAA",
        "ECRET-AAAA",
        "secret-aaaa",
        "SECRET-AAA\nA",
        "short-1",
    ] {
        assert_eq!(masked(&forms, text), (text.to_owned(), 0));
    }
    assert!(Forms::default().is_empty());
    assert!(forms.stand_in(b"xSECRET-AAAAx"));
}

#[test]
fn what_overlaps_or_touches_is_one() {
    let forms = forms(&[b"abcdabcdabcd", b"dabcdabcdefg"]);
    for (text, expected) in [
        ("-abcdabcdabcdabcdabcd-", ("-********************-", 1)),
        ("-abcdabcdabcdefg-", ("-***************-", 1)),
        (
            "-abcdabcdabcd-abcdabcdabcd-",
            ("-************-************-", 2),
        ),
    ] {
        assert_eq!(masked(&forms, text), (expected.0.to_owned(), expected.1));
    }
}

#[test]
fn a_long_secret_is_found_in_pieces_and_holds_back_no_more_than_one() {
    let long: Vec<u8> = (0..5000_u32)
        .map(|it| b'a' + (it * it % 23) as u8)
        .collect();
    let forms = forms(&[&long]);
    assert!(forms.longest() <= 1024);
    let text = format!("<{}>", String::from_utf8(long).unwrap());
    assert_eq!(
        masked(&forms, &text),
        (format!("<{}>", "*".repeat(5000)), 1)
    );
}

#[test]
fn values_are_masked_after_reading_has_decoded_them() {
    let forms = forms(&[b"SECRET-AAAA", b"1234567890"]);
    let mut value = json!({
        "a": ["x SECRET-AAAA", null, true, 1_234_567_890, 7],
        "SECRET-AAAA": {"b": "SECRET-AAAA"},
    });
    assert_eq!(forms.mask_value(&mut value), 4);
    assert_eq!(
        value,
        json!({
            "a": ["x ***********", null, true, "**********", 7],
            "***********": {"b": "***********"},
        })
    );
}

#[test]
fn nothing_prints_what_it_holds() {
    let forms = forms(&[b"SECRET-AAAA"]);
    let mut scrubber = Scrubber::new(forms.clone());
    scrubber.push(Bytes::from_static(b"SECRET-A"));
    for printed in [format!("{forms:?}"), format!("{scrubber:?}")] {
        assert!(!printed.contains("SECRET"), "{printed}");
    }
}

#[test]
fn a_line_feed_lets_go_of_everything_before_it() {
    let forms = forms(&[b"SECRET-AAAA"]);
    let mut scrubber = Scrubber::new(forms.clone());
    assert_eq!(scrubber.push("data: 1\n\n".into()), "data: 1\n\n");
    assert_eq!(scrubber.push("data: SECRET-".into()), "");
    assert_eq!(scrubber.push("AAAA\nda".into()), "data: ***********\n");
    assert_eq!(scrubber.held(), 2);
    assert_eq!(scrubber.last("ta".into()), "data");
    assert_eq!(scrubber.masked(), 1);
}

#[test]
fn a_secret_that_becomes_known_in_the_middle_is_masked_from_there_on() {
    let mut scrubber = Scrubber::new(Arc::default());
    assert_eq!(
        scrubber.push("SECRET-AAAA SECRET".into()),
        "SECRET-AAAA SECRET"
    );
    scrubber.look_for(forms(&[b"SECRET-AAAA"]));
    assert_eq!(scrubber.push("-AAAA SECRET-AAAA SEC".into()), "");
    assert_eq!(scrubber.last("RET".into()), "-AAAA *********** SECRET");
    scrubber.push("what is held".into());
    scrubber.look_for(Arc::default());
    assert_eq!(
        scrubber.push(" comes first".into()),
        "what is held comes first"
    );
}

/// Pieces of text that make as much trouble as can be: forms, their halves, line feeds, and what is like them.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let secrets: Vec<Secret> = SECRETS
        .iter()
        .map(|it| Secret::new(it.to_vec()).unwrap())
        .collect();
    let forms: Vec<Vec<u8>> = secrets
        .iter()
        .flat_map(|it| super::forms::of(it.expose()))
        .map(|it| it.to_vec())
        .collect();
    let half = (prop::sample::select(forms.clone()), 0.0..1.0_f64)
        .prop_map(|(form, part)| form[..(form.len() as f64 * part) as usize].to_vec());
    prop_oneof![
        3 => prop::sample::select(forms),
        2 => half,
        2 => vec(any::<u8>(), 0..40),
        1 => Just(b"\n".to_vec()),
    ]
}

const SECRETS: [&[u8]; 4] = [
    b"abababab",
    b"babababa/\"",
    b"SECRET-AAAA",
    b"\xff\xfe\xfd SECRET",
];

/// The rule without any art.
fn by_hand(text: &[u8]) -> (Vec<u8>, u64) {
    let mut is_masked = vec![false; text.len()];
    for secret in SECRETS {
        for form in super::forms::of(secret) {
            for start in 0..text.len() {
                if text[start..].starts_with(&form) {
                    is_masked[start..start + form.len()].fill(true);
                }
            }
        }
    }
    let mask = |(byte, masked): (&u8, &bool)| if *masked { MASK } else { *byte };
    let shown = text.iter().zip(&is_masked).map(mask).collect();
    let runs = is_masked.chunk_by(|a, b| a == b).filter(|run| run[0]);
    (shown, runs.count() as u64)
}

proptest! {
    #[test]
    fn however_a_text_is_cut_it_comes_out_the_same(
        pieces in vec(piece(), 0..12),
        cuts in vec(0..60_usize, 0..60),
    ) {
        let text = pieces.concat();
        let forms = forms(&SECRETS);
        let (expected, count) = by_hand(&text);
        let mut whole = Bytes::from(text.clone());
        prop_assert_eq!(forms.mask(&mut whole), count);
        prop_assert_eq!(&whole, &expected);

        let mut scrubber = Scrubber::new(forms.clone());
        let (mut shown, mut rest, mut open) = (Vec::new(), &text[..], 0);
        for cut in cuts {
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            shown.extend(scrubber.push(Bytes::copy_from_slice(chunk)));
            open = match chunk.iter().rposition(|it| *it == b'\n') {
                Some(at) => chunk.len() - at - 1,
                None => open + chunk.len(),
            };
            prop_assert_eq!(scrubber.held(), open.min(forms.longest() - 1));
            rest = after;
        }
        shown.extend(scrubber.push(Bytes::copy_from_slice(rest)));
        shown.extend(scrubber.finish());
        prop_assert_eq!(shown, expected);
        prop_assert_eq!(scrubber.masked(), count);
    }
}
