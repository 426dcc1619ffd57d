//! From tests as they are written to tests that can be tried, or all that is wrong with them.

mod asked;
mod expected;

use std::path::Path;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::name::{AgentName, EnvironmentName};
use crate::policy::check::told::Told;
use crate::policy::raw::decode::Text;
use crate::policy::raw::trial::{AskedCall, AskedRequest, Expectation, Object, Reply, Step, Test};
use crate::policy::trial;
use crate::policy::trial::{Trial, Trials};
use crate::policy::{Policy, raw};
use crate::problem::{Place, Problems, Sources};

/// Reads the tests of a folder, or of one file, which are about this policy.
pub fn trials(path: &Path, policy: &Policy) -> Trials {
    let mut problems = Problems::new();
    let files = raw::read_tests(path, &mut problems);
    read(&files, policy, problems)
}

/// Reads the tests of files that are already in memory: names with contents.
pub fn trials_from_texts(files: &[(String, Vec<u8>)], policy: &Policy) -> Trials {
    read(files, policy, Problems::new())
}

fn read(files: &[(String, Vec<u8>)], policy: &Policy, mut problems: Problems) -> Trials {
    let mut sources = Sources::new();
    let raw = raw::parse_tests(files, &mut sources, &mut problems);
    let mut reader = Reader {
        policy,
        told: Told::new(&mut problems, &mut sources),
    };
    let trials: Vec<Trial> = raw.iter().filter_map(|it| reader.trial(it)).collect();
    Trials {
        trials: if problems.has_errors() {
            Vec::new()
        } else {
            trials
        },
        problems,
        sources,
    }
}

/// Reads one test after the other. `None` has been told.
struct Reader<'a> {
    policy: &'a Policy,
    told: Told<'a>,
}

/// The fields that a test and a step have in common.
struct Part<'a> {
    place: &'a Place,
    name: Option<&'a Text>,
    request: Option<&'a AskedRequest>,
    call: Option<&'a AskedCall>,
    agent: Option<&'a Text>,
    environment: Option<&'a Text>,
    context: Vec<&'a Object>,
    now: Option<&'a Text>,
    response: Option<&'a Reply>,
    expect: Option<&'a Expectation>,
}

macro_rules! part_of {
    ($($written:ty),*) => {$(
        impl<'a> From<&'a $written> for Part<'a> {
            fn from(written: &'a $written) -> Self {
                Self {
                    place: &written.place,
                    name: written.name.as_ref(),
                    request: written.request.as_ref(),
                    call: written.call.as_ref(),
                    agent: written.agent.as_ref(),
                    environment: written.environment.as_ref(),
                    context: written.context.iter().collect(),
                    now: written.now.as_ref(),
                    response: written.response.as_ref(),
                    expect: written.expect.as_ref(),
                }
            }
        }
    )*};
}

part_of!(Test, Step);

