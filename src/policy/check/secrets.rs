//! Secrets: where each comes from in each environment, and whether anything uses it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::name::{EnvironmentName, SecretName};
use crate::policy::check::ground::{Ground, name};
use crate::policy::check::told::Told;
use crate::policy::raw;
use crate::policy::raw::connector::Connector;
use crate::policy::raw::decode::Text;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::raw::secret::{Credential, Source, Value};
use crate::policy::source::SecretSource;
use crate::problem::Problem;

/// What a program printed is asked for again after this time. Tokens of vaults live for minutes to hours; five minutes
/// after a rotation everybody has the new one.
const COMMAND_TTL: Duration = Duration::from_secs(5 * 60);

/// The sources, by secret and environment.
pub(super) fn sources(
    ground: &Ground<'_>,
    told: &mut Told<'_>,
) -> HashMap<(SecretName, EnvironmentName), SecretSource> {
    let mut sources = HashMap::new();
    for (text, per_environment) in ground.raw.secrets.iter() {
        let name = name(text, SecretName::parse, told);
        tell_unknown_environments(ground, per_environment, told);
        for environment in &ground.environments {
            let source = per_environment.get(environment.as_str());
            let source = source.and_then(|source| self::source(source, told));
            if let (Some(name), Some(source)) = (&name, source) {
                sources.insert((name.clone(), environment.clone()), source);
            }
        }
    }
    tell_unused(ground, told);
    sources
}

/// A secret may be without a source in an environment that does not use it; whoever uses it there tells.
fn tell_unknown_environments(
    ground: &Ground<'_>,
    sources: &PerEnvironment<Source>,
    told: &mut Told<'_>,
) {
    for name in sources.environments() {
        let known = || ground.environments.iter().map(EnvironmentName::as_str);
        if ground.is_whole() && !known().any(|it| it == name.value) {
            told.unknown("environment", name, known());
        }
    }
}

fn source(source: &Source, told: &mut Told<'_>) -> Option<SecretSource> {
    match source {
        Source::Env(variable) => {
            if variable.value.contains('=') {
                told.leak(&variable.place, "a variable with its value");
                return None;
            }
            let is_name = !variable.value.is_empty() && !variable.value.contains('\0');
            if !is_name {
                let message = "this cannot be the name of an environment variable";
                told.error(
                    &variable.place,
                    message,
                    "write a name such as `JIRA_TOKEN`",
                );
            }
            Some(SecretSource::Env(variable.value.clone()))
        }
        Source::File(path) => {
            tell_empty(path, "a file has a path", told);
            Some(SecretSource::File(beside_the_policy(path)))
        }
        Source::Command { argv, ttl } => {
            tell_empty(argv.items.first()?, "a command begins with a program", told);
            Some(SecretSource::Command {
                argv: argv.items.iter().map(|word| word.value.clone()).collect(),
                ttl: ttl.as_ref().map_or(COMMAND_TTL, |ttl| ttl.value),
            })
        }
        Source::Store(entry) => match SecretName::parse(&entry.value) {
            Ok(name) => Some(SecretSource::Store(name)),
            Err(bad) => {
                let remedy = "write a name that `exeat secret list` shows";
                told.error(&entry.place, bad.to_string(), remedy);
                None
            }
        },
    }
}

/// A relative path counts from the folder of the file that has it, wherever exeat was started.
fn beside_the_policy(path: &Text) -> PathBuf {
    let folder = Path::new(&**path.place.file()).parent();
    folder.unwrap_or(Path::new("")).join(&path.value)
}

fn tell_empty(text: &Text, message: &str, told: &mut Told<'_>) {
    if text.value.is_empty() || text.value.contains('\0') {
        told.error(&text.place, message, "write it out");
    }
}

/// Only where all could be read: what could not may use a secret.
fn tell_unused(ground: &Ground<'_>, told: &mut Told<'_>) {
    if ground.raw.is_partial || !told.is_read_whole() {
        return;
    }
    let used = used(ground.raw);
    for (name, _) in ground.raw.secrets.iter() {
        if !used.contains(name.value.as_str()) {
            let message = format!("the secret `{}` is not used", name.value);
            let problem = Problem::warning(&name.place, message);
            told.tell(problem.remedy("remove it, or use it as `{secret: NAME}`"));
        }
    }
}

fn used(raw: &raw::Policy) -> HashSet<&str> {
    let mut values: Vec<&Value> = Vec::new();
    for (_, connector) in raw.auth.iter() {
        add_connector(connector, &mut values);
    }
    for (_, connection) in raw.connections.iter() {
        let headers = connection.headers.iter().flat_map(|it| &it.items);
        values.extend(headers.flat_map(|(_, value)| value.values()));
    }
    for (_, action) in raw.actions.iter() {
        let entries = action.headers.iter().chain(&action.query);
        values.extend(entries.flat_map(|it| &it.items).map(|(_, value)| value));
    }
    let in_values = values.into_iter().filter_map(|value| match value {
        Value::Secret(secret) => secret.secret.as_ref(),
        Value::Literal(_) => None,
    });
    let tokens = raw.agents.iter().flat_map(|(_, agent)| {
        let both = [&agent.token, &agent.runtime_token].into_iter().flatten();
        both.filter_map(|token| token.secret.as_ref())
    });
    in_values
        .chain(tokens)
        .map(|it| it.value.as_str())
        .collect()
}

fn add_connector<'a>(connector: &'a Connector, values: &mut Vec<&'a Value>) {
    let (plain, credential) = match connector {
        Connector::Bearer(bearer) => (None, bearer.token.as_ref()),
        Connector::Basic(basic) => (basic.username.as_ref(), basic.password.as_ref()),
        Connector::ApiKey(key) => (None, key.value.as_ref()),
        Connector::Oauth2(oauth) => (oauth.client_id.as_ref(), oauth.client_secret.as_ref()),
        Connector::None(_) => (None, None),
    };
    values.extend(plain.into_iter().flat_map(PerEnvironment::values));
    let credentials = credential.into_iter().flat_map(PerEnvironment::values);
    values.extend(credentials.map(|Credential(value)| value));
}
