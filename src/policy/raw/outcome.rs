//! What replies mean: `success`, `outcomes`, `outputs` and `response` of an action.

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::decode::Texts;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::names::Entries;
use crate::problem::Located;
use crate::problem::Place;
use crate::yaml::Node;
use crate::yaml::Value;
use crate::yaml::to_json;

section! {
    /// When a call has succeeded.
    Success, "a success" {
        status: Texts, Optional, "statuses or classes of them; any `2xx` unless declared";
        path: Text, Optional, "the JSONPath of a place in the reply";
        equals: Constant, Optional, "the value that must stand at that place";
        exists: Located<bool>, Optional, "whether anything must stand at that place";
    }
}

section! {
    /// An outcome by its status.
    Named, "an outcome by status" {
        name: Text, Required, "what the reply is called";
        say: Text, Optional, "what to tell the agent beside the reply";
    }
}

section! {
    /// An outcome of a list.
    Case, "an outcome of a list" {
        name: Text, Required, "what the reply is called";
        say: Text, Optional, "what to tell the agent beside the reply";
        status: Texts, Optional, "statuses or classes of them; all unless declared";
        path: Text, Optional, "the JSONPath of a place in the reply";
        equals: Constant, Optional, "the value that must stand at that place";
        exists: Located<bool>, Optional, "whether anything must stand at that place";
    }
}

section! {
    /// A value of a reply that a session keeps.
    Output, "an output" {
        path: Text, Required, "the JSONPath of its place in the reply";
        sensitive: Located<bool>, Optional, "`true`: used in templates and shown to nobody";
        expose: Located<bool>, Optional, "`true`: listed among the variables that the agent is shown";
    }
}

section! {
    /// What of a successful reply reaches the agent.
    Response, "a response" {
        fields: List<Text>, Optional, "the JSONPaths of what is kept, at every door";
        shape: Entries<Text>, Optional, "the object that tools return: names with JSONPaths";
    }
}

section! {
    /// A reply, as it may come.
    Example, "an example of a reply" {
        status: Text, Optional, "its status; `200` unless written";
        headers: Entries<Text>, Optional, "its headers, for readers";
        body: Constant, Optional, "its JSON, or its text";
    }
}

/// `outcomes`.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Outcomes {
    /// By status, whatever their order.
    ByStatus(Entries<Outcome>),
    /// The first that fits.
    InOrder(List<Case>),
}

impl Decode for Outcomes {
    const SHAPE: Shape = Shape::Either(&[Entries::<Outcome>::SHAPE, List::<Case>::SHAPE]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => Entries::decode(node, decoder).map(Self::ByStatus),
            Value::Sequence(_) => List::decode(node, decoder).map(Self::InOrder),
            _ => {
                decoder.mismatch(node, Self::SHAPE);
                None
            }
        }
    }
}

/// An outcome by status: a name, or a name with what to say.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Outcome {
    /// What the reply is called.
    pub(in crate::policy) name: Option<Text>,
    /// What to tell the agent beside the reply.
    pub(in crate::policy) say: Option<Text>,
}

impl Decode for Outcome {
    const SHAPE: Shape = Shape::Either(&[Text::SHAPE, Named::SHAPE]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.scalar().is_some() {
            let name = Text::decode(node, decoder);
            return Some(Self { name, say: None });
        }
        if node.mapping().is_none() {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        }
        let Named { name, say, .. } = Named::decode(node, decoder)?;
        Some(Self { name, say })
    }
}

/// A JSON value.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Constant {
    /// Where it stands.
    pub(in crate::policy) place: Place,
    /// What it is.
    pub(in crate::policy) value: serde_json::Value,
}

impl Decode for Constant {
    const SHAPE: Shape = Shape::Any;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        // `null` can be written; a key without a value is an omission.
        if node.value == Value::Null {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        }
        let json = to_json(node, decoder.problems())?;
        Some(Self {
            place: node.place.clone(),
            value: json.value,
        })
    }
}
