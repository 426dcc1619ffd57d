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
use crate::rehearsal::{Decided, Rehearsal};
use crate::request::{Destination, Intent, Scheme};

/// Why something is decided as it is.
#[derive(Debug)]
pub struct Explanation {
    /// The rules that were looked at, in their order. The last one is against it, if it is refused.
    pub trail: Vec<Looked>,
    /// What the doors would decide: [`Rehearsal::decide`]'s word.
    pub verdict: Result<Decided, Refusal>,
}

impl Rehearsal<'_> {
    /// Explains a request or a call.
    pub fn explain(&self, asked: &Asked) -> Explanation {
        let mut trail = self.explain_agent();
        if !ends_against(&trail) {
            match asked {
                Asked::Request(request) => self.explain_request(request, &mut trail),
                Asked::Call { .. } => self.explain_call(asked, &mut trail),
            }
        }
        Explanation {
            trail,
            verdict: self.decide(asked),
        }
    }

    fn explain_agent(&self) -> Vec<Looked> {
        match (self.identify(), &self.caller.agent) {
            (Err(refusal), _) => vec![Looked::against(Rule::Agent, refusal.message)],
            (Ok(()), Some(name)) => vec![Looked::good(Rule::Agent, name.as_str())],
            (Ok(()), None) => Vec::new(),
        }
    }

    fn explain_request(&self, request: &AskedRequest, trail: &mut Vec<Looked>) {
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
        if let (false, Ok(selected)) = (ends_against(trail), policy::select(self.policy, &intent)) {
            self.explain_content(selected, &intent, request, trail);
        }
    }

    fn explain_content(
        &self,
        selected: Selected,
        intent: &Intent,
        request: &AskedRequest,
        trail: &mut Vec<Looked>,
    ) {
        let action = selected.action().clone();
        trail.push(size(&action, request.body.len()));
        if ends_against(trail) {
            return;
        }
        let content = rehearsal::content(&selected, &request.body);
        match action::recognise(&action, intent, content, self.facts) {
            Err(refusal) => trail.push(Looked::against(Rule::Parameters, refusal.message)),
            Ok(recognised) => {
                trail.extend(explain_recognised(&recognised));
                let host = &intent.destination.host;
                let arguments = recognised.arguments;
                trail.extend(explain_parameters(&selected, host, arguments, self.facts));
            }
        }
    }

    fn explain_call(&self, asked: &Asked, trail: &mut Vec<Looked>) {
        let Asked::Call { action, parameters } = asked else {
            return;
        };
        let door = self.door(asked);
        trail.extend(explain_call(self.policy, self.caller, door, action));
        if ends_against(trail) {
            return;
        }
        let Ok(selected) = policy::choose(self.policy, self.caller, door, action) else {
            return;
        };
        let action = selected.action().clone();
        trail.push(size(&action, rehearsal::length(parameters)));
        if ends_against(trail) {
            return;
        }
        match action::given(&action, parameters.clone()) {
            Err(refusal) => trail.push(Looked::against(Rule::Parameters, refusal.message)),
            Ok(arguments) => self.explain_arguments(&selected, arguments, trail),
        }
    }

    fn explain_arguments(
        &self,
        selected: &Selected,
        arguments: Arguments,
        trail: &mut Vec<Looked>,
    ) {
        trail.extend(explain_given(&arguments.parameters));
        let host = rehearsal::host(selected.action());
        trail.extend(explain_parameters(selected, host, arguments, self.facts));
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
