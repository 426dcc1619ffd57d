//! What a test expects.

use serde_json::Value;

use crate::action::outcome::OutputName;
use crate::action::pointer;
use crate::name::OutcomeName;
use crate::policy::Policy;
use crate::policy::check::trial::Reader;
use crate::policy::raw::decode::Text;
use crate::policy::raw::trial::{Expectation, Literal, Object, Upstream};
use crate::policy::trial::{Expected, Wanted};
use crate::problem::{Located, Place, Problem, nearest};
use crate::refusal::Code;

impl Reader<'_> {
    /// Without an expectation, a step has to be allowed for the next one to mean anything.
    pub(super) fn expected(
        &mut self,
        written: Option<&Expectation>,
        has_reply: bool,
    ) -> Option<Expected> {
        let Some(written) = written else {
            return Some(Expected::Allowed(Box::default()));
        };
        self.tell_nothing(written);
        self.tell_without_reply(written, has_reply);
        let wanted = self.wanted(written)?;
        let Some(refused) = &written.refused else {
            return Some(Expected::Allowed(Box::new(wanted)));
        };
        if let Some((field, place)) = of_the_allowed(written).next() {
            let message = format!("what is refused has no `{field}`");
            let problem = Problem::error(place, message).second("expected here", &refused.place);
            self.told
                .tell(problem.remedy("keep one of the two, or write two tests"));
        }
        self.code(refused).map(Expected::Refused)
    }

    fn tell_nothing(&mut self, written: &Expectation) {
        let upstream = written.upstream.as_ref();
        let is_empty = written.refused.is_none() && of_the_allowed(written).next().is_none();
        if is_empty {
            self.told.error(
                &written.place,
                "nothing is expected here",
                "write `allowed: ACTION`, `refused: CODE` or `upstream: {url: …}`",
            );
        } else if let Some(upstream) = upstream.filter(|it| names_nothing(it)) {
            let remedy = "name its `method`, `url`, `headers` or `body`";
            self.told.error(
                &upstream.place,
                "nothing is expected of the request",
                remedy,
            );
        }
    }

    fn tell_without_reply(&mut self, written: &Expectation, has_reply: bool) {
        if has_reply {
            return;
        }
        for (field, place) in of_the_reply(written) {
            let message = format!("`{field}` is about a reply, and there is none");
            self.told
                .error(place, message, "say what the server answers, in `response`");
        }
    }

    /// Every mistake is told, whatever else could not be read.
    fn wanted(&mut self, written: &Expectation) -> Option<Wanted> {
        let action = self.located(written.allowed.as_ref(), Self::action);
        let outcome = self.located(written.outcome.as_ref(), Self::outcome);
        let outputs = self.outputs(written.outputs.as_ref());
        let mut wanted = Wanted {
            action: action?,
            outcome: outcome?,
            say: written.say.clone(),
            returned: written.returned.as_ref().map(located),
            outputs: outputs?,
            ..Wanted::default()
        };
        if let Some(upstream) = &written.upstream {
            self.upstream(upstream, &mut wanted)?;
        }
        Some(wanted)
    }

    fn upstream(&mut self, written: &Upstream, wanted: &mut Wanted) -> Option<()> {
        wanted.method.clone_from(&written.method);
        wanted.url.clone_from(&written.url);
        wanted.body = written.body.as_ref().map(located);
        for (name, values) in written.headers.iter().flat_map(|it| &it.items) {
            let values = values.items.iter().map(|it| it.value.clone()).collect();
            let parsed = self.header_name(name)?;
            let name = Located::new(parsed, name.place.clone());
            wanted.headers.push((name, values));
        }
        Some(())
    }

    fn located<T>(
        &mut self,
        text: Option<&Text>,
        read: impl FnOnce(&mut Self, &Text) -> Option<T>,
    ) -> Option<Option<Located<T>>> {
        let Some(text) = text else {
            return Some(None);
        };
        let value = read(self, text)?;
        Some(Some(Located::new(value, text.place.clone())))
    }

    fn code(&mut self, text: &Text) -> Option<Located<Code>> {
        let mut codes = Code::ALL.iter();
        if let Some(code) = codes.find(|it| it.as_str() == text.value) {
            return Some(Located::new(*code, text.place.clone()));
        }
        let known = Code::ALL.iter().map(|it| it.as_str());
        let message = format!("`{}` is not the code of a refusal", text.value);
        let problem = Problem::error(&text.place, message);
        self.told.tell(match nearest(&text.value, known) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None => problem.remedy("`exeat explain` shows the code of any request"),
        });
        None
    }

    fn outcome(&mut self, text: &Text) -> Option<OutcomeName> {
        let found = outcomes(self.policy).find(|it| it.as_str() == text.value);
        if found.is_none() {
            let names = outcomes(self.policy).map(OutcomeName::as_str);
            self.told.unknown("outcome", text, names);
        }
        found.cloned()
    }

    fn outputs(&mut self, written: Option<&Object>) -> Option<Vec<(Located<OutputName>, Value)>> {
        let Some(Object { json }) = written else {
            return Some(Vec::new());
        };
        let mut outputs = Vec::new();
        for (name, value) in json.value.as_object().into_iter().flatten() {
            let pointer = pointer(name);
            let text = Text::new(name.clone(), json.places.key(&pointer).clone());
            let found = declared_outputs(self.policy).find(|it| it.as_str() == name);
            match found {
                Some(found) => {
                    let place = json.places.value(&pointer).clone();
                    outputs.push((Located::new(found.clone(), place), value.clone()));
                }
                None => {
                    let names = declared_outputs(self.policy).map(OutputName::as_str);
                    self.told.unknown("output", &text, names);
                }
            }
        }
        let is_whole = outputs.len() == json.value.as_object().map_or(0, serde_json::Map::len);
        is_whole.then_some(outputs)
    }
}

