//! From nodes to the types of the policy. Decoding goes on after a mistake: what cannot be decoded
//! is `None`, and has been told.

use crate::policy::raw::fields::Field;
use crate::policy::raw::fields::Need;
use crate::policy::raw::fields::Section;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::scalars::FromScalar;
use crate::problem::Located;
use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::problem::Sources;
use crate::problem::nearest;
use crate::yaml::Entry;
use crate::yaml::Mapping;
use crate::yaml::Node;
use crate::yaml::Value;

/// Text with its place.
pub(in crate::policy) type Text = Located<String>;

/// What can stand in a policy.
pub(in crate::policy) trait Decode: Sized {
    /// What is expected.
    const SHAPE: Shape;

    /// The value, or `None` after telling why there is none.
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self>;
}

/// Where decoding tells what is wrong.
pub(in crate::policy) struct Decoder<'a> {
    sources: &'a mut Sources,
    problems: &'a mut Problems,
    /// The name under which the next section stands: a better place for what it lacks than its
    /// first field.
    name: Option<Place>,
}

impl<'a> Decoder<'a> {
    pub(in crate::policy) fn new(sources: &'a mut Sources, problems: &'a mut Problems) -> Self {
        Self {
            sources,
            problems,
            name: None,
        }
    }

    /// Tells a problem.
    pub(in crate::policy) fn tell(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Where problems go, for what tells its own.
    pub(in crate::policy) fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// How many problems have been told so far, here and before.
    pub(in crate::policy) fn told(&self) -> usize {
        self.problems.len()
    }

    /// Keeps a line off every drawing: a credential stands there.
    pub(in crate::policy) fn hide(&mut self, place: &Place) {
        self.sources.hide(place);
    }

    /// Keeps every line off where a value stands in this node: any of them may be a credential.
    pub(in crate::policy) fn hide_values(&mut self, node: &Node) {
        match &node.value {
            Value::Mapping(mapping) => mapping.iter().for_each(|e| self.hide_values(&e.value)),
            Value::Sequence(items) => items.iter().for_each(|item| self.hide_values(item)),
            Value::Scalar(_) | Value::Null | Value::Broken => self.hide(&node.place),
        }
    }

    /// Tells that something else was expected, unless the node is a mistake already told.
    pub(in crate::policy) fn mismatch(&mut self, node: &Node, shape: Shape) {
        if node.value == Value::Broken {
            return;
        }
        let message = format!("expected {}, found {}", shape.in_words(), node.what());
        let problem = Problem::error(&node.place, message);
        self.tell(match (&node.value, shape) {
            (Value::Null, _) => problem.remedy("give it a value, or remove the line"),
            (_, Shape::JsonSchema) => {
                problem.remedy("write its keywords: `{properties: {NAME: {type: string}}}`")
            }
            (Value::Scalar(_), Shape::List(_)) => {
                problem.remedy("write a list: `[…]`, or `- …` on lines of their own")
            }
            _ => problem,
        });
    }

    /// Decodes what stands under a name.
    pub(in crate::policy) fn named<T: Decode>(&mut self, entry: &Entry) -> Option<T> {
        self.name = Some(entry.key.place.clone());
        let value = T::decode(&entry.value, self);
        self.name = None;
        value
    }

    /// The mapping of a section, after telling what is unknown or missing.
    pub(in crate::policy) fn section<'n>(
        &mut self,
        node: &'n Node,
        section: &'static Section,
    ) -> Option<&'n Mapping> {
        let name = self.name.take();
        let Some(mapping) = node.mapping() else {
            if section.holds_credentials {
                self.hide_values(node);
            }
            self.mismatch(node, Shape::Section(section));
            return None;
        };
        let mut meant = Vec::new();
        for entry in mapping.iter() {
            if section.field(entry.name()).is_none() {
                meant.extend(self.unknown(entry, section));
            }
        }
        let place = name.as_ref().unwrap_or(&node.place);
        for field in section.fields {
            let is_there = mapping.get(field.name).is_some() || meant.contains(&field.name);
            if field.need == Need::Required && !is_there {
                self.missing(place, section, field);
            }
        }
        Some(mapping)
    }

    /// The value of a field, if it stands there and can be decoded.
    pub(in crate::policy) fn field<T: Decode>(&mut self, from: &Mapping, name: &str) -> Option<T> {
        T::decode(from.get(name)?, self)
    }

    /// Tells an unknown field. Returns the field that was probably meant: it is not missing too.
    fn unknown(&mut self, entry: &Entry, section: &'static Section) -> Option<&'static str> {
        let name = entry.name();
        let known = || section.fields.iter().map(|field| field.name);
        let message = format!("unknown field `{name}` in {}", section.what);
        let mut problem = Problem::error(&entry.key.place, message).did_you_mean(name, known());
        if problem.remedy_text().is_none() && section.fields.len() <= 10 {
            let known: Vec<String> = known().map(|field| format!("`{field}`")).collect();
            problem = problem.remedy(format!("its fields are {}", known.join(", ")));
        }
        if section.holds_credentials {
            self.hide(&entry.key.place);
            self.hide_values(&entry.value);
        }
        self.tell(problem);
        nearest(name, known())
    }

    /// Tells that the first field of a section is missing, on which all others depend.
    pub(in crate::policy) fn lacks(&mut self, place: &Place, section: &'static Section) {
        let name = self.name.take();
        if let Some(field) = section.fields.first() {
            self.missing(name.as_ref().unwrap_or(place), section, field);
        }
    }

    fn missing(&mut self, place: &Place, section: &'static Section, field: &Field) {
        let message = format!("{} needs `{}`", section.what, field.name);
        let remedy = format!("`{}`: {}", field.name, field.about);
        self.tell(Problem::error(place, message).remedy(remedy));
    }
}

impl<T: FromScalar> Decode for Located<T> {
    const SHAPE: Shape = T::SHAPE;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        };
        match T::from_scalar(scalar) {
            Ok(value) => Some(Located::new(value, node.place.clone())),
            Err(wrong) => {
                decoder.tell(wrong.problem(&node.place));
                None
            }
        }
    }
}

/// For what few have: a field takes a word then, where it is absent.
impl<T: Decode> Decode for Box<T> {
    const SHAPE: Shape = T::SHAPE;

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, decoder).map(Self::new)
    }
}

/// A list. Items that cannot be decoded are left out, and have been told.
#[derive(Clone, Debug)]
pub(in crate::policy) struct List<T> {
    /// Where it stands.
    pub(in crate::policy) place: Place,
    /// What is in it.
    pub(in crate::policy) items: Vec<T>,
}

impl<T: Decode> Decode for List<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Value::Sequence(nodes) = &node.value else {
            decoder.mismatch(node, Self::SHAPE);
            return None;
        };
        let items = nodes
            .iter()
            .filter_map(|node| T::decode(node, decoder))
            .collect();
        Some(Self {
            place: node.place.clone(),
            items,
        })
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Texts {
    /// Where they stand.
    pub(in crate::policy) place: Place,
    /// As they were written.
    pub(in crate::policy) items: Vec<Text>,
}

impl Decode for Texts {
    const SHAPE: Shape = Shape::Either(&[Text::SHAPE, List::<Text>::SHAPE]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let items = match &node.value {
            Value::Scalar(_) => vec![Text::decode(node, decoder)?],
            Value::Sequence(_) => List::decode(node, decoder)?.items,
            _ => {
                decoder.mismatch(node, Self::SHAPE);
                return None;
            }
        };
        Some(Self {
            place: node.place.clone(),
            items,
        })
    }
}
