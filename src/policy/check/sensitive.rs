//! The parameters that no log shows, as a policy lists them.

use crate::action::Sensitive;
use crate::jsonpath::{BadJsonPath, Reach, WildPath};
use crate::policy::check::parameters::Parameters;
use crate::policy::check::told::Told;
use crate::policy::raw::decode::{List, Text};
use crate::problem::Problem;
use crate::template::Declared;

/// Reads names and JSONPaths, each of which must be about a declared parameter.
pub(super) fn read(
    raw: Option<&List<Text>>,
    parameters: &Parameters<'_>,
    told: &mut Told<'_>,
) -> Sensitive {
    let mut sensitive = Sensitive::default();
    for text in raw.iter().flat_map(|it| &it.items) {
        if !text.value.starts_with('$') {
            tell_unknown(&text.value, text, parameters, told);
            sensitive.add_parameter(&text.value);
            continue;
        }
        match WildPath::parse(&text.value) {
            Ok(path) => {
                tell_astray(&path, text, parameters, told);
                sensitive.add_path(&path);
            }
            Err(bad) => {
                let message = match bad {
                    BadJsonPath::NotSingular => {
                        "only names, indexes and `[*]` can stand here".into()
                    }
                    _ => bad.to_string(),
                };
                told.error(&text.place, message, "write such as `$.cards[*].pin`");
            }
        }
    }
    sensitive
}

/// A path that begins with no parameter, or leaves what is declared before its first list.
fn tell_astray(path: &WildPath, text: &Text, parameters: &Parameters<'_>, told: &mut Told<'_>) {
    let names = path.steps().iter().map_while(|step| match step {
        Reach::Name(name) => Some(name.as_str()),
        Reach::Element | Reach::Any => None,
    });
    let names: Vec<&str> = names.collect();
    let Some(first) = names.first() else {
        let remedy = "begin with the name of one, such as `$.customer.pin`";
        told.error(&text.place, "this is no parameter", remedy);
        return;
    };
    if tell_unknown(first, text, parameters, told) || parameters.declared(&names).is_some() {
        return;
    }
    let message = format!("no property `{}` is declared", names.join("."));
    let remedy = "correct the path, or declare the property";
    told.error(&text.place, message, remedy);
}

fn tell_unknown(name: &str, text: &Text, parameters: &Parameters<'_>, told: &mut Told<'_>) -> bool {
    let is_unknown = parameters.schema().is_some() && !parameters.names().any(|it| it == name);
    if is_unknown {
        let message = format!("no parameter `{name}` is declared");
        let problem = Problem::error(&text.place, message);
        let problem = problem.did_you_mean(name, parameters.names());
        told.tell(match problem.remedy_text() {
            Some(_) => problem,
            None => problem.remedy("declare the parameter, or correct the name"),
        });
    }
    is_unknown
}
