//! What everything else of a policy stands on: environments, static variables, and which secrets there are.

use std::collections::HashMap;

use crate::name::{BadName, EnvironmentName, SecretName};
use crate::policy::check::told::Told;
use crate::policy::check::{leak, variables};
use crate::policy::raw;
use crate::policy::raw::decode::Text;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::problem::{Place, Problem};
use crate::template::{Context, Declared, NoParameters, Scope, Template};

/// The environment of a policy that declares none.
const ONLY_ENVIRONMENT: &str = "default";

/// The ground of a policy.
pub(super) struct Ground<'a> {
    pub(super) raw: &'a raw::Policy,
    /// At least one; the first is the default.
    pub(super) environments: Vec<EnvironmentName>,
    /// Whether the list could be read: if not, telling an unknown environment would only be an echo.
    is_whole: bool,
    /// For each environment, the static variables.
    statics: Vec<HashMap<String, String>>,
    context: HashMap<String, Context>,
}

impl<'a> Ground<'a> {
    pub(super) fn read(raw: &'a raw::Policy, told: &mut Told<'_>) -> Self {
        let (environments, is_whole) = environments(raw, told);
        let mut ground = Self {
            raw,
            context: variables::context(&raw.context, told),
            statics: vec![HashMap::new(); environments.len()],
            environments,
            is_whole,
        };
        ground.statics = (0..ground.environments.len())
            .map(|index| ground.static_variables(index, told))
            .collect();
        ground
    }

    /// The value in one environment; where there is none, that is told.
    pub(super) fn of<'v, T>(
        &self,
        value: &'v PerEnvironment<T>,
        environment: usize,
        told: &mut Told<'_>,
    ) -> Option<&'v T> {
        let PerEnvironment::Each(place, _) = value else {
            return value.get("");
        };
        let known = || self.environments.iter().map(EnvironmentName::as_str);
        let mut has_unknown = false;
        for name in value.environments() {
            if self.is_whole && !known().any(|it| it == name.value) {
                has_unknown = true;
                told.unknown("environment", name, known());
            }
        }
        let name = self.environments[environment].as_str();
        let found = value.get(name);
        if found.is_none() && self.is_whole && !has_unknown {
            let message = format!("no value for `{name}`");
            told.error(
                place,
                message,
                "give it a value for every environment, or one for all",
            );
        }
        found
    }

    /// The declared secret of a reference, which must have a source in this environment.
    pub(super) fn secret(
        &self,
        name: &Text,
        environment: usize,
        told: &mut Told<'_>,
    ) -> Option<SecretName> {
        let declared = &self.raw.secrets;
        let Some((place, sources)) = declared.get(&name.value) else {
            if !declared.is_declared(&name.value) && !self.raw.is_partial {
                told.unknown("secret", name, declared.names());
            }
            return None;
        };
        let environment = self.environments[environment].as_str();
        if sources.get(environment).is_none() && self.is_whole {
            let message = format!(
                "the secret `{}` has no source in `{environment}`",
                name.value
            );
            let problem =
                Problem::error(&name.place, message).second("declared here", &place.place);
            told.tell(problem.remedy("give it a source for this environment"));
            return None;
        }
        SecretName::parse(&name.value).ok()
    }

    /// Whether all environments are known.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Tells a parameter that has the name of a variable of the context, or the first part of one.
    pub(super) fn tell_taken(&self, name: &str, place: &Place, told: &mut Told<'_>) {
        let is_taken = |it: &&Text| it.value.split('.').next() == Some(name);
        let mut declared = self.raw.context.iter().map(|(name, _)| name);
        if let Some(other) = declared.find(is_taken) {
            let message = format!("`{name}` is both a parameter and a variable of the context");
            let problem = Problem::error(place, message).second("declared here", &other.place);
            told.tell(problem.remedy("rename one of them"));
        }
    }

    /// What a template may name in an environment, where it may name these parameters.
    pub(super) fn scope<'s>(
        &'s self,
        environment: usize,
        parameters: &'s dyn Declared,
    ) -> Scope<'s> {
        Scope {
            parameters,
            statics: &self.statics[environment],
            context: &self.context,
        }
    }

    /// Text in which nothing but static variables may stand.
    pub(super) fn constant(
        &self,
        text: &Text,
        environment: usize,
        told: &mut Told<'_>,
    ) -> Option<String> {
        match Template::parse(&text.value, &self.scope(environment, &NoParameters)) {
            Ok(template) if template.literal().is_some() => {
                return template.literal().map(str::to_owned);
            }
            Err(mistake) if text.value.contains(".static_variables.") => {
                told.template(text, &mistake);
            }
            _ => told.error(
                &text.place,
                "only plain text and static variables can stand here",
                "write `{{.static_variables.NAME}}`, or one value for each environment",
            ),
        }
        None
    }

    fn static_variables(&self, environment: usize, told: &mut Told<'_>) -> HashMap<String, String> {
        let mut values = HashMap::new();
        for (name, value) in self.raw.static_variables.iter() {
            let is_word = name
                .value
                .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name
                    .value
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_word {
                let message = "a static variable has only letters, digits and `_` in its name";
                told.error(&name.place, message, "rename it");
            }
            for text in value.values().filter(|it| it.value.text.contains("{{")) {
                told.error(
                    &text.place,
                    "a static variable is plain text: nothing in it is filled in",
                    "write the value out, or put the template where the variable is used",
                );
            }
            leak::in_texts(value.values().map(|it| (&it.value.text, &it.place)), told);
            if let Some(value) = self.of(value, environment, told) {
                values.insert(name.value.clone(), value.value.text.clone());
            }
        }
        values
    }
}

fn environments(raw: &raw::Policy, told: &mut Told<'_>) -> (Vec<EnvironmentName>, bool) {
    let mut names: Vec<EnvironmentName> = Vec::new();
    let mut is_whole = raw.environments.is_some() || !raw.is_partial;
    if let Some(list) = &raw.environments {
        let mut first: HashMap<&str, &Text> = HashMap::new();
        if list.items.is_empty() {
            told.error(
                &list.place,
                "`environments` names none",
                "name at least one, or remove the line",
            );
            is_whole = false;
        }
        for text in &list.items {
            if let Some(first) = first.insert(&text.value, text) {
                let message = format!("`{}` is declared twice", text.value);
                let problem = Problem::error(&text.place, message);
                told.tell(problem.second("first declared here", &first.place));
                continue;
            }
            match EnvironmentName::parse(&text.value) {
                Ok(name) => names.push(name),
                Err(bad) => {
                    is_whole = false;
                    told.error(&text.place, bad.to_string(), "choose another name");
                }
            }
        }
    }
    if names.is_empty() {
        names.extend(EnvironmentName::parse(ONLY_ENVIRONMENT));
    }
    (names, is_whole)
}

/// The name of a declared thing. That `none` is reserved has been told by whoever read the file.
pub(super) fn name<T>(
    text: &Text,
    parse: impl Fn(&str) -> Result<T, BadName>,
    told: &mut Told<'_>,
) -> Option<T> {
    match parse(&text.value) {
        Ok(name) => Some(name),
        Err(BadName::Reserved) => None,
        Err(bad) => {
            told.error(&text.place, bad.to_string(), "choose another name");
            None
        }
    }
}
