//! Actions: one declaration becomes one action in each environment.

use std::sync::Arc;

use http::HeaderName;

use crate::action::outcome::Reading;
use crate::action::requires::Requirement;
use crate::action::{Action, ContentRule, Doors, Hints, Limits, Passes, PathPattern, Sensitive};
use crate::credential::Credential;
use crate::name::ActionName;
use crate::policy::check::connection::{Connection, Connections};
use crate::policy::check::connector::{Connector, Connectors};
use crate::policy::check::entries::{self, Around, Entries};
use crate::policy::check::ground::{Ground, name};
use crate::policy::check::parameters::Parameters;
use crate::policy::check::reading::{self, Names};
use crate::policy::check::requires::{Known, Preconditions};
use crate::policy::check::target::Target;
use crate::policy::check::told::Told;
use crate::policy::check::{
    body, connection, connector, content, doors, example, giveaway, header, hidden, hints, leak,
    lists, passes, rates, sensitive, site,
};
use crate::policy::raw::action::{Action as Raw, Door};
use crate::policy::raw::decode::Text;
use crate::problem::{Place, Problem};
use crate::rate::{Owner, Rate};
use crate::request::{HostPattern, Scheme};
use crate::schema::Compiler;

/// Lengths of a description between which an agent is told enough and not too much.
const DESCRIPTION: std::ops::RangeInclusive<usize> = 10..=1024;

/// An action, and where it was declared.
pub(super) struct Built<'a> {
    pub(super) action: Arc<Action>,
    pub(super) name: &'a Text,
    /// Where its URL or its connection's stands.
    pub(super) url: Place,
}

/// All actions that could be built, by environment.
pub(super) struct Actions<'a>(Vec<Vec<Built<'a>>>);

impl<'a> Actions<'a> {
    pub(super) fn read(
        ground: &Ground<'a>,
        connectors: &Connectors<'a>,
        connections: &Connections<'a>,
        told: &mut Told<'_>,
    ) -> Self {
        let mut all: Vec<Vec<Built<'a>>> = Vec::new();
        all.resize_with(ground.environments.len(), Vec::new);
        let mut outputs = Names::beside(&ground.raw.context);
        // All of them first: a template may use what an action further down sets.
        let raw = ground.raw.actions.iter().map(|(_, raw)| raw);
        let readings = reading::read_all(raw, &mut outputs, told);
        let compiler = Compiler::default();
        let names = ground.raw.actions.iter();
        let parameters: Vec<_> = names
            .map(|(name, raw)| Parameters::read(raw, &name.place, &compiler, told))
            .collect();
        let known = ground.raw.actions.iter().zip(&parameters).zip(&readings);
        let known: Vec<_> = known
            .map(|(((name, raw), parameters), reading)| Known {
                name,
                raw,
                parameters,
                reading: reading.as_deref(),
            })
            .collect();
        let preconditions = Preconditions::read(ground, &known, told);
        let declared = ground.raw.actions.iter().zip(parameters).zip(readings);
        for (((name, raw), parameters), reading) in declared {
            let declared = Declared {
                ground,
                connectors,
                name,
                raw,
                connection: connection::of(ground, connections, raw.connection.as_ref(), told),
                parameters,
                outputs: &outputs,
                reading,
                preconditions: &preconditions,
            };
            let shared = declared.shared(told);
            for (environment, built) in all.iter_mut().enumerate() {
                built.extend(declared.build(environment, shared.as_ref(), told));
            }
        }
        Self(all)
    }

    pub(super) fn of_environment(&self, environment: usize) -> &[Built<'a>] {
        &self.0[environment]
    }
}

/// A declaration with what it refers to.
struct Declared<'x, 'a> {
    ground: &'x Ground<'a>,
    connectors: &'x Connectors<'a>,
    name: &'a Text,
    raw: &'a Raw,
    connection: Option<&'x Connection<'a>>,
    parameters: Parameters<'a>,
    /// Those of all actions.
    outputs: &'x Names,
    /// `None`: its mistakes have been told.
    reading: Option<Arc<Reading>>,
    /// Those of all actions.
    preconditions: &'x Preconditions<'a>,
}

/// What an action sends besides its path and its body.
struct Sent<'s, 'a> {
    entries: Entries<'a>,
    /// All of them.
    credentials: Vec<Credential>,
    /// Where the first of them is declared.
    secret: Option<&'s Place>,
}

