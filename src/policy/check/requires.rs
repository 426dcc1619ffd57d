//! Preconditions: `requires` of all actions, read together, since each names others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::action::outcome::{OutputName, Reading};
use crate::action::requires::{Bound, Requirement};
use crate::name::{ActionName, AgentName};
use crate::policy::Agent;
use crate::policy::check::ground::Ground;
use crate::policy::check::parameters::Parameters;
use crate::policy::check::passes;
use crate::policy::check::told::Told;
use crate::policy::raw::action::{Action as Raw, Requirement as RawRequirement};
use crate::policy::raw::decode::Text;
use crate::problem::Problem;
use crate::schema::ScalarType;
use crate::template::{Declared, Kind};

/// What stands before the name of an output in `bind`.
const OUTPUTS: &str = "outputs.";

/// An action as far as another can require it, or it another.
pub(super) struct Known<'x, 'a> {
    pub(super) name: &'a Text,
    pub(super) raw: &'a Raw,
    pub(super) parameters: &'x Parameters<'a>,
    /// `None`: its mistakes have been told.
    pub(super) reading: Option<&'x Reading>,
}

/// The preconditions of all actions.
#[derive(Default)]
pub(super) struct Preconditions<'a> {
    /// By the action that has them; `None` where a mistake has been told.
    of: HashMap<&'a str, Option<Vec<Requirement>>>,
    /// By the action that others require: those of its parameters that they bind.
    bound: HashMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Preconditions<'a> {
    pub(super) fn read(ground: &Ground<'_>, all: &[Known<'_, 'a>], told: &mut Told<'_>) -> Self {
        let index = all.iter().map(|it| (it.name.value.as_str(), it));
        let index: HashMap<&str, &Known<'_, 'a>> = index.collect();
        let mut preconditions = Self::default();
        for ours in all {
            let Some(list) = &ours.raw.requires else {
                continue;
            };
            if list.items.is_empty() {
                let message = "`requires` names no action";
                told.error(&list.place, message, "name one, or remove the line");
            }
            let read = list.items.iter().map(|raw| {
                let asked = Asked { ours, raw };
                let theirs = asked.theirs(&index, ground, told)?;
                preconditions.note(theirs.name, raw);
                asked.read(theirs, told)
            });
            let read: Vec<Option<Requirement>> = read.collect();
            let whole = read.into_iter().collect();
            preconditions.of.insert(&ours.name.value, whole);
        }
        tell_cycles(all, told);
        preconditions
    }

    /// What an action requires; `None` where a mistake has been told.
    pub(super) fn of(&self, action: &str) -> Option<Vec<Requirement>> {
        self.of.get(action).cloned().unwrap_or(Some(Vec::new()))
    }

    /// The parameters of an action that sessions remember for those that require it; `None` where none does.
    pub(super) fn remembered(&self, action: &str) -> Option<Vec<String>> {
        let bound = self.bound.get(action)?;
        Some(bound.iter().map(|&name| name.to_owned()).collect())
    }

    fn note(&mut self, theirs: &'a Text, raw: &'a RawRequirement) {
        let bound = self.bound.entry(&theirs.value).or_default();
        let values = raw.bind.iter().flat_map(|it| &it.items);
        let values = values.map(|(_, to)| to.value.as_str());
        bound.extend(values.filter(|it| !it.starts_with(OUTPUTS)));
    }
}

/// One entry of `requires`, and whose it is.
struct Asked<'x, 'y, 'a> {
    ours: &'x Known<'y, 'a>,
    raw: &'a RawRequirement,
}

