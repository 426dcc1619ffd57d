//! What a request of an action carries, and what becomes of parameters that stand nowhere else.

use std::collections::HashMap;

use http::HeaderName;
use http::header::CONTENT_TYPE;

use crate::action::{ContentRule, MediaType, Proxied};
use crate::credential::Credential;
use crate::json;
use crate::policy::check::entries::Entries;
use crate::policy::check::lists;
use crate::policy::check::parameters::{Fit, Parameters};
use crate::policy::check::told::Told;
use crate::policy::raw::action::{AcceptBody, Action as Raw, Method};
use crate::policy::raw::decode::{List, Text};
use crate::problem::{Place, Problem};
use crate::template::{BodyTemplate, Template};

/// What is known of an action when its content is read.
pub(super) struct Known<'x, 'a> {
    pub(super) raw: &'a Raw,
    pub(super) method: Method,
    pub(super) parameters: &'x Parameters<'a>,
    /// Parameters without a place.
    pub(super) leftovers: Vec<&'x str>,
    /// Parameters without a place other than the template of the body.
    pub(super) in_body: Vec<&'x str>,
    pub(super) entries: &'x Entries<'a>,
    /// All of them.
    pub(super) credentials: &'x [Credential],
}

/// What a request of an action carries.
pub(super) struct Read {
    pub(super) rule: ContentRule,
    pub(super) proxied: Option<Proxied>,
    /// Those that the body does not decide.
    pub(super) headers: Vec<(HeaderName, Template)>,
}

impl Known<'_, '_> {
    /// The rules and the declared headers, after telling what cannot be sent by them. `template` is that of the body,
    /// if it could be read.
    pub(super) fn read(&self, template: Option<BodyTemplate>, told: &mut Told<'_>) -> Option<Read> {
        let (rule, proxied) = match &self.raw.body {
            Some(text) => {
                let proxied = self.raw.accept_body.as_ref();
                let proxied = proxied.map(|it| self.proxied(it, told));
                let rule = self.template(text, template, told)?;
                (rule, proxied.map_or(Some(None), |it| it.map(Some))?)
            }
            None => (self.rule(told)?, None),
        };
        lists::look_at(self, matches!(rule, ContentRule::Query), told);
        let headers = self.headers(&rule, told);
        Some(Read {
            rule,
            proxied,
            headers,
        })
    }

    /// What a proxied request carries instead of what the template makes.
    fn proxied(&self, accept: &AcceptBody, told: &mut Told<'_>) -> Option<Proxied> {
        if self
            .credentials
            .iter()
            .any(|it| it.place.member().is_some())
        {
            self.tell_no_fields("that of a proxied request is passed on as it comes", told);
        }
        let content = self.passed_on(accept, told);
        // Where something was left out, a parameter may have a place in it.
        let in_body: &[&str] = match self.entries.is_partial {
            true => &[],
            false => &self.in_body,
        };
        self.tell_bound(in_body, told);
        let parameters = self.parameters.without(in_body, told)?;
        Some(Proxied {
            content: content?,
            parameters,
            absent: in_body.iter().map(|it| (*it).to_owned()).collect(),
        })
    }

    /// A precondition binds a parameter that a request with a body of its own does not have.
    fn tell_bound(&self, in_body: &[&str], told: &mut Told<'_>) {
        let required = self.raw.requires.iter().flat_map(|it| &it.items);
        let bound = required.filter_map(|it| it.bind.as_ref());
        for (name, _) in bound.flat_map(|it| &it.items) {
            if in_body.contains(&name.value.as_str()) {
                let message = format!(
                    "`{}` is bound, and a request with a body of its own does not have it",
                    name.value
                );
                let remedy =
                    "take `accept_body` away, or give the parameter a place outside of the body";
                told.error(&name.place, message, remedy);
            }
        }
    }

    /// A body that a template makes.
    fn template(
        &self,
        text: &Text,
        template: Option<BodyTemplate>,
        told: &mut Told<'_>,
    ) -> Option<ContentRule> {
        let types = self.types_of_template(told);
        if !self.entries.is_partial {
            self.tell_used_nowhere(told);
        }
        let template = template?;
        if let Some(member) = self.credentials.iter().find_map(|it| it.place.member()) {
            if !template.is_object() {
                self.tell_no_fields("this body is not always an object", told);
            } else if template.has_member(member) {
                let message =
                    format!("the body has a member `{member}`, where the credential stands");
                let remedy = "take it out of the template: exeat writes it itself";
                told.error(&text.place, message, remedy);
            }
        }
        Some(ContentRule::Template(types, Box::new(template)))
    }