/// What an action is in every environment.
struct Shared {
    name: ActionName,
    description: String,
    method: http::Method,
    accept_headers: Vec<HeaderName>,
    rate: Option<Arc<Rate>>,
    hints: Hints,
    sensitive: Sensitive,
    reading: Arc<Reading>,
    requires: Vec<Requirement>,
    remembered: Option<Vec<String>>,
    passes: Passes,
}

impl<'a> Declared<'_, 'a> {
    /// Reads what does not differ between environments.
    fn shared(&self, told: &mut Told<'_>) -> Option<Shared> {
        let name = name(self.name, ActionName::parse, told);
        self.tell_wrong_address(told);
        for name in self.parameters.names() {
            self.ground
                .tell_taken(name, self.parameters.place(name), told);
        }
        let description = self.raw.description.as_ref();
        if let Some(text) = description {
            leak::in_located(text, told);
            hidden::in_located(text, told);
            let length = text.value.trim().chars().count();
            if !DESCRIPTION.contains(&length) {
                let message = format!("the description has {length} characters");
                let problem = Problem::warning(&text.place, message);
                told.tell(problem.remedy("say what it does and when to use it in 10 to 1024"));
            }
        }
        if let Some(title) = &self.raw.title {
            hidden::in_located(title, told);
        }
        let accept_headers = self.accept_headers(told);
        let sensitive = sensitive::read(self.raw.sensitive.as_deref(), &self.parameters, told);
        if let Some(reading) = &self.reading {
            example::look_at(self.raw, reading, told);
        }
        let method = self.raw.method.as_ref()?.value.to_http();
        let hints = hints::read(self.raw.hints.as_deref(), &method, told);
        let owner = name.clone().map(Owner::Action);
        Some(Shared {
            rate: rates::read(owner, self.raw.rate_limit.as_deref(), told),
            name: name?,
            description: description?.value.clone(),
            hints,
            method,
            accept_headers,
            sensitive,
            reading: self.reading.clone()?,
            requires: self.preconditions.of(&self.name.value)?,
            remembered: self.preconditions.remembered(&self.name.value),
            passes: passes::read(self.raw, told),
        })
    }

    /// `url`, or `connection` and `path`.
    fn tell_wrong_address(&self, told: &mut Told<'_>) {
        let (raw, name) = (self.raw, &self.name.place);
        match (&raw.url, &raw.connection) {
            (None, None) => told.error(
                name,
                "an action needs `url`, or `connection` and `path`",
                "write where its requests go",
            ),
            (Some(_), Some(connection)) => told.error(
                &connection.place,
                "an action has `url` or `connection`, not both",
                "remove one of them",
            ),
            (Some(_), None) => {
                if let Some(path) = &raw.path {
                    told.error(
                        &path.place,
                        "`path` belongs to `connection`",
                        "write the path at the end of the URL",
                    );
                }
            }
            (None, Some(_)) => {}
        }
    }

    /// The declared ones, and those that every client may send.
    fn accept_headers(&self, told: &mut Told<'_>) -> Vec<HeaderName> {
        let defaults = header::ACCEPTED.into_iter().map(HeaderName::from_static);
        let mut names: Vec<HeaderName> = defaults.collect();
        for text in self.raw.accept_headers.iter().flat_map(|it| &it.items) {
            if let Some(name) = header::accepted(text, told)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// Builds the action of one environment, as far as it goes.
    fn build(
        &self,
        environment: usize,
        shared: Option<&Shared>,
        told: &mut Told<'_>,
    ) -> Option<Built<'a>> {
        let target = self.target(environment, told);
        let path = target
            .as_ref()
            .and_then(|it| it.pattern((self.ground, environment), &self.parameters, told));
        let Sent {
            mut entries,
            credentials,
            secret,
        } = self.sent(environment, told);
        entries.is_partial |= path.is_none();
        let limits = self.limits(environment, told);
        self.tell_accepted(&credentials, told);
        if let Some(target) = &target {
            self.tell_exposed(target, secret, told);
        }
        let read = (&mut entries, credentials.as_slice());
        let carried = self.content(environment, path.as_ref(), read, told)?;
        let target = target?;
        let is_wild = matches!(target.host, Some(HostPattern::OneLabel(_)));
        let doors = self.open_doors(is_wild, &carried.rule, &entries, told);
        let doors = entries.templates().close(self.raw, &carried, doors, told);
        let query = entries.query.into_iter();
        let shared = shared?;
        let action = Action {
            name: shared.name.clone(),
            title: self.raw.title.as_ref().map(|it| it.value.clone()),
            description: shared.description.clone(),
            enabled: self.raw.enabled.as_ref().is_none_or(|it| it.value),
            doors,
            method: shared.method.clone(),
            scheme: target.scheme,
            host: target.host?,
            port: target.port,
            path: path?,
            parameters: self.parameters.schema()?.clone(),
            converts: self.raw.variables.is_some(),
            query: query.map(|(_, name, it)| (name, it)).collect(),
            query_style: lists::style(self.raw.query_style.as_ref()),
            headers: carried.headers,
            content: carried.rule,
            proxied: carried.proxied,
            accept_headers: shared.accept_headers.clone(),
            credentials,
            limits,
            rates: self.rates(environment, shared),
            hints: shared.hints,
            sensitive: shared.sensitive.clone(),
            reading: shared.reading.clone(),
            requires: shared.requires.clone(),
            remembered: shared.remembered.clone(),
            passes: shared.passes,
        };
        let path = self.raw.path.as_ref().map(|it| &it.place);
        giveaway::tell(&action, path.unwrap_or(target.url), told);
        Some(Built {
            action: Arc::new(action),
            name: self.name,
            url: target.url.clone(),
        })
    }

    /// Its own rate limit, and that of its connection.
    fn rates(&self, environment: usize, shared: &Shared) -> Vec<Arc<Rate>> {
        let connection = self
            .connection
            .and_then(|it| it.rates[environment].as_ref());
        shared.rate.iter().chain(connection).cloned().collect()
    }

    /// Reads the headers, the query entries and the credentials.
    fn sent(&self, environment: usize, told: &mut Told<'_>) -> Sent<'_, 'a> {
        let connector = self.connector(environment, told);
        let taken =
            connector.and_then(|it| Some((it.credentials[environment].as_ref()?, &it.place)));
        let around = Around {
            ground: self.ground,
            environment,
            parameters: &self.parameters,
            outputs: Some(self.outputs),
            taken: taken.map(|(credential, place)| (&credential.place, place)),
        };
        let connection = self.connection.map(|it| it.raw);
        let mut entries = entries::read(&around, connection, self.raw, told);
        let declared = taken.into_iter().map(|(it, place)| (it.clone(), place));
        let secrets = declared.chain(std::mem::take(&mut entries.credentials));
        let (mut credentials, places): (Vec<Credential>, Vec<&Place>) = secrets.unzip();
        // Mostly one, where the first growth of a list makes room for four.
        credentials.shrink_to_fit();
        Sent {
            entries,
            credentials,
            secret: places.first().copied(),
        }
    }

    fn target(&self, environment: usize, told: &mut Told<'_>) -> Option<Target<'a>> {
        let path = self.raw.path.as_ref();
        if let Some(path) = path {
            leak::in_located(path, told);
        }
        if let Some(url) = &self.raw.url {
            let url = self.ground.of(url, environment, told)?;
            return Some(Target::of_url(url, &site::read(url, told)?));
        }
        let base = self
            .connection
            .and_then(|it| it.bases[environment].as_ref());
        match base {
            Some(base) => Some(Target::of_base(base, path)),
            None => path.map(Target::of_path),
        }
    }

    /// The action's connector, else that of its connection.
    fn connector(&self, environment: usize, told: &mut Told<'_>) -> Option<&Connector> {
        let own = self.raw.auth.as_ref();
        let shared = || {
            let auth = self.connection?.raw.auth.as_ref()?;
            Some((auth, environment))
        };
        let reference = match (own, shared()) {
            (Some(own), _) => own,
            (None, Some((auth, environment))) => self.ground.of(auth, environment, told)?,
            (None, None) => return None,
        };
        connector::of(self.ground, self.connectors, reference, told)
    }

    fn limits(&self, environment: usize, told: &mut Told<'_>) -> Limits {
        let raw = self.raw;
        let shared = match self.connection {
            Some(connection) => {
                connection::deadlines(self.ground, connection.raw, environment, told)
            }
            None => Limits::default(),
        };
        Limits {
            timeout: raw.timeout.as_ref().map_or(shared.timeout, |it| it.value),
            connect_timeout: raw
                .connect_timeout
                .as_ref()
                .map_or(shared.connect_timeout, |it| it.value),
            idle_timeout: raw
                .idle_timeout
                .as_ref()
                .map_or(shared.idle_timeout, |it| it.value),
            stream: raw.stream.as_ref().is_some_and(|it| it.value),
            max_request_bytes: raw
                .max_request_bytes
                .as_ref()
                .map_or(shared.max_request_bytes, |it| it.value.get()),
            max_response_bytes: raw
                .max_response_bytes
                .as_ref()
                .map_or(shared.max_response_bytes, |it| it.value.get()),
        }
    }

    /// Secrets go to one host, over TLS.
    fn tell_exposed(&self, target: &Target<'_>, secret: Option<&Place>, told: &mut Told<'_>) {
        let allows = self.raw.allow_http.as_ref().is_some_and(|it| it.value);
        let is_clear = target.scheme == Scheme::Http;
        let reference = self
            .raw
            .connection
            .as_ref()
            .map_or(target.url, |it| &it.place);
        if is_clear && !allows {
            let message = "with `http://` everybody on the way can read and change the requests";
            let problem = Problem::error(reference, message).second("the URL", target.url);
            let remedy = "write `https://`, or `allow_http: true` where there is no secret";
            told.tell(problem.remedy(remedy));
        }
        let Some(secret) = secret else { return };
        let message = match target.host {
            _ if is_clear => "a secret would go out over `http://`, readable on the way",
            Some(HostPattern::OneLabel(_)) => "a secret would go to every host that `*` stands for",
            Some(HostPattern::Exact(_)) | None => return,
        };
        let problem = Problem::error(reference, message).second("the secret", secret);
        told.tell(
            problem.remedy("name one host with `https://`, or take the secret out (`auth: none`)"),
        );
    }

    /// What exeat writes itself, no agent sends through.
    fn tell_accepted(&self, credentials: &[Credential], told: &mut Told<'_>) {
        let taken = || credentials.iter().filter_map(|it| it.place.header());
        for text in self.raw.accept_headers.iter().flat_map(|it| &it.items) {
            if taken().any(|it| it.as_str().eq_ignore_ascii_case(&text.value)) {
                let message = format!("the header `{}` is where a credential stands", text.value);
                told.error(&text.place, message, "remove it: exeat writes it itself");
            }
        }
    }

    fn content(
        &self,
        environment: usize,
        path: Option<&PathPattern>,
        (entries, credentials): (&mut Entries<'a>, &[Credential]),
        told: &mut Told<'_>,
    ) -> Option<content::Read> {
        let scope = self.ground.scope(environment, &self.parameters);
        let template = body::read(self.raw, &scope, told);
        if let Some((template, text)) = template.as_ref().zip(self.raw.body.as_ref()) {
            self.outputs
                .tell_unknown(template.session_variables(), text, told);
        }
        entries.is_partial |= self.raw.body.is_some() && template.is_none();
        let mut placed = entries.parameters();
        placed.extend(path.iter().flat_map(|path| path.parameters()));
        let in_body = self.parameters.leftovers(&placed);
        placed.extend(template.iter().flat_map(|template| template.parameters()));
        let known = content::Known {
            raw: self.raw,
            method: self.raw.method.as_ref()?.value,
            parameters: &self.parameters,
            leftovers: self.parameters.leftovers(&placed),
            in_body,
            entries,
            credentials,
        };
        known.read(template, told)
    }

    /// The doors that stay open. A request through the proxy could ask whether a sensitive value is the one that
    /// it guesses.
    fn open_doors(
        &self,
        is_wild: bool,
        content: &ContentRule,
        entries: &Entries<'a>,
        told: &mut Told<'_>,
    ) -> Doors {
        let doors = doors::declared(self.raw, is_wild, content, told);
        let in_body = || match content {
            ContentRule::Template(_, template) => {
                let mut variables = template.session_variables();
                let is_sensitive = variables.any(|it| self.outputs.is_sensitive(it));
                self.raw.body.as_ref().filter(|_| is_sensitive)
            }
            _ => None,
        };
        let in_entries = entries.sensitive_variable(self.outputs);
        let Some(place) = in_entries.or_else(|| in_body().map(|it| &it.place)) else {
            return doors;
        };
        let message =
            "a sensitive variable stands here, which closes the proxy door of this action";
        let list = self.raw.doors.iter().flat_map(|it| &it.items);
        let told_door = list.into_iter().find(|it| it.value == Door::Proxy);
        told.tell(match told_door {
            Some(door) => Problem::error(&door.place, message)
                .second("the variable", place)
                .remedy("take `proxy` out of `doors`, or the variable out of the template"),
            None => Problem::warning(place, message)
                .remedy("write `doors: [http, mcp]` where tools alone call it"),
        });
        Doors {
            proxy: false,
            ..doors
        }
    }
}
