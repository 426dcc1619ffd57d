//! What replies mean: from `success`, `outcomes`, `outputs` and `response` to one [`Reading`].

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use crate::action::outcome::{
    BadOutput, Case, Condition, Kind, NameTree, Named, Outcomes, Output, OutputName, Outputs,
    Reading, Response, Say, StatusPattern, Success, Test,
};
use crate::jsonpath::SingularPath;
use crate::name::OutcomeName;
use crate::policy::check::ground::name;
use crate::policy::check::told::Told;
use crate::policy::check::{hidden, leak};
use crate::policy::raw::action::{Action as Raw, Method};
use crate::policy::raw::decode::{List, Text, Texts};
use crate::policy::raw::names::{Entries, Names as Declared};
use crate::policy::raw::outcome as raw;
use crate::policy::raw::variable::ContextVariable;
use crate::problem::{Located, Place, Problem};
use crate::template::Known;

/// The outputs of all actions: the variables of a session.
#[derive(Default)]
pub(super) struct Names {
    tree: NameTree<Place>,
    /// Whether each is sensitive.
    sensitive: BTreeMap<String, bool>,
    /// Whether one was left out, so that an unknown name may be it.
    is_partial: bool,
}

impl Names {
    /// None yet: no output may have a name that the runtime or exeat itself gives a value.
    pub(super) fn beside(context: &Declared<ContextVariable>) -> Self {
        let mut names = Self::default();
        for (name, _) in context.iter() {
            // Two that clash among themselves have been told with the context.
            let _ = names
                .tree
                .declare(&name.value, Kind::Context, name.place.clone());
        }
        names
    }

    /// Tells those that a template names and no action sets.
    pub(super) fn tell_unknown<'n>(
        &self,
        variables: impl Iterator<Item = &'n str>,
        template: &Text,
        told: &mut Told<'_>,
    ) {
        for name in variables.filter(|it| !self.is_known(it)) {
            let message = format!("no action has an output `{name}`");
            let problem = Problem::error(&template.place, message);
            let problem = problem.did_you_mean(name, self.sensitive.keys().map(String::as_str));
            told.tell(match problem.remedy_text() {
                Some(_) => problem,
                None => {
                    problem.remedy("declare it under the `outputs` of the action that learns it")
                }
            });
        }
    }

    /// Whether some action may set this variable, a part of it, or what it is a part of.
    fn is_known(&self, variable: &str) -> bool {
        self.is_partial || self.around(variable).next().is_some()
    }

    /// Whether something sensitive may stand in this variable.
    pub(super) fn is_sensitive(&self, variable: &str) -> bool {
        self.around(variable).any(|sensitive| sensitive)
    }

    /// Itself, what it is a part of, and its parts, without a look at all the others.
    fn around(&self, variable: &str) -> impl Iterator<Item = bool> {
        let starts = variable.match_indices('.').map(|(at, _)| &variable[..at]);
        let above = starts
            .chain([variable])
            .filter_map(|it| self.sensitive.get(it));
        let below = format!("{variable}.");
        let parts = self.sensitive.range(below.clone()..);
        let parts = parts.take_while(move |(name, _)| name.starts_with(&below));
        above.chain(parts.map(|(_, sensitive)| sensitive)).copied()
    }
}

/// The status that stands for all that have no case of their own.
const OTHERS: &str = "others";

/// Reads what actions say of their replies. Those that say nothing, which most do, share that.
pub(super) fn read_all<'r>(
    actions: impl Iterator<Item = &'r Raw>,
    names: &mut Names,
    told: &mut Told<'_>,
) -> Vec<Option<Arc<Reading>>> {
    let plain = Arc::new(Reading::default());
    let reading = actions.map(|raw| match is_plain(raw) {
        true => Some(Arc::clone(&plain)),
        false => read(raw, names, told).map(Arc::new),
    });
    reading.collect()
}

fn is_plain(raw: &Raw) -> bool {
    raw.success.is_none()
        && raw.outcomes.is_none()
        && raw.outputs.is_none()
        && raw.response.is_none()
        && raw.upgrade.is_none()
}

