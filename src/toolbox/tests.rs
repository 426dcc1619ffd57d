//! Actions of policies, and exactly what is told of them.

use proptest::prelude::*;

use super::*;
use crate::name::ActionName;
use crate::policy;

/// The tool of one action of a policy.
fn tool(policy: &str, action: &str) -> Tool {
    let loaded = policy::from_texts(&[("p.yaml".into(), policy.into())]);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{policy}"));
    let environment = policy.environments().first().unwrap();
    Tool::of(&environment.actions[&ActionName::parse(action).unwrap()])
}

fn told(tool: &Tool, format: Format) -> Value {
    definitions([tool.clone()].into_iter(), format)
}

const ORDERS: &str = r#"version: 1
secrets: {crm_key: {env: CRM_KEY}}
auth: {crm: {type: bearer, token: {secret: crm_key}}}
actions:
  verify_customer:
    description: Verifies a customer by number and PIN.
    method: POST
    url: https://crm.internal-name.example/api/verify
    auth: crm
    variables:
      - {name: customer_id, type: string, description: The number on the card, required: true, example: "C-17"}
      - {name: pin, type: integer, required: true}
      - {name: phone, type: phone}
  lookup_orders:
    title: Look up orders
    description: Lists the orders of a customer.
    method: GET
    url: https://crm.internal-name.example/api/orders
    auth: crm
    headers: {X-Tenant: tenant-7}
    parameters:
      properties:
        customer_id: {type: string, maxLength: 20}
        state: {enum: [open, closed], default: open}
        limit: {type: integer, exclusiveMinimum: 0, maximum: 50}
      required: [customer_id]
    requires:
      - {action: verify_customer, within: 15m, bind: {customer_id: customer_id}}
"#;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_tool_has_the_same_meaning_in_every_format() {
    let tool = tool(ORDERS, "lookup_orders");
    let description = "Lists the orders of a customer. Call verify_customer first: it has to have succeeded in the \
                       same session, with the same customer_id, at most 15m ago.";
    let titled = format!("Look up orders: {description}");
    let parameters = json!({
        "type": "object",
        "properties": {
            "customer_id": {"type": "string", "maxLength": 20},
            "state": {"enum": ["open", "closed"], "default": "open"},
            "limit": {"type": "integer", "exclusiveMinimum": 0, "maximum": 50},
        },
        "required": ["customer_id"],
        "additionalProperties": false,
    });
    let rows = [
        (
            Format::OpenAi,
            json!([{"type": "function", "function": {
                "name": "lookup_orders", "description": titled, "parameters": parameters,
            }}]),
        ),
        (
            Format::OpenAiResponses,
            json!([{
                "type": "function", "name": "lookup_orders", "description": titled, "parameters": parameters,
                "strict": false,
            }]),
        ),
        (
            Format::Anthropic,
            json!([{"name": "lookup_orders", "description": titled, "input_schema": parameters}]),
        ),
        (
            Format::Mcp,
            json!([{
                "name": "lookup_orders", "title": "Look up orders", "description": description,
                "inputSchema": parameters,
                "annotations": {
                    "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": true,
                },
            }]),
        ),
        (
            Format::Gemini,
            json!([{"functionDeclarations": [{
                "name": "lookup_orders", "description": titled,
                "parameters": {
                    "type": "object",
                    "properties": {
                        "customer_id": {"type": "string", "maxLength": 20},
                        "state": {"type": "string", "default": "open", "enum": ["open", "closed"]},
                        "limit": {"type": "integer", "maximum": 50, "minimum": 1},
                    },
                    "required": ["customer_id"],
                },
            }]}]),
        ),
    ];
    for (format, expected) in rows {
        assert_eq!(told(&tool, format), expected, "{format:?}");
    }
}

