//! Actions: what an agent may ask for.

use std::time::Duration;

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::names::Entries;
use crate::policy::raw::outcome::Example;
use crate::policy::raw::outcome::Outcomes;
use crate::policy::raw::outcome::Output;
use crate::policy::raw::outcome::Response;
use crate::policy::raw::outcome::Success;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::raw::rate::RateLimit;
use crate::policy::raw::scalars::ByteCount;
use crate::policy::raw::scalars::Wrong;
use crate::policy::raw::secret::Value;
use crate::policy::raw::variable::Variable;
use crate::problem::Located;
use crate::problem::Place;
use crate::yaml::Json;
use crate::yaml::Node;
use crate::yaml::to_json;

section! {
    /// One thing that an agent may do. What few actions have is boxed: all of a policy's are in memory while it is
    /// checked.
    Action, "an action" {
        title: Text, Optional, "its name for people";
        description: Text, Required, "what it does and when to use it; agents read it";
        enabled: Located<bool>, Optional, "`false`: known, but refused";
        method: Located<Method>, Required, "the HTTP method";
        url: Box<PerEnvironment<Text>>, Optional, "the absolute URL, where there is no connection";
        connection: Text, Optional, "the name of the connection it uses";
        path: Text, Optional, "the path after the connection's base URL";
        parameters: Schema, Optional, "the JSON Schema of its parameters";
        variables: Box<List<Variable>>, Optional, "the short form of `parameters`";
        headers: Box<Entries<Value>>, Optional, "headers of the request: templates or secrets";
        query: Box<Entries<Value>>, Optional, "query parameters of the request: templates or secrets";
        query_style: Located<QueryStyle>, Optional, "how lists stand in the query";
        body: Text, Optional, "the JSON template of the body";
        accept_body: Box<AcceptBody>, Optional, "the JSON Schema of a proxied body, or `any`";
        content_types: Box<List<Text>>, Optional, "media types that a request body may have";
        accept_headers: Box<List<Text>>, Optional, "request headers that an agent may send through";
        auth: Text, Optional, "the name of an auth connector, or `none`";
        timeout: Located<Duration>, Optional, "how long a whole call may take";
        connect_timeout: Located<Duration>, Optional, "how long connecting may take";
        idle_timeout: Located<Duration>, Optional, "how long a stream may be silent";
        stream: Located<bool>, Optional, "`true`: a stream, to which `timeout` does not apply";
        max_request_bytes: Located<ByteCount>, Optional, "the largest request body";
        max_response_bytes: Located<ByteCount>, Optional, "the largest reply body";
        rate_limit: Box<RateLimit>, Optional, "how often it may be called";
        success: Box<Success>, Optional, "when a call has succeeded";
        outcomes: Box<Outcomes>, Optional, "names for replies";
        outputs: Box<Entries<Output>>, Optional, "values of a reply that a session keeps";
        response: Box<Response>, Optional, "what of a reply reaches the agent";
        response_example: Box<Example>, Optional, "a reply, against which `check` runs every JSONPath";
        hints: Box<Hints>, Optional, "what tools are told of its effects";
        sensitive: Box<List<Text>>, Optional, "parameters that no log shows, by name or JSONPath";
        requires: Box<List<Requirement>>, Optional, "what must have succeeded before";
        doors: Box<List<Located<Door>>>, Optional, "where it can be called: `proxy`, `http`, `mcp`";
        allow_http: Located<bool>, Optional, "`true`: its URL may be `http://`";
        upgrade: Located<Upgrade>, Optional, "`websocket`: a handshake, then bytes both ways";
        trailers: Located<bool>, Optional, "`true`: trailers of replies pass";
    }
}

section! {
    /// What must have succeeded before an action.
    Requirement, "a requirement" {
        action: Text, Required, "the action that must have succeeded in the same session";
        within: Located<Duration>, Optional, "how long ago at most";
        bind: Entries<Text>, Optional, "our parameters, and what each must equal: its parameter, or `outputs.NAME`";
    }
}

choice! {
    /// The methods that an action can have.
    Method {
        Get = "GET", "Asks for something.";
        Head = "HEAD", "Asks for its head alone.";
        Post = "POST", "Hands something over.";
        Put = "PUT", "Replaces something.";
        Patch = "PATCH", "Changes a part of something.";
        Delete = "DELETE", "Removes something.";
    }
}

impl Method {
    /// As requests have it.
    pub(in crate::policy) fn to_http(self) -> http::Method {
        match self {
            Self::Get => http::Method::GET,
            Self::Head => http::Method::HEAD,
            Self::Post => http::Method::POST,
            Self::Put => http::Method::PUT,
            Self::Patch => http::Method::PATCH,
            Self::Delete => http::Method::DELETE,
        }
    }
}

choice! {
    /// Where an action can be called.
    Door {
        Proxy = "proxy", "The forward proxy.";
        Http = "http", "`POST /v1/actions/NAME`.";
        Mcp = "mcp", "An MCP tool.";
    }
}

section! {
    /// What a call of an action does to the world.
    Hints, "the hints of an action" {
        read_only: Located<bool>, Optional, "`true`: it changes nothing";
        destructive: Located<bool>, Optional, "`true`: it may overwrite or remove something";
        idempotent: Located<bool>, Optional, "`true`: a second call like the first changes nothing more";
    }
}

choice! {
    /// How lists stand in the query.
    QueryStyle {
        Comma = "comma", "`k=a,b`.";
        Brackets = "brackets", "`k[]=a&k[]=b`.";
    }
}

choice! {
    /// What a handshake may upgrade to.
    Upgrade {
        Websocket = "websocket", "WebSocket (RFC 6455).";
    }
}

/// A JSON Schema, as JSON. Whether it is one is for `check` to say.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Schema {
    /// Where it stands.
    pub(in crate::policy) place: Place,
    /// The schema, with the places of its parts.
    pub(in crate::policy) json: Json,
}

impl Decode for Schema {
    const SHAPE: Shape = Shape::JsonSchema;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.mapping().is_none() {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        }
        let json = to_json(node, decoder.problems())?;
        Some(Self {
            place: node.place.clone(),
            json,
        })
    }
}

/// What a proxied request may carry instead of parameters.
#[derive(Clone, Debug)]
pub(in crate::policy) enum AcceptBody {
    /// Bytes that nobody reads.
    Any(Place),
    /// JSON of this schema.
    Schema(Schema),
}

impl AcceptBody {
    /// Where it stands.
    pub(in crate::policy) fn place(&self) -> &Place {
        match self {
            Self::Any(place) => place,
            Self::Schema(schema) => &schema.place,
        }
    }
}

impl Decode for AcceptBody {
    const SHAPE: Shape = Shape::Either(&[Shape::OneOf(&["any"]), Shape::JsonSchema]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.scalar() {
            None => Schema::decode(node, decoder).map(Self::Schema),
            Some(scalar) if scalar.text == "any" => Some(Self::Any(node.place.clone())),
            Some(scalar) => {
                let wrong = Wrong::expected(Self::SHAPE, scalar);
                decoder.tell(wrong.problem(&node.place));
                None
            }
        }
    }
}
