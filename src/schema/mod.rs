//! JSON Schema as a policy uses it: compiled once, strict about its own text, closed by default.
//!
//! A [`Schema`] answers whether an instance may pass and, if not, what the sender should change. It
//! also knows the declared properties, their order, defaults and text types, because requests are
//! taken apart and rebuilt by them. It does no IO: references lead into the same schema or are
//! mistakes. Parsing JSON text is the business of [`crate::json`].

mod concealed;
mod cost;
mod dialect;
mod explicit;
mod fill;
mod format;
mod node;
mod pattern;
mod patterns;
mod plain;
mod properties;
mod property;
mod rare;
mod reach;
mod scalar;
mod shape;
mod survey;
mod types;
mod validator;
mod violation;

use std::fmt;

use jsonschema::ValidationError;
use jsonschema::ValidationOptions;
use jsonschema::Validator;
use jsonschema::ValidatorMap;
use serde_json::Map;
use serde_json::Value;

use self::dialect::Dialect;
use self::node::Node;
use self::node::NodeId;
use self::node::Nodes;
use self::patterns::Patterns;
use self::plain::Plain;
pub use self::property::Property;
use self::reach::Reach;
use self::reach::Undeclared;
use self::reach::Walk;
pub use self::scalar::ScalarType;
pub use self::scalar::Shape;
pub use self::scalar::coerce;
pub use self::scalar::spelling;
use self::types::Types;
pub use self::violation::Violation;
pub use self::violation::ViolationKind;
use crate::yaml::as_step;

/// Errors that are weighed for the most useful one: an instance can hold one in every item.
const ERRORS_READ: usize = 64;

/// A schema that was found sound.
pub struct Schema {
    validator: Validator,
    /// A validator for each subschema, kept where the instance decides which of them apply.
    branches: Option<ValidatorMap>,
    nodes: Nodes,
    /// Whether some object admits properties that it does not name.
    open: bool,
    /// Whether some property of the root has a default.
    fills: bool,
    /// For instances that are quickly seen to pass.
    plain: Option<Box<Plain>>,
    /// `(as compiled, as written)`
    patterns: Vec<(String, String)>,
    /// As text: the tree would take ten times the room, and is asked for by people and models alone.
    source: Box<str>,
}

/// One mistake in the source of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaProblem {
    /// JSON Pointer (RFC 6901) into the source.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

/// Compiles the schemas of one policy, which share what is large and the same in many: compiled patterns.
#[derive(Clone, Default)]
pub struct Compiler(Patterns);

impl Compiler {
    /// As [`Schema::compile`].
    ///
    /// # Errors
    ///
    /// As [`Schema::compile`].
    pub fn compile(&self, source: &Value) -> Result<Schema, Vec<SchemaProblem>> {
        let mut problems = Problems::default();
        let renamed = with_properties(source);
        let compiled = compile(renamed.as_ref().unwrap_or(source), &self.0, &mut problems);
        match compiled {
            Some(schema) if problems.0.is_empty() => Ok(schema),
            _ => Err(problems.found(renamed.is_some())),
        }
    }
}

impl Schema {
    /// Compiles a schema: 2020-12 unless `$schema` names 2019-09 or draft 7. A root of exactly
    /// `{parameters, required}` reads as `{properties, required}`.
    ///
    /// # Errors
    ///
    /// Every mistake in the source, at most one for each place.
    pub fn compile(source: &Value) -> Result<Self, Vec<SchemaProblem>> {
        Compiler::default().compile(source)
    }

    /// The schema of the parameters for readers who do not know exeat's rules: an object, closed in so many words
    /// wherever JSON Schema has the words. It refuses nothing that [`Self::check`] accepts.
    #[must_use]
    pub fn explicit(&self) -> Map<String, Value> {
        let source = serde_json::from_str(&self.source);
        explicit::explicit(&source.unwrap_or_default())
    }