impl<'x, 'y, 'a> Asked<'x, 'y, 'a> {
    /// The action that has to succeed first.
    fn theirs(
        &self,
        index: &HashMap<&str, &'x Known<'y, 'a>>,
        ground: &Ground<'_>,
        told: &mut Told<'_>,
    ) -> Option<&'x Known<'y, 'a>> {
        let name = self.raw.action.as_ref()?;
        let Some(theirs) = index.get(name.value.as_str()) else {
            let declared = &ground.raw.actions;
            if !declared.is_declared(&name.value) && !ground.raw.is_partial {
                told.unknown("action", name, declared.names());
            }
            return None;
        };
        if theirs.raw.enabled.as_ref().is_some_and(|it| !it.value) {
            let message = format!("`{}` is switched off, so this is never met", name.value);
            let problem = Problem::warning(&name.place, message);
            told.tell(problem.remedy("switch it on, or remove the requirement"));
        }
        if let Some(stream) = theirs.raw.stream.as_ref().filter(|it| it.value) {
            let message = "a stream passes before its end is known, so nobody can tell whether it has succeeded";
            let problem = Problem::error(&stream.place, message);
            let problem = problem.second("this requires its success", &name.place);
            told.tell(problem.remedy("remove `stream`, or the requirement"));
        }
        passes::tell_required(theirs.raw, &name.place, told);
        Some(theirs)
    }

    fn read(&self, theirs: &Known<'_, '_>, told: &mut Told<'_>) -> Option<Requirement> {
        let bind = self.raw.bind.iter().flat_map(|it| &it.items);
        let bind: Vec<_> = bind
            .map(|(ours, to)| self.bound((ours, to), theirs, told))
            .collect();
        Some(Requirement {
            action: ActionName::parse(&theirs.name.value).ok()?,
            within: self.raw.within.as_ref().map(|it| it.value),
            bind: bind.into_iter().collect::<Option<_>>()?,
        })
    }

    fn bound(
        &self,
        (ours, to): (&Text, &Text),
        theirs: &Known<'_, '_>,
        told: &mut Told<'_>,
    ) -> Option<(String, Bound)> {
        let kind = kind(self.ours.parameters, ours, told);
        if kind.is_some() && !self.ours.parameters.is_certain(&ours.value) {
            let message = format!(
                "`{}` may be missing, and then this is never met",
                ours.value
            );
            let problem = Problem::warning(&ours.place, message);
            let problem = problem.second("declared here", self.ours.parameters.place(&ours.value));
            told.tell(problem.remedy("list it under `required`, or give it a default"));
        }
        let bound = match to.value.strip_prefix(OUTPUTS) {
            Some(output) => Bound::Output(output_of(theirs, (output, to), told)?),
            None => {
                let (kind, other) = (kind?, self::kind(theirs.parameters, to, told)?);
                if let Some((one, other)) = never_equal(kind, other) {
                    let message = format!(
                        "`{}` is {one} here and `{}` of `{}` {other}: they are never equal",
                        ours.value, to.value, theirs.name.value
                    );
                    let problem = Problem::error(&to.place, message);
                    let place = theirs.parameters.place(&to.value);
                    let problem = problem.second("declared here", place);
                    told.tell(problem.remedy("give both the same type"));
                    return None;
                }
                Bound::Parameter(to.value.clone())
            }
        };
        kind.map(|_| (ours.value.clone(), bound))
    }
}

/// What a bound parameter can be; `None` where it is not declared, which is told.
fn kind(parameters: &Parameters<'_>, name: &Text, told: &mut Told<'_>) -> Option<Kind> {
    let declared = parameters.declared(&[&name.value]);
    if declared.is_none() {
        told.unknown("parameter", name, parameters.names());
    }
    declared.map(|it| it.kind)
}

fn output_of(
    theirs: &Known<'_, '_>,
    (output, text): (&str, &Text),
    told: &mut Told<'_>,
) -> Option<OutputName> {
    let outputs = || theirs.reading.into_iter().flat_map(|it| it.outputs.iter());
    let names = || outputs().map(|it| &it.name);
    let found = names().find(|it| it.as_str() == output);
    if found.is_none() && theirs.reading.is_some() {
        let place = &text.place;
        let name = Text::new(output.to_owned(), place.clone());
        told.unknown("output", &name, names().map(OutputName::as_str));
    }
    found.cloned()
}

/// Two single types of which no value of the one is a value of the other.
fn never_equal(one: Kind, other: Kind) -> Option<(&'static str, &'static str)> {
    let (Kind::Scalar(one), Kind::Scalar(other)) = (one, other) else {
        return None;
    };
    let is_number = |it| matches!(it, ScalarType::Integer | ScalarType::Number);
    let may_be = one == other || (is_number(one) && is_number(other));
    (!may_be).then(|| (in_words(one), in_words(other)))
}

fn in_words(kind: ScalarType) -> &'static str {
    match kind {
        ScalarType::String => "a string",
        ScalarType::Integer => "an integer",
        ScalarType::Number => "a number",
        ScalarType::Boolean => "a boolean",
    }
}

