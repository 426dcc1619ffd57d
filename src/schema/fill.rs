//! Changes to an instance before it is checked or sent: defaults, absent nulls, the order of keys.
//! None of them makes a value of the sender different.

use serde_json::Map;
use serde_json::Value;

use crate::json::member;

use super::node::NodeId;
use super::node::Nodes;
use super::reach::Reach;
use super::reach::Walk;
use super::types::Types;

/// Drops nulls that mean "absent" and adds defaults, in `object` and every object below it.
///
/// Only what applies for certain is followed: a default in an `anyOf` branch or a `then` would
/// decide whether that branch applies.
pub(super) fn fill_defaults(nodes: &Nodes, object: &mut Map<String, Value>) {
    Fill { nodes }.object(&[Nodes::ROOT], object);
}

/// Whether some property of the root has a default that applies for certain.
pub(super) fn has_defaults(nodes: &Nodes) -> bool {
    let members = &nodes.get(Nodes::ROOT).always;
    let mut names = members.iter().flat_map(|id| nodes.get(*id).names());
    names.any(|name| default_of(nodes, &named(nodes, members, name)).is_some())
}

struct Fill<'a> {
    nodes: &'a Nodes,
}

impl Fill<'_> {
    fn object(&self, views: &[NodeId], object: &mut Map<String, Value>) {
        let members: Vec<NodeId> = certain(self.nodes, views).collect();
        for id in &members {
            for name in self.nodes.get(*id).names() {
                let (one, several);
                let below: &[NodeId] = match members.as_slice() {
                    [only] => {
                        one = self.nodes.get(*only).property(name);
                        one.as_slice()
                    }
                    _ => {
                        several = named(self.nodes, &members, name);
                        &several
                    }
                };
                self.property(&members, (name, below), object);
            }
        }
    }

    fn property(
        &self,
        members: &[NodeId],
        (name, below): (&str, &[NodeId]),
        object: &mut Map<String, Value>,
    ) {
        if member(object, name).is_some_and(Value::is_null) && self.is_absent(members, name, below)
        {
            object.shift_remove(name);
        }
        if let (None, Some(default)) = (member(object, name), default_of(self.nodes, below)) {
            object.insert(name.to_owned(), default.clone());
        }
        let holds_others = |it: &Value| it.is_array() || it.is_object();
        if member(object, name).is_some_and(holds_others)
            && let Some(held) = object.get_mut(name)
        {
            self.value(below, held);
        }
    }

    fn value(&self, views: &[NodeId], value: &mut Value) {
        match value {
            Value::Object(object) => self.object(views, object),
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    let nodes = certain(self.nodes, views).map(|id| self.nodes.get(id));
                    let below: Vec<NodeId> = nodes
                        .filter_map(|node| node.rare().prefix.get(at).copied().or(node.items))
                        .collect();
                    self.value(&below, item);
                }
            }
            _ => {}
        }
    }

    /// Whether a null stands for an optional property that cannot be null.
    fn is_absent(&self, members: &[NodeId], name: &str, below: &[NodeId]) -> bool {
        let required = |id: &NodeId| self.nodes.get(*id).required.iter().any(|it| it == name);
        !members.iter().any(required) && below.iter().any(|id| forbids_null(self.nodes, *id))
    }
}

/// The nodes that apply whenever `views` do.
pub(super) fn certain<'a>(
    nodes: &'a Nodes,
    views: &'a [NodeId],
) -> impl Iterator<Item = NodeId> + Clone + 'a {
    let always = views.iter().flat_map(|id| &nodes.get(*id).always);
    always.copied()
}

/// The nodes under `properties` of some members for one name.
pub(super) fn named(nodes: &Nodes, members: &[NodeId], name: &str) -> Vec<NodeId> {
    members
        .iter()
        .filter_map(|id| nodes.get(*id).property(name))
        .collect()
}

/// The first default that applies for certain.
pub(super) fn default_of<'a>(nodes: &'a Nodes, views: &[NodeId]) -> Option<&'a Value> {
    certain(nodes, views).find_map(|id| nodes.get(id).default.as_deref())
}

/// Whether null is certainly invalid, as far as types and listed values tell.
fn forbids_null(nodes: &Nodes, id: NodeId) -> bool {
    nodes.get(id).always.iter().any(|id| {
        let node = nodes.get(*id);
        let by_type = node.types.is_some_and(|types| !types.has(Types::NULL));
        let by_value = node
            .values
            .as_ref()
            .is_some_and(|values| !values.iter().any(Value::is_null));
        let branches = &node.rare().branches;
        let by_branches =
            !branches.is_empty() && branches.iter().all(|id| forbids_null(nodes, *id));
        by_type || by_value || by_branches
    })
}

/// Sorts the keys of every object: those of the schema in its order, then the others by name.
pub(super) fn order(nodes: &Nodes, value: &mut Value) {
    order_below(
        &Walk {
            nodes,
            reach: Reach::Possible,
        },
        &[Nodes::ROOT],
        value,
    );
}

fn order_below(walk: &Walk<'_>, views: &[NodeId], value: &mut Value) {
    match value {
        Value::Object(_) => order_object(walk, views, value),
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                // `Possible` asks nothing of the instance, so a stand-in is enough.
                let below = walk.item_views(views, &Value::Null, at, &Value::Null);
                order_below(walk, &below, item);
            }
        }
        _ => {}
    }
}

fn order_object(walk: &Walk<'_>, views: &[NodeId], value: &mut Value) {
    let members = walk.members(views, &Value::Null);
    let names = walk.names(&members);
    let Value::Object(object) = value else {
        return;
    };
    let rank = |name: &str| {
        names
            .iter()
            .position(|it| it == name)
            .unwrap_or(names.len())
    };
    let mut entries: Vec<(String, Value)> = std::mem::take(object).into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| {
        rank(one).cmp(&rank(other)).then_with(|| {
            // Equal ranks are equal names, or both undeclared.
            one.cmp(other)
        })
    });
    for (name, mut held) in entries {
        order_below(
            walk,
            &walk.property_views(&members, &name, &Value::Null),
            &mut held,
        );
        object.insert(name, held);
    }
}