    /// The properties of the root in declared order, those that only some branch declares last.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        let members = &self.root().possible;
        members.iter().enumerate().flat_map(move |(at, id)| {
            let names = self.nodes.get(*id).names();
            names.filter(move |name| {
                !members[..at]
                    .iter()
                    .any(|it| self.nodes.get(*it).property(name).is_some())
            })
        })
    }

    /// Whether [`Self::properties`] has this name.
    #[must_use]
    pub fn declares(&self, property: &str) -> bool {
        let mut members = self.root().possible.iter();
        members.any(|id| self.nodes.get(*id).property(property).is_some())
    }

    /// Whether the root always requires this property.
    #[must_use]
    pub fn required(&self, property: &str) -> bool {
        let names = |id: &NodeId| self.nodes.get(*id).required.iter().any(|it| it == property);
        self.root().always.iter().any(names)
    }

    /// The default of a root property.
    #[must_use]
    pub fn default_of(&self, property: &str) -> Option<&Value> {
        fill::default_of(
            &self.nodes,
            &fill::named(&self.nodes, &self.root().always, property),
        )
    }

    /// What a root property's type lets it be in text.
    #[must_use]
    pub fn shape(&self, property: &str) -> Shape {
        if let [only] = self.root().always.as_slice() {
            let node = self.nodes.get(*only).property(property);
            return node.map_or(Shape::Other, |id| self.nodes.get(id).shape);
        }
        let views = fill::named(&self.nodes, &self.root().always, property);
        self.nodes.shape_of(&views)
    }

    /// Whether the root admits properties that it does not name.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let members = &self.root().possible;
        members.iter().any(|id| self.nodes.get(*id).is_open())
    }

    /// Whether the declared type of a root property is or includes this one, such as `object`.
    #[must_use]
    pub fn may_be(&self, property: &str, kind: &str) -> bool {
        let views = fill::named(&self.nodes, &self.root().possible, property);
        let members = views.iter().flat_map(|id| &self.nodes.get(*id).possible);
        let mut types = members.filter_map(|id| self.nodes.get(*id).types);
        types.any(|types| types.has(Types::named(kind)))
    }

    /// Fills in defaults, and drops a null that stands for an absent optional property, through
    /// nested properties and items. Call it before [`Self::check`].
    pub fn fill_defaults(&self, value: &mut Map<String, Value>) {
        let is_plain = |it: &Value| !matches!(it, Value::Null | Value::Array(_) | Value::Object(_));
        if !self.fills && value.values().all(is_plain) {
            return;
        }
        fill::fill_defaults(&self.nodes, value);
    }

    /// Whether `value` may pass.
    ///
    /// # Errors
    ///
    /// The most useful [`Violation`]: an undeclared property before a missing one before a value
    /// that is wrong.
    pub fn check(&self, value: &Value) -> Result<(), Violation> {
        if self.is_seen_to_pass(value) {
            return Ok(());
        }
        self.judge(value)
    }

    fn is_seen_to_pass(&self, value: &Value) -> bool {
        let (Some(plain), Value::Object(instance)) = (&self.plain, value) else {
            return false;
        };
        plain.passes(&self.nodes, instance)
    }

    fn judge(&self, value: &Value) -> Result<(), Violation> {
        if !self.validator.is_valid(value) {
            return Err(self.explain(value));
        }
        match self.undeclared(value) {
            Some(found) => Err(Violation::undeclared(found)),
            None => Ok(()),
        }
    }

    /// Sorts the keys of every object in `value`: those of the schema in its order, then the others
    /// by name.
    pub fn order(&self, value: &mut Value) {
        fill::order(&self.nodes, value);
    }

    fn root(&self) -> &Node {
        self.nodes.get(Nodes::ROOT)
    }

    /// The first undeclared property of a valid instance.
    fn undeclared(&self, value: &Value) -> Option<Undeclared> {
        if self.open
            && let Some(found) = self.walk(Reach::Possible).undeclared(&[Nodes::ROOT], value)
        {
            return Some(found);
        }
        // Most instances need no look at the branches.
        let found = self.walk(Reach::Sure).undeclared(&[Nodes::ROOT], value)?;
        match &self.branches {
            Some(branches) => self
                .walk(Reach::Exact(branches))
                .undeclared(&[Nodes::ROOT], value),
            None => Some(found),
        }
    }

    /// Why an instance is not valid.
    fn explain(&self, value: &Value) -> Violation {
        // What no branch at all describes is undeclared, whatever else is wrong.
        if let Some(found) = self.walk(Reach::Possible).undeclared(&[Nodes::ROOT], value) {
            return Violation::undeclared(found);
        }
        let errors: Vec<_> = self
            .validator
            .iter_errors(value)
            .take(ERRORS_READ)
            .collect();
        Violation::of(&errors, &self.patterns).unwrap_or_else(Violation::unexplained)
    }

    fn walk<'a>(&'a self, reach: Reach<'a>) -> Walk<'a> {
        Walk {
            nodes: &self.nodes,
            reach,
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties: Vec<&str> = self.properties().collect();
        f.debug_struct("Schema")
            .field("properties", &properties)
            .finish_non_exhaustive()
    }
}

/// The problems found so far, one for each place.
#[derive(Default)]
struct Problems(Vec<SchemaProblem>);

impl Problems {
    fn add(&mut self, pointer: &str, message: impl Into<String>, remedy: impl Into<String>) {
        // What is wrong at a place makes later complaints about it noise.
        if !self.0.iter().any(|it| it.pointer == pointer) {
            let (message, remedy) = (message.into(), remedy.into());
            self.0.push(SchemaProblem {
                pointer: pointer.to_owned(),
                message,
                remedy,
            });
        }
    }

    fn found(mut self, renamed: bool) -> Vec<SchemaProblem> {
        for problem in self.0.iter_mut().filter(|_| renamed) {
            if let Some(below) = problem.pointer.strip_prefix("/properties") {
                problem.pointer = format!("/parameters{below}");
            }
        }
        self.0
    }
}

