//! What a property's type lets its values be in text, as far as the nodes tell that apply for certain.

use serde_json::Value;

use super::ScalarType;
use super::Shape;
use super::fill;
use super::node::NodeId;
use super::node::Nodes;
use super::types::Types;

impl Nodes {
    /// What the type of a value is in text, to which these nodes apply.
    pub(super) fn shape_of(&self, views: &[NodeId]) -> Shape {
        let members = || fill::certain(self, views);
        if let Some(scalar) = self.scalar_of(members()) {
            return Shape::Scalar(scalar);
        }
        if self.types_of(members()) != Some(Types::ARRAY) {
            return Shape::Other;
        }
        let nodes = || members().map(|id| self.get(id));
        let items: Vec<NodeId> = nodes().filter_map(|node| node.items).collect();
        let uniform = nodes().all(|node| node.rare().prefix.is_empty());
        let item = self.scalar_of(fill::certain(self, &items));
        item.filter(|_| uniform)
            .map_or(Shape::Other, Shape::ArrayOfScalar)
    }

    /// The single scalar type that members declare; listed strings without a type are strings.
    fn scalar_of(&self, members: impl Iterator<Item = NodeId> + Clone) -> Option<ScalarType> {
        if let Some(types) = self.types_of(members.clone()) {
            return types.scalar();
        }
        let strings = |id: NodeId| {
            let values = self.get(id).values.as_ref();
            values.is_some_and(|it| !it.is_empty() && it.iter().all(Value::is_string))
        };
        members
            .into_iter()
            .any(strings)
            .then_some(ScalarType::String)
    }

    /// The types that all members allow which declare any.
    pub(super) fn types_of(&self, members: impl Iterator<Item = NodeId>) -> Option<Types> {
        let declared = members.filter_map(|id| self.get(id).types);
        declared.reduce(Types::common)
    }
}
