//! One value for all environments, or one for each.

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::Text;
use crate::policy::raw::fields::Keys;
use crate::policy::raw::fields::Shape;
use crate::problem::Located;
use crate::problem::Place;
use crate::problem::Problem;
use crate::yaml::Mapping;
use crate::yaml::Node;

/// One value for all environments, or one for each.
#[derive(Clone, Debug)]
pub(in crate::policy) enum PerEnvironment<T> {
    /// The same everywhere.
    One(T),
    /// By the name of the environment, in the order of the file. The place is that of the map.
    Each(Place, Vec<(Text, T)>),
}

/// What may differ between environments.
pub(in crate::policy) trait Varies: Decode {
    /// Whether a mapping is a value of its own, rather than a map of environments.
    fn is_value(mapping: &Mapping) -> bool;
}

/// A scalar is no mapping, so that every mapping in its place is a map of environments.
impl<T> Varies for Located<T>
where
    Self: Decode,
{
    fn is_value(_: &Mapping) -> bool {
        false
    }
}

impl<T: Varies> Decode for PerEnvironment<T> {
    const SHAPE: Shape = Shape::Either(&[T::SHAPE, Shape::Map(Keys::Environments, &T::SHAPE)]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(mapping) = node.mapping().filter(|mapping| !T::is_value(mapping)) else {
            return T::decode(node, decoder).map(Self::One);
        };
        if mapping.is_empty() {
            let expected = T::SHAPE.in_words();
            let message = format!("expected {expected}, or one for each environment, found `{{}}`");
            decoder.tell(Problem::error(&node.place, message));
            return None;
        }
        let mut each = Vec::with_capacity(mapping.len());
        for entry in mapping.iter() {
            let value = decoder.named(entry);
            each.extend(value.map(|value| (entry.located_name(), value)));
        }
        Some(Self::Each(node.place.clone(), each))
    }
}

impl<T> PerEnvironment<T> {
    /// The value in an environment. `None`: it is missing there.
    pub(in crate::policy) fn get(&self, environment: &str) -> Option<&T> {
        match self {
            Self::One(value) => Some(value),
            Self::Each(_, each) => {
                let (_, value) = each.iter().find(|(name, _)| name.value == environment)?;
                Some(value)
            }
        }
    }

    /// The names of the environments that stand here: none where one value is for all.
    pub(in crate::policy) fn environments(&self) -> impl Iterator<Item = &Text> {
        let each = match self {
            Self::One(_) => &[][..],
            Self::Each(_, each) => each,
        };
        each.iter().map(|(name, _)| name)
    }

    /// All values.
    pub(in crate::policy) fn values(&self) -> impl Iterator<Item = &T> {
        let (one, each) = match self {
            Self::One(value) => (Some(value), &[][..]),
            Self::Each(_, each) => (None, &each[..]),
        };
        one.into_iter().chain(each.iter().map(|(_, value)| value))
    }
}