#[test]
fn the_short_form_keeps_its_descriptions_and_examples() {
    let tool = tool(ORDERS, "verify_customer");
    assert_eq!(
        Value::Object(tool.parameters.clone()),
        json!({
            "type": "object",
            "properties": {
                "customer_id": {"type": "string", "description": "The number on the card", "examples": ["C-17"]},
                "pin": {"type": "integer"},
                "phone": {"type": "string", "pattern": r"^\+?[0-9 ().-]{5,20}$"},
            },
            "required": ["customer_id", "pin"],
            "additionalProperties": false,
        })
    );
    let gemini = told(&tool, Format::Gemini);
    assert_eq!(
        gemini.pointer("/0/functionDeclarations/0/parameters/properties/customer_id"),
        Some(
            &json!({"type": "string", "description": "The number on the card", "example": "C-17"})
        )
    );
    let hints = Hints {
        read_only: false,
        destructive: true,
        idempotent: false,
    };
    assert_eq!(tool.hints, hints);
}

#[test]
fn nothing_of_how_an_action_is_carried_out_is_told() {
    for format in Format::ALL {
        for action in ["verify_customer", "lookup_orders"] {
            let text = told(&tool(ORDERS, action), format).to_string();
            for inner in [
                "internal-name",
                "crm_key",
                "CRM_KEY",
                "tenant-7",
                "X-Tenant",
                "bearer",
                "/api/",
            ] {
                assert!(!text.contains(inner), "{format:?} {action} {inner}");
            }
        }
    }
}

#[test]
fn an_action_without_parameters_is_an_empty_object_or_nothing() {
    let policy = "version: 1\nactions:\n  ping: {description: Says whether it is there., method: HEAD, url: https://a.example.com/}\n";
    let tool = tool(policy, "ping");
    let empty = json!({"type": "object", "properties": {}, "additionalProperties": false});
    assert_eq!(told(&tool, Format::Anthropic)[0]["input_schema"], empty);
    let gemini = json!([{"functionDeclarations": [
        {"name": "ping", "description": "Says whether it is there."},
    ]}]);
    assert_eq!(told(&tool, Format::Gemini), gemini);
}

