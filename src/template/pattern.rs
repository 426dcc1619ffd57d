//! A body template read as a pattern of JSON. A template without control flow is one; so is one whose blocks leave out
//! whole members with the one parameter that they print. Nothing here sees a request.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use crate::template::scope::{Kind, Known, Scope};
use crate::template::tree::{Arm, Expression, Node, Path, Place, Print, Source};

/// Blocks of a template that is read as a pattern: each is rendered once more at load.
const MAX_BLOCKS: usize = 64;

/// Why bodies cannot be taken apart by a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInvertible {
    /// Byte offsets into the template.
    pub at: Range<usize>,
    /// What stands in the way.
    pub why: &'static str,
}

/// A body template, read as a pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) root: Shape,
    /// For each block, the parameter without which its members are absent.
    pub(super) groups: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    Literal(Value),
    Object(Vec<Member>),
    Array(Vec<Shape>),
    /// A value of its own.
    Whole(Piece),
    /// A string with at most one parameter.
    Text(Vec<Piece>),
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) shape: Shape,
    /// The block in which it stands.
    pub(super) group: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Literal(String),
    Parameter {
        names: Vec<String>,
        kind: Kind,
    },
    /// What no parameter changes.
    Fixed(Expression),
    /// What no client can know.
    Moment,
}

impl Pattern {
    pub(super) fn of(nodes: &[Node], scope: &Scope<'_>) -> Result<Self, NotInvertible> {
        let mut prints = HashMap::new();
        let mut blocks = Vec::new();
        for node in nodes {
            match node {
                Node::Choice {
                    arms,
                    otherwise,
                    at,
                } => {
                    let block = Block::of(arms, otherwise, at, scope)?;
                    if blocks.len() == MAX_BLOCKS {
                        return Err(refused(at, "more than 64 blocks"));
                    }
                    for node in block.body {
                        collect(node, &mut prints)?;
                    }
                    blocks.push(block);
                }
                node => collect(node, &mut prints)?,
            }
        }
        let whole = sample(nodes, None);
        let mut root = shape(&whole, &prints, scope)?;
        for (index, block) in blocks.iter().enumerate() {
            assign(&mut root, &whole, &sample(nodes, Some(index)), index)
                .map_err(|Partly| refused(&block.at, "a block that is not around whole members"))?;
        }
        let groups = blocks.iter().map(|it| it.names.clone()).collect();
        let pattern = Self { root, groups };
        pattern.against_loss(&blocks)?;
        Ok(pattern)
    }

