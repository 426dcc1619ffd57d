//! Which nodes describe a property of an instance, and the rule "closed by default".
//!
//! An instance property must be evaluated by some schema that applies to its object (JSON Schema
//! core, section 11, asks this of `unevaluatedProperties` alone and of one schema only; here the
//! question is put once for each object of the instance, over every schema that applies there). A
//! value whose own schema is a written `true` is open at every depth below. Validity is judged
//! elsewhere: what is asked here of an instance is meaningful only if it is valid.

use std::borrow::Cow;

use jsonschema::ValidatorMap;
use serde_json::Map;
use serde_json::Value;

use super::node::Node;
use super::node::NodeId;
use super::node::Nodes;
use super::node::fits;
use crate::yaml::as_step;

/// How far to follow keywords that apply to some instances only.
#[derive(Clone, Copy)]
pub(super) enum Reach<'a> {
    /// Not at all: what is found applies for certain.
    Sure,
    /// As the instance decides.
    Exact(&'a ValidatorMap),
    /// Always: what is not found here applies to no instance.
    Possible,
}

/// A property that nothing describes.
pub(super) struct Undeclared {
    /// The pointer of the property.
    pub(super) pointer: String,
    pub(super) name: String,
    /// The properties that are described at its object.
    pub(super) declared: Vec<String>,
}

/// A walk over an instance, beside the nodes that describe it.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) reach: Reach<'a>,
}

