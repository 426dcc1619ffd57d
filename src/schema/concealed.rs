//! What a schema marks as `writeOnly`: values that are sent and never shown.

use super::Schema;
use super::node::{Node, NodeId, Nodes, Step, fits};

impl Schema {
    /// Whether the value at a JSON Pointer (RFC 6901) is marked `writeOnly`, stands in one that is, or may hold one.
    #[must_use]
    pub fn conceals(&self, pointer: &str) -> bool {
        if !self.nodes.iter().any(|node| node.write_only) {
            return false;
        }
        let mut views = vec![Nodes::ROOT];
        for step in pointer.split('/').skip(1) {
            let name = step.replace("~1", "/").replace("~0", "~");
            let members = self.members(&views);
            if self.is_marked(&members) {
                return true;
            }
            views = members
                .iter()
                .flat_map(|id| self.nodes.below(*id))
                .filter(|(step, _)| self.leads(*step, &name))
                .map(|(_, id)| id)
                .collect();
        }
        self.reaches_mark(views)
    }

    /// Those that may describe the same value.
    fn members(&self, views: &[NodeId]) -> Vec<NodeId> {
        let possible = views.iter().flat_map(|id| &self.nodes.get(*id).possible);
        possible.copied().collect()
    }

    fn is_marked(&self, members: &[NodeId]) -> bool {
        members.iter().any(|id| self.nodes.get(*id).write_only)
    }

    fn leads(&self, step: Step<'_>, name: &str) -> bool {
        match step {
            Step::Name(it) => it == name,
            Step::Pattern(_, pattern) => fits(pattern, name),
            Step::OtherName(id) => self.nodes.get(id).property(name).is_none(),
            Step::Item(at) => name.parse() == Ok(at),
            Step::ItemsFrom(from) => name.parse().is_ok_and(|at: usize| at >= from),
            Step::Key => false,
        }
    }

    /// Whether a marked schema is among these or below; schemas may be recursive.
    fn reaches_mark(&self, mut ahead: Vec<NodeId>) -> bool {
        let mut seen = vec![false; self.nodes.iter().count()];
        while let Some(id) = ahead.pop() {
            if std::mem::replace(&mut seen[id.index()], true) {
                continue;
            }
            let Node {
                write_only,
                possible,
                ..
            } = self.nodes.get(id);
            if *write_only {
                return true;
            }
            ahead.extend(possible);
            ahead.extend(self.nodes.below(id).into_iter().map(|(_, id)| id));
        }
        false
    }
}
