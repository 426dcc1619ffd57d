//! The documentation says what the code says: its examples load, its tables are those of the code.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use clap::Args as _;
use exeat::action;
use exeat::app::Given;
use exeat::dial;
use exeat::metrics::METRICS;
use exeat::policy;
use exeat::problem::Problem;
use exeat::proxy::ClientLimits;
use exeat::rehearsal;
use serde_json::{Map, Value, json};

const POLICY: &str = include_str!("../../docs/policy.md");
const SETTINGS: &str = include_str!("../../docs/settings.md");
const COMING_FROM: &str = include_str!("../../docs/coming-from.md");
const README: &str = include_str!("../../README.md");
const SECURITY: &str = include_str!("../../docs/security.md");

#[test]
fn what_is_said_to_be_tested_has_its_tests() {
    let listed = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let has_test = |start: &str| listed.lines().any(|it| it.starts_with(start));
    let promises = SECURITY.split("## Invariants").nth(1).unwrap();
    let promises = promises.split("## How it is tried").next().unwrap();
    let tables = promises.lines().filter(|line| line.starts_with("| "));
    let last_cells = tables.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let mut looked_at = 0;
    for cell in last_cells {
        for name in cell.split('`').skip(1).step_by(2) {
            let is_command = name.contains(' ') || name.contains('.') || name.contains('-');
            assert!(is_command || has_test(name), "{name}");
            looked_at += 1;
        }
        for row in cell.split([' ', ',', ';']).filter(|it| is_row(it)) {
            let test = format!("::{}_", row.to_lowercase());
            let tested = listed.lines().any(|it| it.contains(&test));
            assert!(tested, "no test of {row}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 80, "{looked_at}");
}

/// Whether a word is the id of a row of the table of attacks.
fn is_row(word: &str) -> bool {
    let mut letters = word.chars();
    let letter = letters.next().is_some_and(|it| it.is_ascii_uppercase());
    let number = letters.as_str();
    letter && !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())
}

#[test]
fn the_names_under_which_records_show_nothing_are_those_of_the_code() {
    let section = SETTINGS.split("### What records do not show").nth(1);
    let section = section.unwrap().split("### The chain").next().unwrap();
    for name in exeat::credential::secret_names() {
        assert!(
            section.contains(&format!("`{name}`")),
            "{name} is not listed"
        );
    }
}

#[test]
fn every_example_of_a_policy_loads_without_a_problem() {
    for (place, example) in policies() {
        let loaded = policy::from_texts(&[(place.clone(), example.into())]);
        let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
        assert!(told.is_empty(), "{place}\n{}", told.join("\n"));
    }
}

/// The examples of whole policies, with their places.
pub fn policies() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (file, text) in [
        ("docs/policy.md", POLICY),
        ("docs/coming-from.md", COMING_FROM),
        ("README.md", README),
    ] {
        let examples = examples(text, "version: 1");
        assert!(!examples.is_empty(), "{file}");
        found.extend(
            examples
                .into_iter()
                .map(|(line, it)| (format!("{file}:{line}"), it)),
        );
    }
    found
}

/// A cell such as `query: {q: "{{city}}"}` names a field, and where it is all of an action's field, it loads.
#[test]
fn what_is_written_in_exeat_instead_loads() {
    let keywords = ["required", "type", "default", "oneOf", "others"];
    let sections = sections();
    let mut count = 0;
    for text in cells_of_yaml() {
        let (key, value) = text.split_once(':').unwrap();
        let has_it = |it: &&Map<String, Value>| fields(it).any(|(name, _)| name == key);
        let found: Vec<&str> = sections
            .iter()
            .filter(has_it)
            .map(|it| it["title"].as_str().unwrap())
            .collect();
        assert!(!found.is_empty() || keywords.contains(&key), "{text}");
        // A connection and a path stand together, and the path is the connection's.
        let is_whole = !value.is_empty() && !["connection", "path"].contains(&key);
        if found.contains(&"an action") && is_whole {
            let loaded = policy::from_texts(&[(text.clone(), with_cell(key, &text).into())]);
            let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
            assert!(loaded.policy.is_some(), "{told:#?}");
            count += 1;
        }
    }
    assert!(count > 25, "{count} cells were loaded");
}

/// The pieces of code in the second columns of `docs/coming-from.md` that are YAML.
fn cells_of_yaml() -> Vec<String> {
    let rows = COMING_FROM.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split(" | ").nth(1));
    let code = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_yaml = |text: &&str| {
        let key = text.split(':').next().unwrap_or_default();
        text.contains(':') && key.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
    };
    code.filter(is_yaml).map(str::to_owned).collect()
}

/// A policy of one action with this field.
fn with_cell(key: &str, cell: &str) -> String {
    let usual = [
        ("method", "method: POST"),
        ("url", "url: https://api.company.com/orders/{{order_id}}"),
        ("query", "query: {city: \"{{city}}\"}"),
    ];
    let others = usual.iter().filter(|(name, _)| *name != key);
    let others: String = others.map(|(_, line)| format!("    {line}\n")).collect();
    format!(
        "version: 1
secrets: {{company_token: {{env: T}}}}
auth: {{company: {{type: bearer, token: {{secret: company_token}}}}}}
actions:
  verify_customer:
    description: Verifies a customer by number.
    method: POST
    url: https://api.company.com/auth/verify
    parameters: {{properties: {{customer_id: {{type: string}}}}, required: [customer_id]}}
  act:
    description: Does what the cell says.
    parameters:
      properties: {{order_id: {{type: string}}, city: {{type: string}}, customer_id: {{type: string}}}}
      required: [order_id, city, customer_id]
{others}    {cell}
"
    )
}

