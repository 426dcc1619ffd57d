//! Headers and query entries of an action in one environment: templates, and secrets in their places.

use std::collections::HashMap;
use std::collections::HashSet;

use http::HeaderName;

use crate::credential;
use crate::credential::{Credential, Place as Spot};
use crate::policy::check::body::Templates;
use crate::policy::check::connector;
use crate::policy::check::ground::Ground;
use crate::policy::check::parameters::{Fit, Parameters};
use crate::policy::check::reading::Names;
use crate::policy::check::told::Told;
use crate::policy::check::{header, leak};
use crate::policy::raw::action::Action as RawAction;
use crate::policy::raw::connection::Connection as RawConnection;
use crate::policy::raw::decode::Text;
use crate::policy::raw::secret::Value;
use crate::problem::{Place, Problem};
use crate::template::{Part, Template, Unguarded};

/// What stands around the entries of an action.
pub(super) struct Around<'x, 'a> {
    pub(super) ground: &'x Ground<'a>,
    pub(super) environment: usize,
    pub(super) parameters: &'x Parameters<'a>,
    /// What sessions may hold; `None` where any action may be meant, which looks at it itself.
    pub(super) outputs: Option<&'x Names>,
    /// The place of the connector's credential, and where the connector is declared.
    pub(super) taken: Option<(&'x Spot, &'x Place)>,
}

/// The entries that could be read.
#[derive(Default)]
pub(super) struct Entries<'a> {
    pub(super) headers: Vec<(&'a Text, HeaderName, Template)>,
    pub(super) query: Vec<(&'a Text, String, Template)>,
    /// Credentials, and where they are declared.
    pub(super) credentials: Vec<(Credential, &'a Place)>,
    /// Whether one was left out, so that a parameter may stand in it.
    pub(super) is_partial: bool,
}

/// Reads the headers of the connection and the action, and the action's query.
pub(super) fn read<'a>(
    around: &Around<'_, 'a>,
    connection: Option<&'a RawConnection>,
    action: &'a RawAction,
    told: &mut Told<'_>,
) -> Entries<'a> {
    let mut entries = Entries::default();
    let own = || action.headers.iter().flat_map(|it| &it.items);
    let shared = connection.and_then(|it| it.headers.as_ref());
    for (name, value) in shared.iter().flat_map(|it| &it.items) {
        if own().any(|(other, _)| other.value.eq_ignore_ascii_case(&name.value)) {
            continue;
        }
        match around.ground.of(value, around.environment, told) {
            Some(value) => entries.header(around, (name, value), told),
            None => entries.is_partial = true,
        }
    }
    tell_twice(own().map(|(name, _)| name), told);
    for (name, value) in own() {
        entries.header(around, (name, value), told);
    }
    let query = || action.query.iter().flat_map(|it| &it.items);
    tell_twice(query().map(|(name, _)| name), told);
    for (name, value) in query() {
        entries.query(around, (name, value), told);
    }
    entries
}

/// Looks at the headers of a connection by themselves: any name may be a parameter of some action.
pub(super) fn look_at<'a>(
    ground: &Ground<'a>,
    connection: &'a RawConnection,
    environment: usize,
    told: &mut Told<'_>,
) {
    let around = Around {
        ground,
        environment,
        parameters: &Parameters::unknown(&connection.place),
        outputs: None,
        taken: None,
    };
    let headers = || connection.headers.iter().flat_map(|it| &it.items);
    tell_twice(headers().map(|(name, _)| name), told);
    let mut entries = Entries::default();
    for (name, value) in headers() {
        if let Some(value) = ground.of(value, environment, told) {
            entries.header(&around, (name, value), told);
        }
    }
}

/// The same name in another case is the same header, and to many servers the same query parameter.
fn tell_twice<'a>(names: impl Iterator<Item = &'a Text>, told: &mut Told<'_>) {
    let mut seen: HashMap<String, &Text> = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(name.value.to_ascii_lowercase(), name) {
            let message = format!("`{}` is declared twice, in another case", name.value);
            let problem = Problem::error(&name.place, message).remedy("keep one of them");
            told.tell(problem.second("first declared here", &first.place));
        }
    }
}

impl<'a> Entries<'a> {
    /// The parameters that have a place here.
    pub(super) fn parameters(&self) -> HashSet<&str> {
        let headers = self.headers.iter().map(|(.., template)| template);
        let query = self.query.iter().map(|(.., template)| template);
        headers
            .chain(query)
            .flat_map(Template::parameters)
            .collect()
    }

