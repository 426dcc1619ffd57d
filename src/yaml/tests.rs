//! Texts of YAML, and the trees or problems that reading them gives.

use serde_json::json;

use super::*;
use crate::problem::Style as Colour;

fn read(text: impl AsRef<[u8]>) -> (Option<Node>, Problems) {
    let mut problems = Problems::new();
    let node = parse("p.yaml", text.as_ref(), &mut Sources::new(), &mut problems);
    (node, problems)
}

fn good(text: &str) -> Node {
    let (node, problems) = read(text);
    assert!(problems.is_empty(), "{text:?}: {problems:?}");
    node.unwrap()
}

/// Position, message and remedy of each problem.
fn told(problems: &Problems) -> Vec<String> {
    problems
        .iter()
        .map(|p| {
            let place = p.place();
            let (line, column, length) = (place.line(), place.column(), place.length());
            let remedy = p.remedy_text().unwrap_or("-");
            format!("{line}:{column}+{length} {} ({remedy})", p.message())
        })
        .collect()
}

fn place(node: &Node) -> (usize, usize, usize) {
    (node.place.line(), node.place.column(), node.place.length())
}

#[test]
fn every_key_and_value_has_its_place_in_characters() {
    let root = good("größe: wert\nmap:\n  ü: {a: 'x', b: [1, 2]}\nlist:\n  - one\n");
    assert_eq!(place(&root), (1, 1, 5));
    let mapping = root.mapping().unwrap();
    assert_eq!(place(mapping.get("größe").unwrap()), (1, 8, 4));
    let inner = mapping.get("map").unwrap();
    assert_eq!(place(inner), (3, 3, 1));
    let flow = inner.mapping().unwrap().get("ü").unwrap();
    assert_eq!(place(flow), (3, 6, 19));
    assert_eq!(place(flow.mapping().unwrap().get("a").unwrap()), (3, 10, 3));
    assert_eq!(place(flow.mapping().unwrap().get("b").unwrap()), (3, 18, 6));
    assert_eq!(place(mapping.get("list").unwrap()), (5, 3, 1));
    let key = &mapping.iter().nth(3 - 1).unwrap().key;
    assert_eq!((key.value.text.as_str(), key.place.line()), ("list", 4));
}

#[test]
fn scalars_keep_their_source_text() {
    let root =
        good("a: 1.0\nb: 010\nc: yes\nd: \"1.0\"\ne: |\n  two\n  lines\n201: x\n1.0: y\nnull: z\n");
    let mapping = root.mapping().unwrap();
    let rows = [
        ("a", "1.0", Style::Plain),
        ("b", "010", Style::Plain),
        ("c", "yes", Style::Plain),
        ("d", "1.0", Style::Quoted),
        ("e", "two\nlines\n", Style::Block),
        ("201", "x", Style::Plain),
        ("1.0", "y", Style::Plain),
        ("null", "z", Style::Plain),
    ];
    for (key, text, style) in rows {
        let expected = Scalar {
            text: text.to_owned(),
            style,
        };
        assert_eq!(mapping.get(key).unwrap().scalar(), Some(&expected), "{key}");
    }
}

#[test]
fn nothing_and_null_are_null_and_a_quoted_null_is_text() {
    let root = good("a:\nb: ~\nc: null\nd: ''\ne: 'null'\n");
    let mapping = root.mapping().unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(mapping.get(key).unwrap().value, Value::Null, "{key}");
    }
    for key in ["d", "e"] {
        assert!(mapping.get(key).unwrap().scalar().is_some(), "{key}");
    }
}

#[test]
fn a_part_of_a_text_can_be_underlined_where_the_source_is_verbatim() {
    let root = good("a: /x/{{id}}\nb: '/x/{{id}}'\nc: \"\\x2fx/{{id}}\"\n");
    let mapping = root.mapping().unwrap();
    let within = |key: &str| {
        let part = mapping.get(key).unwrap().place.within(0, 3, 6);
        (part.column(), part.length())
    };
    assert_eq!(within("a"), (7, 6));
    assert_eq!(within("b"), (8, 6));
    assert_eq!(within("c"), (4, 14));
}

#[test]
fn a_part_of_a_block_of_text_is_on_its_own_line() {
    for (source, line, skipped, expected) in [
        ("a: |\n  one\n\n    two\n", 0, 1, (2, 4, 2)),
        ("a: |\n  one\n\n    two\n", 2, 2, (4, 5, 2)),
        ("a: |2\n    one\n  two\n", 1, 0, (3, 3, 2)),
        ("a:\n  - |-\n   one\n   two\n", 1, 0, (4, 4, 2)),
        // What is folded stands in the source in another way: it is meant as a whole.
        ("a: >\n  one\n  two\n", 0, 4, (2, 3, 3)),
    ] {
        let root = good(source);
        let value = root.mapping().unwrap().get("a").unwrap();
        let value = match &value.value {
            Value::Sequence(items) => &items[0],
            _ => value,
        };
        let part = value.place.within(line, skipped, 2);
        let found = (part.line(), part.column(), part.length());
        assert_eq!(found, expected, "{source:?}");
    }
}