    /// With `accept_body: any`, all but the first are for proxied requests alone.
    fn types_of_template(&self, told: &mut Told<'_>) -> Vec<MediaType> {
        let Some(list) = &self.raw.content_types else {
            return vec![MediaType::Json];
        };
        let is_any = matches!(self.raw.accept_body.as_deref(), Some(AcceptBody::Any(_)));
        if !is_any {
            return media_types(list, &|kind| unwritable(kind, false), told);
        }
        let mut types = media_types(list, &|_| None, told);
        types.truncate(1);
        if let Some(wrong) = types.first().and_then(|kind| unwritable(kind, false)) {
            let message = format!("the first media type is that of the template, and {wrong}");
            told.error(&list.place, message, "name `application/json` first");
        }
        types
    }

    fn rule(&self, told: &mut Told<'_>) -> Option<ContentRule> {
        let member = self.credentials.iter().find_map(|it| it.place.member());
        if let Some(accept) = &self.raw.accept_body {
            if member.is_some() {
                self.tell_no_fields("this body is passed on as it comes", told);
            }
            return self.passed_on(accept, told);
        }
        let in_query = matches!(self.method, Method::Get | Method::Head | Method::Delete);
        if let Some(member) = member {
            if in_query {
                let message = format!("{} sends no body", self.method.as_str());
                self.tell_no_fields(&message, told);
            }
            self.tell_rival_of(member, told);
        }
        let is_empty = self.leftovers.is_empty() && !self.parameters.is_open();
        if in_query || (is_empty && member.is_none()) {
            if let Some(types) = &self.raw.content_types {
                let message = match in_query {
                    true => format!("{} sends no body", self.method.as_str()),
                    false => "no parameter is left for a body".to_owned(),
                };
                told.error(&types.place, message, "remove `content_types`");
            }
            self.tell_unfit_for_query(told);
            return Some(ContentRule::Query);
        }
        self.object(told)
    }

    /// A credential stands in the body, and this body has no room for it.
    fn tell_no_fields(&self, why: &str, told: &mut Told<'_>) {
        let auth = self.raw.auth.as_ref().or(self.raw.connection.as_ref());
        let place = auth.map_or(&self.raw.place, |it| &it.place);
        let message = format!("the credential is a member of the body, and {why}");
        let remedy =
            "use a connector with another place, or parameters as the body of a POST, PUT or PATCH";
        told.error(place, message, remedy);
    }

    /// A parameter that would stand beside the credential under the same name, or one that differs only in case.
    fn tell_rival_of(&self, member: &str, told: &mut Told<'_>) {
        let same = |name: &&&str| json::fold_case(name) == json::fold_case(member);
        for name in self.leftovers.iter().filter(same) {
            let message =
                format!("`{name}` would stand in the body beside the credential `{member}`");
            let problem = Problem::error(self.parameters.place(name), message);
            told.tell(problem.remedy("rename the parameter, or leave it to exeat"));
        }
    }

    /// A body that is not made from parameters.
    fn passed_on(&self, accept: &AcceptBody, told: &mut Told<'_>) -> Option<ContentRule> {
        if matches!(self.method, Method::Get | Method::Head) {
            let message = format!("{} has no body", self.method.as_str());
            let remedy = "remove `accept_body`, or choose another method";
            told.error(accept.place(), message, remedy);
        }
        if !self.entries.is_partial {
            self.tell_used_nowhere(told);
        }
        match accept {
            AcceptBody::Any(_) => {
                let types = self.raw.content_types.as_ref();
                let types = types.map(|types| media_types(types, &|_| None, told));
                Some(ContentRule::Unread(types.unwrap_or_default()))
            }
            AcceptBody::Schema(schema) => {
                let types = match &self.raw.content_types {
                    None => vec![MediaType::Json],
                    Some(types) => {
                        let wrong = |kind: &MediaType| unwritable(kind, false).and(Some(JSON_ONLY));
                        media_types(types, &wrong, told)
                    }
                };
                let schema = self.parameters.compile(schema, told)?;
                Some(ContentRule::Wire(types, Box::new(schema)))
            }
        }
    }

    fn tell_used_nowhere(&self, told: &mut Told<'_>) {
        for name in &self.leftovers {
            let message = format!("`{name}` is used nowhere: the body is not made from parameters");
            told.error(
                self.parameters.place(name),
                message,
                "use it in the path, the query or a header, or remove it",
            );
        }
        if self.parameters.is_open() {
            let place = self
                .raw
                .parameters
                .as_ref()
                .map_or(&self.raw.place, |it| &it.place);
            told.error(
                place,
                "further parameters would be used nowhere: the body is not made from parameters",
                "remove `additionalProperties`",
            );
        }
    }

