//! The parameters of an action: their schema, and where each of them can stand.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::policy::check::told::Told;
use crate::policy::check::{hidden, leak, variables};
use crate::policy::raw::action::{Action, Schema as Raw};
use crate::policy::raw::decode::Text;
use crate::policy::raw::variable::Variable;
use crate::problem::{Place, nearest};
use crate::schema::{Compiler, Schema, SchemaProblem, Shape};
use crate::template::{Declared, Kind, Parameter};
use crate::yaml::as_step;

/// The schema of an action without parameters.
static NO_PARAMETERS: LazyLock<Option<Arc<Schema>>> = LazyLock::new(|| {
    let closed = json!({"type": "object", "properties": {}});
    Schema::compile(&closed).ok().map(Arc::new)
});

/// The parameters of an action.
pub(super) struct Parameters<'a> {
    raw: Option<&'a Raw>,
    variables: &'a [Variable],
    /// Where the action's name stands, for what has no better place.
    name: &'a Place,
    /// `None`: its mistakes have been told.
    schema: Option<Arc<Schema>>,
    /// From which it was compiled.
    source: Cow<'a, Value>,
    /// What templates may take for granted of each, once one has asked: values are tried against the schema for it.
    names: HashMap<String, OnceCell<Option<Parameter>>>,
    compiler: Compiler,
}

/// Keywords at the root that say nothing about which parameters go together.
const SEPARATE: [&str; 13] = [
    "$schema",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "examples",
    "type",
    "properties",
    "parameters",
    "required",
    "additionalProperties",
    "unevaluatedProperties",
];

/// Whether a parameter can stand in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A scalar, or something that is read as a string.
    Scalar,
    /// A list of scalars.
    List,
    /// An object, or a list of something else.
    Nested,
}

impl<'a> Parameters<'a> {
    pub(super) fn read(
        action: &'a Action,
        name: &'a Place,
        compiler: &Compiler,
        told: &mut Told<'_>,
    ) -> Self {
        let raw = action.parameters.as_ref();
        let mut source = raw.map_or(Cow::Owned(Value::Null), |it| Cow::Borrowed(&it.json.value));
        let schema = match (raw, &action.variables) {
            (Some(raw), None) => compile(raw, true, compiler, told).map(Arc::new),
            (None, Some(list)) => variables::schema(list, compiler, told).map(|(schema, from)| {
                source = Cow::Owned(from);
                schema
            }),
            (None, None) => NO_PARAMETERS.clone(),
            (Some(_), Some(list)) => {
                let message = "an action has `parameters` or `variables`, not both";
                told.error(&list.place, message, "remove one of them");
                None
            }
        };
        let names = schema.iter().flat_map(|schema| schema.properties());
        let names = names.map(|it| (it.to_owned(), OnceCell::new())).collect();
        Self {
            raw,
            variables: action.variables.as_ref().map_or(&[], |it| &it.items),
            name,
            schema,
            source,
            names,
            compiler: compiler.clone(),
        }
    }