#[test]
fn the_example_of_settings_is_read() {
    let examples = examples(SETTINGS, "policies: policies");
    assert_eq!(examples.len(), 1);
    let (line, example) = &examples[0];
    let read = Given::read(Path::new("exeat.yaml"), example.as_bytes());
    let told = read.map_err(|(problems, _)| problems);
    assert!(told.is_ok(), "docs/settings.md:{line} {told:?}");
}

#[test]
fn the_tables_of_fields_are_those_of_the_code() {
    for section in sections() {
        let title = section["title"].as_str().unwrap();
        let required = section["required"].as_array().unwrap();
        let expected: Vec<Vec<String>> = fields(&section)
            .map(|(name, _)| {
                let is_required = required.contains(&json!(name));
                let needed = if is_required { "required" } else { "optional" };
                vec![code(name), needed.to_owned()]
            })
            .collect();
        let header = format!("Field of {title}");
        assert_eq!(columns(POLICY, &header, 2), expected, "{header}");
    }
}

#[test]
fn the_example_of_tests_passes_with_the_first_policy() {
    let (_, first) = &examples(POLICY, "version: 1")[0];
    let policy = policy::from_texts(&[("p.yaml".into(), first.clone().into())]);
    let policy = Arc::new(policy.policy.unwrap());
    let examples = examples(POLICY, "tests:");
    assert_eq!(examples.len(), 1);
    for (line, example) in examples {
        let name = format!("docs/policy.md:{line}");
        let read = policy::trials_from_texts(&[(name.clone(), example.into())], &policy);
        let told: Vec<String> = read.problems.iter().map(Problem::headline).collect();
        assert!(told.is_empty(), "{name}\n{}", told.join("\n"));
        assert_eq!(read.trials.len(), 4);
        for trial in &read.trials {
            let played = rehearsal::play(&policy, trial);
            assert!(played.failures.is_empty(), "{played:#?}");
        }
    }
}

/// The sections of a policy, and of a file of tests, as the schemas for editors have them: the file itself first.
fn sections() -> Vec<Map<String, Value>> {
    let mut found = Vec::new();
    for schema in [policy::json_schema(), policy::json_schema_of_tests()] {
        let below = schema["$defs"].as_object().unwrap().values();
        let all = [&schema].into_iter().chain(below);
        found.extend(all.map(|it| it.as_object().unwrap().clone()));
    }
    found
}

fn fields(section: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    section["properties"].as_object().unwrap().iter()
}

#[test]
fn the_flags_and_variables_are_those_of_the_command_line() {
    let command = Given::augment_args(clap::Command::new("exeat"));
    let expected: Vec<Vec<String>> = command
        .get_arguments()
        .map(|it| {
            let variable = it.get_env().and_then(|name| name.to_str()).unwrap();
            vec![
                code(&format!("--{}", it.get_long().unwrap())),
                code(variable),
            ]
        })
        .collect();
    assert_eq!(columns(SETTINGS, "Flag", 2), expected);
}

#[test]
fn the_keys_of_the_settings_file_are_those_of_the_code() {
    let schema = exeat::app::json_schema();
    let expected: BTreeSet<String> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let rows = columns(SETTINGS, "Flag", 3);
    let keys = rows.iter().map(|row| row[2].trim_matches('`'));
    let told: BTreeSet<String> = keys
        .map(|key| key.split('.').next().unwrap_or(key).to_owned())
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let expected: Vec<Vec<String>> = METRICS
        .iter()
        .map(|it| {
            let labels: Vec<String> = it.labels.iter().map(|label| code(label)).collect();
            vec![
                code(it.name),
                format!("{:?}", it.kind).to_lowercase(),
                labels.join(", "),
                it.help.to_owned(),
            ]
        })
        .collect();
    assert_eq!(columns(SETTINGS, "Metric", 4), expected);
}

#[test]
fn the_tables_of_limits_have_the_values_of_the_code() {
    let client = members(&ClientLimits::default());
    assert_eq!(columns(SETTINGS, "Limit of a client", 2), client);
    let pool = members(&dial::Limits::default());
    assert_eq!(columns(SETTINGS, "Limit of the pool", 2), pool);
    let action = members(&action::Limits::default());
    assert_eq!(columns(POLICY, "Limit of an action", 2), action);
}

#[test]
fn the_fields_of_an_audit_record_are_those_of_the_module() {
    let module: String = include_str!("../../src/audit/mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(
        names(&columns(SETTINGS, "Field of a record", 1)),
        names(&columns(&module, "Field", 1))
    );
}

/// The fenced YAML blocks that begin with this line, with the number of each one's first line.
fn examples(text: &str, first: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim_end() != "```yaml" {
            continue;
        }
        let block = lines.by_ref().map(|(_, line)| line);
        let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
        if block.first() == Some(&first) {
            found.push((number + 2, block.join("\n") + "\n"));
        }
    }
    found
}

/// The first cells of every row of the one table whose first column has this header.
fn columns(text: &str, header: &str, count: usize) -> Vec<Vec<String>> {
    let start = format!("| {header} |");
    let is_start = |line: &&str| line.starts_with(&start);
    let tables = text.lines().filter(is_start).count();
    assert_eq!(tables, 1, "tables with the header {header:?}");
    text.lines()
        .skip_while(|line| !is_start(line))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.take(count).map(|it| it.trim().to_owned()).collect()
        })
        .collect()
}

/// Every name in backticks.
fn names(rows: &[Vec<String>]) -> BTreeSet<String> {
    let cells = rows.iter().flatten();
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

/// The members of a struct with their values, as its `Debug` shows them.
fn members(value: &impl Debug) -> Vec<Vec<String>> {
    let text = format!("{value:#?}");
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| vec![code(name.trim()), value.trim_end_matches(',').to_owned()])
        .collect()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