#[test]
fn a_description_that_openai_would_refuse_keeps_what_has_to_be_done_first() {
    let mut tool = tool(ORDERS, "lookup_orders");
    let description = |tool: &Tool| {
        let told = told(tool, Format::OpenAi);
        told[0]["function"]["description"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    tool.description = "d".repeat(880);
    let before = tool.before.join(" ");
    let whole = format!("{} {before}", tool.description);
    assert_eq!(description(&tool), format!("Look up orders: {whole}"));
    tool.description = "d".repeat(1024 - before.len() - 1);
    assert_eq!(description(&tool), format!("{} {before}", tool.description));
    tool.description = "é".repeat(2000);
    let cut = description(&tool);
    assert_eq!(cut.chars().count(), 1024);
    assert!(cut.ends_with(&format!("é… {before}")));
    tool.before.clear();
    assert!(description(&tool).chars().count() <= 1024);
}

/// A schema for parameters, as one of a tool of that name.
fn with_parameters(schema: &Value) -> Tool {
    let mut tool = tool(ORDERS, "lookup_orders");
    tool.parameters = crate::schema::Schema::compile(schema).unwrap().explicit();
    tool
}

fn conditional() -> Value {
    json!({
        "properties": {
            "category": {"enum": ["billing", "technical"]},
            "text": {"type": "string"},
            "topic": {"type": "string", "description": "Within the category"},
        },
        "required": ["category"],
        "allOf": [
            {
                "if": {"properties": {"category": {"const": "billing"}}},
                "then": {
                    "properties": {"invoice": {"type": "string"}, "topic": {"enum": ["refund"]}},
                    "required": ["invoice"],
                },
            },
            {
                "if": {"properties": {"category": {"const": "technical"}}},
                "then": {"properties": {"product": {"enum": ["app", "site"]}, "topic": {"enum": ["login", "bug"]}}},
            },
        ],
    })
}

#[test]
fn combinations_at_the_top_move_below_it_and_mean_the_same() {
    let tool = with_parameters(&conditional());
    let moved = Value::Object(without_combination(&tool.parameters));
    assert_eq!(moved["if"], json!({}));
    assert_eq!(moved["then"]["allOf"], conditional()["allOf"]);
    for keyword in ["allOf", "anyOf", "oneOf", "not", "enum", "const", "$ref"] {
        assert!(moved.get(keyword).is_none(), "{keyword}");
    }
    let explicit = Value::Object(tool.parameters);
    for (instance, fits) in [
        (json!({"category": "billing", "invoice": "17"}), true),
        (json!({"category": "billing"}), false),
        (
            json!({"category": "billing", "invoice": "17", "product": "app"}),
            false,
        ),
        (json!({"category": "technical", "product": "app"}), true),
        (json!({"category": "technical", "product": "car"}), false),
        (json!({"category": "technical", "other": 1}), false),
    ] {
        assert_eq!(
            jsonschema::is_valid(&explicit, &instance),
            fits,
            "{instance}"
        );
        assert_eq!(jsonschema::is_valid(&moved, &instance), fits, "{instance}");
    }
}

#[test]
fn conditions_at_the_top_stay_together() {
    let schema = json!({
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "not": {"required": ["a", "b"]},
        "if": {"required": ["a"]},
        "then": {"properties": {"a": {"minimum": 1}}},
        "else": {"required": ["b"]},
    });
    let explicit = with_parameters(&schema).parameters;
    let moved = Value::Object(without_combination(&explicit));
    let explicit = Value::Object(explicit);
    for instance in [
        json!({}),
        json!({"a": 1}),
        json!({"a": 0}),
        json!({"b": 1}),
        json!({"a": 1, "b": 1}),
    ] {
        let fits = jsonschema::is_valid(&explicit, &instance);
        assert_eq!(jsonschema::is_valid(&moved, &instance), fits, "{instance}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn gemini_is_told_in_words_what_it_has_no_keywords_for() {
    let rows = [
        (
            json!({"type": ["string", "null"]}),
            json!({"type": "string", "nullable": true}),
        ),
        (
            json!({"type": ["string", "integer"], "description": "Number or name"}),
            json!({"anyOf": [
                {"type": "string", "description": "Number or name"},
                {"type": "integer", "description": "Number or name"},
            ]}),
        ),
        (
            json!({"const": "a"}),
            json!({"type": "string", "enum": ["a"]}),
        ),
        (
            json!({"enum": [1, 2]}),
            json!({"type": "integer", "description": "One of: 1, 2."}),
        ),
        (
            json!({"type": "string", "format": "date", "description": "The day"}),
            json!({"type": "string", "description": "The day. Format: date."}),
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "string", "format": "date-time"}),
        ),
        (
            json!({"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5}),
            json!({"type": "number", "description": "More than 0. A multiple of 0.5."}),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true, "maxItems": 3}),
            json!({
                "type": "array", "maxItems": 3, "items": {"type": "string"}, "description": "No item stands twice.",
            }),
        ),
        (
            json!({"type": "array"}),
            json!({"type": "array", "items": {"type": "string"}}),
        ),
        (
            json!({"$ref": "#/$defs/address", "description": "Where to"}),
            json!({
                "type": "object", "description": "Where to", "required": ["town"],
                "properties": {"town": {"type": "string"}, "in": {"type": "object"}},
            }),
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "object", "properties": {"id": {"type": "integer"}}}]}),
            json!({"anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"id": {"type": "integer"}}},
            ]}),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "object"}),
        ),
    ];
    for (schema, expected) in rows {
        let address = json!({
            "type": "object",
            "properties": {"town": {"type": "string"}, "in": {"$ref": "#/$defs/address"}},
            "required": ["town"],
        });
        let source = json!({"$defs": {"address": address}, "properties": {"x": schema, "y": true}});
        let written = gemini::parameters(&with_parameters(&source).parameters).unwrap();
        assert_eq!(written["properties"]["x"], expected, "{schema}");
        assert_eq!(written["properties"]["y"], json!({"type": "string"}));
    }
}

#[test]
fn gemini_knows_the_names_that_only_a_branch_declares() {
    let written = gemini::parameters(&with_parameters(&conditional()).parameters).unwrap();
    assert_eq!(
        written,
        json!({
            "type": "object",
            "properties": {
                "category": {"type": "string", "enum": ["billing", "technical"]},
                "text": {"type": "string"},
                "topic": {
                    "type": "string",
                    "description": "Within the category. Depending on other parameters, one of: refund, login, bug.",
                },
                "invoice": {"type": "string"},
                "product": {"type": "string", "enum": ["app", "site"]},
            },
            "required": ["category"],
        })
    );
}

