//! A schema as a graph of the places where it says something about properties.
//!
//! The `jsonschema` crate answers whether an instance is valid. Which subschemas *describe* a
//! property, and in which order, it does not tell, and that is what defaults, key order, typed
//! places and the rule "closed by default" need. Nodes hold structure only; nothing here judges a value.

use std::collections::BTreeMap;
use std::collections::HashMap;

use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::Map;
use serde_json::Value;

use super::Problems;
use super::dialect::Child;
use super::dialect::Dialect;
use super::dialect::children;
use super::patterns::Patterns;
use super::properties::Properties;
use super::rare::NOTHING;
use super::rare::Rare;
use super::scalar::Shape;
use super::types::Types;

/// The index of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u32);

impl NodeId {
    /// Its place in the order of [`Nodes::ids`].
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// A file of a policy has a million bytes: there are not more nodes.
    fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("a schema has fewer than four billion nodes"))
    }
}

/// Every schema in a source, root first.
pub(super) struct Nodes(Vec<Node>);

/// The part of an instance to which a keyword leads.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// A property that the schema names.
    Name(&'a str),
    /// A property whose name fits a pattern of this schema.
    Pattern(NodeId, &'a Validator),
    /// A property that this schema does not name.
    OtherName(NodeId),
    /// The name of a property, as a value.
    Key,
    /// The item at a place.
    Item(usize),
    /// An item at this place or a later one.
    ItemsFrom(usize),
}

/// One schema: an object of keywords, or a boolean. A policy has tens of thousands of them.
#[derive(Default)]
pub(super) struct Node {
    /// Its place as a URI fragment, `#/properties/a`.
    pub(super) fragment: String,
    /// `true` and `false` as schemas.
    pub(super) boolean: Option<bool>,
    /// What applies to the same instance by `$ref`.
    pub(super) reference: Option<NodeId>,

    // What applies to properties and items of the instance.
    properties: Option<Box<Properties>>,
    pub(super) additional: Option<NodeId>,
    pub(super) items: Option<NodeId>,

    // What is said about the instance itself.
    pub(super) required: Vec<String>,
    pub(super) default: Option<Box<Value>>,
    pub(super) types: Option<Types>,
    /// Whether `writeOnly` is `true`.
    pub(super) write_only: bool,
    /// The values of `enum`, or the one of `const`.
    pub(super) values: Option<Vec<Value>>,
    /// What it lets a value be in text: requests are taken apart by it.
    pub(super) shape: Shape,

    rare: Option<Box<Rare>>,
    /// This node and all that apply whenever it does: `$ref`, `allOf`.
    pub(super) always: Vec<NodeId>,
    /// `always`, and those that apply to some instances only.
    pub(super) possible: Vec<NodeId>,
}

impl Node {
    /// What few schemas have.
    pub(super) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING)
    }

    /// The node of a property that `properties` names.
    pub(super) fn property(&self, name: &str) -> Option<NodeId> {
        self.properties.as_ref()?.get(name)
    }

    /// The names under `properties`, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.named().map(|(name, _)| name.as_str())
    }

    /// Those names, and their nodes.
    pub(super) fn named(&self) -> impl Iterator<Item = &(String, NodeId)> + Clone {
        self.properties.iter().flat_map(|it| it.iter())
    }

    /// Whether `properties` has a name that differs from this one in case at most.
    pub(super) fn names_alike(&self, name: &str) -> bool {
        let properties = self.properties.as_ref();
        properties.is_some_and(|it| it.has_alike(name))
    }

    /// Whether it admits properties that it does not name.
    pub(super) fn is_open(&self) -> bool {
        self.additional.is_some()
            || self.rare().unevaluated.is_some()
            || !self.rare().patterns.is_empty()
    }

    /// The nodes that are asked about the same instance.
    pub(super) fn in_place(&self) -> impl Iterator<Item = NodeId> {
        self.certain()
            .chain(self.uncertain())
            .chain(self.rare().excluded)
    }

    /// Whether those are asked twice, the second time for what they have evaluated.
    pub(super) fn looks_twice(&self) -> bool {
        let rare = self.rare();
        rare.unevaluated.is_some() || rare.unevaluated_items.is_some() || rare.leaves_none
    }

    /// Whether something applies only to some instances.
    pub(super) fn is_conditional(&self) -> bool {
        let rare = self.rare();
        rare.condition.is_some()
            || rare.contains.is_some()
            || !rare.branches.is_empty()
            || !rare.dependent.is_empty()
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn declare(&mut self, name: &str, node: NodeId) {
        self.properties.get_or_insert_default().declare(name, node);
    }

    /// The nodes that apply to the same instance whenever this one does, itself aside.
    fn certain(&self) -> impl Iterator<Item = NodeId> {
        self.reference
            .into_iter()
            .chain(self.rare().all_of.iter().copied())
    }

    /// The nodes that may apply to the same instance and describe it.
    fn uncertain(&self) -> impl Iterator<Item = NodeId> {
        let rare = self.rare();
        let dependent = rare.dependent.iter().map(|(_, node)| *node);
        let conditional = [rare.condition, rare.then, rare.otherwise];
        let conditional = conditional.into_iter().flatten();
        let branches = rare.branches.iter().copied();
        branches.chain(conditional).chain(dependent)
    }
}

