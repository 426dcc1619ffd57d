//! Where secrets come from, and where they are used. Their values never stand in a policy.

use std::time::Duration;

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::per_environment::Varies;
use crate::problem::Located;
use crate::problem::Problem;
use crate::problem::nearest;
use crate::yaml::Entry;
use crate::yaml::Mapping;
use crate::yaml::Node;
use crate::yaml::Value as YamlValue;

section! {
    /// The fields of a source. One of the first four stands in it.
    SourceFields, "the source of a secret", holds_credentials {
        env: Text, Optional, "the name of an environment variable of the exeat process";
        file: Text, Optional, "a file, read again when it changes";
        command: List<Text>, Optional, "a program and its arguments, run without a shell";
        store: Text, Optional, "a name in the local encrypted store (`exeat secret set NAME`)";
        ttl: Located<Duration>, Optional, "how long the output of a command is kept";
    }
}

/// Where a secret comes from.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Source {
    /// An environment variable of the process.
    Env(Text),
    /// A file, read again when it changes.
    File(Text),
    /// The output of a program.
    Command {
        /// The program and its arguments: at least one.
        argv: List<Text>,
        /// How long the output is kept.
        ttl: Option<Located<Duration>>,
    },
    /// An entry of the local encrypted store.
    Store(Text),
}

impl Decode for Source {
    const SHAPE: Shape = SourceFields::SHAPE;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.scalar().is_some() {
            decoder.hide(&node.place);
            let message = "the value of a secret never stands in a policy (secret_in_policy)";
            let problem = Problem::error(&node.place, message);
            decoder.tell(
                problem.remedy("name its source: `{env: NAME}`, `{file: PATH}` or `{store: NAME}`"),
            );
            return None;
        }
        let before = decoder.told();
        let fields = SourceFields::decode(node, decoder)?;
        let sources = [&fields.env, &fields.file, &fields.store]
            .into_iter()
            .flatten()
            .count()
            + usize::from(fields.command.is_some());
        if decoder.told() > before {
            return None;
        }
        if sources != 1 {
            let problem = Problem::error(&fields.place, "a secret has exactly one source");
            decoder.tell(problem.remedy("write one of `env`, `file`, `command` and `store`"));
            return None;
        }
        fields.source(decoder)
    }
}

impl SourceFields {
    fn source(self, decoder: &mut Decoder<'_>) -> Option<Source> {
        if let (None, Some(ttl)) = (&self.command, &self.ttl) {
            let problem = Problem::error(&ttl.place, "`ttl` belongs to `command` only");
            decoder.tell(
                problem.remedy("remove it: files and the store are read again when they change"),
            );
            return None;
        }
        let named = self
            .env
            .map(Source::Env)
            .or(self.file.map(Source::File))
            .or(self.store.map(Source::Store));
        if named.is_some() {
            return named;
        }
        let argv = self.command?;
        if argv.items.is_empty() {
            let problem = Problem::error(&argv.place, "a command without a program");
            decoder.tell(problem.remedy("write the program and its arguments: `[op, read, …]`"));
            return None;
        }
        Some(Source::Command {
            argv,
            ttl: self.ttl,
        })
    }
}

impl Varies for Source {
    /// A map of environments has mappings as values; a source has none.
    fn is_value(mapping: &Mapping) -> bool {
        mapping.iter().any(|entry| {
            let value = &entry.value.value;
            SourceFields::SECTION.field(entry.name()).is_some()
                || !matches!(value, YamlValue::Mapping(_) | YamlValue::Broken)
        })
    }
}

section! {
    /// A secret in the place of a value.
    SecretUse, "a secret's use", holds_credentials {
        secret: Text, Required, "the name of a secret";
        prefix: Text, Optional, "text before the secret, such as `Token `";
    }
}

section! {
    /// A secret by its name alone.
    SecretName, "a secret's name", holds_credentials {
        secret: Text, Required, "the name of a secret";
    }
}

/// Text, or a secret in its place.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Value {
    /// Text, in which templates may stand.
    Literal(Text),
    /// A secret. Its name may be missing, which has been told.
    Secret(SecretUse),
}

impl Decode for Value {
    const SHAPE: Shape = Shape::Either(&[Shape::Text, Shape::Section(&SecretUse::SECTION)]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            YamlValue::Scalar(_) => Text::decode(node, decoder).map(Self::Literal),
            YamlValue::Mapping(_) => SecretUse::decode(node, decoder).map(Self::Secret),
            _ => {
                decoder.mismatch(node, Self::SHAPE);
                None
            }
        }
    }
}

impl Varies for Value {
    fn is_value(mapping: &Mapping) -> bool {
        let field = |entry: &Entry| nearest(entry.name(), ["secret", "prefix"]);
        mapping.iter().any(|entry| field(entry).is_some())
    }
}

/// A value that is a credential: no line on which it stands as text is ever drawn. Whether text
/// may stand there at all is for `check` to say: the password of a user name that is itself the
/// secret is often fixed or empty.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Credential(pub(in crate::policy) Value);

impl Decode for Credential {
    const SHAPE: Shape = Value::SHAPE;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.mapping().is_none() {
            decoder.hide(&node.place);
        }
        Value::decode(node, decoder).map(Self)
    }
}

impl Varies for Credential {
    fn is_value(mapping: &Mapping) -> bool {
        Value::is_value(mapping)
    }
}