impl Reader<'_> {
    fn trial(&mut self, test: &Test) -> Option<Trial> {
        let name = test.name.as_ref()?;
        let whole = Part::from(test);
        let steps = match &test.steps {
            None => vec![self.single(&whole, name)?],
            Some(list) => self.steps(&whole, name, &list.items)?,
        };
        Some(Trial {
            name: name.value.clone(),
            place: name.place.clone(),
            steps,
            has_steps: test.steps.is_some(),
        })
    }

    fn single(&mut self, whole: &Part<'_>, name: &Text) -> Option<trial::Step> {
        if whole.expect.is_none() {
            self.told.error(
                &name.place,
                "this test expects nothing, so it would always pass",
                "write `expect: {allowed: ACTION}`, `{refused: CODE}` or `{upstream: …}`",
            );
        }
        self.step(whole)
    }

    /// What holds for the whole test holds for every step; what the runtime sets, and the time, from the first on.
    fn steps(
        &mut self,
        whole: &Part<'_>,
        name: &Text,
        written: &[Step],
    ) -> Option<Vec<trial::Step>> {
        self.tell_what_belongs_in_steps(whole, name);
        if written.iter().all(|it| it.expect.is_none()) {
            let message = "no step of this test expects anything, so it would prove nothing";
            self.told.error(
                &name.place,
                message,
                "write `expect` in the step that matters",
            );
        }
        let mut steps = Vec::with_capacity(written.len());
        let mut time: Option<OffsetDateTime> = None;
        for (index, step) in written.iter().enumerate() {
            let mut part = Part::from(step);
            part.agent = part.agent.or(whole.agent);
            part.environment = part.environment.or(whole.environment);
            if index == 0 {
                part.now = part.now.or(whole.now);
                part.context.splice(0..0, whole.context.iter().copied());
            }
            let step = self.step(&part);
            let now = step.as_ref().and_then(|it| it.now);
            if let (Some(before), Some(now), Some(text)) = (time, now, part.now)
                && now < before
            {
                let message = "this is before the time of an earlier step";
                self.told.error(&text.place, message, "let time go on");
            }
            time = now.or(time);
            steps.push(step);
        }
        steps.into_iter().collect()
    }

    fn tell_what_belongs_in_steps(&mut self, whole: &Part<'_>, name: &Text) {
        if whole.request.is_some() || whole.call.is_some() {
            let message = "a test has either `steps`, or a `request` or `call` of its own";
            self.told
                .error(&name.place, message, "make it the first of the steps");
        }
        if whole.response.is_some() || whole.expect.is_some() {
            let message = "with `steps`, each step has its own `response` and `expect`";
            self.told.error(
                &name.place,
                message,
                "move it into the step that it is about",
            );
        }
    }

    fn step(&mut self, part: &Part<'_>) -> Option<trial::Step> {
        let asked = self.asked(part);
        let caller = self.caller(part);
        let now = part.now.map(|it| self.now(it));
        let context = self.context(&part.context);
        let reply = part.response.map(|it| self.reply(it));
        let expected = self.expected(part.expect, part.response.is_some());
        let (agent, environment) = caller?;
        Some(trial::Step {
            name: part.name.map(|it| it.value.clone()),
            place: part.place.clone(),
            asked: asked?,
            agent,
            environment,
            context,
            now: all(now)?,
            reply: all(reply)?,
            expected: expected?,
        })
    }

    fn now(&mut self, text: &Text) -> Option<OffsetDateTime> {
        let time = OffsetDateTime::parse(&text.value, &Rfc3339);
        if time.is_err() {
            let message = format!("`{}` is not a time", text.value);
            let remedy = "write it as `2026-01-31T09:30:00Z` (RFC 3339)";
            self.told.error(&text.place, message, remedy);
        }
        time.ok()
    }

    /// What the runtime says, each under the name that the policy declares.
    fn context(&mut self, written: &[&Object]) -> Map<String, Value> {
        let mut context = Map::new();
        for Object { json } in written {
            let said = json.value.as_object().cloned().unwrap_or_default();
            match self.policy.context().read(said) {
                Ok(said) => context.extend(said),
                Err(refusal) => {
                    let pointer = refusal.hints.pointer.as_deref().unwrap_or_default();
                    let message = format!("the runtime cannot set this: {}", refusal.message);
                    let remedy = "write names and types as `context:` of the policy declares them";
                    self.told.error(json.places.key(pointer), message, remedy);
                }
            }
        }
        context
    }

    /// The agent and its environment: its own, else that of the test, else the first.
    fn caller(&mut self, part: &Part<'_>) -> Option<(Option<AgentName>, EnvironmentName)> {
        let named = part.environment.map(|text| {
            let environments = self.policy.environments();
            let mut names = environments.iter().map(|it| &it.name);
            let found = names.clone().find(|it| it.as_str() == text.value).cloned();
            if found.is_none() {
                let declared = names.by_ref().map(EnvironmentName::as_str);
                self.told.unknown("environment", text, declared);
            }
            found
        });
        let agent = part.agent.map(|text| self.agent(text));
        let (named, agent) = (all(named)?, all(agent)?);
        let declared = agent.as_ref().zip(self.policy.agents());
        let own = declared.and_then(|(name, agents)| agents.get(name)?.environment.clone());
        if let (Some(own), Some(named), Some(text)) = (&own, &named, part.environment)
            && own != named
        {
            let message = format!("this agent works in `{own}`, never in `{named}`");
            let remedy = "remove `environment`, or name another agent";
            self.told.error(&text.place, message, remedy);
        }
        let first = self.policy.environments().first()?.name.clone();
        Some((agent, own.or(named).unwrap_or(first)))
    }

    fn agent(&mut self, text: &Text) -> Option<AgentName> {
        let Some(agents) = self.policy.agents() else {
            let message = "the policy declares no agents";
            let remedy = "remove `agent`, or declare it under `agents:` of the policy";
            self.told.error(&text.place, message, remedy);
            return None;
        };
        let found = agents.get_key_value(text.value.as_str());
        if found.is_none() {
            let declared = agents.keys().map(AgentName::as_str);
            self.told.unknown("agent", text, declared);
        }
        found.map(|(name, _)| name.clone())
    }
}

/// What was written, if it could be read. `None`: it was written, and what is wrong has been told.
fn all<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}