impl Nodes {
    pub(super) const ROOT: NodeId = NodeId(0);

    /// Builds the graph of a schema that the survey found sound.
    pub(super) fn build(
        dialect: Dialect,
        schema: &Value,
        anchors: &BTreeMap<String, String>,
        patterns: &Patterns,
        problems: &mut Problems,
    ) -> Self {
        let mut builder = Builder {
            dialect,
            patterns,
            nodes: Vec::new(),
            places: HashMap::new(),
            references: Vec::new(),
        };
        builder.add(schema, String::new());
        builder.resolve(anchors, problems);
        builder.nodes.shrink_to_fit();
        for node in &mut builder.nodes {
            node.properties.iter_mut().for_each(|it| it.complete());
        }
        let mut nodes = Self(builder.nodes);
        nodes.refuse_loops(&builder.references, problems);
        nodes.close();
        nodes
    }

    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.0[id.index()]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }

    /// Every node, root first.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.0.len()).map(NodeId::at)
    }

    /// The nodes that are asked about parts of the instance.
    pub(super) fn below(&self, id: NodeId) -> Vec<(Step<'_>, NodeId)> {
        let node = self.get(id);
        let named = node.named().map(|(name, it)| (Step::Name(name), *it));
        let rare = node.rare();
        let patterns = rare.patterns.iter();
        let patterns = patterns.map(|(pattern, it)| (Step::Pattern(id, pattern), *it));
        let prefix = rare.prefix.iter().enumerate();
        let prefix = prefix.map(|(at, it)| (Step::Item(at), *it));
        let rest = Step::ItemsFrom(rare.prefix.len());
        let others = [
            (Step::OtherName(id), node.additional),
            (Step::OtherName(id), rare.unevaluated),
            (Step::Key, rare.key),
            (rest, node.items),
            (rest, rare.unevaluated_items),
            (Step::ItemsFrom(0), rare.contains),
        ];
        let others = others
            .into_iter()
            .filter_map(|(step, it)| Some((step, it?)));
        named.chain(patterns).chain(prefix).chain(others).collect()
    }

    /// A loop of keywords that all apply to the same instance would never end.
    fn refuse_loops(&self, references: &[Reference], problems: &mut Problems) {
        for reference in references {
            let Some(target) = self.get(reference.from).reference else {
                continue;
            };
            if self
                .reach(target, |node| node.in_place().collect())
                .contains(&reference.from)
            {
                let remedy = "let the loop pass through a property or an item";
                problems.add(
                    &reference.pointer,
                    "this reference leads back to itself",
                    remedy,
                );
            }
        }
    }

    /// Fills in `always`, `possible` and `shape` of every node.
    fn close(&mut self) {
        for at in 0..self.0.len() {
            let id = NodeId::at(at);
            let always = self.reach(id, |node| node.certain().collect());
            let possible = self.reach(id, |node| node.certain().chain(node.uncertain()).collect());
            self.0[at].always = always;
            self.0[at].possible = possible;
        }
        for at in 0..self.0.len() {
            self.0[at].shape = self.shape_of(&[NodeId::at(at)]);
        }
    }

    /// `start` and every node that `next` leads to, in the order of the text.
    fn reach(&self, start: NodeId, next: impl Fn(&Node) -> Vec<NodeId>) -> Vec<NodeId> {
        let (mut found, mut ahead) = (Vec::new(), vec![start]);
        while let Some(id) = ahead.pop() {
            if !found.contains(&id) {
                found.push(id);
                ahead.extend(next(self.get(id)).into_iter().rev());
            }
        }
        found
    }
}

impl Step<'_> {
    /// Whether one part of an instance may be where both lead. Where that is hard to say, it is yes.
    pub(super) fn meets(self, other: Step<'_>, nodes: &Nodes) -> bool {
        match (self, other) {
            (Step::Name(one), Step::Name(other)) => one == other,
            (Step::Name(name), Step::Pattern(_, pattern))
            | (Step::Pattern(_, pattern), Step::Name(name)) => fits(pattern, name),
            (Step::Name(name), Step::OtherName(id)) | (Step::OtherName(id), Step::Name(name)) => {
                nodes.get(id).property(name).is_none()
            }
            (Step::Pattern(one, _), Step::OtherName(other))
            | (Step::OtherName(one), Step::Pattern(other, _)) => one != other,
            (Step::Pattern(..), Step::Pattern(..)) | (Step::OtherName(_), Step::OtherName(_)) => {
                true
            }
            (Step::Key, Step::Key) | (Step::ItemsFrom(_), Step::ItemsFrom(_)) => true,
            (Step::Item(one), Step::Item(other)) => one == other,
            (Step::Item(at), Step::ItemsFrom(from)) | (Step::ItemsFrom(from), Step::Item(at)) => {
                at >= from
            }
            _ => false,
        }
    }
}