/// Reads what an action says of its replies. `None`: a mistake has been told.
fn read(raw: &Raw, names: &mut Names, told: &mut Told<'_>) -> Option<Reading> {
    let success = raw.success.as_ref().map(|it| success(it, told));
    let outcomes = raw.outcomes.as_ref().map(|it| outcomes(it, told));
    let outputs = raw.outputs.as_ref().map(|it| outputs(it, names, told));
    names.is_partial |= matches!(outputs, Some(None));
    let response = raw.response.as_ref().map(|it| response(it, told));
    // All are looked at before the first that is wrong ends it.
    let reading = Reading {
        success: success.unwrap_or_else(|| Some(usual_success(raw)))?,
        outcomes: outcomes.unwrap_or(Some(Outcomes::default()))?,
        outputs: outputs.unwrap_or(Some(Outputs::default()))?,
        response: match response {
            Some(response) => Some(response?),
            None => None,
        },
    };
    tell_without_content(raw, &reading, told);
    Some(reading)
}

/// Any 2xx; of a handshake, that it is granted.
fn usual_success(raw: &Raw) -> Success {
    let granted = StatusPattern::Exact(StatusCode::SWITCHING_PROTOCOLS);
    Success {
        statuses: raw.upgrade.iter().map(|_| granted).collect(),
        condition: None,
    }
}

/// What has to look into a reply needs all of it, before the first byte goes on.
fn tell_without_content(raw: &Raw, reading: &Reading, told: &mut Told<'_>) {
    if !reading.needs_content() {
        return;
    }
    let reader = readers(raw).next().unwrap_or(&raw.place);
    if let Some(stream) = raw.stream.as_ref().filter(|it| it.value) {
        let message = "a stream passes before its end is known, so nothing can be read in it";
        let problem = Problem::error(&stream.place, message).second("this reads the reply", reader);
        told.tell(problem.remedy("remove `stream`, or what reads the reply"));
    }
    if raw
        .method
        .as_ref()
        .is_some_and(|it| it.value == Method::Head)
    {
        for reader in readers(raw) {
            let message = "the replies to HEAD have no content, so nothing can be read in them";
            told.error(reader, message, "remove it, or choose another method");
        }
    }
}

/// The places that look into a reply.
pub(super) fn readers(raw: &Raw) -> impl Iterator<Item = &Place> {
    let success = raw.success.iter().filter_map(|it| it.path.as_ref());
    let cases: &[raw::Case] = match raw.outcomes.as_deref() {
        Some(raw::Outcomes::InOrder(list)) => &list.items,
        Some(raw::Outcomes::ByStatus(_)) | None => &[],
    };
    let paths = success.chain(cases.iter().filter_map(|it| it.path.as_ref()));
    paths
        .map(|it| &it.place)
        .chain(raw.outputs.iter().map(|it| &it.place))
        .chain(raw.response.iter().map(|it| &it.place))
}

fn success(raw: &raw::Success, told: &mut Told<'_>) -> Option<Success> {
    if raw.status.is_none() && raw.path.is_none() && raw.equals.is_none() && raw.exists.is_none() {
        let message = "`success` says nothing";
        told.error(
            &raw.place,
            message,
            "write `status`, `path`, or both; or remove it",
        );
        return None;
    }
    let statuses = statuses(raw.status.as_ref(), told);
    let asked = Asked {
        path: raw.path.as_ref(),
        equals: raw.equals.as_ref(),
        exists: raw.exists.as_ref(),
    };
    let condition = asked.condition(told);
    Some(Success {
        statuses: statuses?,
        condition: condition?,
    })
}

fn outcomes(raw: &raw::Outcomes, told: &mut Told<'_>) -> Option<Outcomes> {
    match raw {
        raw::Outcomes::ByStatus(entries) => by_status(entries, told),
        raw::Outcomes::InOrder(list) => {
            let cases: Vec<_> = list.items.iter().map(|it| case(it, told)).collect();
            cases
                .into_iter()
                .collect::<Option<_>>()
                .map(Outcomes::in_order)
        }
    }
}