fn located(literal: &Literal) -> Located<Value> {
    Located::new(literal.value.clone(), literal.place.clone())
}

/// Fields that only what is allowed has.
fn of_the_allowed(written: &Expectation) -> impl Iterator<Item = (&'static str, &Place)> {
    let allowed = written.allowed.as_ref().map(|it| ("allowed", &it.place));
    let upstream = written.upstream.as_ref().map(|it| ("upstream", &it.place));
    [allowed, upstream]
        .into_iter()
        .flatten()
        .chain(of_the_reply(written))
}

/// Fields that only what was answered has.
fn of_the_reply(written: &Expectation) -> impl Iterator<Item = (&'static str, &Place)> {
    let outputs = written.outputs.as_ref();
    [
        written.outcome.as_ref().map(|it| ("outcome", &it.place)),
        written.say.as_ref().map(|it| ("say", &it.place)),
        written.returned.as_ref().map(|it| ("returned", &it.place)),
        outputs.map(|it| ("outputs", it.json.places.value(""))),
    ]
    .into_iter()
    .flatten()
}

fn names_nothing(upstream: &Upstream) -> bool {
    upstream.method.is_none()
        && upstream.url.is_none()
        && upstream
            .headers
            .as_ref()
            .is_none_or(|it| it.items.is_empty())
        && upstream.body.is_none()
}

fn outcomes(policy: &Policy) -> impl Iterator<Item = &OutcomeName> {
    let environments = policy.environments().iter();
    let actions = environments.flat_map(|it| it.actions.values());
    actions.flat_map(|it| it.reading.outcomes.names())
}

fn declared_outputs(policy: &Policy) -> impl Iterator<Item = &OutputName> {
    let environments = policy.environments().iter();
    let actions = environments.flat_map(|it| it.actions.values());
    actions.flat_map(|it| it.reading.outputs.iter().map(|output| &output.name))
}
