//! What a schema says of one property, however deep it stands, to whoever prints its value.

use serde_json::{Map, Value, json};

use super::Schema;
use super::Shape;
use super::fill;
use super::node::{NodeId, Nodes};
use super::types::Types;
use crate::yaml::as_step;

/// A declared property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property {
    /// Whether it is there whenever the object is in which it stands: it is required, or has a default.
    pub certain: bool,
    /// Whether it has no default, and its schema refuses `""`, `0`, `false`, `null`, `[]` and `{}`.
    pub truthy: bool,
    /// What its type lets it be in text.
    pub shape: Shape,
    /// Whether it may be an array or an object, as far as types tell.
    pub structured: bool,
}

impl Schema {
    /// What is said of the property at the end of these names, from the root. `None`: nothing describes it.
    #[must_use]
    pub fn property(&self, names: &[&str]) -> Option<Property> {
        let (last, parents) = names.split_last()?;
        let mut sure = vec![Nodes::ROOT];
        let mut possible = vec![Nodes::ROOT];
        for name in parents {
            let members: Vec<NodeId> = fill::certain(&self.nodes, &sure).collect();
            sure = fill::named(&self.nodes, &members, name);
            possible = self.possible(&possible, name)?;
        }
        let members: Vec<NodeId> = fill::certain(&self.nodes, &sure).collect();
        let required = |id: &NodeId| self.nodes.get(*id).required.iter().any(|it| it == last);
        let sure = fill::named(&self.nodes, &members, last);
        let possible = self.possible(&possible, last)?;
        let default = fill::default_of(&self.nodes, &sure);
        let shape = self.nodes.shape_of(&sure);
        Some(Property {
            certain: members.iter().any(required) || default.is_some(),
            truthy: default.is_none() && self.refuses_falsy(names, &sure),
            shape,
            structured: matches!(shape, Shape::ArrayOfScalar(_)) || self.holds_others(&possible),
        })
    }

    /// The schemas that may describe a property; empty where an open object admits it.
    fn possible(&self, views: &[NodeId], name: &str) -> Option<Vec<NodeId>> {
        let members: Vec<NodeId> = views
            .iter()
            .flat_map(|id| self.nodes.get(*id).possible.iter().copied())
            .collect();
        let named = fill::named(&self.nodes, &members, name);
        let is_open = |id: &NodeId| {
            let node = self.nodes.get(*id);
            node.is_open() || node.boolean == Some(true)
        };
        let admits = views.is_empty() || members.iter().any(is_open);
        (!named.is_empty() || admits).then_some(named)
    }

    fn holds_others(&self, views: &[NodeId]) -> bool {
        let members = views.iter().flat_map(|id| &self.nodes.get(*id).possible);
        let mut types = members.filter_map(|id| self.nodes.get(*id).types);
        types.any(|types| types.has(Types::ARRAY) || types.has(Types::OBJECT))
    }

    /// Whether the property's own schema speaks against every value that templates take for false. What a condition
    /// on its neighbours says does not count: they may be others.
    fn refuses_falsy(&self, names: &[&str], sure: &[NodeId]) -> bool {
        let steps = names.iter().map(|it| format!("/{}", as_step(it)));
        let pointer: String = steps.collect();
        // What its type speaks against need not be tried, and mostly that is all but one.
        let types = self.nodes.types_of(fill::certain(&self.nodes, sure));
        let possible = |it: Types| types.is_none_or(|types| types.has(it));
        let falsy = [
            (Types::STRING, json!("")),
            (Types::INTEGER.with(Types::NUMBER), json!(0)),
            (Types::BOOLEAN, json!(false)),
            (Types::NULL, Value::Null),
            (Types::ARRAY, json!([])),
            (Types::OBJECT, json!({})),
        ];
        let mut falsy = falsy.into_iter().filter(|(kind, _)| possible(*kind));
        falsy.all(|(_, value)| self.refuses(names, &pointer, value))
    }

    fn refuses(&self, names: &[&str], pointer: &str, value: Value) -> bool {
        let instance = names.iter().rev().fold(value, |inner, name| {
            let mut object = Map::new();
            object.insert((*name).to_owned(), inner);
            Value::Object(object)
        });
        self.validator.iter_errors(&instance).any(|error| {
            let keywords = error.schema_path().as_str();
            let is_conditional = keywords
                .split('/')
                .any(|it| matches!(it, "then" | "else" | "dependentSchemas" | "dependencies"));
            error.instance_path().as_str() == pointer && !is_conditional
        })
    }
}