fn by_status(entries: &Entries<raw::Outcome>, told: &mut Told<'_>) -> Option<Outcomes> {
    let mut cases = Some(Vec::with_capacity(entries.items.len()));
    for (key, outcome) in &entries.items {
        let status = match key.value.as_str() {
            OTHERS => Some(None),
            _ => status(key, told).map(Some),
        };
        let named = named((outcome.name.as_ref(), outcome.say.as_ref()), told);
        cases = cases.zip(status.zip(named)).map(|(mut cases, case)| {
            cases.push(case);
            cases
        });
    }
    Outcomes::by_status(cases?)
        .map_err(|two| {
            let place = &entries.items[two.second].0.place;
            told.error(
                place,
                "this status has an outcome already",
                "remove one of them",
            );
        })
        .ok()
}

fn case(raw: &raw::Case, told: &mut Told<'_>) -> Option<Case> {
    let statuses = statuses(raw.status.as_ref(), told);
    let asked = Asked {
        path: raw.path.as_ref(),
        equals: raw.equals.as_ref(),
        exists: raw.exists.as_ref(),
    };
    let condition = asked.condition(told);
    let named = named((raw.name.as_ref(), raw.say.as_ref()), told);
    Some(Case {
        statuses: statuses?,
        condition: condition?,
        named: named?,
    })
}

fn named((text, say): (Option<&Text>, Option<&Text>), told: &mut Told<'_>) -> Option<Named> {
    let name = text.and_then(|text| {
        if text.value == "none" {
            told.error(
                &text.place,
                "the name `none` is reserved",
                "choose another name",
            );
        }
        name(text, OutcomeName::parse, told)
    });
    let say = match say {
        Some(text) => {
            leak::in_located(text, told);
            hidden::in_located(text, told);
            let say = Say::parse(&text.value).map_err(|bad| {
                told.error(&text.place, bad.to_string(), "correct the text");
            });
            Some(say.ok()?)
        }
        None => None,
    };
    Some(Named { name: name?, say })
}

fn statuses(raw: Option<&Texts>, told: &mut Told<'_>) -> Option<Vec<StatusPattern>> {
    let Some(raw) = raw else {
        return Some(Vec::new());
    };
    if raw.items.is_empty() {
        told.error(
            &raw.place,
            "`status` names none",
            "name one, or remove the line",
        );
        return None;
    }
    let read: Vec<_> = raw.items.iter().map(|it| status(it, told)).collect();
    read.into_iter().collect()
}

fn status(text: &Text, told: &mut Told<'_>) -> Option<StatusPattern> {
    StatusPattern::parse(&text.value)
        .map_err(|bad| {
            let message = format!("`{}` cannot stand here: {bad}", text.value);
            told.error(
                &text.place,
                message,
                "write a status, a class, or `others` as a key of `outcomes`",
            );
        })
        .ok()
}

/// `path` with `equals` or `exists`, as they were written.
struct Asked<'a> {
    path: Option<&'a Text>,
    equals: Option<&'a raw::Constant>,
    exists: Option<&'a Located<bool>>,
}

impl Asked<'_> {
    /// `Some(None)`: nothing was asked of the content.
    fn condition(&self, told: &mut Told<'_>) -> Option<Option<Condition>> {
        let test = match (self.equals, self.exists) {
            (Some(equals), Some(exists)) => {
                let message = "a place is asked for `equals` or `exists`, not both";
                let problem = Problem::error(&exists.place, message);
                told.tell(
                    problem
                        .second("the other", &equals.place)
                        .remedy("remove one of them"),
                );
                return None;
            }
            (Some(equals), None) => Some((Test::Equals(equals.value.clone()), &equals.place)),
            (None, Some(exists)) => Some((Test::Exists(exists.value), &exists.place)),
            (None, None) => None,
        };
        match (self.path, test) {
            (None, None) => Some(None),
            (Some(text), Some((test, _))) => {
                let path = path(text, told)?;
                Some(Some(Condition { path, test }))
            }
            (Some(text), None) => {
                let remedy = "write `equals: VALUE` or `exists: true` beside it";
                told.error(&text.place, "nothing is asked of this place", remedy);
                None
            }
            (None, Some((_, place))) => {
                told.error(
                    place,
                    "no place is named for this",
                    "write `path: $.…` beside it",
                );
                None
            }
        }
    }
}

