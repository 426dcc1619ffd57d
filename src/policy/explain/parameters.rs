//! What `recognise` found and `decide` looks at.

use serde_json::{Map, Value};

use crate::action;
use crate::action::{Action, Arguments, Facts, Limits, Recognised};
use crate::json;
use crate::policy::decide;
use crate::policy::explain::{Looked, Rule, ends_against};
use crate::policy::{Environment, Network, Selected};
use crate::rate::{Key, Rate};
use crate::request::{Destination, Host};

/// What of a request is no parameter of it.
pub fn explain_recognised(recognised: &Recognised) -> Vec<Looked> {
    let mut trail = Vec::new();
    for place in &recognised.replaced {
        let says = format!("what the agent sent as {place} is taken out: the place is exeat's");
        trail.push(Looked::note(Rule::Parameters, says));
    }
    if !recognised.dropped.is_empty() {
        let names: Vec<&str> = recognised.dropped.iter().map(|it| it.as_str()).collect();
        let says = format!("headers that are not let through: {}", names.join(", "));
        trail.push(Looked::note(Rule::Parameters, says));
    }
    trail
}

/// Parameters by name, with marks for what may not be shown.
pub fn explain_given(parameters: &Map<String, Value>) -> Vec<Looked> {
    if parameters.is_empty() {
        return vec![Looked::good(Rule::Parameters, "none")];
    }
    let says = |(name, value): (&String, &Value)| format!("{name} = {}", text(value));
    parameters
        .iter()
        .map(|it| Looked::good(Rule::Parameters, says(it)))
        .collect()
}

/// The trail of [`decide`](crate::policy::decide()).
pub fn explain_parameters(
    selected: &Selected,
    host: &Host,
    arguments: Arguments,
    facts: &Facts,
) -> Vec<Looked> {
    let environment = selected
        .policy()
        .environment(&selected.caller().environment);
    let action = selected.action();
    match (environment, decide::destination(action, host)) {
        (Some(environment), Ok(destination)) => {
            let sight = Sight {
                selected,
                action,
                network: selected.policy().network(),
                environment,
                destination,
                facts,
            };
            sight.look(arguments)
        }
        (_, Err(refusal)) => vec![Looked::against(Rule::Request, refusal.message)],
        (None, _) => vec![Looked::against(
            Rule::Environment,
            "the environment is gone",
        )],
    }
}

/// What deciding sees.
struct Sight<'a> {
    selected: &'a Selected,
    action: &'a Action,
    network: &'a Network,
    environment: &'a Environment,
    destination: Destination,
    facts: &'a Facts,
}

impl Sight<'_> {
    /// In the order of `decide`, and no further than it goes.
    fn look(&self, mut arguments: Arguments) -> Vec<Looked> {
        let mut trail = self.schema(&mut arguments);
        if !ends_against(&trail) {
            trail.extend(self.placeholders(&arguments));
        }
        if !ends_against(&trail) {
            self.requires(&arguments.parameters, &mut trail);
        }
        if !ends_against(&trail) {
            trail.push(self.request(arguments));
        }
        if !ends_against(&trail) {
            trail.extend(self.selected.rates().map(|it| rate(it)));
            trail.push(limits(&self.action.limits));
            trail.push(self.network());
        }
        trail
    }

    /// What was left out and has a default is told too: it will be sent.
    fn schema(&self, arguments: &mut Arguments) -> Vec<Looked> {
        let given = arguments.parameters.clone();
        let judged = decide::check_parameters(self.action, arguments);
        let fits = || "the parameters are as the schema asks".to_owned();
        let mut trail = Vec::new();
        if judged.is_ok() {
            let added = arguments.parameters.iter();
            for (name, value) in added.filter(|(name, _)| !given.contains_key(*name)) {
                let says = format!("{name} = {}, its default", text(value));
                trail.push(Looked::note(Rule::Schema, says));
            }
        }
        trail.push(Looked::of(Rule::Schema, &judged, fits));
        trail
    }

    fn placeholders(&self, arguments: &Arguments) -> Option<Looked> {
        if self.environment.placeholders.is_empty() {
            return None;
        }
        let judged = decide::refuse_placeholders(self.environment, arguments);
        let none = || "no placeholder of a credential is where it does not belong".to_owned();
        Some(Looked::of(Rule::Placeholders, &judged, none))
    }

    /// Those before the first that is not met are met.
    fn requires(&self, parameters: &Map<String, Value>, trail: &mut Vec<Looked>) {
        let judged = decide::refuse_unmet(self.action, parameters, self.facts);
        for required in &self.action.requires {
            let is_met = required.is_met(&self.facts.attempts, parameters, self.facts.instant);
            if !is_met {
                break;
            }
            let says = format!("{} has succeeded in this session", required.action);
            trail.push(Looked::good(Rule::Requires, says));
        }
        if let Err(refusal) = judged {
            trail.push(Looked::against(Rule::Requires, refusal.message));
        }
    }

    fn request(&self, arguments: Arguments) -> Looked {
        let planned = action::plan(self.action, arguments, self.facts);
        let judged = planned.and_then(|planned| {
            let path = &planned.path;
            decide::refuse_other_action(self.environment, self.action, &self.destination, path)
        });
        let built = || "it is put together from the parameters, as it would leave".to_owned();
        Looked::of(Rule::Request, &judged, built)
    }

    fn network(&self) -> Looked {
        let Destination { host, port, .. } = &self.destination;
        let exempt = self.network.exemptions.iter();
        let exempt = exempt.filter(|it| it.host == *host && it.port == *port);
        let opened: Vec<String> = exempt
            .flat_map(|it| it.addresses.iter().map(ToString::to_string))
            .collect();
        let says = match opened.as_slice() {
            [] => {
                "only if every address of its name is public; that is seen when it is sent".into()
            }
            opened => format!("to public addresses, and to {}", opened.join(", ")),
        };
        Looked::note(Rule::Network, says)
    }
}

/// Whether there is any of it left is seen when it is sent.
fn rate(rate: &Rate) -> Looked {
    let counted = match rate.key {
        Key::All => "counted together",
        Key::Action => "counted for each action",
        Key::Agent => "counted for each agent",
        Key::Session => "counted for each session",
    };
    let Rate { owner, burst, .. } = rate;
    let says = format!("{rate}, {burst} at once, of {owner}, {counted}");
    Looked::note(Rule::Limits, says)
}

fn limits(limits: &Limits) -> Looked {
    let timeout = match limits.stream {
        true => format!("{:?} of silence in its stream", limits.idle_timeout),
        false => format!("{:?} until its last byte", limits.timeout),
    };
    let says = format!("{timeout}, {} bytes of reply", limits.max_response_bytes);
    Looked::note(Rule::Limits, says)
}

fn text(value: &Value) -> String {
    let mut bytes = Vec::new();
    json::write(value, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
