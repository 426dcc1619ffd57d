//! Servers of other people behind exeat: nginx with OpenResty's readers, Apache, Node, gunicorn with Werkzeug, uvicorn
//! with Starlette. Whatever exeat lets through, all of them read as the path, the query, the headers and the body that
//! exeat decided on.
//!
//! Each server tells in its reply how it read the request, by its own parsers and by those of the frameworks that
//! people write services with. What exeat decided on is taken from its audit record.

mod decided;
mod generated;
mod http2;
mod programs;
mod reading;
mod sends;
mod spelling;
mod table;

use serde_json::Value;

use crate::world::{Answer, Plan, World};

use decided::Decided;
use programs::{KINDS, Kind, Program};
use reading::Reading;
use sends::{Asked, Door, Wires};

/// The actions of one server: parameters in the path, the query and a header; in a JSON body; in a form; in
/// templates; lists in either style; and a body that passes unread.
const ACTIONS: &str = r#"
  SERVER_item:
    description: Returns an item by a path and whatever else is asked for.
    method: GET
    url: https://SERVER.good.test/items/{{id}}/{{path...}}
    headers: {X-Word: "{{word}}"}
    accept_headers: [X-Note]
    parameters:
      properties:
        id: {type: string}
        path: {type: string}
        word: {type: string}
        q: {type: string}
        n: {type: integer}
        f: {type: number}
        b: {type: boolean}
        tags: {type: array, items: {type: string}}
      required: [id, path]
      additionalProperties: {type: string}
  SERVER_object:
    description: Stores an object with any members.
    method: POST
    url: https://SERVER.good.test/objects/{{id}}
    parameters:
      properties: {id: {type: string}, name: {type: string}, n: {type: integer}, f: {type: number}, any: true}
      required: [id]
      additionalProperties: true
  SERVER_form:
    description: Stores what a form says.
    method: POST
    url: https://SERVER.good.test/forms/{{id}}
    content_types: [application/x-www-form-urlencoded, application/json]
    parameters:
      properties:
        id: {type: string}
        q: {type: string}
        n: {type: integer}
        f: {type: number}
        b: {type: boolean}
        tags: {type: array, items: {type: string}}
      required: [id]
  SERVER_note:
    description: Stores a note under a title, in the words of a template.
    method: POST
    url: https://SERVER.good.test/notes/{{id}}
    query: {about: "a {{about}} b"}
    body: '{"note": {"text": "<{{name}}>", "n": {{n}}}, "fixed": "\u00e9"}'
    parameters:
      properties: {id: {type: string}, about: {type: string}, name: {type: string}, n: {type: integer}}
      required: [id, about, name, n]
  SERVER_comma:
    description: Returns what has these marks, in one entry.
    method: GET
    url: https://SERVER.good.test/commas/{{id}}
    query_style: comma
    parameters:
      properties: {id: {type: string}, tags: {type: array, items: {type: string}}}
      required: [id]
  SERVER_bracket:
    description: Returns what has these marks, in an entry for each.
    method: GET
    url: https://SERVER.good.test/brackets/{{id}}
    query_style: brackets
    parameters:
      properties: {id: {type: string}, tags: {type: array, items: {type: string}}}
      required: [id]
  SERVER_bytes:
    description: Stores bytes of any kind.
    method: PUT
    url: https://SERVER.good.test/bytes/{{id}}
    accept_body: any
    parameters: {properties: {id: {type: string}}, required: [id]}
"#;

/// Exeat, with every server behind it.
struct Stage {
    world: World,
    _programs: Vec<Program>,
}

/// What came of one request.
#[derive(Debug)]
enum Outcome {
    /// Not let through: the code.
    Refused(String),
    /// Let through, and read by the server as this, on which exeat had decided.
    Agreed(Decided),
}

impl Outcome {
    /// Why it was not let through.
    fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(code) => Some(code),
            Self::Agreed(_) => None,
        }
    }
}