    /// The templates, with their places.
    pub(super) fn templates(&self) -> Templates<'_> {
        let headers = self.headers.iter().map(|(name, _, it)| (&name.place, it));
        let query = self.query.iter().map(|(name, _, it)| (&name.place, it));
        Templates {
            entries: headers.chain(query).collect(),
        }
    }

    /// Where a variable stands that is sensitive.
    pub(super) fn sensitive_variable(&self, outputs: &Names) -> Option<&'a Place> {
        let headers = self.headers.iter().map(|(text, _, it)| (text, it));
        let query = self.query.iter().map(|(text, _, it)| (text, it));
        let mut all = headers.chain(query);
        let found = all.find(|(_, it)| it.session_variables().any(|it| outputs.is_sensitive(it)));
        found.map(|(text, _)| &text.place)
    }

    fn header(
        &mut self,
        around: &Around<'_, 'a>,
        (name, value): (&'a Text, &'a Value),
        told: &mut Told<'_>,
    ) {
        let Some(header) = header::declared(name, told) else {
            self.is_partial = true;
            return;
        };
        if let Some((spot, place)) = around.taken
            && spot.header() == Some(&header)
        {
            clash(name, "header", place, told);
            return;
        }
        if let Value::Literal(text) = value {
            let template = around.template(text, Fit::Scalar, told);
            if let Some(template) = template.filter(|it| fits_header(it, text, &header, told)) {
                self.headers.push((name, header, template));
                return;
            }
            self.is_partial = true;
        } else {
            self.credential(around, (Spot::Header(header), name), value, told);
        }
    }

    fn query(
        &mut self,
        around: &Around<'_, 'a>,
        (name, value): (&'a Text, &'a Value),
        told: &mut Told<'_>,
    ) {
        let Some(query) = connector::query_name(name, told) else {
            self.is_partial = true;
            return;
        };
        if let Some((spot, place)) = around.taken
            && spot
                .query()
                .is_some_and(|it| it.eq_ignore_ascii_case(&query))
        {
            clash(name, "query parameter", place, told);
            return;
        }
        let Value::Literal(text) = value else {
            self.credential(around, (Spot::Query(query), name), value, told);
            return;
        };
        match around.template(text, Fit::List, told) {
            Some(template) => {
                if is_fixed(&template) && credential::is_credential_query(&query) {
                    told.leak(&text.place, &format!("the value of `{query}`"));
                }
                self.query.push((name, query.into(), template));
            }
            None => self.is_partial = true,
        }
    }

    fn credential(
        &mut self,
        around: &Around<'_, 'a>,
        (spot, name): (Spot, &'a Text),
        value: &'a Value,
        told: &mut Told<'_>,
    ) {
        let credential = connector::of_entry(around.ground, around.environment, spot, value, told);
        self.credentials
            .extend(credential.map(|it| (it, &name.place)));
    }
}

impl Around<'_, '_> {
    /// Reads a template: `widest` is what may stand in it.
    fn template(&self, text: &Text, widest: Fit, told: &mut Told<'_>) -> Option<Template> {
        if leak::in_located(text, told) {
            return None;
        }
        let scope = self.ground.scope(self.environment, self.parameters);
        let template = match Template::parse(&text.value, &scope) {
            Ok(template) => template,
            Err(mistake) => {
                told.template(text, &mistake);
                return None;
            }
        };
        self.tell_unknown_variables(&template, text, told);
        let is_whole = |part: &Part| !matches!(part, Part::Property(_) | Part::Computed);
        let fits = if template.parts().iter().all(is_whole) {
            let mut names = template.parameters();
            names.all(|name| self.fits(name, &template, text, (widest, told)))
        } else {
            let lacking = template.unguarded();
            let lacking = lacking.filter(|_| template.only_property().is_none());
            let lacking = lacking.map(Unguarded::problem);
            let mistakes = template.structured().into_iter().chain(&lacking);
            mistakes.map(|it| told.template(text, it)).count() == 0
        };
        fits.then_some(template)
    }

    fn tell_unknown_variables(&self, template: &Template, text: &Text, told: &mut Told<'_>) {
        if let Some(outputs) = self.outputs {
            outputs.tell_unknown(template.session_variables(), text, told);
        }
    }

    fn fits(
        &self,
        name: &str,
        template: &Template,
        text: &Text,
        (widest, told): (Fit, &mut Told<'_>),
    ) -> bool {
        let is_alone = template.only_parameter().is_some();
        let fit = self.parameters.fit(name);
        if fit == Fit::Nested || (fit == Fit::List && (widest == Fit::Scalar || !is_alone)) {
            let message = format!("`{name}` is not a single value, and cannot stand here");
            let problem = Problem::error(&text.place, message);
            let problem = problem.second("declared here", self.parameters.place(name));
            told.tell(problem.remedy(
                "objects and lists belong in a body; a list of scalars may be a whole query entry",
            ));
            return false;
        }
        if !is_alone && !self.parameters.is_certain(name) {
            let message = format!("`{name}` may be missing, and there is text beside it");
            let problem = Problem::error(&text.place, message);
            let problem = problem.second("declared here", self.parameters.place(name));
            told.tell(problem.remedy("list it under `required`, or give it a default"));
            return false;
        }
        true
    }
}

/// Whether the policy's text and nothing of a call decides the value: a built-in beside the text of a credential makes
/// it no other.
fn is_fixed(template: &Template) -> bool {
    let has_text = || template.texts().iter().any(|text| !text.trim().is_empty());
    template.literal().is_some() || (!template.prints_parameter() && has_text())
}

/// Whether what is fixed of a header can stand in one (RFC 9110 §5.5), and is no credential.
fn fits_header(template: &Template, text: &Text, name: &HeaderName, told: &mut Told<'_>) -> bool {
    if is_fixed(template) && credential::is_credential_header(name.as_str()) {
        told.leak(&text.place, &format!("the value of `{name}`"));
        return false;
    }
    let (mut printable, mut tidy) = (true, true);
    let last = template.parts().len().saturating_sub(1);
    for text in template.texts() {
        printable &= text.bytes().all(|b| matches!(b, b' '..=b'~'));
    }
    if let Some(Part::Text(text)) = template.parts().first() {
        tidy &= !text.starts_with(' ');
    }
    if let Some(Part::Text(text)) = template.parts().get(last) {
        tidy &= !text.ends_with(' ');
    }
    if !printable || !tidy {
        told.error(
            &text.place,
            "a header's value is printable ASCII, without spaces at its ends",
            "remove what is not",
        );
    }
    printable && tidy
}

fn clash(name: &Text, what: &str, place: &Place, told: &mut Told<'_>) {
    let message = format!("the {what} `{}` belongs to the auth connector", name.value);
    let problem = Problem::error(&name.place, message).second("the connector", place);
    told.tell(problem.remedy("remove it here, or choose another connector"));
}