    /// Members of a JSON object, or fields of a form.
    fn object(&self, told: &mut Told<'_>) -> Option<ContentRule> {
        let nested = |name: &&str| self.parameters.fit(name) == Fit::Nested;
        let is_flat = !self.parameters.is_open() && !self.leftovers.iter().any(nested);
        let types = match &self.raw.content_types {
            None if is_flat => vec![MediaType::Json, MediaType::Form],
            None => vec![MediaType::Json],
            Some(types) => media_types(types, &|kind| unwritable(kind, is_flat), told),
        };
        self.parameters.schema()?;
        Some(ContentRule::Object(types))
    }

    fn tell_unfit_for_query(&self, told: &mut Told<'_>) {
        if self.entries.is_partial {
            return;
        }
        for name in &self.leftovers {
            if self.parameters.fit(name) == Fit::Nested {
                let message = format!("`{name}` would stand in the query, and is not a scalar");
                told.error(
                    self.parameters.place(name),
                    message,
                    "make it a scalar or a list of scalars, or send it in the body of a POST",
                );
            }
            if let Some(place) = self.rival_in_query(name) {
                let message = format!("`{name}` would stand in the query beside another `{name}`");
                let problem = Problem::error(self.parameters.place(name), message);
                let problem = problem.second("declared here", &place);
                told.tell(problem.remedy("rename the parameter, and give it an entry in `query`"));
            }
        }
    }

    /// What else is sent under the name of a parameter that goes to the query.
    fn rival_in_query(&self, name: &str) -> Option<Place> {
        let entry = self.entries.query.iter().find(|(_, it, _)| it == name);
        let entry = entry.map(|(text, ..)| text.place.clone());
        let same = |it: &&Credential| {
            it.place
                .query()
                .is_some_and(|query| query.eq_ignore_ascii_case(name))
        };
        let credential = || {
            self.credentials
                .iter()
                .find(same)
                .map(|_| self.raw.place.clone())
        };
        entry.or_else(credential)
    }

    /// The declared headers, without a `Content-Type` that says what is sent anyway.
    fn headers(&self, rule: &ContentRule, told: &mut Told<'_>) -> Vec<(HeaderName, Template)> {
        let sent = match rule {
            ContentRule::Query => None,
            ContentRule::Object(types)
            | ContentRule::Template(types, _)
            | ContentRule::Wire(types, _) => types.first().map(MediaType::as_str),
            ContentRule::Unread(_) => Some(""),
        };
        let mut headers = Vec::with_capacity(self.entries.headers.len());
        for (text, name, template) in &self.entries.headers {
            match sent {
                Some(sent) if *name == CONTENT_TYPE => {
                    let same = |it: &str| it.eq_ignore_ascii_case(sent);
                    if !template.literal().is_some_and(same) {
                        told.error(
                            &text.place,
                            "the media type of a body follows from the body",
                            "name it under `content_types`",
                        );
                    }
                }
                _ => headers.push((name.clone(), template.clone())),
            }
        }
        headers
    }
}

const JSON_ONLY: &str = "a body with a schema is JSON";

/// Why parameters cannot be written as this media type.
fn unwritable(kind: &MediaType, is_flat: bool) -> Option<&'static str> {
    match kind {
        MediaType::Json => None,
        MediaType::Form if is_flat => None,
        MediaType::Form => {
            Some("a form has scalars and lists of scalars only, all of them declared")
        }
        MediaType::Other(name) if name.ends_with("+json") => None,
        MediaType::Other(_) => Some("parameters are sent as JSON or as a form"),
    }
}

/// Reads media types. `wrong` says why one of them cannot be used.
fn media_types(
    list: &List<Text>,
    wrong: &dyn Fn(&MediaType) -> Option<&'static str>,
    told: &mut Told<'_>,
) -> Vec<MediaType> {
    let mut types = Vec::with_capacity(list.items.len());
    let mut seen: HashMap<String, &Place> = HashMap::new();
    if list.items.is_empty() {
        told.error(
            &list.place,
            "`content_types` names none",
            "name one, or remove the line",
        );
    }
    for text in &list.items {
        let Some(kind) = MediaType::parse(&text.value) else {
            let message = format!("`{}` is not a media type", text.value);
            told.error(
                &text.place,
                message,
                "write `application/json`, without parameters",
            );
            continue;
        };
        if let Some(wrong) = wrong(&kind) {
            told.error(
                &text.place,
                wrong,
                "remove it, or pass the body on with `accept_body: any`",
            );
            continue;
        }
        if let Some(first) = seen.insert(kind.as_str().to_owned(), &text.place) {
            let message = format!("`{}` stands here twice", text.value);
            told.tell(Problem::error(&text.place, message).second("first here", first));
            continue;
        }
        types.push(kind);
    }
    types
}
