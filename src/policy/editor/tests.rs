//! The schema has all of the tables, and its rules are about what is in them.

use std::collections::BTreeMap;

use super::*;

/// Every section that a file can lead to, by what messages call it.
fn sections(file: &'static Section) -> BTreeMap<&'static str, &'static Section> {
    let mut found = BTreeMap::new();
    collect(&Shape::Section(file), &mut found);
    found
}

fn collect(shape: &Shape, found: &mut BTreeMap<&'static str, &'static Section>) {
    match shape {
        Shape::Section(section) => {
            found.insert(section.what, section);
            let shapes = section.fields.iter().map(|it| &it.shape);
            shapes.for_each(|it| collect(it, found));
        }
        Shape::List(inner) | Shape::Map(_, inner) => collect(inner, found),
        Shape::Either(shapes) => shapes.iter().for_each(|it| collect(it, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_every_section_is_there_with_what_it_means() {
    for file in [&File::SECTION, &TrialFile::SECTION] {
        let schema = of_file(file);
        for (what, section) in sections(file) {
            let of_section = match what {
                what if what == file.what => &schema,
                _ => &schema["$defs"][definition(what)],
            };
            assert_eq!(of_section["title"], what);
            assert_eq!(of_section["additionalProperties"], false, "{what}");
            let properties = of_section["properties"].as_object().unwrap();
            let names: Vec<&str> = properties.keys().map(String::as_str).collect();
            let expected: Vec<&str> = section.fields.iter().map(|it| it.name).collect();
            assert_eq!(names, expected, "{what}");
            for field in section.fields {
                let about = properties[field.name]["description"].as_str().unwrap();
                assert!(about.ends_with(field.about), "{what}: {about}");
            }
        }
        let definitions = schema["$defs"].as_object().unwrap().len();
        assert_eq!(definitions + 1, sections(file).len());
    }
}

#[test]
fn every_rule_has_its_subject() {
    let mut sections = sections(&File::SECTION);
    sections.extend(self::sections(&TrialFile::SECTION));
    for rule in RULES {
        let section = sections.get(rule.section);
        let section = section.unwrap_or_else(|| panic!("no section {}", rule.section));
        if let Some(field) = rule.field {
            assert!(section.field(field).is_some(), "{}: {field}", rule.section);
        }
    }
}

#[test]
fn a_field_says_what_it_takes() {
    let schema = json_schema();
    let action = &schema["$defs"]["action"]["properties"];
    assert_eq!(
        action["method"],
        json!({
            "description": "the HTTP method",
            "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        })
    );
    let text = json!({"type": ["string", "number", "boolean"]});
    let environments =
        json!({"pattern": "^[A-Za-z0-9_-]{1,64}$", "not": {"enum": ["secret", "prefix", "none"]}});
    let secret = json!({"$ref": "#/$defs/secrets_use"});
    assert_eq!(
        schema["$defs"]["basic_connector"]["properties"]["username"],
        json!({
            "description": "the user name; it contains no `:`",
            "anyOf": [
                text,
                secret,
                {
                    "type": "object",
                    "additionalProperties": {"anyOf": [text, secret]},
                    "propertyNames": environments,
                    "minProperties": 1,
                },
            ],
        })
    );
    assert_eq!(
        schema["properties"]["auth"]["additionalProperties"]["properties"]["type"]["enum"],
        json!([
            "bearer",
            "basic",
            "api_key",
            "oauth2_client_credentials",
            "none"
        ])
    );
    assert_eq!(
        schema["$defs"]["basic_connector"]["properties"]["type"],
        json!({"description": "the type of the connector", "const": "basic"})
    );
}
