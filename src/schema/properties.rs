//! What stands under `properties` of one schema: names in their order, found by name.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::json::are_alike;
use crate::json::fold_case;

use super::node::NodeId;

/// Up to this many names are compared one by one, which is faster than a map and needs no memory.
const FEW: usize = 16;

/// Names with their schemas.
#[derive(Default)]
pub(super) struct Properties {
    listed: Vec<(String, NodeId)>,
    /// Where there are more than [`FEW`].
    many: Option<Many>,
}

/// Names of which there are many.
struct Many {
    index: HashMap<String, NodeId>,
    /// The names, with their case folded.
    folded: HashSet<String>,
}

impl Properties {
    pub(super) fn declare(&mut self, name: &str, node: NodeId) {
        self.listed.push((name.to_owned(), node));
    }

    /// All have been declared.
    pub(super) fn complete(&mut self) {
        self.listed.shrink_to_fit();
        let names = || self.listed.iter();
        self.many = (self.listed.len() > FEW).then(|| Many {
            index: names().cloned().collect(),
            folded: names().map(|(name, _)| fold_case(name)).collect(),
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, NodeId)> + Clone {
        self.listed.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<NodeId> {
        if let Some(many) = &self.many {
            return many.index.get(name).copied();
        }
        let mut listed = self.listed.iter();
        listed.find(|(it, _)| it == name).map(|(_, node)| *node)
    }

    /// Whether there is a name that differs from this one in case at most.
    pub(super) fn has_alike(&self, name: &str) -> bool {
        match &self.many {
            Some(many) => many.folded.contains(&fold_case(name)),
            None => self.listed.iter().any(|(it, _)| are_alike(it, name)),
        }
    }
}