/// `{parameters, required}` as `{properties, required}`.
fn with_properties(source: &Value) -> Option<Value> {
    let source = source
        .as_object()
        .filter(|it| it.len() == 2 && it.contains_key("required"))?;
    let mut renamed = Map::new();
    renamed.insert("properties".to_owned(), source.get("parameters")?.clone());
    renamed.insert("required".to_owned(), source.get("required")?.clone());
    Some(Value::Object(renamed))
}

fn compile(source: &Value, patterns: &Patterns, problems: &mut Problems) -> Option<Schema> {
    let Some(dialect) = Dialect::of(source) else {
        let remedy = "use https://json-schema.org/draft/2020-12/schema, 2019-09 or draft-07";
        problems.add(
            "/$schema",
            "this dialect of JSON Schema is not supported",
            remedy,
        );
        return None;
    };
    let survey = survey::survey(dialect, source, patterns, problems);
    against_dialect(dialect, source, problems);
    if !problems.0.is_empty() {
        return None;
    }
    let prepared = validator::prepare(dialect, source);
    let nodes = Nodes::build(
        dialect,
        &prepared.schema,
        &survey.anchors,
        patterns,
        problems,
    );
    if problems.0.is_empty() {
        cost::refuse_exponential(&nodes, problems);
    }
    if !problems.0.is_empty() {
        return None;
    }
    let options = patterns.options(dialect);
    let (validator, every) = match validators(&options, &prepared.schema, &nodes) {
        Ok(compiled) => compiled,
        Err(error) => {
            let message = violation::sentence(&error);
            problems.add(
                error.schema_path().as_str(),
                message,
                "correct this keyword",
            );
            return None;
        }
    };
    check_defaults(&nodes, every.as_ref(), problems);
    check_required(&nodes, problems);
    let branches = every.filter(|_| nodes.iter().any(Node::is_conditional));
    let open = nodes.iter().any(Node::is_open);
    Some(Schema {
        validator,
        branches,
        open,
        fills: fill::has_defaults(&nodes),
        plain: Plain::of(&prepared.schema, &nodes).map(Box::new),
        nodes,
        patterns: prepared.patterns,
        source: source.to_string().into(),
    })
}

/// A validator for the whole, and where some subschema is asked by itself, one for each.
fn validators(
    options: &ValidationOptions<'_>,
    schema: &Value,
    nodes: &Nodes,
) -> Result<(Validator, Option<ValidatorMap>), ValidationError<'static>> {
    let validator = options.build(schema)?;
    let asked = |node: &Node| node.is_conditional() || node.default.is_some();
    let every = nodes.iter().any(asked).then(|| options.build_map(schema));
    Ok((validator, every.transpose()?))
}

/// Every violation of the dialect's own schema.
fn against_dialect(dialect: Dialect, source: &Value, problems: &mut Problems) {
    let errors: Vec<_> = match dialect {
        Dialect::Draft7 => jsonschema::draft7::meta::validator()
            .iter_errors(source)
            .map(told)
            .collect(),
        Dialect::Draft201909 => jsonschema::draft201909::meta::validator()
            .iter_errors(source)
            .map(told)
            .collect(),
        Dialect::Draft202012 => jsonschema::draft202012::meta::validator()
            .iter_errors(source)
            .map(told)
            .collect(),
    };
    for (pointer, message) in errors {
        problems.add(
            &pointer,
            message,
            "see the JSON Schema reference for this keyword",
        );
    }
}

fn told(error: ValidationError<'_>) -> (String, String) {
    (
        error.instance_path().as_str().to_owned(),
        violation::sentence(&error),
    )
}

/// A default that its own schema refuses would refuse every call that leaves the property out.
fn check_defaults(nodes: &Nodes, validators: Option<&ValidatorMap>, problems: &mut Problems) {
    for node in nodes.iter() {
        let Some(default) = &node.default else {
            continue;
        };
        let validator = validators.and_then(|it| it.get(&node.fragment));
        let Some(error) = validator.and_then(|it| it.validate(default).err()) else {
            continue;
        };
        let pointer = format!(
            "{}/{}",
            node.fragment.trim_start_matches('#'),
            as_step("default")
        );
        let message = format!(
            "the default does not fit its schema: {}",
            violation::sentence(&error)
        );
        problems.add(&pointer, message, "change the default or the schema");
    }
}

/// A required property that nothing declares would refuse every call: with it, and without it.
fn check_required(nodes: &Nodes, problems: &mut Problems) {
    let root = nodes.get(Nodes::ROOT);
    let walk = Walk {
        nodes,
        reach: Reach::Possible,
    };
    for node in root.always.iter().map(|id| nodes.get(*id)) {
        let undeclared = |name: &&String| !walk.declares(&root.possible, name);
        for name in node.required.iter().filter(undeclared) {
            let pointer = format!("{}/required", node.fragment.trim_start_matches('#'));
            let message = format!("{name} is required but not declared");
            problems.add(
                &pointer,
                message,
                "declare it under \"properties\", or correct the name",
            );
        }
    }
}

#[cfg(test)]
mod tests;
