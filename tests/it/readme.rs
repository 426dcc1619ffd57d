//! The tables of the README say what the code says.

use exeat::refusal::Code;

#[test]
fn the_table_of_refusals_is_that_of_the_code() {
    let readme = include_str!("../../README.md");
    let rows: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| Code | Status |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<String> = Code::ALL
        .iter()
        .map(|code| {
            format!(
                "| `{code}` | {} | {} |",
                code.status().as_u16(),
                code.meaning()
            )
        })
        .collect();
    assert_eq!(rows, expected);
}
