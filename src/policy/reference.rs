//! The fields of the language, for its documentation: what the tables behind the files say, without their types.
//!
//! `docs/policy.md` is tested against this list, so that a field that the code knows is a field that people can read
//! about. Nothing at run time depends on it.

use crate::policy::raw::{Field as RawField, File, Need as RawNeed, Section, Shape};

/// One field of one section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What the section is, as messages call it: `an action`.
    pub section: &'static str,
    /// Its name in the file.
    pub name: &'static str,
    /// Whether it must, may or cannot yet stand there.
    pub need: Need,
    /// What it means, in one line.
    pub about: &'static str,
}

/// Whether a field must, may or cannot yet stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its absence is an error.
    Required,
    /// It may be absent.
    Optional,
    /// It belongs to the language, and this release refuses it.
    Later,
}

/// Every field of every section, the sections in the order in which a file can lead to them.
pub fn fields() -> Vec<Field> {
    let mut sections: Vec<&'static Section> = Vec::new();
    collect(&File::SECTION, &mut sections);
    let of = |section: &&'static Section| section.fields.iter().map(|it| field(section.what, it));
    sections.iter().flat_map(of).collect()
}

fn field(section: &'static str, raw: &RawField) -> Field {
    Field {
        section,
        name: raw.name,
        need: match raw.need {
            RawNeed::Required => Need::Required,
            RawNeed::Optional => Need::Optional,
            RawNeed::Later => Need::Later,
        },
        about: raw.about,
    }
}

/// A section stands in several places of a file, and in the list once.
fn collect(section: &'static Section, found: &mut Vec<&'static Section>) {
    if found.iter().any(|it| it.what == section.what) {
        return;
    }
    found.push(section);
    for field in section.fields {
        collect_shape(&field.shape, found);
    }
}

fn collect_shape(shape: &Shape, found: &mut Vec<&'static Section>) {
    match shape {
        Shape::Section(section) => collect(section, found),
        Shape::List(inner) | Shape::Map(inner) => collect_shape(inner, found),
        Shape::Either(shapes) => shapes.iter().for_each(|it| collect_shape(it, found)),
        Shape::Text
        | Shape::Boolean
        | Shape::Integer(..)
        | Shape::Duration
        | Shape::ByteCount
        | Shape::OneOf(_)
        | Shape::JsonSchema
        | Shape::AnyMap
        | Shape::Any => {}
    }
}
