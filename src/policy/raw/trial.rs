//! Policy tests as they are written: `NAME.test.yaml` beside the policies.

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::decode::Texts;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::names::Entries;
use crate::policy::raw::outcome::Constant;
use crate::policy::raw::scalars::Version;
use crate::problem::Located;
use crate::problem::Place;
use crate::yaml::Json;
use crate::yaml::Node;
use crate::yaml::Value;
use crate::yaml::to_json;

section! {
    /// One file.
    TrialFile, "a file of tests" {
        version: Located<Version>, Optional, "the version of the language: `1`";
        tests: List<Test>, Required, "the tests, in the order in which they are told";
    }
}

impl TrialFile {
    /// The tests of a file, as far as they can be read.
    pub(in crate::policy) fn of(root: &Node, decoder: &mut Decoder<'_>) -> Vec<Test> {
        let file = Self::decode(root, decoder);
        let tests = file.and_then(|it| it.tests);
        tests.map(|it| it.items).unwrap_or_default()
    }
}

section! {
    /// One test.
    Test, "a test" {
        name: Text, Required, "what it shows, in a sentence";
        request: AskedRequest, Optional, "a request as it comes to the proxy";
        call: AskedCall, Optional, "a call of an action by its name, as tools make it";
        steps: List<Step>, Optional, "several requests and calls in one session";
        agent: Text, Optional, "who asks";
        environment: Text, Optional, "the environment in which it is decided";
        context: Object, Optional, "what the runtime has set: names with values";
        now: Text, Optional, "the time, such as `2026-01-31T09:30:00Z`";
        response: Reply, Optional, "what the server answers";
        expect: Expectation, Optional, "what must come of it";
    }
}

section! {
    /// One request or call of several.
    Step, "a step" {
        name: Text, Optional, "what it does, for whoever reads that it failed";
        request: AskedRequest, Optional, "a request as it comes to the proxy";
        call: AskedCall, Optional, "a call of an action by its name, as tools make it";
        agent: Text, Optional, "who asks, if not the agent of the test";
        environment: Text, Optional, "the environment, if not that of the test";
        context: Object, Optional, "what the runtime sets before this step";
        now: Text, Optional, "the time from this step on";
        response: Reply, Optional, "what the server answers";
        expect: Expectation, Optional, "what must come of it; that it is allowed, unless declared";
    }
}

section! {
    /// A request.
    AskedRequest, "a request" {
        method: Text, Required, "its method";
        url: Text, Required, "its URL, as a client would ask the proxy for it";
        headers: Entries<HeaderValues>, Optional, "names with a value, or a list of values";
        body: Constant, Optional, "text as it is; anything else as JSON";
    }
}

section! {
    /// A call by name.
    AskedCall, "a call" {
        action: Text, Required, "the name of the action";
        parameters: Object, Optional, "names with values";
    }
}

section! {
    /// What the server answers.
    Reply, "a reply" {
        status: Text, Optional, "its status; `200` unless declared";
        headers: Entries<HeaderValues>, Optional, "names with a value, or a list of values";
        body: Constant, Optional, "text as it is; anything else as JSON";
    }
}

section! {
    /// What must come of a request or call.
    Expectation, "an expectation" {
        refused: Text, Optional, "the code of the refusal";
        allowed: Text, Optional, "the action that it is allowed as";
        upstream: Upstream, Optional, "the request that leaves";
        outcome: Text, Optional, "what the reply is called";
        say: Text, Optional, "what the agent is told beside the reply";
        returned: Literal, Optional, "what of the reply's body reaches the agent; `null` for nothing";
        outputs: Object, Optional, "values that the session then has; `null` for one that is not set";
    }
}

section! {
    /// The request that leaves.
    Upstream, "an expected request" {
        method: Text, Optional, "its method";
        url: Text, Optional, "its whole URL, with a secret as `<its_name>`";
        headers: Entries<HeaderValues>, Optional, "names with a value; `null` for one that is not there";
        body: Literal, Optional, "its body: JSON by value, or text; `null` for none";
    }
}

/// The values of a header: none for `null`.
#[derive(Clone, Debug)]
pub(in crate::policy) struct HeaderValues {
    /// Where they stand.
    pub(in crate::policy) place: Place,
    /// As they were written.
    pub(in crate::policy) items: Vec<Text>,
}

impl Decode for HeaderValues {
    const SHAPE: Shape = Texts::SHAPE;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let items = match &node.value {
            Value::Null => Vec::new(),
            _ => Texts::decode(node, decoder)?.items,
        };
        Some(Self {
            place: node.place.clone(),
            items,
        })
    }
}

/// A JSON value; `null` is one of them.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Literal {
    /// Where it stands.
    pub(in crate::policy) place: Place,
    /// What it is.
    pub(in crate::policy) value: serde_json::Value,
}

impl Decode for Literal {
    const SHAPE: Shape = Shape::Any;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let json = to_json(node, decoder.problems())?;
        Some(Self {
            place: node.place.clone(),
            value: json.value,
        })
    }
}

/// A JSON object, with the places of its members.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Object {
    /// The object, and where its parts stand.
    pub(in crate::policy) json: Json,
}

impl Decode for Object {
    const SHAPE: Shape = Shape::AnyMap;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.mapping().is_none() {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        }
        let json = to_json(node, decoder.problems())?;
        Some(Self { json })
    }
}
