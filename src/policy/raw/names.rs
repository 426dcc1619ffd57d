//! Mappings whose keys the author chooses: declared names, and plain entries such as headers.

use std::collections::HashMap;

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::Text;
use crate::policy::raw::fields::Keys;
use crate::policy::raw::fields::Shape;
use crate::problem::Place;
use crate::problem::Problem;
use crate::yaml::Entry;
use crate::yaml::Node;

/// A section of declared names: unique over all files, found by name.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Names<T> {
    /// Where the section stands first; `None` where no file has it.
    pub(in crate::policy) place: Option<Place>,
    /// Boxed: what is declared may have kilobytes, and a list of thousands grows by copying.
    entries: Vec<(Text, Option<Box<T>>)>,
    index: HashMap<String, usize>,
}

impl<T> Names<T> {
    /// Whether the name is declared, even if what stands there could not be decoded: a reference
    /// to it is then not a mistake of its own.
    pub(in crate::policy) fn is_declared(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// What is declared under a name, with the name's place.
    pub(in crate::policy) fn get(&self, name: &str) -> Option<(&Text, &T)> {
        let (name, value) = &self.entries[*self.index.get(name)?];
        Some((name, value.as_deref()?))
    }

    /// All that could be decoded, in the order of the files.
    pub(in crate::policy) fn iter(&self) -> impl Iterator<Item = (&Text, &T)> {
        self.entries
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// All declared names, in the order of the files.
    pub(in crate::policy) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// Whether no name is declared.
    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes in the names of a further file.
    pub(in crate::policy) fn merge(&mut self, more: Option<Self>, decoder: &mut Decoder<'_>) {
        let Some(more) = more else { return };
        self.place = self.place.take().or(more.place);
        for (name, value) in more.entries {
            self.add(name, value, decoder);
        }
    }

    fn add(&mut self, name: Text, value: Option<Box<T>>, decoder: &mut Decoder<'_>) {
        if let Some(&first) = self.index.get(&name.value) {
            let message = format!("`{}` is declared twice", name.value);
            let first = &self.entries[first].0.place;
            let problem = Problem::error(&name.place, message);
            decoder.tell(problem.second("first declared here", first));
            return;
        }
        if name.value == "none" {
            let problem = Problem::error(&name.place, "the name `none` is reserved");
            decoder.tell(problem.remedy("choose another name"));
        }
        self.index.insert(name.value.clone(), self.entries.len());
        self.entries.push((name, value));
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            place: None,
            entries: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<T: Decode> Decode for Names<T> {
    const SHAPE: Shape = Shape::Map(Keys::Declared, &T::SHAPE);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(mapping) = node.mapping() else {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        };
        let mut names = Self {
            place: Some(node.place.clone()),
            ..Self::default()
        };
        for entry in mapping.iter() {
            let value = decoder.named(entry).map(Box::new);
            names.add(entry.located_name(), value, decoder);
        }
        Some(names)
    }
}

/// Entries whose keys are not names of the policy, such as headers: in the order of the file.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Entries<T> {
    /// Where they stand.
    pub(in crate::policy) place: Place,
    /// Key and value.
    pub(in crate::policy) items: Vec<(Text, T)>,
}

impl<T: Decode> Decode for Entries<T> {
    const SHAPE: Shape = Shape::Map(Keys::Free, &T::SHAPE);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(mapping) = node.mapping() else {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        };
        let mut items = Vec::with_capacity(mapping.len());
        for entry in mapping.iter() {
            if is_literal_credential(entry) {
                decoder.hide_values(&entry.value);
            }
            let value = decoder.named(entry);
            items.extend(value.map(|value| (entry.located_name(), value)));
        }
        Some(Self {
            place: node.place.clone(),
            items,
        })
    }
}

/// Whether an entry may be a credential that was written out, such as an `Authorization` header.
/// `check` refuses those; until then, other problems of the same line must not show it.
fn is_literal_credential(entry: &Entry) -> bool {
    const WORDS: [&str; 8] = [
        "auth",
        "token",
        "secret",
        "key",
        "cookie",
        "password",
        "appid",
        "signature",
    ];
    let name = entry.name().to_ascii_lowercase();
    let is_reference = entry
        .value
        .mapping()
        .is_some_and(|m| m.get("secret").is_some());
    !is_reference && WORDS.iter().any(|word| name.contains(word))
}
