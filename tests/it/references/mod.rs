//! Five documents about calling APIs, as people configure them elsewhere: a row for each feature, with its line, and
//! what exeat does there, over local TLS origins.
//!
//! `docs/coming-from.md` says in prose what the rows prove. The documents' sample programs run in `clients`.

mod action_forms;
mod api_call_actions;
mod chat_flow;
mod character_api;
mod python_methods;
mod row;
mod verification;

use row::Row;

/// How much of a line a row may quote: a pointer, not a copy.
const LONGEST_QUOTE: usize = 60;

/// Proves every row of a document, and tells all that fail.
fn prove(document: &str, lines: usize, rows: &[Row]) {
    let mut failures = Vec::new();
    let mut line_before = 0;
    for row in rows {
        let at = format!("{document}:{} {:?}", row.line, row.quote);
        let is_quote = (1..=LONGEST_QUOTE).contains(&row.quote.chars().count());
        assert!(is_quote && (1..=lines).contains(&row.line), "{at}");
        assert!(
            line_before <= row.line,
            "{at} comes after line {line_before}"
        );
        line_before = row.line;
        if let Err(failure) = row.prove() {
            failures.push(format!("{at}\n{failure}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} rows\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n\n")
    );
}

/// A shipped policy.
fn shipped(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    std::fs::read_to_string(folder.join(name)).unwrap()
}
