//! Any bytes as JSON: what is read has one meaning, which another reader finds as well, and is read again as written.

use std::collections::HashSet;

use exeat::json;
use exeat::json::JsonProblemKind;
use exeat::json::Tree;
use serde_json::Number;
use serde_json::Value;

/// Reads the bytes, and has serde_json read them.
pub fn check(bytes: &[u8]) {
    let other = serde_json::from_slice::<Value>(bytes);
    let tree = match json::read(bytes) {
        Ok(tree) => tree,
        Err(problem) => {
            assert!(problem.offset <= bytes.len());
            assert!(json::parse(bytes).is_err());
            assert!(other.is_err() || is_stricter(problem.kind), "{problem:?}");
            return;
        }
    };
    let other = other.unwrap_or_else(|error| panic!("{error}: {tree:?}"));
    assert_alike(&tree, &other, 0);
    let value = tree.to_value();
    assert_eq!(json::parse(bytes).as_ref(), Ok(&value));
    assert!(tree.is_equal(&value) && json::are_equal(&value, &value));
    check_written(&value);
}

/// For what another reader would be able to read.
fn is_stricter(kind: JsonProblemKind) -> bool {
    match kind {
        JsonProblemKind::DuplicateKey
        | JsonProblemKind::TooDeep
        | JsonProblemKind::NullCharacter
        | JsonProblemKind::NumberRange => true,
        JsonProblemKind::Malformed
        | JsonProblemKind::NotUtf8
        | JsonProblemKind::TrailingBytes
        | JsonProblemKind::LoneSurrogate => false,
    }
}

/// The same value, of which nothing stands in it twice, in any case.
fn assert_alike(tree: &Tree<'_>, other: &Value, depth: usize) {
    assert!(depth <= json::MAX_DEPTH);
    match (tree, other) {
        (Tree::Null, Value::Null) => {}
        (Tree::Bool(one), Value::Bool(two)) => assert_eq!(one, two),
        (Tree::String(one), Value::String(two)) => {
            assert_eq!(one, two);
            assert!(!one.contains('\0'));
        }
        (Tree::Number(one), Value::Number(two)) => assert_near(one, two),
        (Tree::Array(one), Value::Array(two)) => {
            assert_eq!(one.len(), two.len());
            let pairs = one.iter().zip(two);
            pairs.for_each(|(one, two)| assert_alike(one, two, depth + 1));
        }
        (Tree::Object(one), Value::Object(two)) => {
            // The other reader keeps the last of two: where none is lost, there were none.
            assert_eq!(one.len(), two.len());
            let folded: HashSet<String> = one.iter().map(|it| json::fold_case(&it.name)).collect();
            assert_eq!(folded.len(), one.len());
            for (one, (name, two)) in one.iter().zip(two) {
                assert_eq!(one.name, *name);
                assert_alike(&one.value, two, depth + 1);
            }
        }
        (one, two) => panic!("{one:?} is {two}"),
    }
}

/// Integers exactly. serde_json may miss the nearest float by its last bits.
fn assert_near(one: &Number, two: &Number) {
    if !one.is_f64() || !two.is_f64() {
        assert_eq!(one, two);
        return;
    }
    let (one, two) = (one.as_f64().expect("one"), two.as_f64().expect("another"));
    assert_eq!(one.is_sign_negative(), two.is_sign_negative());
    let far = (one - two).abs() > one.abs() * 4.0 * f64::EPSILON;
    assert!(!far || one.abs() < 1e-300, "{one:e} is {two:e}");
}

fn check_written(value: &Value) {
    let mut written = Vec::new();
    json::write(value, &mut written);
    let again = json::parse(&written).expect("what is written can be read");
    assert_eq!(again, *value);
    assert_eq!(serde_json::to_vec(&again).ok(), Some(written));
}