#[test]
fn all_duplicates_are_told_with_both_places_and_the_first_stays() {
    let (node, problems) = read("a: 1\nb: {x: 1, x: 2}\na: 2\n'a': 3\n");
    let expected = [
        "2:11+1 `x` is declared twice (-)",
        "3:1+1 `a` is declared twice (-)",
        "4:1+3 `a` is declared twice (-)",
    ];
    assert_eq!(told(&problems), expected);
    let seconds: Vec<_> = problems
        .iter()
        .map(|p| p.second_place().unwrap().1.to_string())
        .collect();
    assert_eq!(seconds, ["p.yaml:2:5", "p.yaml:1:1", "p.yaml:1:1"]);
    let node = node.unwrap();
    let first = node.mapping().unwrap().get("a").unwrap();
    assert_eq!(first.scalar().unwrap().text, "1");
}

#[test]
fn a_template_without_quotes_is_told_once_with_its_remedy() {
    let remedy = "YAML reads `{{` as a mapping, not as a template \
                  (quote it: put the whole value into quotes)";
    let rows = [
        ("a: {{x}}\nb: 1\n", "1:4+5"),
        ("a: {{ x }}/y\n", "1:4+7"),
        ("a: [1, {{.parameters.x}}]\n", "1:8+17"),
        ("a: {b: {{x}}}\n", "1:8+5"),
    ];
    for (text, at) in rows {
        assert_eq!(told(&read(text).1), [format!("{at} {remedy}")], "{text:?}");
    }
    assert!(read("a: '{{x}}'\nb: /p/{{x}}\n").1.is_empty());
}

#[test]
fn what_makes_yaml_surprising_or_costly_is_refused() {
    let rows = [
        ("a: &x 1\n", "1:4+2 anchors (`&name`) are not supported"),
        ("a: *x\n", "1:4+2 aliases (`*name`) are not supported"),
        (
            "a: {<<: {b: 1}}\n",
            "1:5+2 merge keys (`<<`) are not supported",
        ),
        ("a: !x 1\n", "1:4+2 tags (`!…`) are not supported"),
        ("a: !!str 1\n", "1:4+5 tags (`!…`) are not supported"),
        (
            "%YAML 1.2\n---\na: 1\n",
            "1:1+1 directives (`%…`) are not supported",
        ),
        ("a: 1\n---\nb: 1\n", "2:1+3 a second document"),
        (
            "a:\n\tb: 1\n",
            "2:2+1 a tab stands where YAML allows only spaces",
        ),
        ("? [a]\n: 1\n", "1:3+3 a key must be text"),
        (": 1\n", "1:1+0 a key is missing before `:`"),
        ("a: b: c\n", "1:5+1 a `:` that YAML does not expect"),
        ("a: [1, 2\n", "1:4+1 `[` is never closed"),
        ("a: 'x\n", "1:4+1 a quote that is not closed"),
        ("a: @x\n", "1:4+1 `@` cannot start a value"),
    ];
    for (text, expected) in rows {
        let all = told(&read(text).1);
        assert_eq!(all.len(), 1, "{text:?}: {all:?}");
        assert!(all[0].starts_with(expected), "{text:?}: {all:?}");
    }
}

#[test]
fn text_that_is_not_what_it_seems_is_refused_at_its_place() {
    let rows: [(&[u8], &str); 10] = [
        (
            b"\xef\xbb\xbfa: 1\n",
            "1:1+0 the file starts with a byte order mark",
        ),
        (b"\xff\xfea\0:\0", "1:1+0 the file is UTF-16"),
        (b"a: 1\nb: \xc3\xbc\xff\n", "2:5+1 this byte is not UTF-8"),
        (b"a: \0\n", "1:4+1 a NUL character"),
        (
            b"a: 1\rb: 2\n",
            "1:5+1 a carriage return without a line feed",
        ),
        (b"a: \x1b[2J\n", "1:4+1 a control character, \\u{1b}"),
        (
            "a: x\u{85}b: 1\n".as_bytes(),
            "1:5+1 an unusual line break, \\u{85}",
        ),
        (
            "a: x\u{2028}b: 1\n".as_bytes(),
            "1:5+1 an unusual line break, \\u{2028}",
        ),
        (
            "ü: \u{202e}x\n".as_bytes(),
            "1:4+1 \\u{202e} makes text read in another order",
        ),
        (
            "a: x\u{feff}\n".as_bytes(),
            "1:5+1 a byte order mark inside of the file",
        ),
    ];
    for (bytes, expected) in rows {
        let all = told(&read(bytes).1);
        assert_eq!(all.len(), 1, "{bytes:?}: {all:?}");
        assert!(all[0].starts_with(expected), "{bytes:?}: {all:?}");
    }
    assert!(read("a: 1\r\nb: 2\r\n").1.is_empty());
}

