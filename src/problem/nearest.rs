//! The name that a typo probably meant.

/// Names longer than this are not compared: the cost grows with the square of the length.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, if one is near enough to be what was meant.
///
/// Near is a third of the word: `metod` is `method`, while `foo` is not `url`. Case and `-` for
/// `_` do not count. The first of equally near candidates wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let folded = fold(word);
    let limit = folded.chars().count().max(3) / 3;
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&folded, &fold(candidate));
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_another_word_finds_none() {
        let fields = [
            "method",
            "path",
            "url",
            "headers",
            "accept_headers",
            "timeout",
        ];
        let rows = [
            ("metod", Some("method")),
            ("mehtod", Some("method")),
            ("METHOD", Some("method")),
            ("accept-headers", Some("accept_headers")),
            ("header", Some("headers")),
            ("time_out", Some("timeout")),
            ("uri", Some("url")),
            ("foo", None),
            ("", None),
            ("body", None),
        ];
        for (word, expected) in rows {
            assert_eq!(nearest(word, fields), expected, "{word}");
        }
        assert_eq!(nearest(&"m".repeat(1 << 20), fields), None);
    }
}
