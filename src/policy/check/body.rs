//! The template of a body: what it says, and which doors it closes.

use crate::action::{ContentRule, Doors};
use crate::policy::check::content::Read;
use crate::policy::check::leak;
use crate::policy::check::told::{Told, part_of};
use crate::policy::raw::action::{Action as Raw, Door, Method};
use crate::policy::raw::decode::Text;
use crate::problem::{Place, Problem};
use crate::template::{BodyTemplate, Scope, Template};

/// Reads the template, after telling what is wrong with it.
pub(super) fn read(raw: &Raw, scope: &Scope<'_>, told: &mut Told<'_>) -> Option<BodyTemplate> {
    let text = raw.body.as_ref()?;
    if let Some(method) = &raw.method
        && matches!(method.value, Method::Get | Method::Head)
    {
        let message = format!("{} has no body", method.value.as_str());
        let remedy = "remove `body`, or choose another method";
        told.error(&text.place, message, remedy);
    }
    if leak::in_located(text, told) {
        return None;
    }
    match BodyTemplate::parse(&text.value, scope) {
        Ok(template) => Some(template),
        Err(mistakes) => {
            for mistake in &mistakes {
                told.template(text, mistake);
            }
            None
        }
    }
}

/// What stands in the templates of an action besides the body.
pub(super) struct Templates<'x> {
    /// Of its query and headers, with their places.
    pub(super) entries: Vec<(&'x Place, &'x Template)>,
}

/// What closes the proxy door of an action.
struct Obstacle {
    place: Place,
    why: String,
    /// What opens it again.
    remedy: &'static str,
}

impl Templates<'_> {
    /// Closes the proxy door where a request cannot be taken apart, or where the agent would have to send, or could
    /// guess, what it may not know.
    pub(super) fn close(
        &self,
        raw: &Raw,
        carried: &Read,
        doors: Doors,
        told: &mut Told<'_>,
    ) -> Doors {
        let obstacle = self
            .in_entries()
            .or_else(|| in_body(raw.body.as_ref()?, carried));
        let Some(Obstacle { place, why, remedy }) = obstacle else {
            return doors;
        };
        let declared = raw.doors.iter().flat_map(|it| &it.items);
        let mut explicit = declared.filter(|it| it.value == Door::Proxy);
        if let Some(door) = explicit.next() {
            let problem = Problem::error(&door.place, format!("the proxy door is closed: {why}"));
            let problem = problem.second("for this", &place);
            let remedy = format!("take `proxy` out of `doors`, or {remedy}");
            told.tell(problem.remedy(remedy));
        } else if raw.doors.is_none() {
            let message = format!("this action has no proxy door: {why}");
            let problem = Problem::warning(&place, message);
            told.tell(problem.remedy(format!(
                "{remedy}, or write `doors: [http, mcp]` where tools alone call it"
            )));
            if !doors.http && !doors.mcp {
                let problem = Problem::error(&place, "this action has no door");
                told.tell(problem.remedy("name one host, or change the template"));
            }
        }
        Doors {
            proxy: false,
            ..doors
        }
    }

    fn in_entries(&self) -> Option<Obstacle> {
        let mut entries = self.entries.iter();
        if let Some((place, _)) = entries.find(|(_, template)| template.is_sensitive()) {
            return Some(sensitive((*place).clone()));
        }
        let mut entries = self.entries.iter();
        let (place, why) = entries.find_map(|(place, it)| Some((*place, it.obstacle()?)))?;
        Some(Obstacle {
            place: place.clone(),
            why: format!("{why} cannot be taken apart again"),
            remedy: "give each parameter an entry of its own, without a condition",
        })
    }
}

fn in_body(text: &Text, carried: &Read) -> Option<Obstacle> {
    let ContentRule::Template(_, template) = &carried.rule else {
        return None;
    };
    if template.is_sensitive() {
        return Some(sensitive(text.place.clone()));
    }
    if carried.proxied.is_some() {
        return None;
    }
    let hindrance = template.is_invertible().err()?;
    Some(Obstacle {
        place: part_of(text, hindrance.at.start, hindrance.at.end),
        why: format!("{} cannot be taken apart again", hindrance.why),
        remedy: "change the template, or say under `accept_body` what programs may send",
    })
}

fn sensitive(place: Place) -> Obstacle {
    Obstacle {
        place,
        why: "a sensitive variable of the context stands in this template".into(),
        remedy: "take the variable out of the template",
    }
}
