//! The trail of one request or call, from its URL to the request that would leave, beside the verdict.

use crate::action;
use crate::action::{Action, Arguments};
use crate::policy;
use crate::policy::Selected;
use crate::policy::explain::{Looked, Rule, ends_against};
use crate::policy::explain::{
    explain_call, explain_given, explain_head, explain_parameters, explain_recognised,
};
use crate::policy::trial::{Asked, AskedRequest};
use crate::refusal::Refusal;
use crate::rehearsal;
use crate::rehearsal::conceal::Concealed;
use crate::rehearsal::{Decided, Rehearsal};
use crate::request::{Destination, Intent, Scheme};

/// Why something is decided as it is.
#[derive(Debug)]
pub struct Explanation {
    /// The rules that were looked at, in their order. The last one is against it, if it is refused.
    pub trail: Vec<Looked>,
    /// What the doors would decide: [`Rehearsal::decide`]'s word, without the values that nobody is shown.
    pub verdict: Result<Decided, Refusal>,
}

impl Rehearsal<'_> {
    /// Explains a request or a call.
    pub fn explain(&self, asked: &Asked) -> Explanation {
        let mut trail = Trail::default();
        trail.extend(self.explain_agent());
        if trail.goes_on() {
            match asked {
                Asked::Request(request) => self.explain_request(request, &mut trail),
                Asked::Call { .. } => self.explain_call(asked, &mut trail),
            }
        }
        trail.beside(self.decide(asked))
    }

    fn explain_agent(&self) -> Option<Looked> {
        match (self.identify(), &self.caller.agent) {
            (Err(refusal), _) => Some(Looked::against(Rule::Agent, refusal.message)),
            (Ok(()), Some(name)) => Some(Looked::good(Rule::Agent, name.as_str())),
            (Ok(()), None) => None,
        }
    }

    fn explain_request(&self, request: &AskedRequest, trail: &mut Trail) {
        let target = Destination::of_absolute(&request.url);
        let asked = match target {
            Ok(target) => target.destination,
            Err(refusal) => return trail.push(Looked::against(Rule::Target, refusal.message)),
        };
        trail.push(Looked::good(Rule::Target, in_words(&asked)));
        let intent = match self.understand(request) {
            Ok(intent) => intent,
            Err(refusal) => return trail.push(Looked::against(Rule::Canonical, refusal.message)),
        };
        let query = match intent.query.pairs().len() {
            0 => String::new(),
            1 => ", with one query parameter".to_owned(),
            count => format!(", with {count} query parameters"),
        };
        let says = format!("{} {}{query}", intent.method, intent.path);
        trail.push(Looked::good(Rule::Canonical, says));
        if asked.scheme == Scheme::Http && intent.destination.scheme == Scheme::Https {
            let says = format!(
                "http:// is carried over TLS, to {}",
                in_words(&intent.destination)
            );
            trail.push(Looked::note(Rule::Target, says));
        }
        trail.extend(explain_head(self.policy, &intent));
        if let (true, Ok(selected)) = (trail.goes_on(), policy::select(self.policy, &intent)) {
            self.explain_content(selected, &intent, request, trail);
        }
    }

    fn explain_content(
        &self,
        selected: Selected,
        intent: &Intent,
        request: &AskedRequest,
        trail: &mut Trail,
    ) {
        let action = selected.action().clone();
        trail.push(size(&action, request.body.len()));
        if !trail.goes_on() {
            return;
        }
        let content = rehearsal::content(&selected, &request.body);
        match action::recognise(&action, intent, content, self.facts) {
            Err(refusal) => trail.push(Looked::against(Rule::Parameters, refusal.message)),
            Ok(recognised) => {
                trail.given(&action, &recognised.arguments);
                trail.extend(explain_recognised(&recognised));
                let host = &intent.destination.host;
                let arguments = recognised.arguments;
                trail.extend(explain_parameters(&selected, host, arguments, self.facts));
            }
        }
    }

    fn explain_call(&self, asked: &Asked, trail: &mut Trail) {
        let Asked::Call { action, parameters } = asked else {
            return;
        };
        let door = self.door(asked);
        trail.extend(explain_call(self.policy, self.caller, door, action));
        if !trail.goes_on() {
            return;
        }
        let Ok(selected) = policy::choose(self.policy, self.caller, door, action) else {
            return;
        };
        let action = selected.action().clone();
        trail.push(size(&action, rehearsal::length(parameters)));
        if !trail.goes_on() {
            return;
        }
        match action::given(&action, parameters.clone()) {
            Err(refusal) => trail.push(Looked::against(Rule::Parameters, refusal.message)),
            Ok(arguments) => {
                trail.given(&action, &arguments);
                let host = rehearsal::host(&action);
                trail.extend(explain_parameters(&selected, host, arguments, self.facts));
            }
        }
    }
}

