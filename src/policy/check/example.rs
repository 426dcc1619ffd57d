//! The example of a reply: every JSONPath of the action is run against it.

use http::StatusCode;
use serde_json::Value;

use crate::action::outcome::{Content, Reading, Replied, Test};
use crate::jsonpath::{SingularPath, Step};
use crate::policy::check::leak;
use crate::policy::check::told::Told;
use crate::policy::raw::action::Action as Raw;
use crate::policy::raw::decode::Text;
use crate::policy::raw::outcome::{Constant, Example, Outcomes};
use crate::problem::{Place, Problem};

/// Tells what selects nothing in the example, and so probably nothing in any reply.
pub(super) fn look_at(raw: &Raw, reading: &Reading, told: &mut Told<'_>) {
    let Some(example) = &raw.response_example else {
        return;
    };
    for (_, header) in example.headers.iter().flat_map(|it| &it.items) {
        leak::in_located(header, told);
    }
    leaks(example.body.as_ref(), told);
    let Some(status) = status(example, told) else {
        return;
    };
    let run = Run {
        example,
        body: example.body.as_ref().map_or(&Value::Null, |it| &it.value),
    };
    run.outcomes(raw.outcomes.as_deref(), told);
    if !reading.success.admits(status) {
        run.tell_failed(raw, told);
        return;
    }
    if let Some(path) = run.lost_success(raw, reading) {
        told.tell(run.problem(Problem::error, path));
        return;
    }
    let replied = Replied {
        status,
        content: Content::Json(run.body.clone()),
        complete: true,
    };
    match reading.success.is_met(&replied) {
        true => run.reply(raw, told),
        false => run.tell_failed(raw, told),
    }
}

/// Whoever reads the policy reads the example.
fn leaks(body: Option<&Constant>, told: &mut Told<'_>) {
    let Some(body) = body else { return };
    let mut ahead = vec![&body.value];
    while let Some(value) = ahead.pop() {
        match value {
            Value::String(text) => {
                leak::in_text(text, || &body.place, told);
            }
            Value::Array(items) => ahead.extend(items),
            Value::Object(members) => ahead.extend(members.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn status(example: &Example, told: &mut Told<'_>) -> Option<StatusCode> {
    let Some(text) = &example.status else {
        return Some(StatusCode::OK);
    };
    let status = text.value.parse::<StatusCode>().ok();
    let status = status.filter(|it| (200..600).contains(&it.as_u16()));
    if status.is_none() {
        let message = format!("`{}` is not the status of a reply", text.value);
        told.error(&text.place, message, "write one from `200` to `599`");
    }
    status
}

struct Run<'x> {
    example: &'x Example,
    body: &'x Value,
}

impl Run<'_> {
    /// The path of `success`, if something has to stand there and nothing does.
    fn lost_success<'r>(&self, raw: &'r Raw, reading: &Reading) -> Option<&'r Text> {
        let condition = reading.success.condition.as_ref()?;
        let is_wanted = condition.test != Test::Exists(false);
        let is_lost = condition.path.select(self.body).is_none();
        let path = raw.success.as_ref()?.path.as_ref();
        path.filter(|_| is_wanted && is_lost)
    }

    /// An example of one reply says little about the others: only what looks like a typo is told.
    fn outcomes(&self, raw: Option<&Outcomes>, told: &mut Told<'_>) {
        let Some(Outcomes::InOrder(cases)) = raw else {
            return;
        };
        for path in cases.items.iter().filter_map(|it| it.path.as_ref()) {
            let problem = self
                .lost(path)
                .then(|| self.problem(Problem::warning, path));
            let typo = problem.filter(|it| it.remedy_text().is_some_and(|it| it.contains("mean")));
            if let Some(problem) = typo {
                told.tell(problem);
            }
        }
    }

    /// What is read of a reply that is a success.
    fn reply(&self, raw: &Raw, told: &mut Told<'_>) {
        let outputs = raw.outputs.iter().flat_map(|it| &it.items);
        let outputs = outputs.filter_map(|(_, output)| output.path.as_ref());
        let response = raw.response.as_ref();
        let fields = response.and_then(|it| it.fields.as_ref());
        let shape = response.and_then(|it| it.shape.as_ref());
        let fields = fields.iter().flat_map(|it| &it.items);
        let shape = shape.iter().flat_map(|it| &it.items).map(|(_, path)| path);
        for path in outputs.chain(fields).chain(shape) {
            if self.lost(path) {
                told.tell(self.problem(Problem::warning, path));
            }
        }
    }

    fn tell_failed(&self, raw: &Raw, told: &mut Told<'_>) {
        if raw.outputs.is_none() && raw.response.is_none() {
            return;
        }
        let message = "this reply is no success: the paths of `outputs` and `response` are not run";
        let problem = Problem::warning(&self.example.place, message);
        told.tell(problem.remedy("write the reply to a call that has succeeded"));
    }

    fn lost(&self, path: &Text) -> bool {
        let path = SingularPath::parse(&path.value).ok();
        path.is_some_and(|it| it.select(self.body).is_none())
    }

    fn problem(&self, severity: fn(&Place, String) -> Problem, path: &Text) -> Problem {
        let message = format!("`{}` selects nothing in `response_example`", path.value);
        let problem = severity(&path.place, message).second("the example", &self.example.place);
        let parsed = SingularPath::parse(&path.value).ok();
        let lost = parsed.as_ref().and_then(|it| it.lost_at(self.body));
        let problem = match lost {
            Some((Value::Object(members), Step::Name(name))) => {
                problem.did_you_mean(name, members.keys().map(String::as_str))
            }
            _ => problem,
        };
        match problem.remedy_text() {
            Some(_) => problem,
            None => problem.remedy("correct the path, or the example"),
        }
    }
}