/// What a server and exeat do not agree upon, in words.
type Finding = String;

impl Stage {
    fn set() -> Self {
        let actions = KINDS.map(|kind| ACTIONS.replace("SERVER", kind.name));
        let policy = format!("version: 1\nactions:{}", actions.concat());
        let world = Plan::of(&policy)
            .showing_values(exeat::redact::Redaction::default())
            .start();
        let mut programs = Vec::new();
        for (at, kind) in KINDS.iter().enumerate() {
            let host = host(kind.name);
            world.resolve(&host, &[&format!("203.0.114.{}", 101 + at)]);
            let program = Program::start(kind, &host, &world.certificate(&host));
            world.lead(&host, 443, program.address());
            programs.push(program);
        }
        Self {
            world,
            _programs: programs,
        }
    }

    /// Sends each request to every server, and what was let through once more as a call of a tool. The outcomes stand
    /// in the order of the requests; what cannot be sent at its door, as with a client library, has none.
    fn send(
        &self,
        wires: &mut Wires<'_>,
        requests: &[(Door, Asked)],
    ) -> Result<Vec<Vec<Outcome>>, Finding> {
        let mut sent = Vec::new();
        for (at, (door, asked)) in requests.iter().enumerate() {
            for kind in &KINDS {
                if let Some(answer) = wires.send(*door, kind.name, asked) {
                    sent.push((at, kind, answer));
                }
            }
        }
        let records = wires.records();
        let mut outcomes: Vec<Vec<Outcome>> = requests.iter().map(|_| Vec::new()).collect();
        let mut called = Vec::new();
        for (at, kind, answer) in &sent {
            let (door, asked) = &requests[*at];
            let record = &records[id(answer)];
            let told = |wrong| format!("{} at {door:?}: {asked:?}: {wrong}: {record}", kind.name);
            let outcome = outcome(kind, answer, answer.text(), (record, asked)).map_err(told)?;
            if matches!(outcome, Outcome::Agreed(_)) && asked.action != "bytes" {
                let answer = wires.call(kind.name, asked.action, &record["values"]);
                called.push((*at, kind, answer));
            }
            outcomes[*at].push(outcome);
        }
        let records = wires.records();
        for (at, kind, answer) in &called {
            let (_, asked) = &requests[*at];
            let told_of = answer.json();
            let id = told_of["request_id"].as_str().unwrap_or_default();
            let record = &records[id];
            let told = |wrong| format!("{} as a tool: {asked:?}: {wrong}: {record}", kind.name);
            let text = told_of["body"].as_str().unwrap_or_default();
            let outcome = outcome(kind, answer, text, (record, asked)).map_err(told)?;
            let Outcome::Agreed(decided) = outcome else {
                return Err(told(format!("{outcome:?}, but the proxy let it through")));
            };
            let same = |it: &Outcome| matches!(it, Outcome::Agreed(it) if it.is_alike(&decided));
            if !outcomes[*at].iter().any(same) {
                return Err(told(format!("the tool decided on {decided:?}")));
            }
        }
        Ok(outcomes)
    }
}

/// Reads what came of one request: a refusal, or the same request on both sides.
fn outcome(
    kind: &Kind,
    answer: &Answer,
    text: &str,
    (record, asked): (&Value, &Asked),
) -> Result<Outcome, Finding> {
    if record["decision"] == "refused" {
        let code = record["code"].as_str().unwrap();
        return Ok(Outcome::Refused(code.to_owned()));
    }
    if answer.status != 200 {
        return Err(format!("the server said {answer:?}"));
    }
    let decided = Decided::of(kind, record, asked);
    let reading = Reading::parse(text).ok_or_else(|| format!("no reading: {text}"))?;
    reading.agrees(kind, &decided)?;
    Ok(Outcome::Agreed(decided))
}

fn id(answer: &Answer) -> &str {
    answer.header("exeat-request-id").unwrap()
}

fn host(server: &str) -> String {
    format!("{server}.good.test")
}