    /// Every parameter of a block can be read whenever it has a value.
    fn against_loss(&self, blocks: &[Block<'_>]) -> Result<(), NotInvertible> {
        let mut printed = Vec::new();
        self.root.printed(None, &mut printed);
        for (index, block) in blocks.iter().enumerate() {
            let own = || printed.iter().filter(|(group, _)| *group == Some(index));
            if !own().any(|(_, names)| **names == block.names) {
                return Err(refused(
                    &block.at,
                    "a block that does not print the parameter in its condition",
                ));
            }
            let is_elsewhere = |names: &[String]| {
                printed
                    .iter()
                    .any(|(group, other)| group.is_none() && *other == names)
            };
            if own().any(|(_, names)| **names != block.names && !is_elsewhere(names)) {
                return Err(refused(
                    &block.at,
                    "a block that prints another parameter than that in its condition",
                ));
            }
        }
        for (index, (_, one)) in printed.iter().enumerate() {
            let others = printed[index + 1..].iter().map(|(_, names)| *names);
            for other in others {
                if one.len() != other.len() && (one.starts_with(other) || other.starts_with(one)) {
                    let at = blocks.first().map_or(0..0, |it| it.at.clone());
                    return Err(refused(
                        &at,
                        "a parameter that is printed whole and in part",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// `{{if .parameters.x}}…{{end}}`.
struct Block<'n> {
    names: Vec<String>,
    body: &'n [Node],
    at: Range<usize>,
}

impl<'n> Block<'n> {
    fn of(
        arms: &'n [Arm],
        otherwise: &[Node],
        at: &Range<usize>,
        scope: &Scope<'_>,
    ) -> Result<Self, NotInvertible> {
        let ([arm], []) = (arms, otherwise) else {
            return Err(refused(at, "a choice between texts (`else`)"));
        };
        let names = match &arm.condition {
            Expression::Path(path) => path.property(),
            Expression::Constant(_) | Expression::Call(..) => None,
        };
        let Some(names) = names else {
            return Err(refused(at, "a condition that is more than `.parameters.x`"));
        };
        if !scope
            .parameters
            .declared(&names)
            .is_some_and(|it| it.truthy)
        {
            let why = "a condition on a parameter that has a default, or may be false, 0 or empty";
            return Err(refused(at, why));
        }
        Ok(Self {
            names: names.into_iter().map(str::to_owned).collect(),
            body: &arm.body,
            at: at.clone(),
        })
    }
}

fn refused(at: &Range<usize>, why: &'static str) -> NotInvertible {
    NotInvertible {
        at: at.clone(),
        why,
    }
}

fn collect<'n>(
    node: &'n Node,
    prints: &mut HashMap<usize, &'n Print>,
) -> Result<(), NotInvertible> {
    match node {
        Node::Text { .. } => {}
        Node::Print(print) => {
            prints.insert(print.at.start, print);
        }
        Node::Let { .. } => return Err(refused(&(0..0), "a computed variable")),
        Node::Choice { at, .. } => return Err(refused(at, "a block inside a block")),
    }
    Ok(())
}

/// U+0000 can stand in no literal of a template: around a number it marks the place of a print, in a rendering from
/// which the pattern is read.
fn sample(nodes: &[Node], without: Option<usize>) -> Value {
    let mut text = String::new();
    let mut blocks = 0;
    for node in nodes {
        let Node::Choice { arms, .. } = node else {
            sample_node(node, &mut text);
            continue;
        };
        if without != Some(blocks) {
            arms.iter()
                .flat_map(|arm| &arm.body)
                .for_each(|node| sample_node(node, &mut text));
        }
        blocks += 1;
    }
    // Every branch was seen to be JSON.
    serde_json::from_str(&text).unwrap_or_default()
}

fn sample_node(node: &Node, text: &mut String) {
    match node {
        Node::Text { text: literal, .. } => text.push_str(literal),
        Node::Print(print) => {
            let mark = format!("\\u0000{}\\u0000", print.at.start);
            match print.place {
                Place::Json => text.push_str(&format!("\"{mark}\"")),
                Place::Quoted | Place::Plain => text.push_str(&mark),
            }
        }
        Node::Let { .. } | Node::Choice { .. } => {}
    }
}

fn shape(
    sample: &Value,
    prints: &HashMap<usize, &Print>,
    scope: &Scope<'_>,
) -> Result<Shape, NotInvertible> {
    match sample {
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| {
                Ok(Member {
                    key: key.clone(),
                    shape: shape(value, prints, scope)?,
                    group: None,
                })
            });
            Ok(Shape::Object(members.collect::<Result<_, _>>()?))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| shape(item, prints, scope));
            Ok(Shape::Array(items.collect::<Result<_, _>>()?))
        }
        Value::String(text) if text.contains('\0') => text_shape(text, prints, scope),
        literal => Ok(Shape::Literal(literal.clone())),
    }
}

fn text_shape(
    marked: &str,
    prints: &HashMap<usize, &Print>,
    scope: &Scope<'_>,
) -> Result<Shape, NotInvertible> {
    let mut pieces = Vec::new();
    let (mut parameters, mut moments, mut last) = (0, 0, 0..0);
    for (index, part) in marked.split('\0').enumerate() {
        if index % 2 == 0 {
            pieces.push(Piece::Literal(part.to_owned()));
            continue;
        }
        let Some(print) = part
            .parse()
            .ok()
            .and_then(|start: usize| prints.get(&start))
        else {
            continue;
        };
        last = print.at.clone();
        let piece = piece(print, scope)?;
        parameters += usize::from(matches!(piece, Piece::Parameter { .. }));
        moments += usize::from(matches!(piece, Piece::Moment));
        if print.place == Place::Json {
            return Ok(Shape::Whole(piece));
        }
        pieces.push(piece);
    }
    if parameters > 1 {
        return Err(refused(&last, "two parameters in one string"));
    }
    if parameters > 0 && moments > 0 {
        return Err(refused(&last, "a parameter beside the time in one string"));
    }
    Ok(Shape::Text(pieces))
}

fn piece(print: &Print, scope: &Scope<'_>) -> Result<Piece, NotInvertible> {
    let paths = print.value.paths();
    let is_parameter = |path: &&Path| matches!(path.source, Source::Parameter(_));
    if let Expression::Path(path) = &print.value
        && let Some(names) = path.property()
    {
        let kind = scope
            .parameters
            .declared(&names)
            .map_or(Kind::Untyped, |it| it.kind);
        let names = names.into_iter().map(str::to_owned).collect();
        return Ok(Piece::Parameter { names, kind });
    }
    if paths.iter().any(is_parameter) {
        return Err(refused(
            &print.at,
            "a value that is computed from a parameter",
        ));
    }
    if paths
        .iter()
        .any(|path| matches!(path.source, Source::Slot(_)))
    {
        return Err(refused(&print.at, "a computed variable"));
    }
    if paths
        .iter()
        .any(|path| path.source == Source::Known(Known::CurrentDatetime))
    {
        return Ok(Piece::Moment);
    }
    Ok(Piece::Fixed(print.value.clone()))
}

/// A block that reaches further than whole members.
struct Partly;

/// Finds the members that are absent without a block.
fn assign(shape: &mut Shape, with: &Value, without: &Value, group: usize) -> Result<(), Partly> {
    match (shape, with, without) {
        (_, with, without) if with == without => Ok(()),
        (Shape::Object(members), Value::Object(with), Value::Object(without)) => {
            for member in members {
                match (with.get(&member.key), without.get(&member.key)) {
                    (Some(_), None) if member.group.is_none() => member.group = Some(group),
                    (Some(with), Some(without)) => {
                        assign(&mut member.shape, with, without, group)?;
                    }
                    (None, None) => {}
                    _ => return Err(Partly),
                }
            }
            Ok(())
        }
        (Shape::Array(items), Value::Array(with), Value::Array(without))
            if with.len() == without.len() =>
        {
            let pairs = with.iter().zip(without);
            for (item, (with, without)) in items.iter_mut().zip(pairs) {
                assign(item, with, without, group)?;
            }
            Ok(())
        }
        _ => Err(Partly),
    }
}

impl Shape {
    /// The parameters in it, each with its block.
    fn printed<'s>(
        &'s self,
        group: Option<usize>,
        found: &mut Vec<(Option<usize>, &'s Vec<String>)>,
    ) {
        match self {
            Self::Literal(_) => {}
            Self::Object(members) => {
                for member in members {
                    member.shape.printed(member.group.or(group), found);
                }
            }
            Self::Array(items) => items.iter().for_each(|item| item.printed(group, found)),
            Self::Whole(piece) => found.extend(piece.parameter().map(|names| (group, names))),
            Self::Text(pieces) => {
                let parameters = pieces.iter().filter_map(Piece::parameter);
                found.extend(parameters.map(|names| (group, names)));
            }
        }
    }
}

impl Piece {
    fn parameter(&self) -> Option<&Vec<String>> {
        match self {
            Self::Parameter { names, .. } => Some(names),
            _ => None,
        }
    }
}