impl<'a> Walk<'a> {
    /// The first property of `value` that no node evaluates, or that differs from a declared name
    /// in case only: loose readers upstream would take it for the declared one, unchecked.
    pub(super) fn undeclared(&self, views: &[NodeId], value: &Value) -> Option<Undeclared> {
        match value {
            Value::Object(object) => self.undeclared_in_object(views, object, value),
            Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| {
                let within = || self.undeclared(&self.item_views(views, value, at, item), item);
                let found = is_container(item).then(within)?;
                found.map(|it| it.below(&at.to_string()))
            }),
            _ => None,
        }
    }

    fn undeclared_in_object(
        &self,
        views: &[NodeId],
        object: &Map<String, Value>,
        value: &Value,
    ) -> Option<Undeclared> {
        if self.is_any(views) {
            return None;
        }
        let members = self.members(views, value);
        for (name, held) in object {
            if !self.declares(&members, name) {
                return Some(Undeclared {
                    pointer: format!("/{}", as_step(name)),
                    name: name.clone(),
                    declared: self.names(&members),
                });
            }
            if is_container(held) {
                let below = self.property_views(&members, name, value);
                if let Some(found) = self.undeclared(&below, held) {
                    return Some(found.below(&as_step(name)));
                }
            }
        }
        None
    }

    /// The nodes that apply to `value`, given those that were reached from above.
    pub(super) fn members(&self, views: &[NodeId], value: &Value) -> Cow<'a, [NodeId]> {
        let closure = |id: NodeId| match self.reach {
            Reach::Possible => &self.nodes.get(id).possible,
            Reach::Sure | Reach::Exact(_) => &self.nodes.get(id).always,
        };
        if let ([only], Reach::Sure | Reach::Possible) = (views, self.reach) {
            return Cow::Borrowed(closure(*only));
        }
        let mut found = Vec::new();
        for id in views {
            match self.reach {
                Reach::Exact(validators) => self.apply(*id, value, validators, &mut found),
                Reach::Sure | Reach::Possible => found.extend_from_slice(closure(*id)),
            }
        }
        Cow::Owned(found)
    }

    /// Adds `id` and all that apply to `value` because it does.
    fn apply(&self, id: NodeId, value: &Value, validators: &ValidatorMap, found: &mut Vec<NodeId>) {
        if found.contains(&id) {
            return;
        }
        found.push(id);
        let node = self.nodes.get(id);
        let holds = |id: &NodeId| self.holds(*id, value, validators);
        let rare = node.rare();
        let branches = rare.branches.iter().filter(|it| holds(it)).copied();
        let dependent = rare.dependent.iter();
        let dependent = dependent.filter(|(name, _)| value.get(name).is_some());
        let conditional = match rare.condition {
            Some(condition) if holds(&condition) => [Some(condition), rare.then],
            Some(_) => [None, rare.otherwise],
            None => [None, None],
        };
        let all_of = rare.all_of.iter().copied();
        let certain = node.reference.into_iter().chain(all_of);
        let applied = certain
            .chain(branches)
            .chain(conditional.into_iter().flatten());
        for id in applied.chain(dependent.map(|(_, id)| *id)) {
            self.apply(id, value, validators, found);
        }
    }

    fn holds(&self, id: NodeId, value: &Value, validators: &ValidatorMap) -> bool {
        let node = self.nodes.get(id);
        node.boolean.unwrap_or_else(|| {
            // A schema without a validator describes nothing: the property is refused.
            validators
                .get(&node.fragment)
                .is_some_and(|it| it.is_valid(value))
        })
    }

    /// The nodes of a property, in the order of the schema.
    pub(super) fn property_views(
        &self,
        members: &[NodeId],
        name: &str,
        object: &Value,
    ) -> Vec<NodeId> {
        let mut views = Vec::new();
        for id in members {
            let node = self.nodes.get(*id);
            let named = node.property(name).into_iter();
            let matched = node.rare().patterns.iter().filter(|(it, _)| fits(it, name));
            let before = views.len();
            views.extend(named.chain(matched.map(|(_, id)| *id)));
            if views.len() > before {
                continue;
            }
            match (node.additional, node.rare().unevaluated) {
                (Some(additional), _) => views.push(additional),
                (None, Some(rest)) if self.is_left_over(*id, name, object) => views.push(rest),
                _ => {}
            }
        }
        views
    }

    /// Whether `unevaluatedProperties` of `id` is what applies to `name`. Where that cannot be
    /// said, the answer fits the reach: `Sure` says no, `Possible` yes.
    fn is_left_over(&self, id: NodeId, name: &str, object: &Value) -> bool {
        if matches!(self.reach, Reach::Possible) {
            return true;
        }
        let node = self.nodes.get(id);
        if matches!(self.reach, Reach::Sure) && node.always != node.possible {
            return false;
        }
        let beside = self.members(&[id], object);
        !beside
            .iter()
            .any(|it| *it != id && evaluates(self.nodes.get(*it), name))
    }

    /// The nodes of the item at `at`.
    pub(super) fn item_views(
        &self,
        views: &[NodeId],
        array: &Value,
        at: usize,
        item: &Value,
    ) -> Vec<NodeId> {
        let members = self.members(views, array);
        let mut found = Vec::new();
        if self.is_any(views) {
            // What is open stays open below.
            found.extend_from_slice(views);
        }
        for id in members.iter() {
            let node = self.nodes.get(*id);
            let rare = node.rare();
            found.extend(rare.prefix.get(at).copied().or(node.items));
            found.extend(rare.contains.filter(|it| self.contains(*it, item)));
            let is_left_over = || self.is_item_left_over(*id, array, at, item);
            found.extend(rare.unevaluated_items.filter(|_| is_left_over()));
        }
        found
    }

    fn contains(&self, id: NodeId, item: &Value) -> bool {
        match self.reach {
            Reach::Sure => false,
            Reach::Exact(validators) => self.holds(id, item, validators),
            Reach::Possible => true,
        }
    }

    /// As [`Self::is_left_over`], for `unevaluatedItems`.
    fn is_item_left_over(&self, id: NodeId, array: &Value, at: usize, item: &Value) -> bool {
        let node = self.nodes.get(id);
        match self.reach {
            Reach::Possible => return true,
            Reach::Sure if node.always != node.possible || node.rare().contains.is_some() => {
                return false;
            }
            Reach::Sure | Reach::Exact(_) => {}
        }
        let evaluated = |id: &NodeId| {
            let node = self.nodes.get(*id);
            let rare = node.rare();
            rare.prefix.len() > at
                || node.items.is_some()
                || rare.contains.is_some_and(|it| self.contains(it, item))
        };
        !self.members(&[id], array).iter().any(evaluated)
    }

    /// Whether a value was given the schema `true`.
    fn is_any(&self, views: &[NodeId]) -> bool {
        views
            .iter()
            .any(|id| self.nodes.get(*id).boolean == Some(true))
    }

    /// The declared names of some members, each once, in order.
    pub(super) fn names(&self, members: &[NodeId]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in members.iter().flat_map(|id| self.nodes.get(*id).names()) {
            if !names.iter().any(|it| it == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Whether some node describes `name`, and none merely lets it in for a name that is declared.
    pub(super) fn declares(&self, members: &[NodeId], name: &str) -> bool {
        let nodes = || members.iter().map(|id| self.nodes.get(*id));
        if nodes().any(|node| node.property(name).is_some()) {
            return true;
        }
        let imitates = || nodes().any(|node| node.names_alike(name));
        nodes().any(|node| evaluates(node, name)) && !imitates()
    }
}

impl Undeclared {
    fn below(mut self, step: &str) -> Self {
        self.pointer.insert_str(0, &format!("/{step}"));
        self
    }
}

fn evaluates(node: &Node, name: &str) -> bool {
    node.property(name).is_some()
        || node.additional.is_some()
        || node.rare().unevaluated.is_some()
        || node.rare().patterns.iter().any(|(it, _)| fits(it, name))
}

const fn is_container(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}
