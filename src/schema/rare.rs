//! What few of the schemas in a policy have, and all would have to make room for.

use jsonschema::Validator;

use super::node::NodeId;

/// What few schemas have.
#[derive(Default)]
pub(super) struct Rare {
    // What applies to the same instance.
    pub(super) all_of: Vec<NodeId>,
    /// The branches of `anyOf` and `oneOf`.
    pub(super) branches: Vec<NodeId>,
    pub(super) condition: Option<NodeId>,
    pub(super) then: Option<NodeId>,
    pub(super) otherwise: Option<NodeId>,
    pub(super) dependent: Vec<(String, NodeId)>,
    pub(super) excluded: Option<NodeId>,

    // What applies to properties and items of the instance.
    pub(super) patterns: Vec<(Validator, NodeId)>,
    pub(super) key: Option<NodeId>,
    pub(super) unevaluated: Option<NodeId>,
    pub(super) prefix: Vec<NodeId>,
    pub(super) contains: Option<NodeId>,
    pub(super) unevaluated_items: Option<NodeId>,
    /// Whether `unevaluatedProperties` is there and `false`.
    pub(super) leaves_none: bool,
}

/// Of a schema that has nothing of it.
pub(super) static NOTHING: Rare = Rare {
    all_of: Vec::new(),
    branches: Vec::new(),
    condition: None,
    then: None,
    otherwise: None,
    dependent: Vec::new(),
    excluded: None,
    patterns: Vec::new(),
    key: None,
    unevaluated: None,
    prefix: Vec::new(),
    contains: None,
    unevaluated_items: None,
    leaves_none: false,
};