    /// Those of an action that is not known.
    pub(super) fn unknown(name: &'a Place) -> Self {
        Self {
            raw: None,
            variables: &[],
            name,
            schema: None,
            source: Cow::Owned(Value::Null),
            names: HashMap::new(),
            compiler: Compiler::default(),
        }
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The schema, if it is sound.
    pub(super) fn schema(&self) -> Option<&Arc<Schema>> {
        self.schema.as_ref()
    }

    /// Whether it has a value in every call.
    pub(super) fn is_certain(&self, name: &str) -> bool {
        let certain =
            |schema: &Arc<Schema>| schema.required(name) || schema.default_of(name).is_some();
        self.schema.as_ref().is_none_or(certain)
    }

    /// Whether others than the declared ones may be given.
    pub(super) fn is_open(&self) -> bool {
        self.schema.as_ref().is_some_and(|schema| schema.is_open())
    }

    /// Whether it can stand in text.
    pub(super) fn fit(&self, name: &str) -> Fit {
        let Some(schema) = &self.schema else {
            return Fit::Scalar;
        };
        match schema.shape(name) {
            Shape::Scalar(_) => Fit::Scalar,
            Shape::ArrayOfScalar(_) => Fit::List,
            Shape::Other if schema.may_be(name, "object") || schema.may_be(name, "array") => {
                Fit::Nested
            }
            Shape::Other => Fit::Scalar,
        }
    }

    /// Those that stand nowhere yet, in the order of the schema.
    pub(super) fn leftovers(&self, placed: &HashSet<&str>) -> Vec<&str> {
        let names = self.schema.iter().flat_map(|schema| schema.properties());
        names.filter(|name| !placed.contains(name)).collect()
    }

    /// The schema of a request that brings a body of its own: what stands in the template of the body alone, it does
    /// not have, and need not.
    pub(super) fn without(&self, in_body: &[&str], told: &mut Told<'_>) -> Option<Arc<Schema>> {
        let schema = self.schema.as_ref()?;
        if in_body.is_empty() {
            return Some(schema.clone());
        }
        let rule = |key: &&String| !SEPARATE.contains(&key.as_str());
        let mut rules = self.source.as_object().into_iter().flat_map(|it| it.keys());
        if let Some(rule) = rules.find(rule) {
            let place = self.raw.map(|it| it.json.places.key(&format!("/{rule}")));
            let message = format!(
                "`{rule}` may be about `{}`, which a request with a body of its own does not have",
                in_body[0]
            );
            let remedy = "take `accept_body` away, or say it within the properties";
            told.error(place.unwrap_or(self.name), message, remedy);
            return None;
        }
        let mut source = self.source.clone().into_owned();
        if let Some(required) = source.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|it| !in_body.iter().any(|name| it == name));
        }
        self.compiler.compile(&source).ok().map(Arc::new)
    }

    /// The schema of something else of the same action.
    pub(super) fn compile(&self, raw: &Raw, told: &mut Told<'_>) -> Option<Schema> {
        compile(raw, false, &self.compiler, told)
    }

    /// Where one is declared.
    pub(super) fn place(&self, name: &str) -> &Place {
        let variable = |it: &&Text| it.value == name;
        let mut variables = self.variables.iter().filter_map(|it| it.name.as_ref());
        if let Some(declared) = variables.find(variable) {
            return &declared.place;
        }
        let Some(raw) = self.raw else {
            return self.name;
        };
        let escaped = as_step(name);
        let root = &raw.json.value;
        let keyword = ["properties", "parameters"]
            .into_iter()
            .find(|it| root.get(it).is_some());
        match keyword {
            Some(keyword) => raw.json.places.key(&format!("/{keyword}/{escaped}")),
            None => &raw.place,
        }
    }
}

impl Declared for Parameters<'_> {
    /// What a template may take for granted of a parameter, or of a property below one. Where the schema is wrong,
    /// everything: telling more would only be an echo.
    fn declared(&self, names: &[&str]) -> Option<Parameter> {
        let name = *names.first()?;
        let Some(schema) = &self.schema else {
            return Some(Parameter::ASSUMED);
        };
        let known = self.names.get(name)?;
        match names {
            [_] => *known.get_or_init(|| granted(schema, names)),
            _ => granted(schema, names),
        }
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.names())
    }
}

/// What a schema lets templates take for granted.
fn granted(schema: &Schema, names: &[&str]) -> Option<Parameter> {
    let property = schema.property(names)?;
    let kind = match property.shape {
        Shape::Scalar(kind) => Kind::Scalar(kind),
        _ if property.structured => Kind::Structured,
        Shape::ArrayOfScalar(_) | Shape::Other => Kind::Untyped,
    };
    Some(Parameter {
        certain: property.certain,
        truthy: property.truthy,
        kind,
    })
}

/// Compiles a schema; an object's where it describes parameters.
fn compile(raw: &Raw, of_object: bool, compiler: &Compiler, told: &mut Told<'_>) -> Option<Schema> {
    look_at(&raw.json.value, &mut String::new(), raw, told);
    let kind = raw.json.value.get("type");
    if of_object && kind.is_some_and(|kind| kind != "object") {
        told.error(
            raw.json.places.value("/type"),
            "parameters are the properties of an object",
            "write `type: object`",
        );
    }
    match compiler.compile(&raw.json.value) {
        Ok(schema) => Some(schema),
        Err(problems) => {
            for problem in &problems {
                told.error(place_of(problem, raw), &problem.message, &problem.remedy);
            }
            None
        }
    }
}

/// Most mistakes are in a value; a keyword that does not exist is wrong itself.
fn place_of<'r>(problem: &SchemaProblem, raw: &'r Raw) -> &'r Place {
    let value = raw.json.value.pointer(&problem.pointer);
    let is_scalar = value.is_some_and(|it| !it.is_object() && !it.is_array());
    if is_scalar && !problem.message.contains("keyword") {
        raw.json.places.value(&problem.pointer)
    } else {
        raw.json.places.key(&problem.pointer)
    }
}

/// Agents read schemas: a secret among defaults or examples would be theirs, and what is hidden from people is not
/// hidden from them.
fn look_at(value: &Value, pointer: &mut String, raw: &Raw, told: &mut Told<'_>) {
    let length = pointer.len();
    let mut below = |key: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&as_step(key));
        hidden::in_text(key, || raw.json.places.key(pointer), told);
        look_at(value, pointer, raw, told);
        pointer.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                below(&index.to_string(), item);
            }
        }
        Value::String(text) => {
            leak::in_text(text, || raw.json.places.value(pointer), told);
            hidden::in_text(text, || raw.json.places.value(pointer), told);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
