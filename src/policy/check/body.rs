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
        let Some((place, why)) = self.obstacle(raw.body.as_ref(), carried) else {
            return doors;
        };
        let declared = raw.doors.iter().flat_map(|it| &it.items);
        let mut explicit = declared.filter(|it| it.value == Door::Proxy);
        if let Some(door) = explicit.next() {
            let problem = Problem::error(&door.place, format!("the proxy door is closed: {why}"));
            let problem = problem.second("for this", &place);
            told.tell(problem.remedy("take `proxy` out of `doors`, or change the template"));
        } else if raw.doors.is_none() {
            let message = format!("this action has no proxy door: {why}");
            let problem = Problem::warning(&place, message);
            told.tell(problem.remedy(
                "change the template, or write `doors: [http, mcp]` where tools alone call it",
            ));
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

    fn obstacle(&self, body: Option<&Text>, carried: &Read) -> Option<(Place, String)> {
        const SENSITIVE: &str = "a sensitive variable of the context stands in this template";
        let mut entries = self.entries.iter();
        if let Some((place, _)) = entries.find(|(_, template)| template.is_sensitive()) {
            return Some(((*place).clone(), SENSITIVE.to_owned()));
        }
        let (ContentRule::Template(_, template), Some(text)) = (&carried.rule, body) else {
            return None;
        };
        if template.is_sensitive() {
            return Some((text.place.clone(), SENSITIVE.to_owned()));
        }
        if carried.proxied.is_some() {
            return None;
        }
        let hindrance = template.is_invertible().err()?;
        let place = part_of(text, hindrance.at.start, hindrance.at.end);
        let why = format!("{} cannot be taken apart again", hindrance.why);
        Some((place, why))
    }
}