/// Whether a name fits a pattern of `patternProperties`.
pub(super) fn fits(pattern: &Validator, name: &str) -> bool {
    pattern.is_valid(&Value::String(name.to_owned()))
}

/// A `$ref` as it was met.
struct Reference {
    from: NodeId,
    /// Where the keyword stands.
    pointer: String,
    target: String,
}

struct Builder<'a> {
    dialect: Dialect,
    patterns: &'a Patterns,
    nodes: Vec<Node>,
    /// JSON Pointer to node.
    places: HashMap<String, NodeId>,
    references: Vec<Reference>,
}

impl Builder<'_> {
    fn add(&mut self, schema: &Value, pointer: String) -> NodeId {
        let id = NodeId::at(self.nodes.len());
        let mut node = Node {
            fragment: format!("#{pointer}"),
            ..Node::default()
        };
        let Value::Object(keywords) = schema else {
            node.boolean = schema.as_bool();
            self.places.insert(pointer, id);
            self.nodes.push(node);
            return id;
        };
        node.say(keywords);
        self.nodes.push(node);
        if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
            let pointer = format!("{pointer}/$ref");
            self.references.push(Reference {
                from: id,
                pointer,
                target: target.to_owned(),
            });
        }
        for child in children(self.dialect, keywords, &pointer) {
            let node = self.add(child.schema, child.pointer.clone());
            self.link(id, &child, node, keywords);
        }
        self.places.insert(pointer, id);
        id
    }

    fn link(
        &mut self,
        parent: NodeId,
        child: &Child<'_>,
        node: NodeId,
        keywords: &Map<String, Value>,
    ) {
        let parent = &mut self.nodes[parent.index()];
        match (child.keyword, child.name) {
            ("allOf", _) => parent.rare_mut().all_of.push(node),
            ("anyOf" | "oneOf", _) => parent.rare_mut().branches.push(node),
            ("not", _) => parent.rare_mut().excluded = Some(node),
            ("if", _) => parent.rare_mut().condition = Some(node),
            ("then", _) => parent.rare_mut().then = Some(node),
            ("else", _) => parent.rare_mut().otherwise = Some(node),
            ("dependentSchemas" | "dependencies", Some(name)) => {
                parent.rare_mut().dependent.push((name.to_owned(), node));
            }
            ("properties", Some(name)) => parent.declare(name, node),
            ("patternProperties", Some(pattern)) => {
                // The survey compiled the same pattern; one that fails here would match nothing.
                if let Some(validator) = self.patterns.compiled(self.dialect, pattern) {
                    parent.rare_mut().patterns.push((validator, node));
                }
            }
            // Written `false`, they evaluate nothing: the crate refuses what is left over.
            ("additionalProperties", _) if *child.schema == false => {}
            ("unevaluatedProperties", _) if *child.schema == false => {
                parent.rare_mut().leaves_none = true
            }
            ("additionalProperties", _) => parent.additional = Some(node),
            ("unevaluatedProperties", _) => parent.rare_mut().unevaluated = Some(node),
            ("prefixItems", _) => parent.rare_mut().prefix.push(node),
            ("items", _) if child.listed => parent.rare_mut().prefix.push(node),
            ("items", _) => parent.items = Some(node),
            // Means nothing unless `items` is a list.
            ("additionalItems", _) if keywords.get("items").is_some_and(Value::is_array) => {
                parent.items = Some(node);
            }
            ("contains", _) => parent.rare_mut().contains = Some(node),
            ("propertyNames", _) => parent.rare_mut().key = Some(node),
            ("unevaluatedItems", _) => parent.rare_mut().unevaluated_items = Some(node),
            _ => {}
        }
    }

    fn resolve(&mut self, anchors: &BTreeMap<String, String>, problems: &mut Problems) {
        for reference in &self.references {
            let fragment = reference.target.strip_prefix('#').unwrap_or_default();
            let fragment = percent_decode_str(fragment).decode_utf8_lossy();
            let pointer = match anchors.get(fragment.as_ref()) {
                Some(pointer) => pointer.as_str(),
                None => fragment.as_ref(),
            };
            match self.places.get(pointer) {
                Some(target) => self.nodes[reference.from.index()].reference = Some(*target),
                None => problems.add(
                    &reference.pointer,
                    "this reference leads to no schema",
                    "write \"#/$defs/NAME\" and declare NAME under \"$defs\" at the top",
                ),
            }
        }
    }
}

impl Node {
    /// Takes over what the keywords say about the instance itself.
    fn say(&mut self, keywords: &Map<String, Value>) {
        let texts = |held: &Value| match held {
            Value::String(one) => vec![one.clone()],
            Value::Array(list) => list
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        self.types = keywords.get("type").map(Types::of);
        self.required = keywords.get("required").map(texts).unwrap_or_default();
        self.default = keywords.get("default").cloned().map(Box::new);
        self.write_only = keywords.get("writeOnly") == Some(&Value::Bool(true));
        self.values = match (keywords.get("const"), keywords.get("enum")) {
            (Some(one), _) => Some(vec![one.clone()]),
            (None, Some(Value::Array(list))) => Some(list.clone()),
            _ => None,
        };
    }
}
