//! Tables of fields. One table describes a section of the policy for everybody: the type that
//! holds it, its decoding, messages, and editors.

/// A section: a mapping with known fields.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Section {
    /// What it is, in messages: "an action".
    pub(in crate::policy) what: &'static str,
    /// Whether values in it are credentials, so that its lines are not drawn.
    pub(in crate::policy) holds_credentials: bool,
    /// Its fields.
    pub(in crate::policy) fields: &'static [Field],
}

/// A field of a section.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Field {
    /// Its name in the file.
    pub(in crate::policy) name: &'static str,
    /// What it expects.
    pub(in crate::policy) shape: Shape,
    /// Whether it must or may stand in a file.
    pub(in crate::policy) need: Need,
    /// What it means, in one line.
    pub(in crate::policy) about: &'static str,
}

/// Whether a field must or may stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Need {
    /// Its absence is a mistake.
    Required,
    /// It may be absent.
    Optional,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) enum Shape {
    /// Any scalar, taken as it is written.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number between two others, both included.
    Integer(u64, u64),
    /// `5s`, `250ms`, `1m`, `2h`.
    Duration,
    /// `64KiB`, `10MiB`, `1MB`, or bytes.
    ByteCount,
    /// `30/minute`.
    Rate,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of the same.
    List(&'static Shape),
    /// Keys that the author chooses, each with the same.
    Map(Keys, &'static Shape),
    /// Known fields.
    Section(&'static Section),
    /// One of several.
    Either(&'static [Shape]),
    /// A JSON Schema.
    JsonSchema,
    /// A mapping or anything, of which no more is known in this release.
    AnyMap,
    /// See [`Shape::AnyMap`].
    Any,
}

/// What the keys of a mapping are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Keys {
    /// Names that are declared here.
    Declared,
    /// Environments.
    Environments,
    /// No names of the policy, such as those of headers.
    Free,
}

impl Shape {
    /// The shape in a message: "expected …".
    pub(in crate::policy) fn in_words(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Integer(1, 1) => "`1`".to_owned(),
            Self::Integer(least, most) => format!("an integer from {least} to {most}"),
            Self::Duration => "a duration such as `5s` or `250ms`".to_owned(),
            Self::ByteCount => "a size such as `64KiB` or `10MiB`".to_owned(),
            Self::Rate => "a rate such as `30/minute`".to_owned(),
            Self::OneOf(words) => either(words.iter().map(|word| format!("`{word}`"))),
            Self::List(_) => "a list".to_owned(),
            Self::Map(..) | Self::AnyMap => "a mapping".to_owned(),
            Self::Section(section) => section.in_words(),
            Self::Either(shapes) => either(shapes.iter().map(Self::in_words)),
            Self::JsonSchema => "a JSON Schema".to_owned(),
            Self::Any => "a value".to_owned(),
        }
    }
}

impl Section {
    /// The field of this name.
    pub(in crate::policy) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
    fn in_words(&self) -> String {
        match self.fields {
            [one] => format!("`{{{}: …}}`", one.name),
            [first, second] => format!("`{{{}: …, {}: …}}`", first.name, second.name),
            _ => format!("{}, which is a mapping", self.what),
        }
    }
}

fn either(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() {
        return last;
    }
    format!("{} or {last}", words.join(", "))
}

/// A section with its fields: `name: Type, Need, "what it means";`. A field whose name is a word
/// of Rust is written `part as "in"`.
///
/// The one under `tag`, by which a choice has been made, is decoded for the sake of its type, and not
/// kept: it has the word that follows `=`.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $name:ident, $what:literal $(, $credentials:ident)? {
            $($field:ident $(as $key:literal)? : $type:ty, $need:ident, $about:literal;)*
        }
        $(tag $tag:literal: $tag_type:ty $(= $tag_word:expr)?, $tag_about:literal;)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        pub(in crate::policy) struct $name {
            /// Where it stands.
            pub(in crate::policy) place: $crate::problem::Place,
            $(
                #[doc = $about]
                pub(in crate::policy) $field: Option<$type>,
            )*
        }

        impl $name {
            /// The fields.
            pub(in crate::policy) const SECTION: $crate::policy::raw::fields::Section =
                $crate::policy::raw::fields::Section {
                    what: $what,
                    holds_credentials: section!(@flag $($credentials)?),
                    fields: &[
                        $(section!(@row $tag, $tag_type, Required, $tag_about $(, $tag_word)?),)?
                        $(section!(@row section!(@key $field $($key)?), $type, $need, $about),)*
                    ],
                };
        }

        impl $crate::policy::raw::decode::Decode for $name {
            const SHAPE: $crate::policy::raw::fields::Shape =
                $crate::policy::raw::fields::Shape::Section(&Self::SECTION);

            fn decode(
                node: &$crate::yaml::Node,
                decoder: &mut $crate::policy::raw::decode::Decoder<'_>,
            ) -> Option<Self> {
                let fields = decoder.section(node, &Self::SECTION)?;
                $(decoder.field::<$tag_type>(fields, $tag);)?
                Some(Self {
                    place: node.place.clone(),
                    $($field: decoder.field(fields, section!(@key $field $($key)?)),)*
                })
            }
        }
    };
    (@row $key:expr, $type:ty, $need:ident, $about:literal $(, $word:expr)?) => {
        $crate::policy::raw::fields::Field {
            name: $key,
            shape: section!(@shape $type $(, $word)?),
            need: $crate::policy::raw::fields::Need::$need,
            about: $about,
        }
    };
    (@shape $type:ty, $word:expr) => {
        $crate::policy::raw::fields::Shape::OneOf(&[$word.as_str()])
    };
    (@shape $type:ty) => { <$type as $crate::policy::raw::decode::Decode>::SHAPE };
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
    (@flag holds_credentials) => { true };
    (@flag) => { false };
}

/// Words of which one is chosen: an enum, and the words in the file.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $name:ident { $($variant:ident = $word:literal, $about:literal;)* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(in crate::policy) enum $name {
            $(#[doc = $about] $variant,)*
        }

        impl $name {
            /// The words, in the order of the variants.
            pub(in crate::policy) const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word in the file.
            pub(in crate::policy) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::policy::raw::scalars::FromScalar for $name {
            const SHAPE: $crate::policy::raw::fields::Shape =
                $crate::policy::raw::fields::Shape::OneOf(Self::WORDS);

            fn from_scalar(
                scalar: &$crate::yaml::Scalar,
            ) -> Result<Self, $crate::policy::raw::scalars::Wrong> {
                match scalar.text.as_str() {
                    $($word => Ok(Self::$variant),)*
                    other => Err($crate::policy::raw::scalars::Wrong::word(other, Self::WORDS)),
                }
            }
        }
    };
}