/// The rules that were looked at so far, and what may not be shown of what they were asked about.
#[derive(Default)]
struct Trail {
    looked: Vec<Looked>,
    concealed: Concealed,
}

impl Trail {
    fn push(&mut self, looked: Looked) {
        self.looked.push(looked);
    }

    fn extend(&mut self, looked: impl IntoIterator<Item = Looked>) {
        self.looked.extend(looked);
    }

    fn goes_on(&self) -> bool {
        !ends_against(&self.looked)
    }

    fn given(&mut self, action: &Action, arguments: &Arguments) {
        let mut parameters = arguments.parameters.clone();
        self.concealed.take(action, &mut parameters);
        self.extend(explain_given(&parameters));
    }

    /// Before the action was known, so was none of its parameters: paths were shown as they are.
    fn beside(mut self, mut verdict: Result<Decided, Refusal>) -> Explanation {
        for looked in &mut self.looked {
            if matches!(looked.rule, Rule::Canonical | Rule::Candidate) {
                looked.says = self.concealed.hide(&looked.says);
            }
        }
        if let Ok(decided) = &mut verdict {
            self.concealed.hide_in(&mut decided.masked);
        }
        Explanation {
            trail: self.looked,
            verdict,
        }
    }
}

fn size(action: &Action, bytes: usize) -> Looked {
    let cap = action.limits.max_request_bytes;
    let judged = rehearsal::take(action, bytes);
    let says = || format!("{bytes} bytes of content, at most {cap}");
    Looked::of(Rule::Size, &judged, says)
}

