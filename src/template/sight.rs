//! What an action can see of the template around it: the dot, variables, and what the words of the root stand for.

use crate::template::tree::Expression;

/// What a template refers to, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mentions {
    /// As often as they are named.
    pub(super) parameters: Vec<String>,
    /// Dotted names below `.variables`.
    pub(super) session: Vec<String>,
    pub(super) sensitive: bool,
    pub(super) moment: bool,
}

/// What a word or a dotted name stands for. Groups are known at load: they have no value of their own.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Root,
    Parameters,
    Variables,
    Statics,
    /// The start of the names of some variables of the context.
    Group(String),
    Expression(Expression),
    /// What was wrong about it has been told.
    Unknown,
}

/// The dot and the variables that an action can see.
#[derive(Default)]
pub(super) struct Sight {
    dot: Option<Operand>,
    variables: Vec<(String, Operand)>,
    slots: usize,
    /// The dot at each mark.
    marks: Vec<(usize, Option<Operand>)>,
}

impl Sight {
    pub(super) fn mark(&mut self) -> usize {
        self.marks.push((self.variables.len(), self.dot.clone()));
        self.marks.len() - 1
    }

    /// Back to what could be seen at the mark.
    pub(super) fn forget(&mut self, mark: usize) {
        if let Some((length, dot)) = self.marks.get(mark).cloned() {
            self.variables.truncate(length);
            self.dot = dot;
            self.marks.truncate(mark);
        }
    }

    /// Back to the dot of the mark; variables of conditions are seen by every later arm.
    pub(super) fn leave_dot(&mut self, mark: usize) {
        if let Some((_, dot)) = self.marks.get(mark) {
            self.dot = dot.clone();
        }
    }

    pub(super) fn dot(&self) -> Operand {
        self.dot.clone().unwrap_or(Operand::Root)
    }

    /// The nearest declaration of this name.
    pub(super) fn variable(&self, name: &str) -> Option<Operand> {
        let mut declared = self.variables.iter().rev();
        let found = declared.find(|(it, _)| it == name);
        found.map(|(_, value)| value.clone())
    }

    pub(super) fn set_dot(&mut self, dot: Operand) {
        self.dot = Some(dot);
    }

    pub(super) fn declare(&mut self, name: &str, value: Operand) {
        self.variables.push((name.to_owned(), value));
    }

    /// A place for a computed value. None is used twice, so that no arm sees another's.
    pub(super) fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }
}
