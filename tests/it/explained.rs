//! `exeat check` explains what the language leaves out, and what a schema gets wrong: at its place, with a remedy.

use std::process::Command;

use serde_json::Value;

/// A field of an action; what is said of it, and what mends it.
type Row = (&'static str, &'static str, &'static str);

/// Templates, of headers and bodies.
const TEMPLATES: &[Row] = &[
    (
        r#"headers: {X: "{{range list}}x{{end}}"}"#,
        "`range` is not part",
        "printed as a whole",
    ),
    (
        r#"headers: {X: '{{template "x"}}'}"#,
        "`template` is not part",
        "write the text",
    ),
    (
        r#"headers: {X: '{{define "x"}}y{{end}}'}"#,
        "`define` is not part",
        "write the text",
    ),
    (
        r#"headers: {X: '{{block "x" .}}y{{end}}'}"#,
        "`block` is not part",
        "write the text",
    ),
    (
        r#"headers: {X: "{{break}}"}"#,
        "`break` is not part",
        "no loops",
    ),
    (
        r#"headers: {X: "{{continue}}"}"#,
        "`continue` is not part",
        "no loops",
    ),
    (
        r#"headers: {X: "{{with b}}1{{else with a}}2{{end}}"}"#,
        "`else with` is not part",
        "{{else}}{{with …}}",
    ),
    (
        r#"headers: {X: "{{a | not}}"}"#,
        "pipes are not part",
        "function first",
    ),
    (
        r#"headers: {X: '{{printf "%s" a}}'}"#,
        "`printf` is not a function",
        "eq ne lt",
    ),
    (
        r#"headers: {X: "{{len a}}"}"#,
        "`len` is not a function",
        "eq ne lt",
    ),
    (
        r#"headers: {X: "{{html a}}"}"#,
        "`html` is not a function",
        "eq ne lt",
    ),
    (
        r#"headers: {X: "{{call a}}"}"#,
        "`call` is not a function",
        "eq ne lt",
    ),
    (
        r#"headers: {X: "{{$x := a}}{{$x = b}}"}"#,
        "cannot be assigned again",
        "declare another",
    ),
    (
        r#"headers: {X: "{{$x}}"}"#,
        "no variable `$x`",
        "declare it before",
    ),
    (
        r#"headers: {X: "{{nil}}"}"#,
        "`nil` cannot be printed",
        "`null` into the JSON",
    ),
    (
        r#"headers: {X: "{{.}}"}"#,
        "a group of names",
        "name one value",
    ),
    (
        r#"headers: {X: "{{.parameters.nope}}"}"#,
        "no parameter `nope`",
        "parameters.properties",
    ),
    (
        r#"headers: {X: "{{nope}}"}"#,
        "`nope` is neither",
        "under `context:`",
    ),
    (
        r#"headers: {X: "{{.parameters.lst}}"}"#,
        "no parameter `lst` is declared",
        "did you mean `list`?",
    ),
    (
        r#"headers: {X: "{{lits}}"}"#,
        "`lits` is neither",
        "did you mean `list`?",
    ),
    (
        r#"headers: {X: "{{environmnt}}"}"#,
        "`environmnt` is neither",
        "did you mean `environment`?",
    ),
    (
        r#"headers: {X: "{{.variables.a}}"}"#,
        "`a` is a parameter",
        "write `.parameters.a`",
    ),
    (
        r#"headers: {X: "{{.variables.none}}"}"#,
        "no action has an output `none`",
        "`outputs`",
    ),
    (
        r#"headers: {X: "{{.static_variables.WRD}}"}"#,
        "no static variable `WRD`",
        "did you mean `WORD`?",
    ),
    (
        r#"headers: {X: "{{.other.a}}"}"#,
        "`.other` is nothing",
        "without the dot",
    ),
    (
        r#"headers: {X: "{{index .parameters a}}"}"#,
        "must be known when",
        "as a string",
    ),
    (r#"headers: {X: "{{eq a}}"}"#, "`eq` with 1", "two or more"),
    (
        r#"headers: {X: "{{a b}}"}"#,
        "takes no arguments",
        "put a function before",
    ),
    (
        r#"headers: {X: "{{if a}}x"}"#,
        "a block is not closed",
        "{{end}}",
    ),
    (
        r#"headers: {X: "{{end}}"}"#,
        "`end` without a block",
        "remove it",
    ),
    (
        r#"headers: {X: "{{if a}}1{{else}}2{{else}}3{{end}}"}"#,
        "a second `else`",
        "a block has one",
    ),
    (r#"headers: {X: "{{a"}"#, "`{{` is not closed", "`}}`"),
    (
        r#"headers: {X: "{{/* x"}"#,
        "a comment is not closed",
        "`*/}}`",
    ),
    (
        r#"headers: {X: "{{(a}}"}"#,
        "a parenthesis is not closed",
        "`)`",
    ),
    (
        r#"headers: {X: "{{1i}}"}"#,
        "`1i` is not a number",
        "as JSON does",
    ),
    (
        r#"headers: {X: "{{}}"}"#,
        "a value is missing",
        "what it should print",
    ),
    (
        r#"headers: {X: "n {{b}}"}"#,
        "`b` may be missing",
        "`required`",
    ),
    (
        r#"headers: {X: "{{if list}}{{list}}{{end}}"}"#,
        "a list or an object",
        "print one value",
    ),
    (
        r#"body: '{"{{a}}": 1}'"#,
        "in the place of a key",
        "write keys out",
    ),
    (
        r#"body: '{"n": 1{{a}}}'"#,
        "beside a number",
        "the whole of a value",
    ),
    (
        r#"body: '{"l": {{if list}}"{{list}}"{{else}}1{{end}}}'"#,
        "a list or an object",
        "remove the quotes",
    ),
    (
        r#"body: '{"b": "{{b}}"}'"#,
        "`b` may be missing",
        "{{if .parameters.b}}",
    ),
    (
        r#"body: '{"a": {{a}}'"#,
        "an object is not closed",
        "close it",
    ),
    (
        r#"body: '{"a": {{if a}}1{{end}}}'"#,
        "the branches do not end",
        "whole members",
    ),
    (
        r#"body: '{"a": {{a}}, "a": 1}'"#,
        "stands twice",
        "keep one",
    ),
    (r#"body: '{a: 1}'"#, "a key in quotes", "as JSON"),
    (
        r#"body: '{"a": tru}'"#,
        "`tru` is no JSON value",
        "in quotes",
    ),
    (r#"body: ''"#, "the body is empty", "write one JSON value"),
];

/// The keywords of a schema at the top of `parameters`.
const SCHEMAS: &[Row] = &[
    (
        "{properties: {p: {type: strin}}}",
        "p.type must be one of",
        "JSON Schema reference",
    ),
    (
        "{properties: {p: {typ: string}}}",
        "typ is not a keyword",
        "did you mean \"type\"?",
    ),
    (
        "{properties: {p: {nullable: true}}}",
        "nullable is not a keyword",
        "[string, \"null\"]",
    ),
    (
        "{properties: {p: {$ref: 'http://a/b'}}}",
        "only references into the same schema",
        "$defs",
    ),
    (
        "{properties: {p: {$ref: '#/$defs/x'}}}",
        "leads to no schema",
        "declare NAME",
    ),
    (
        "{properties: {p: {$ref: '#/properties/p'}}}",
        "leads back to itself",
        "through a property",
    ),
    (
        "{properties: {p: {$dynamicRef: '#x'}}}",
        "$dynamicRef is not supported",
        "\"$ref\"",
    ),
    (
        "{$schema: 'http://json-schema.org/draft-04/schema#'}",
        "this dialect",
        "2020-12",
    ),
    (
        "{properties: {p: {format: hostnam}}}",
        "the format hostnam is unknown",
        "hostname",
    ),
    (
        "{properties: {p: {contentEncoding: base65}}}",
        "the encoding base65 is unknown",
        "base64",
    ),
    (
        "{properties: {p: {contentMediaType: text/html}}}",
        "text/html is not looked into",
        "application/json",
    ),
    (
        "{properties: {p: {pattern: '(?=a)b'}}}",
        "this pattern cannot be compiled",
        "look-around",
    ),
    (
        "{properties: {p: {then: {type: string}}}}",
        "then has no effect",
        "add \"if\"",
    ),
    (
        "{properties: {p: {enum: x}}}",
        "p.enum must be an array",
        "JSON Schema reference",
    ),
    (
        "{properties: {p: {enum: []}}}",
        "this admits no value",
        "name the values",
    ),
    (
        "{properties: {p: {minLength: -1}}}",
        "p.minLength must be at least 0",
        "JSON Schema reference",
    ),
    (
        "{properties: {p: {type: integer, default: x}}}",
        "the default does not fit",
        "change the default",
    ),
    (
        "{properties: {p: {type: string}, P: {type: string}}}",
        "differ in case alone",
        "rename one",
    ),
    (
        "{properties: {p: {type: string}}, required: [q]}",
        "q is required but not declared",
        "declare it",
    ),
    (
        "{properties: {p: {type: string, required: true}}}",
        "p.required must be an array",
        "JSON Schema reference",
    ),
    (
        "{properties: {p: string}}",
        "this is not a schema",
        "a mapping of keywords",
    ),
    (
        "{properties: [p]}",
        "properties must be an object",
        "JSON Schema reference",
    ),
    (
        "{type: array}",
        "parameters are the properties of an object",
        "`type: object`",
    ),
    (
        "x",
        "expected a JSON Schema",
        "{properties: {NAME: {type: string}}}",
    ),
];

const PARAMETERS: &str = "{properties: {a: {type: string}, b: {type: string}, list: {type: array, items: {type: string}}}, required: [a]}";

#[test]
fn what_templates_leave_out_is_explained() {
    let fields = TEMPLATES
        .iter()
        .map(|(field, ..)| vec![(*field).to_owned(), format!("parameters: {PARAMETERS}")]);
    explained(TEMPLATES, fields.collect());
}

#[test]
fn what_a_schema_gets_wrong_is_explained() {
    let fields = SCHEMAS
        .iter()
        .map(|(schema, ..)| vec![format!("parameters: {schema}")]);
    explained(SCHEMAS, fields.collect());
}

/// One policy with an action for each row, whose first field has the mistake.
fn explained(rows: &[Row], fields: Vec<Vec<String>>) {
    let mut lines = vec![
        "version: 1".to_owned(),
        "static_variables: {WORD: w}".into(),
        "actions:".into(),
    ];
    let mut places = Vec::new();
    for (number, fields) in fields.into_iter().enumerate() {
        lines.push(format!("  a{number}:"));
        places.push(lines.len() + 1);
        lines.extend(fields.into_iter().map(|it| format!("    {it}")));
        lines.push("    description: Does it for you.".into());
        lines.push(format!("    url: https://h.example.com/a{number}"));
        lines.push("    method: POST".into());
    }
    let problems = check(&(lines.join("\n") + "\n"));
    for ((field, says, mends), line) in rows.iter().zip(places) {
        let here = problems.iter().filter(|it| it["line"] == line);
        let here: Vec<&Value> = here.collect();
        let is_it = |it: &&&Value| {
            let text = |name: &str| it[name].as_str().unwrap_or_default();
            text("severity") == "error"
                && text("message").contains(says)
                && text("remedy").contains(mends)
        };
        assert!(here.iter().any(|it| is_it(&it)), "{field}: {here:#?}");
    }
    for problem in &problems {
        assert!(problem["remedy"].is_string(), "{problem}");
    }
}

fn check(policy: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, policy).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_exeat"))
        .args(["check", "--json", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["problems"].as_array().unwrap().clone()
}