/// Actions that wait for each other could never be called. Without recursion: a chain may be as long as the policy.
fn tell_cycles(all: &[Known<'_, '_>], told: &mut Told<'_>) {
    let index = all.iter().enumerate();
    let index: HashMap<&str, usize> = index.map(|(at, it)| (it.name.value.as_str(), at)).collect();
    let edges: Vec<Vec<(&Text, usize)>> = all
        .iter()
        .map(|it| {
            let items = it.raw.requires.iter().flat_map(|it| &it.items);
            let names = items.filter_map(|it| it.action.as_ref());
            let known = names.filter_map(|it| Some((it, *index.get(it.value.as_str())?)));
            known.collect()
        })
        .collect();
    let mut seen = vec![Seen::Never; all.len()];
    for start in 0..all.len() {
        let mut way = match seen[start] {
            Seen::Never => vec![(start, 0)],
            Seen::OnTheWay | Seen::Done => continue,
        };
        while let Some((at, next)) = way.last_mut() {
            let Some(&(name, to)) = edges[*at].get(*next) else {
                seen[*at] = Seen::Done;
                way.pop();
                continue;
            };
            seen[*at] = Seen::OnTheWay;
            *next += 1;
            match seen[to] {
                Seen::Never => way.push((to, 0)),
                Seen::Done => {}
                Seen::OnTheWay => {
                    let from = way.iter().position(|(it, _)| *it == to);
                    tell_cycle(&way[from.unwrap_or_default()..], all, name, told);
                }
            }
        }
    }
}

/// How far the search for cycles has come with an action.
#[derive(Clone, Copy)]
enum Seen {
    Never,
    OnTheWay,
    Done,
}

fn tell_cycle(
    cycle: &[(usize, usize)],
    all: &[Known<'_, '_>],
    closing: &Text,
    told: &mut Told<'_>,
) {
    let names: Vec<String> = cycle
        .iter()
        .skip(1)
        .map(|(at, _)| format!("`{}`", all[*at].name.value))
        .collect();
    let message = match names.as_slice() {
        [] => format!("`{}` requires itself", closing.value),
        names => format!(
            "`{}` requires itself, by way of {}",
            closing.value,
            names.join(", ")
        ),
    };
    told.error(
        &closing.place,
        message,
        "remove one of these requirements: none of the actions could be called first",
    );
}

