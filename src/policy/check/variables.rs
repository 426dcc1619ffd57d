//! The short form of parameters: a list of variables becomes a JSON Schema. The variables of the context are declared
//! with the same types.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::policy::ContextVariables;
use crate::policy::check::told::Told;
use crate::policy::check::{hidden, leak};
use crate::policy::raw::decode::{List, Text};
use crate::policy::raw::names::Names;
use crate::policy::raw::variable::{ContextVariable, Variable, VariableType};
use crate::problem::Problem;
use crate::schema::{Compiler, ScalarType, Schema, coerce};
use crate::template::{Context, Kind, Known};

/// The schema of these variables and its source, if they are sound.
pub(super) fn schema(
    list: &List<Variable>,
    compiler: &Compiler,
    told: &mut Told<'_>,
) -> Option<(Arc<Schema>, Value)> {
    let mut first: HashMap<&str, &Text> = HashMap::new();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut is_sound = true;
    for variable in &list.items {
        let Some(name) = &variable.name else {
            is_sound = false;
            continue;
        };
        if let Some(first) = first.insert(&name.value, name) {
            let message = format!("`{}` is declared twice", name.value);
            let problem = Problem::error(&name.place, message);
            told.tell(problem.second("first declared here", &first.place));
            is_sound = false;
            continue;
        }
        match property(variable, told) {
            Some(property) => properties.insert(name.value.clone(), property),
            None => {
                is_sound = false;
                continue;
            }
        };
        if variable.required.as_ref().is_some_and(|it| it.value) {
            required.push(name.value.clone());
        }
    }
    if !is_sound {
        return None;
    }
    let source = json!({"type": "object", "properties": properties, "required": required});
    let problems = match compiler.compile(&source) {
        Ok(schema) => return Some((Arc::new(schema), source)),
        Err(problems) => problems,
    };
    for problem in &problems {
        let below = problem.pointer.strip_prefix("/properties/");
        let mut keys = below.unwrap_or_default().split('/');
        let key = keys.next().unwrap_or_default();
        let name = key.replace("~1", "/").replace("~0", "~");
        let variable = list.items.iter().find(|it| {
            let names = it.name.as_ref();
            names.is_some_and(|it| it.value == name)
        });
        let default = variable.and_then(|it| it.default.as_ref());
        let place = match (variable, default) {
            (_, Some(default)) if keys.next() == Some("default") => &default.place,
            (Some(variable), _) => &variable.place,
            (None, _) => &list.place,
        };
        told.error(place, &problem.message, &problem.remedy);
    }
    None
}

fn property(variable: &Variable, told: &mut Told<'_>) -> Option<Value> {
    let kind = variable.kind.as_ref()?.value;
    let mut property = typed(kind);
    if let Some(text) = &variable.description {
        leak::in_located(text, told);
        hidden::in_located(text, told);
        property.insert("description".into(), text.value.as_str().into());
    }
    let mut is_sound = true;
    for (keyword, text) in [
        ("default", &variable.default),
        ("examples", &variable.example),
    ] {
        let Some(text) = text else { continue };
        leak::in_located(text, told);
        match coerce(&text.value, scalar(kind)) {
            Ok(value) if keyword == "default" => property.insert(keyword.into(), value),
            Ok(value) => property.insert(keyword.into(), json!([value])),
            Err(expected) => {
                let message = format!("`{}` must be {expected}", text.value);
                told.error(&text.place, message, "write it as the declared type");
                is_sound = false;
                continue;
            }
        };
    }
    is_sound.then_some(Value::Object(property))
}

/// The variables of the context by their whole names, as far as they are sound.
pub(super) fn context(
    declared: &Names<ContextVariable>,
    told: &mut Told<'_>,
) -> HashMap<String, Context> {
    let mut found = HashMap::new();
    for (name, variable) in declared.iter() {
        let is_word = |it: &str| {
            it.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !name.value.split('.').all(is_word) {
            let message =
                "a name of the context is words of letters, digits and `_`, with dots between";
            told.error(&name.place, message, "rename it");
            continue;
        }
        if Known::named(&name.value).is_some() {
            let message = format!("`{}` is a built-in name", name.value);
            told.error(
                &name.place,
                message,
                "rename it, or remove it: exeat sets it",
            );
            continue;
        }
        let is_below = |other: &&str| {
            let rest = name.value.strip_prefix(*other);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(start) = declared.names().find(is_below) {
            let message = format!(
                "`{}` begins with `{start}`, which is a value of its own",
                name.value
            );
            let problem = Problem::error(&name.place, message).remedy("rename one of them");
            let second = declared.get(start).map(|(start, _)| &start.place);
            told.tell(match second {
                Some(place) => problem.second("declared here", place),
                None => problem,
            });
            continue;
        }
        let kind = variable.kind.as_ref();
        let context = Context {
            kind: kind.map_or(Kind::Assumed, |it| Kind::Scalar(scalar(it.value))),
            sensitive: variable.sensitive.as_ref().is_some_and(|it| it.value),
        };
        found.insert(name.value.clone(), context);
    }
    found
}

/// What values the runtime may give them.
pub(super) fn said(declared: &Names<ContextVariable>, told: &mut Told<'_>) -> ContextVariables {
    let mut properties = Map::new();
    for (name, variable) in declared.iter() {
        let Some(kind) = &variable.kind else { continue };
        let mut property = typed(kind.value);
        if variable.sensitive.as_ref().is_some_and(|it| it.value) {
            property.insert("writeOnly".into(), true.into());
        }
        properties.insert(name.value.clone(), property.into());
    }
    ContextVariables::new(properties).unwrap_or_else(|problems| {
        for (problem, place) in problems.iter().zip(&declared.place) {
            told.error(place, &problem.message, &problem.remedy);
        }
        ContextVariables::default()
    })
}

fn typed(kind: VariableType) -> Map<String, Value> {
    let mut property = Map::new();
    property.insert("type".into(), type_name(kind).into());
    if let VariableType::Date | VariableType::Email | VariableType::Phone = kind {
        property.insert("format".into(), kind.as_str().into());
    }
    property
}

fn scalar(kind: VariableType) -> ScalarType {
    match kind {
        VariableType::Integer => ScalarType::Integer,
        VariableType::Float => ScalarType::Number,
        VariableType::Boolean => ScalarType::Boolean,
        VariableType::String | VariableType::Date | VariableType::Email | VariableType::Phone => {
            ScalarType::String
        }
    }
}

fn type_name(kind: VariableType) -> &'static str {
    match scalar(kind) {
        ScalarType::String => "string",
        ScalarType::Integer => "integer",
        ScalarType::Number => "number",
        ScalarType::Boolean => "boolean",
    }
}