fn path(text: &Text, told: &mut Told<'_>) -> Option<SingularPath> {
    SingularPath::parse(&text.value)
        .map_err(|bad| told.error(&text.place, bad.to_string(), "correct the JSONPath"))
        .ok()
}

fn outputs(raw: &Entries<raw::Output>, names: &mut Names, told: &mut Told<'_>) -> Option<Outputs> {
    let mut is_whole = true;
    let mut outputs = Vec::with_capacity(raw.items.len());
    for (key, item) in &raw.items {
        match output((key, item), names, told) {
            Some(output) => outputs.push(output),
            None => is_whole = false,
        }
    }
    // Indexes in what is told below are those of the file only if nothing was left out.
    if !is_whole {
        return None;
    }
    Outputs::new(outputs)
        .map_err(|all| {
            for bad in all {
                let (at, second) = match bad {
                    BadOutput::SensitiveExposed(at) => (at, None),
                    BadOutput::Overlap { plain, sensitive } => (plain, Some(sensitive)),
                };
                let problem = Problem::error(&raw.items[at].0.place, bad.to_string());
                told.tell(match second {
                    Some(second) => problem.second("the sensitive one", &raw.items[second].0.place),
                    None => problem,
                });
            }
        })
        .ok()
}

fn output(
    (key, raw): (&Text, &raw::Output),
    names: &mut Names,
    told: &mut Told<'_>,
) -> Option<Output> {
    let sensitive = raw.sensitive.as_ref().is_some_and(|it| it.value);
    let name = OutputName::parse(&key.value).map_err(|bad| {
        told.error(&key.place, bad.to_string(), "choose another name");
    });
    let path = raw.path.as_ref().and_then(|it| path(it, told));
    let name = name.ok()?;
    if Known::named(name.as_str()).is_some() {
        let message = format!("`{name}` is a built-in name");
        told.error(&key.place, message, "rename it: exeat sets it");
        return None;
    }
    names
        .tree
        .declare(name.as_str(), Kind::Output { sensitive }, key.place.clone())
        .map_err(|clash| {
            let problem = Problem::error(&key.place, clash.to_string());
            let problem = problem.second("declared here", &clash.place);
            told.tell(
                problem.remedy("names are a tree in which only ends have values; choose another"),
            );
        })
        .ok()?;
    names.sensitive.insert(name.as_str().to_owned(), sensitive);
    Some(Output {
        name,
        path: path?,
        sensitive,
        expose: raw.expose.as_ref().is_some_and(|it| it.value),
    })
}

fn response(raw: &raw::Response, told: &mut Told<'_>) -> Option<Response> {
    if raw.fields.is_none() && raw.shape.is_none() {
        let remedy = "write `fields`, `shape`, or both; or remove it";
        told.error(&raw.place, "`response` says nothing", remedy);
        return None;
    }
    let fields = raw.fields.as_ref().map(|it| fields(it, told));
    let shape = raw.shape.as_ref().map(|it| shape(it, told));
    let fields = fields.map_or(Some(None), |it| it.map(Some));
    let shape = shape.map_or(Some(None), |it| it.map(Some));
    Response::new(fields?, shape?)
        .map_err(|hidden| {
            let member = raw.shape.iter().flat_map(|it| &it.items).nth(hidden.member);
            let place = member.map_or(&raw.place, |(_, path)| &path.place);
            told.tell(Problem::error(place, hidden.to_string()));
        })
        .ok()
}

fn fields(raw: &List<Text>, told: &mut Told<'_>) -> Option<Vec<SingularPath>> {
    let read: Vec<_> = raw.items.iter().map(|it| path(it, told)).collect();
    read.into_iter().collect()
}

fn shape(raw: &Entries<Text>, told: &mut Told<'_>) -> Option<Vec<(String, SingularPath)>> {
    let member = |(key, text): &(Text, Text)| Some((key.value.clone(), path(text, told)?));
    let read: Vec<_> = raw.items.iter().map(member).collect();
    read.into_iter().collect()
}
