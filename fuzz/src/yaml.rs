//! Any bytes as a policy: they load, or what is wrong with them is told, and the same bytes always say the same.

use exeat::policy;
use exeat::policy::Loaded;
use exeat::problem::Style;

/// Begins the next of several files.
const NEXT_FILE: &str = "\n# next file\n";

/// Loads the files and draws every problem.
pub fn check(bytes: &[u8]) {
    let files = files(bytes);
    let loaded = policy::from_texts(&files);
    assert_eq!(loaded.policy.is_none(), loaded.problems.has_errors());
    let told = told(&loaded);
    let again = policy::from_texts(&files);
    assert_eq!(told, self::told(&again));
    let hash = |loaded: &Loaded| loaded.policy.as_ref().map(|it| it.hash().clone());
    assert_eq!(hash(&loaded), hash(&again));
}

fn files(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec![("a.yaml".to_owned(), bytes.to_vec())];
    };
    let parts = text.split(NEXT_FILE).zip('a'..='e');
    let named = parts.map(|(part, name)| (format!("{name}.yaml"), part.as_bytes().to_vec()));
    named.collect()
}

/// Every problem as people and programs read it.
fn told(loaded: &Loaded) -> Vec<String> {
    let read = |problem| {
        let drawn = loaded.sources.render(problem, Style::Plain);
        format!("{drawn}\n{}", problem.json())
    };
    loaded.problems.iter().map(read).collect()
}