/// Warns of agents that may use an action, and not what has to succeed before it.
pub(super) fn tell_out_of_reach(
    ground: &Ground<'_>,
    agents: &BTreeMap<AgentName, Agent>,
    told: &mut Told<'_>,
) {
    for (name, raw) in ground.raw.actions.iter() {
        let required = raw.requires.iter().flat_map(|it| &it.items);
        for theirs in required.filter_map(|it| it.action.as_ref()) {
            let stuck = agents.iter().filter(|(_, agent)| {
                let allows = |name: &Text| agent.allow.contains(name.value.as_str());
                allows(name) && !allows(theirs)
            });
            let stuck: Vec<&str> = stuck.map(|(name, _)| name.as_str()).collect();
            let Some(first) = stuck.first() else { continue };
            let others = match stuck.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let message = format!(
                "the agent `{first}`{others} may use `{}` but not `{}`, which has to succeed first",
                name.value, theirs.value
            );
            let problem = Problem::warning(&theirs.place, message);
            told.tell(problem.remedy("allow both or neither"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::action::outcome::OutputName;
    use crate::action::requires::Bound;
    use crate::policy::from_texts;
    use crate::problem::Problem;

    const VERIFY: &str = r#"
version: 1
actions:
  verify:
    description: Verifies who the customer is.
    method: POST
    url: https://api.good.test/verify
    parameters: {properties: {id: {type: string}, n: {type: integer}, any: {}}, required: [id]}
    outputs: {customer.id: {path: $.id}}
  look_up:
    description: Looks up what the customer ordered.
    method: GET
    url: https://api.good.test/orders
    parameters: {properties: {id: {type: string}, n: {type: number}, any: {}}, required: [id, n]}
"#;

    fn told(text: &str) -> Vec<String> {
        let loaded = from_texts(&[("p.yaml".into(), text.into())]);
        let line = |it: &Problem| {
            let remedy = it.remedy_text().unwrap_or_default();
            format!("{} ({remedy})", it.headline())
        };
        let mut told: Vec<String> = loaded.problems.iter().map(line).collect();
        told.sort();
        told
    }

    #[test]
    fn mistakes_in_requires_are_told() {
        for (requires, expected) in [
            ("[{action: verify}]", ""),
            ("[{action: verify, within: 15m, bind: {id: id}}]", ""),
            (
                "[{action: verify, bind: {id: outputs.customer.id, n: n}}]",
                "",
            ),
            (
                "[{action: verify, bind: {any: id}}]",
                "warning: `any` may be missing",
            ),
            ("[]", "error: `requires` names no action"),
            ("[{within: 15m}]", "error: a requirement needs `action`"),
            (
                "[{action: verfy}]",
                "error: no action `verfy` is declared (did you mean `verify`?",
            ),
            ("[{action: look_up}]", "error: `look_up` requires itself"),
            (
                "[{action: verify, within: 15}]",
                "error: expected a duration",
            ),
            (
                "[{action: verify, binds: {id: id}}]",
                "error: unknown field `binds`",
            ),
            (
                "[{action: verify, bind: {ids: id}}]",
                "error: no parameter `ids` is declared",
            ),
            (
                "[{action: verify, bind: {id: ids}}]",
                "error: no parameter `ids` is declared",
            ),
            (
                "[{action: verify, bind: {id: n}}]",
                "error: `id` is a string here and `n` of `verify` an integer: they are never equal",
            ),
            (
                "[{action: verify, bind: {id: outputs.customer.it}}]",
                "error: no output `customer.it` is declared (did you mean `customer.id`?",
            ),
        ] {
            let all = told(&format!("{VERIFY}    requires: {requires}\n"));
            match expected {
                "" => assert!(all.is_empty(), "{requires}: {all:?}"),
                _ => assert!(
                    all.len() == 1 && all[0].contains(expected),
                    "{requires}: {all:?}"
                ),
            }
        }
    }

    #[test]
    fn what_could_never_be_met_is_told() {
        let requires = "    requires: [{action: verify}]\n";
        let with = |from: &str, to: &str| told(&format!("{}{requires}", VERIFY.replace(from, to)));
        for (from, to, expected) in [
            (
                "    method: POST\n",
                "    method: POST\n    enabled: false\n",
                "warning: `verify` is switched off",
            ),
            (
                "    outputs: {customer.id: {path: $.id}}\n",
                "    stream: true\n",
                "error: a stream passes before its end is known",
            ),
            (
                "    outputs: {customer.id: {path: $.id}}\n",
                "    trailers: true\n",
                "error: a reply whose end is waited for goes on without trailers",
            ),
            (
                "    outputs: {customer.id: {path: $.id}}\n",
                "    requires: [{action: look_up}]\n",
                "error: `verify` requires itself, by way of `look_up`",
            ),
        ] {
            let all = with(from, to);
            assert!(all.len() == 1 && all[0].contains(expected), "{to}: {all:?}");
        }
    }

    #[test]
    fn an_agent_that_may_not_call_what_comes_first_is_told() {
        let agents = |allow: &str| {
            format!(
                "{VERIFY}    requires: [{{action: verify}}]\nsecrets: {{t: {{env: T}}}}\n\
                 agents:\n  bot: {{token: {{secret: t}}, allow: {allow}}}\n"
            )
        };
        for (allow, expected) in [
            ("[\"*\"]", 0),
            ("[verify]", 0),
            ("[look_up]", 1),
            ("[look_up, verify]", 0),
        ] {
            let all = told(&agents(allow));
            assert_eq!(all.len(), expected, "{allow}: {all:?}");
            let is_named = |it: &String| it.contains("the agent `bot` may use `look_up` but not");
            assert!(all.iter().all(is_named), "{all:?}");
        }
    }

    #[test]
    fn a_chain_as_long_as_the_policy_is_walked() {
        let mut text = String::from("version: 1\nactions:\n");
        for number in 0..2000 {
            let next = (number + 1) % 2000;
            text.push_str(&format!(
                "  a{number}:\n    description: One of a long chain.\n    method: GET\n    \
                 url: https://api.good.test/{number}\n    requires: [{{action: a{next}}}]\n"
            ));
        }
        let all = told(&text);
        assert!(
            all.len() == 1 && all[0].contains("requires itself"),
            "{}",
            all.len()
        );
    }

    #[test]
    fn only_what_others_bind_is_remembered() {
        let text = format!(
            "{VERIFY}    requires: [{{action: verify, bind: {{id: id}}}}, \
             {{action: verify, bind: {{id: outputs.customer.id}}}}]\n"
        );
        let loaded = from_texts(&[("p.yaml".into(), text.into())]);
        let policy = loaded.policy.unwrap();
        let actions = &policy.environments()[0].actions;
        assert_eq!(
            actions["verify"].remembered.as_deref(),
            Some(&["id".to_owned()][..])
        );
        assert_eq!(actions["look_up"].remembered, None);
        let bound: Vec<&Bound> = actions["look_up"]
            .requires
            .iter()
            .map(|it| &it.bind[0].1)
            .collect();
        let output = OutputName::parse("customer.id").unwrap();
        assert_eq!(
            bound,
            [&Bound::Parameter("id".into()), &Bound::Output(output)]
        );
    }
}