#[test]
fn size_depth_and_the_number_of_mistakes_are_bounded() {
    let rows = [
        " ".repeat(MAX_BYTES + 1),
        "[".repeat(MAX_BYTES),
        "- ".repeat(MAX_BYTES / 2),
        "{a: ".repeat(MAX_BYTES / 4),
        format!(
            "{}1{}",
            "[".repeat(MAX_DEPTH + 1),
            "]".repeat(MAX_DEPTH + 1)
        ),
    ];
    for text in rows {
        let (node, problems) = read(&text);
        assert!(
            node.is_none() && problems.len() == 1,
            "{}: {problems:?}",
            &text[..10]
        );
    }
    let (_, problems) = read("[".to_owned() + &"*a,".repeat(100_000) + "]");
    assert_eq!(problems.len(), 101);
    let deep = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(read(&deep).1.is_empty());
}

#[test]
fn an_empty_file_has_no_tree_and_no_problem() {
    for text in ["", "# only a comment\n", "\n\n"] {
        let (node, problems) = read(text);
        assert!(node.is_none() && problems.is_empty(), "{text:?}");
    }
}

#[test]
fn a_line_that_cannot_be_read_is_not_drawn_if_it_may_hold_a_credential() {
    let rows = [
        ("password: 'hunter2\n", false),
        ("title: 'hunter2\n", true),
        ("password: hunter2\npassword: hunter2\n", false),
        ("title: hunter2\ntitle: hunter2\n", true),
    ];
    for (text, drawn) in rows {
        let (mut sources, mut problems) = (Sources::new(), Problems::new());
        parse("p.yaml", text.as_bytes(), &mut sources, &mut problems);
        let problem = problems.iter().next().unwrap();
        let shown = sources.render(problem, Colour::Plain);
        assert_eq!(shown.contains("hunter2"), drawn, "{shown}");
    }
}

#[test]
fn a_schema_in_yaml_becomes_json_and_its_parts_are_found_again() {
    let text = "type: object\nproperties:\n  n: {type: integer, maximum: 10, multipleOf: 1.0}\n  \
                a/b: {enum: ['1', yes, true, null, -3]}\n";
    let json = to_json(&good(text), &mut Problems::new()).unwrap();
    let expected = json!({
        "type": "object",
        "properties": {
            "n": {"type": "integer", "maximum": 10, "multipleOf": 1.0},
            "a/b": {"enum": ["1", "yes", true, null, -3]},
        },
    });
    assert_eq!(json.value, expected);
    assert!(json.value["properties"]["n"]["maximum"].is_u64());
    assert!(json.value["properties"]["n"]["multipleOf"].is_f64());
    let at = |place: &Place| (place.line(), place.column(), place.length());
    assert_eq!(at(json.places.key("/properties/n/maximum")), (3, 22, 7));
    assert_eq!(at(json.places.value("/properties/n/maximum")), (3, 31, 2));
    assert_eq!(at(json.places.value("/properties/a~1b/enum/1")), (4, 21, 3));
    assert_eq!(at(json.places.value("/properties/n/minimum")), (3, 6, 45));
    assert_eq!(at(json.places.key("")), (1, 1, 4));
}

#[test]
fn what_json_cannot_hold_is_told_and_all_of_it() {
    let (node, _) = read("enum: [010, 0x1, .nan]\n1: x\ntrue: y\nok: 1\n");
    let mut problems = Problems::new();
    assert!(to_json(&node.unwrap(), &mut problems).is_none());
    let lines: Vec<_> = problems.iter().map(|p| p.place().to_string()).collect();
    let expected = [
        "p.yaml:1:8",
        "p.yaml:1:13",
        "p.yaml:1:18",
        "p.yaml:2:1",
        "p.yaml:3:1",
    ];
    assert_eq!(lines, expected);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_and_drawn_without_a_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "b: ", ": ", "- ", "\n", "\n  ", "\n    ", "{", "}", "{{x}}", "[", "]", ", ",
                "'", "\"", "|\n", ">-\n", "&a ", "*a", "<<", "!t ", "# c", "? ", "---\n", "...\n",
                "%", "\t", "ü", "\r\n", "\r", "\u{feff}", "1.0", "null", "~", "@", "\\x",
            ]),
            0..40,
        ),
    ) {
        let text = parts.concat();
        let (mut sources, mut problems) = (Sources::new(), Problems::new());
        let node = parse("p.yaml", text.as_bytes(), &mut sources, &mut problems);
        if let Some(node) = node {
            to_json(&node, &mut problems);
        }
        for problem in problems.iter() {
            let drawn = sources.render(problem, Colour::Plain);
            proptest::prop_assert!(drawn.contains(problem.message()));
        }
    }
}