#[test]
fn what_holds_in_one_branch_is_no_limit_in_another() {
    let of = |property: Value| json!({"properties": {"x": property}});
    let rows = [
        (
            json!({"enum": ["a"]}),
            json!({"enum": ["b", "a"]}),
            json!({"type": "string", "enum": ["a", "b"]}),
        ),
        (
            json!({"type": "integer", "maximum": 5}),
            json!({"type": "integer", "maximum": 10}),
            json!({"type": "integer"}),
        ),
        (
            json!({"const": "a"}),
            json!({"type": "string"}),
            json!({"type": "string"}),
        ),
    ];
    for (one, other, expected) in rows {
        let schema = json!({"properties": {"y": {}}, "if": {"required": ["y"]}, "then": of(one), "else": of(other)});
        let written = gemini::parameters(&with_parameters(&schema).parameters).unwrap();
        assert_eq!(written["properties"]["x"], expected);
    }
}

#[test]
fn formats_are_known_by_one_word() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    let unknown = "OpenAI".parse::<Format>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "the formats are openai, openai-responses, anthropic, mcp, gemini"
    );
}

/// Schemas of all kinds, some of which lead back into themselves.
fn sources() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!({})),
        Just(json!({"type": ["string", "null", "integer"], "minLength": 1})),
        Just(json!({"enum": [1, "a", null]})),
        Just(json!({"const": true})),
        Just(json!({"type": "string", "format": "email", "enum": ["a@b.example"]})),
        Just(json!({"type": "number", "exclusiveMaximum": 1.5})),
        Just(json!({"$ref": "#/$defs/tree"})),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let named = || prop::collection::btree_map("[abc]", inner.clone(), 0..3);
        let keyword = prop::sample::select(vec!["allOf", "anyOf", "oneOf"]);
        prop_oneof![
            named().prop_map(|it| json!({"type": "object", "properties": it})),
            (named(), keyword.clone(), inner.clone(), inner.clone())
                .prop_map(|(it, keyword, one, other)| json!({"properties": it, keyword: [one, other]})),
            (keyword, inner.clone(), inner.clone()).prop_map(|(keyword, one, other)| json!({keyword: [one, other]})),
            (named(), inner.clone(), inner.clone())
                .prop_map(|(it, one, other)| json!({"properties": it, "if": {"required": ["a"]}, "then": one, "else": other})),
            (named(), inner.clone()).prop_map(|(it, one)| json!({"properties": it, "dependentSchemas": {"a": one}})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|it| json!({"type": "array", "prefixItems": it})),
            inner.prop_map(|it| json!({"type": ["array", "string"], "items": it})),
        ]
    })
}

/// Whether a value is a `Schema` of the Gemini API: nothing beside `anyOf`, items in every list, texts in every `enum`.
fn is_of_gemini(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return false;
    };
    if let Some(branches) = schema.get("anyOf") {
        let branches = branches.as_array().unwrap();
        return schema.len() == 1 && branches.iter().all(is_of_gemini);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    let declared =
        |name: &Value| properties.is_some_and(|it| it.contains_key(name.as_str().unwrap()));
    let kind = schema.get("type").and_then(Value::as_str).unwrap();
    let values = schema.get("enum").and_then(Value::as_array);
    schema.keys().all(|it| !it.starts_with(['$', '\0']))
        && ["string", "number", "integer", "boolean", "array", "object"].contains(&kind)
        && (kind == "array") == schema.get("items").is_some_and(is_of_gemini)
        && values.into_iter().flatten().all(Value::is_string)
        && properties.is_none_or(|it| !it.is_empty() && it.values().all(is_of_gemini))
        && required.into_iter().flatten().all(declared)
}

proptest! {
    #[test]
    fn whatever_the_schema_gemini_understands_the_tool(source in sources()) {
        let tree = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}, "anyOf": [source.clone()]});
        let source = json!({"$defs": {"tree": tree}, "properties": {"a": source}});
        if let Ok(schema) = crate::schema::Schema::compile(&source) {
            let written = gemini::parameters(&schema.explicit()).unwrap();
            prop_assert!(is_of_gemini(&written), "{source}: {written}");
        }
    }
}