fn in_words(destination: &Destination) -> String {
    let Destination { host, port, scheme } = destination;
    format!("{host}, port {port}, {}", scheme.as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};
    use std::time::Instant;

    use bytes::Bytes;
    use http::HeaderMap;
    use http::header::CONTENT_TYPE;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};
    use time::macros::datetime;

    use super::*;
    use crate::action::{Content, Facts};
    use crate::name::{ActionName, AgentName};
    use crate::policy::explain::Finding;
    use crate::policy::{Head, PlainHttp, Policy, decide, select, understand};
    use crate::refusal::Code;
    use crate::rehearsal::tests;
    use crate::request::{Caller, Door};
    use crate::sessions;
    use crate::sessions::Moment;

    /// Read once: there are hundreds of cases.
    static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(tests::policy);

    fn caller(policy: &Policy, agent: Option<&str>) -> Caller {
        let agent = agent.map(|it| AgentName::parse(it).unwrap());
        let named = agent.as_ref().map(|it| &policy.agents().unwrap()[it]);
        let environment = named.and_then(|it| it.environment.clone());
        Caller {
            environment: environment.unwrap_or_else(|| policy.environments()[0].name.clone()),
            agent,
            session: None,
        }
    }

    fn facts(policy: &Policy, caller: &Caller) -> Facts {
        let at = Moment {
            now: datetime!(2026-01-02 03:04:05 UTC),
            instant: Instant::now(),
        };
        sessions::facts(policy, caller, at, None)
    }

    fn explained(policy: &Arc<Policy>, agent: Option<&str>, asked: &Asked) -> Explanation {
        let caller = caller(policy, agent);
        let rehearsal = Rehearsal {
            policy,
            caller: &caller,
            facts: &facts(policy, &caller),
            plain_http: PlainHttp::Upgrade,
        };
        rehearsal.explain(asked)
    }

    fn request(method: &str, url: &str, body: &str) -> Asked {
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        }
        Asked::Request(AskedRequest {
            method: method.into(),
            url: url.into(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    fn call(action: &str, parameters: &Value) -> Asked {
        Asked::Call {
            action: ActionName::parse(action).unwrap(),
            parameters: parameters.as_object().unwrap().clone(),
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn the_trail_ends_with_the_rule_that_refuses() {
        let good = "https://api.good.test";
        let get = |path: &str| request("GET", &format!("{good}{path}"), "");
        let add = |body: &str| request("POST", &format!("{good}/items"), body);
        let bot = Some("bot");
        for (agent, asked, rule, code, says) in [
            (
                None,
                get("/items/7"),
                Rule::Agent,
                Code::AgentUnknown,
                "which of them",
            ),
            (
                bot,
                request("GET", "https://10.0.0.1/", ""),
                Rule::Target,
                Code::AddressRefused,
                "never to an IP",
            ),
            (
                bot,
                request("GET", "nowhere", ""),
                Rule::Target,
                Code::RequestMalformed,
                "URL",
            ),
            (
                bot,
                request("BREW", good, ""),
                Rule::Canonical,
                Code::MethodRefused,
                "GET, HEAD",
            ),
            (
                bot,
                get("/items/%2e%2e"),
                Rule::Canonical,
                Code::PathNotCanonical,
                "",
            ),
            (
                bot,
                request("GET", "https://evil.test/", ""),
                Rule::Host,
                Code::HostUndeclared,
                "nothing is declared at evil.test",
            ),
            (
                bot,
                request("GET", "https://index.good.test/", ""),
                Rule::Host,
                Code::ActionUndeclared,
                "is the tunnel index",
            ),
            (
                bot,
                request("GET", "https://api.good.test:8443/", ""),
                Rule::Port,
                Code::PortUndeclared,
                "uses 8443",
            ),
            (
                bot,
                get("/nothing"),
                Rule::Action,
                Code::ActionUndeclared,
                "no action of api.good.test fits GET /nothing",
            ),
            (
                bot,
                request("GET", "https://plain.good.test:8080/", ""),
                Rule::Scheme,
                Code::ActionUndeclared,
                "declared with http://, not https://",
            ),
            (
                Some("reader"),
                request("GET", "https://search.good.test/?q=x", ""),
                Rule::Allow,
                Code::ActionNotAllowed,
                "may not use",
            ),
            (
                bot,
                get("/off"),
                Rule::Enabled,
                Code::ActionDisabled,
                "switched off",
            ),
            (bot, get("/tool"), Rule::Door, Code::DoorClosed, "proxy"),
            (
                bot,
                add(&format!("{{\"name\":\"{}\"}}", "x".repeat(64))),
                Rule::Size,
                Code::TooLarge,
                "64 bytes",
            ),
            (
                bot,
                get("/items/7?x=1"),
                Rule::Schema,
                Code::ParameterUndeclared,
                "x is not declared",
            ),
            (
                bot,
                request("GET", "https://search.good.test/?KEY=1", ""),
                Rule::Parameters,
                Code::ParameterUndeclared,
                "KEY",
            ),
            (
                bot,
                add("{"),
                Rule::Parameters,
                Code::BodyUnexpected,
                "JSON",
            ),
            (bot, add("{}"), Rule::Schema, Code::ParameterMissing, "name"),
            (
                bot,
                get("/items/A"),
                Rule::Schema,
                Code::ParameterInvalid,
                "id",
            ),
            (
                bot,
                add(r#"{"name":"none-here"}"#),
                Rule::Placeholders,
                Code::PlaceholderMisplaced,
                "placeholder",
            ),
            (
                bot,
                call("orders", &json!({"number": "1"})),
                Rule::Requires,
                Code::PreconditionUnmet,
                "verify",
            ),
            (
                bot,
                call("ask", &json!({})),
                Rule::Request,
                Code::VariableMissing,
                "contact.email",
            ),
            (
                bot,
                call("get_item", &json!({"id": "me"})),
                Rule::Request,
                Code::ParameterInvalid,
                "the action me",
            ),
            (
                bot,
                call("off", &json!({})),
                Rule::Enabled,
                Code::ActionDisabled,
                "switched off",
            ),
            (
                bot,
                call("upload", &json!({})),
                Rule::Door,
                Code::DoorClosed,
                "through the proxy",
            ),
            (
                bot,
                call("nothing", &json!({})),
                Rule::Action,
                Code::ActionUndeclared,
                "no action is named nothing",
            ),
        ] {
            let Explanation { trail, verdict } = explained(&POLICY, agent, &asked);
            let last = trail.last().unwrap();
            let shown = format!("{asked:?}\n{trail:#?}\n{verdict:?}");
            assert_eq!(
                (last.rule, last.finding),
                (rule, Finding::Against),
                "{shown}"
            );
            assert!(last.says.contains(says), "{shown}");
            assert_eq!(verdict.unwrap_err().code, code, "{shown}");
        }
    }

    #[test]
    fn what_is_permitted_has_been_through_every_rule() {
        let asked = request("GET", "http://api.good.test/items/7", "");
        let Explanation { trail, verdict } = explained(&POLICY, Some("bot"), &asked);
        let told: Vec<String> = trail
            .iter()
            .map(|it| format!("{} {}: {}", it.rule.as_str(), it.finding.as_str(), it.says))
            .collect();
        for expected in [
            "agent good: bot",
            "target note: http:// is carried over TLS, to api.good.test, port 443, https",
            "environment good: production, whose hosts, values and secrets apply",
            "candidate note: not upload: the method is PUT, and its path has `/upload` where this one has `/items`",
            "candidate note: not me: its path has `/me` where this one has `/7`",
            "action good: get_item: GET api.good.test/items/{{id}}",
            "allow good: bot may: `*` fits",
            "parameters good: id = \"7\"",
            "limits note: 30 calls a minute, 10 at once, of the action get_item, counted for each agent",
            "limits note: 30s until its last byte, 10485760 bytes of reply",
            "network note: only if every address of its name is public; that is seen when it is sent",
        ] {
            assert!(
                told.iter().any(|it| it == expected),
                "{expected}\n{told:#?}"
            );
        }
        assert_eq!(verdict.unwrap().action.name.as_str(), "get_item");
        let narrower = explained(
            &POLICY,
            Some("bot"),
            &request("GET", "https://api.good.test/items/me", ""),
        );
        let says = "not get_item: fits as well, but me is narrower";
        assert!(narrower.trail.iter().any(|it| it.says == says));
        let exempt = call("verify", &json!({"number": "1", "pin": "2"}));
        let exempt = explained(&POLICY, Some("bot"), &exempt);
        let says = "to public addresses, and to 10.0.5.0/24";
        assert_eq!(exempt.trail.last().unwrap().says, says);
        let filled = explained(
            &POLICY,
            Some("bot"),
            &call("add_item", &json!({"name": "x"})),
        );
        let says = "size = 1, its default";
        assert!(filled.trail.iter().any(|it| it.says == says));
    }

    /// The doors' functions one after the other, by hand.
    fn at_the_door(
        policy: &Arc<Policy>,
        caller: &Caller,
        asked: &AskedRequest,
    ) -> Result<Value, Refusal> {
        let target = Destination::of_absolute(&asked.url)?;
        let head = Head {
            door: Door::Proxy,
            caller: caller.clone(),
            method: &asked.method,
            destination: target.destination,
            path_and_query: target.path_and_query,
            headers: asked.headers.clone(),
        };
        let intent = understand(policy, head, PlainHttp::Upgrade)?;
        let selected = select(policy, &intent)?;
        let action = selected.action().clone();
        if asked.body.len() as u64 > action.limits.max_request_bytes {
            return Err(action.too_large());
        }
        let facts = facts(policy, caller);
        let content = Content::Read(asked.body.clone());
        let recognised = action::recognise(&action, &intent, content, &facts)
            .map_err(|refusal| refusal.of_action(&action.name))?;
        let host = &intent.destination.host;
        let permit = decide(selected, host, recognised.arguments, &facts)?;
        Ok(permit.masked().unwrap().to_json())
    }

    fn requests() -> impl Strategy<Value = AskedRequest> {
        let method = prop_oneof!["GET", "POST", "PUT", "HEAD", "get"];
        let host = prop_oneof![
            "api.good.test",
            "API.good.test",
            "search.good.test",
            "crm.good.test",
            "ask.good.test",
            "plain.good.test",
            "index.good.test",
            "other.test",
            "10.0.0.1",
        ];
        let scheme = prop_oneof!["https", "http"];
        let port = prop_oneof!["", ":443", ":80", ":8080", ":0"];
        let path = prop_oneof![
            "/items/[a-zA-Z0-9%]{0,3}",
            "/(items|off|tool|upload|fill|verify|orders)",
            "/items/(me|7|\\.\\.)",
            "(/|)",
        ];
        let query = prop_oneof!["", "\\?(q|key|number|x)=[a-z+%]{0,3}", "\\?q=none-here"];
        let body = prop_oneof![
            Just(String::new()),
            "\\{\"(name|q|number|key)\":\"[a-z]{0,3}\"\\}",
            "\\{\"name\":(1|\"none-here\"),\"size\":[0-9]\\}",
            "[{}\\[\\]\"a]{1,4}",
            "\\{\"name\":\"[a-z]{60}\"\\}",
        ];
        let url =
            (scheme, host, port, path, query).prop_map(|(scheme, host, port, path, query)| {
                format!("{scheme}://{host}{port}{path}{query}")
            });
        (method, url, body).prop_map(|(method, url, body)| match request(&method, &url, &body) {
            Asked::Request(request) => request,
            Asked::Call { .. } => unreachable!("a request was made"),
        })
    }

    proptest! {
        #[test]
        fn the_verdict_is_that_of_the_doors_and_the_trail_agrees(
            asked in requests(),
            agent in prop_oneof!["bot", "reader"],
        ) {
            let policy = &*POLICY;
            let caller = caller(policy, Some(&agent));
            let expected = at_the_door(policy, &caller, &asked);
            let explained = explained(policy, Some(&agent), &Asked::Request(asked.clone()));
            let against = explained.trail.iter().filter(|it| it.finding == Finding::Against);
            let refuses = usize::from(expected.is_err());
            prop_assert_eq!(against.count(), refuses, "{:#?}", explained.trail);
            prop_assert_eq!(ends_against(&explained.trail), refuses == 1);
            match (explained.verdict, expected) {
                (Ok(decided), Ok(expected)) => {
                    // A body that nobody reads is shown by who has it.
                    let mut shown = decided.masked.to_json();
                    if decided.action.name.as_str() == "upload" {
                        shown["body"] = expected["body"].clone();
                    }
                    prop_assert_eq!(shown, expected);
                }
                (Err(refusal), Err(expected)) => {
                    prop_assert_eq!(refusal.to_json(""), expected.to_json(""));
                }
                (shown, expected) => prop_assert!(false, "{:?} {:?}", shown, expected),
            }
        }

        #[test]
        fn a_call_is_refused_by_the_trail_if_and_only_if_it_is_refused(
            action in "(get_item|add_item|search|fill|ask|upload|off|verify|orders|me|tool|plain|no)",
            parameters in prop::collection::btree_map(
                "(id|name|q|number|pin|size)",
                prop_oneof!["[a-z0-9]{0,3}".prop_map(Value::from), Just(json!(1)), Just(json!("none-here"))],
                0..3,
            ),
        ) {
            let policy = &*POLICY;
            let parameters: Map<String, Value> = parameters.into_iter().collect();
            let asked = call(&action, &Value::Object(parameters));
            let explained = explained(policy, Some("bot"), &asked);
            let against = explained.trail.iter().filter(|it| it.finding == Finding::Against);
            prop_assert_eq!(against.count(), usize::from(explained.verdict.is_err()));
            prop_assert_eq!(ends_against(&explained.trail), explained.verdict.is_err());
        }
    }
}
