//! Any bytes as a form: another reader finds the same fields in them, and what anybody writes of them is read back.

use exeat::request::Query;
use form_urlencoded::Serializer;

use super::path_query;

/// Reads the body of a form.
pub fn check(bytes: &[u8]) {
    let form = Query::parse_form(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(form.is_err());
        return;
    };
    let query = Query::parse(text);
    assert_eq!(form.as_ref().ok(), query.as_ref().ok(), "{text}");
    let Ok(form) = form else {
        return;
    };
    path_query::check_pairs(text, form.pairs());
    let fields = form.pairs().iter().map(|it| (&it.name, &it.value));
    let written = Serializer::new(String::new()).extend_pairs(fields).finish();
    let again = Query::parse_form(written.as_bytes());
    assert_eq!(again.ok(), Some(form), "{written}");
}
