//! How often the schemas of a source can be asked about one value, over all that a sender may send.
//!
//! A validator asks a schema again for each way that leads to it. Two ways through one property back to where they
//! began double the questions at every depth of an instance, and a chain of schemas that each refer twice to the next
//! doubles them at every link: a body of a few hundred bytes would hold a worker for hours. Both are refused here,
//! before anything is compiled. What an instance holds is not looked at: every branch counts.

use std::collections::HashSet;

use super::Problems;
use super::node::NodeId;
use super::node::Nodes;
use super::node::Step;

/// Questions about the values on one way from the root of an instance to a leaf. A schema written out without
/// references has fewer than it has subschemas.
const QUESTIONS: u64 = 10_000;

/// Recursive schemas one below the other. With each, the questions grow by the depth of the instance once more: at
/// the 64 levels that JSON may have here, four make 40 thousand.
const RECURSIONS: u64 = 4;

/// Pairs of places that are looked at for one schema, a fraction of a second's work.
const PAIRS: usize = 2_000_000;

const MESSAGE: &str = "this schema can take exponential time";

/// Refuses a source whose instances can take time out of all proportion to their length.
pub(super) fn refuse_exponential(nodes: &Nodes, problems: &mut Problems) {
    let graph = Graph::of(nodes);
    let parts = Parts::of(&graph);
    if let Some(at) = graph.fork(&parts) {
        let message = format!("{MESSAGE}: two ways lead through one property or item back to it");
        let remedy = "leave one: declare the recursive property beside the branches (`anyOf`, `oneOf`, `if`, `not`, \
                      `allOf`), not in several of them";
        problems.add(graph.pointer(at), message, remedy);
        return;
    }
    let cost = graph.cost(&parts);
    if cost.questions > QUESTIONS {
        let message = format!(
            "{MESSAGE}: its references lead to more than {QUESTIONS} schemas for one value"
        );
        let remedy =
            "refer to each schema once where it applies, not by several chains of references";
        problems.add("", message, remedy);
    } else if cost.recursions > RECURSIONS {
        let message = format!(
            "this schema can take too long: more than {RECURSIONS} recursive schemas, one below the other"
        );
        problems.add(
            "",
            message,
            "let fewer recursive schemas lead into each other",
        );
    }
}

/// A schema, or one of its keywords that lead to a property or an item.
#[derive(Default)]
struct Point<'a> {
    /// Those asked about the same value.
    here: Vec<usize>,
    /// What is asked about a part of the value.
    below: Option<(Step<'a>, usize)>,
    node: NodeId,
}

struct Graph<'a> {
    nodes: &'a Nodes,
    points: Vec<Point<'a>>,
}

/// The strongly connected parts of a graph; a later one never leads to an earlier one.
struct Parts {
    /// By point.
    of: Vec<usize>,
    /// By part.
    members: Vec<Vec<usize>>,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    questions: u64,
    recursions: u64,
}

impl<'a> Graph<'a> {
    fn of(nodes: &'a Nodes) -> Self {
        let point = |node| Point {
            node,
            ..Point::default()
        };
        let mut points: Vec<Point<'a>> = nodes.ids().map(point).collect();
        for (at, id) in nodes.ids().enumerate() {
            let node = nodes.get(id);
            // What is left unevaluated is found by asking every schema beside it once more.
            let times = if node.looks_twice() { 2 } else { 1 };
            for _ in 0..times {
                points[at].here.extend(node.in_place().map(NodeId::index));
            }
            for (step, target) in nodes.below(id) {
                let next = points.len();
                points[at].here.push(next);
                let below = Some((step, target.index()));
                points.push(Point { below, ..point(id) });
            }
        }
        Self { nodes, points }
    }

    fn pointer(&self, at: usize) -> &str {
        let fragment = &self.nodes.get(self.points[at].node).fragment;
        fragment.trim_start_matches('#')
    }

    fn next(&self, at: usize) -> impl Iterator<Item = usize> {
        let point = &self.points[at];
        point
            .here
            .iter()
            .copied()
            .chain(point.below.map(|(_, target)| target))
    }

    /// A point from which two ways through the same steps lead back to it. With such a point, and only with one, the
    /// number of ways grows exponentially with the number of steps (Weber and Seidl 1991, "On the degree of ambiguity
    /// of finite automata", criterion EDA). Where there is too much to look at, the answer is yes.
    fn fork(&self, parts: &Parts) -> Option<usize> {
        let mut left = PAIRS;
        (0..self.points.len()).find(|at| {
            let part = parts.of[*at];
            let inside = |next: &&usize| parts.of[**next] == part;
            let ways: Vec<usize> = self.points[*at]
                .here
                .iter()
                .filter(inside)
                .copied()
                .collect();
            ways.len() > 1 && self.ways_meet(*at, &ways, parts, &mut left)
        })
    }

    fn ways_meet(&self, at: usize, ways: &[usize], parts: &Parts, left: &mut usize) -> bool {
        let (mut seen, mut ahead) = (HashSet::new(), Vec::new());
        for (number, one) in ways.iter().enumerate() {
            ahead.extend(ways[..number].iter().map(|other| (*one, *other)));
        }
        while let Some((one, other)) = ahead.pop() {
            let pair = (one.min(other), one.max(other));
            if !seen.insert(pair) {
                continue;
            }
            if pair == (at, at) || *left == 0 {
                return true;
            }
            *left -= 1;
            let inside = |(one, other): &(usize, usize)| {
                parts.of[*one] == parts.of[at] && parts.of[*other] == parts.of[at]
            };
            ahead.extend(self.onward(pair).into_iter().filter(inside));
        }
        false
    }

    /// Where two ways are after one of them went on at the same value, or both went the same step below.
    fn onward(&self, (one, other): (usize, usize)) -> Vec<(usize, usize)> {
        let (from, to) = (&self.points[one], &self.points[other]);
        let mut next: Vec<_> = from.here.iter().map(|one| (*one, other)).collect();
        next.extend(to.here.iter().map(|other| (one, *other)));
        if let (Some((step, one)), Some((same, other))) = (from.below, to.below)
            && step.meets(same, self.nodes)
        {
            next.push((one, other));
        }
        next
    }

    /// The cost of the root.
    fn cost(&self, parts: &Parts) -> Cost {
        let mut costs: Vec<Cost> = vec![Cost::default(); parts.members.len()];
        for part in (0..parts.members.len()).rev() {
            let mut cost = Cost::default();
            for at in &parts.members[part] {
                let own = self.cost_outside(*at, part, parts, &costs);
                cost.questions = cost.questions.saturating_add(own.questions);
                cost.recursions = cost.recursions.max(own.recursions);
            }
            let recursive = parts.members[part].len() > 1;
            cost.recursions += u64::from(recursive);
            costs[part] = cost;
        }
        costs[parts.of[0]]
    }

    /// One question, and those that it leads to in other parts: all of those about the same value, and the dearest
    /// step below, together with the steps that may go to the same place.
    fn cost_outside(&self, at: usize, part: usize, parts: &Parts, costs: &[Cost]) -> Cost {
        let of = |target: usize| match parts.of[target] {
            own if own == part => Cost::default(),
            other => costs[other],
        };
        let mut steps: Vec<(Step<'_>, u64)> = Vec::new();
        let (mut questions, mut recursions) = (1_u64, 0);
        for next in &self.points[at].here {
            let cost = of(*next);
            recursions = recursions.max(cost.recursions);
            match self.points[*next].below {
                Some((step, _)) => steps.push((step, cost.questions)),
                None => questions = questions.saturating_add(cost.questions),
            }
        }
        if let Some((_, target)) = self.points[at].below {
            let cost = of(target);
            (questions, recursions) = (cost.questions, cost.recursions);
        }
        let same_place = |(step, _): &(Step<'_>, u64)| {
            let meeting = steps.iter().filter(|(it, _)| it.meets(*step, self.nodes));
            meeting.fold(0_u64, |sum, (_, cost)| sum.saturating_add(*cost))
        };
        // Steps to names that are written out never meet each other, and there can be many.
        let (named, other): (Vec<_>, Vec<_>) = steps
            .iter()
            .partition(|(step, _)| matches!(step, Step::Name(_)));
        let dearest = named.iter().map(|(_, cost)| *cost).max().unwrap_or(0);
        let beside = other.iter().map(same_place).max().unwrap_or(0);
        let below = if other.is_empty() {
            dearest
        } else {
            dearest.saturating_add(beside)
        };
        Cost {
            questions: questions.saturating_add(below),
            recursions,
        }
    }
}

impl Parts {
    /// By Kosaraju's two walks, without recursion: a chain of references may be as long as a file.
    fn of(graph: &Graph<'_>) -> Self {
        let count = graph.points.len();
        let mut back: Vec<Vec<usize>> = vec![Vec::new(); count];
        for at in 0..count {
            graph.next(at).for_each(|next| back[next].push(at));
        }
        let mut parts = Self {
            of: vec![usize::MAX; count],
            members: Vec::new(),
        };
        for start in finished(graph).into_iter().rev() {
            let mut ahead = vec![start];
            let mut members = Vec::new();
            while let Some(at) = ahead.pop() {
                if parts.of[at] == usize::MAX {
                    parts.of[at] = parts.members.len();
                    members.push(at);
                    ahead.extend(&back[at]);
                }
            }
            if !members.is_empty() {
                parts.members.push(members);
            }
        }
        parts
    }
}

/// The points in the order in which a walk in depth leaves them.
fn finished(graph: &Graph<'_>) -> Vec<usize> {
    let mut met = vec![false; graph.points.len()];
    let mut order = Vec::new();
    for start in 0..graph.points.len() {
        let mut ahead = vec![(start, false)];
        while let Some((at, leaving)) = ahead.pop() {
            if leaving {
                order.push(at);
            } else if !met[at] {
                met[at] = true;
                ahead.push((at, true));
                ahead.extend(graph.next(at).map(|next| (next, false)));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::schema::Schema;
    use crate::schema::dialect::Dialect;
    use crate::schema::patterns::Patterns;

    use super::*;

    fn nodes(source: &Value) -> Nodes {
        let mut problems = Problems::default();
        let dialect = Dialect::of(source).unwrap();
        let nodes = Nodes::build(
            dialect,
            source,
            &std::collections::BTreeMap::new(),
            &Patterns::default(),
            &mut problems,
        );
        assert!(problems.0.is_empty(), "{source}: {:?}", problems.0);
        nodes
    }

    /// Where a source is refused, and whether for its time.
    fn refused_at(source: &Value) -> Option<String> {
        let problems = Schema::compile(source).err()?;
        assert_eq!(problems.len(), 1, "{source}: {problems:?}");
        assert!(problems[0].message.contains("can take"), "{problems:?}");
        Some(problems[0].pointer.clone())
    }

    /// Definitions of which each says twice what the next one says, of the same value or of a property.
    fn chain(links: usize, link: impl Fn(&str) -> Value) -> Value {
        let mut source = json!({"$ref": "#/$defs/d0", "$defs": {}});
        for at in 0..links {
            let next = format!("#/$defs/d{}", at + 1);
            source["$defs"][format!("d{at}")] = link(&next);
        }
        source["$defs"][format!("d{links}")] = json!({"type": "object"});
        source
    }

    #[test]
    fn schemas_that_ask_twice_at_every_depth_are_refused() {
        let again = json!({"properties": {"a": {"$ref": "#"}}});
        for (source, at) in [
            (json!({"anyOf": [again, again]}), ""),
            (
                json!({"oneOf": [again, {"properties": {"a": {"$ref": "#"}}, "required": ["b"]}]}),
                "",
            ),
            (
                json!({"allOf": [again], "properties": {"a": {"$ref": "#"}}}),
                "",
            ),
            (
                json!({"not": again, "properties": {"a": {"$ref": "#"}}}),
                "",
            ),
            (json!({"if": again, "then": again}), ""),
            (
                json!({"if": again, "else": {"additionalProperties": {"$ref": "#"}}}),
                "",
            ),
            (json!({"dependentSchemas": {"x": again, "y": again}}), ""),
            (
                json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}),
                "/properties/a",
            ),
            (
                json!({"properties": {"a": {"$ref": "#"}}, "patternProperties": {"^a": {"$ref": "#"}}}),
                "",
            ),
            (
                json!({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}),
                "",
            ),
            (
                json!({"prefixItems": [{"$ref": "#"}], "contains": {"$ref": "#"}}),
                "",
            ),
            (
                json!({"allOf": [again], "unevaluatedProperties": false}),
                "",
            ),
            (
                json!({"anyOf": [again, {"type": "null"}], "unevaluatedItems": true}),
                "",
            ),
            (
                json!({"$ref": "#/$defs/x", "$defs": {
                    "x": {"properties": {"a": {"$ref": "#/$defs/y"}}, "anyOf": [{"properties": {"a": {"$ref": "#/$defs/z"}}}]},
                    "y": {"properties": {"b": {"$ref": "#/$defs/x"}}},
                    "z": {"patternProperties": {"b": {"$ref": "#/$defs/x"}}},
                }}),
                "/$defs/x",
            ),
        ] {
            assert_eq!(refused_at(&source).as_deref(), Some(at), "{source}");
        }
    }

    #[test]
    fn chains_that_double_at_every_link_are_refused_when_they_are_long() {
        for link in [
            |next: &str| json!({"allOf": [{"$ref": next}, {"$ref": next}]}),
            |next: &str| json!({"anyOf": [{"$ref": next}, {"not": {"$ref": next}}]}),
            |next: &str| {
                json!({"properties": {"a": {"$ref": next}}, "additionalProperties": false,
                                "patternProperties": {"^a$": {"$ref": next}}})
            },
            |next: &str| json!({"propertyNames": {"allOf": [{"$ref": next}, {"$ref": next}]}}),
        ] {
            assert_eq!(refused_at(&chain(6, link)), None);
            assert_eq!(refused_at(&chain(40, link)).as_deref(), Some(""));
        }
        let wide = |next: &str| json!({"properties": {"a": {"$ref": next}, "b": {"$ref": next}, "c": {"$ref": next}}});
        assert_eq!(
            refused_at(&chain(40, wide)),
            None,
            "each value is asked about once"
        );
        assert_eq!(
            refused_at(&chain(
                2_000,
                |next| json!({"properties": {"a": {"$ref": next}}})
            )),
            None
        );
    }

    #[test]
    fn recursive_schemas_below_each_other_are_few() {
        let link = |next: &str| {
            let own = next
                .trim_start_matches("#/$defs/d")
                .parse::<usize>()
                .unwrap()
                - 1;
            json!({"properties": {"a": {"$ref": format!("#/$defs/d{own}")}}, "anyOf": [{"$ref": next}, {"type": "object"}]})
        };
        assert_eq!(refused_at(&chain(4, link)), None);
        assert_eq!(refused_at(&chain(5, link)).as_deref(), Some(""));
    }

    #[test]
    fn ordinary_recursion_is_compiled_and_checks_instances() {
        let rule = |name: &str| json!({"properties": {name: {"items": {"$ref": "#"}}}, "required": [name]});
        let number = json!({"properties": {"value": {"type": "integer"}}, "required": ["value"]});
        for (source, valid, invalid) in [
            (
                json!({"properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}),
                json!({"kids": [{"kids": []}, {}]}),
                json!({"kids": [{"kids": 1}]}),
            ),
            (
                json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "is": {"type": "integer"}}}),
                json!({"left": {"right": {"is": 1}}, "right": {}}),
                json!({"left": {"right": {"is": "x"}}}),
            ),
            (
                json!({"oneOf": [rule("and"), rule("or"), rule("none"), number]}),
                json!({"and": [{"or": [{"value": 1}, {"value": 2}]}, {"none": []}]}),
                json!({"and": [{"or": [{"value": 1}, {"xor": []}]}]}),
            ),
            (
                json!({"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}}),
                json!({"next": {"next": null}}),
                json!({"next": {"next": 1}}),
            ),
            (
                json!({"prefixItems": [{"$ref": "#"}], "items": {"$ref": "#"}, "type": "array"}),
                json!([[[]], [], []]),
                json!([[[1]]]),
            ),
        ] {
            let schema = Schema::compile(&source).unwrap_or_else(|it| panic!("{source}: {it:?}"));
            assert_eq!(schema.check(&valid), Ok(()), "{source}");
            assert!(schema.check(&invalid).is_err(), "{source}");
        }
    }

    /// How often schemas are asked about the values of `{"a": {"b": …}}`, one letter for each depth.
    fn questions(graph: &Graph<'_>, letters: &[u8]) -> u64 {
        let mut known: HashMap<(usize, usize), u64> = HashMap::new();
        // What is asked at a depth needs the depth below, and the points of a place lead to no loop there.
        fn ask(
            graph: &Graph<'_>,
            at: usize,
            letters: &[u8],
            known: &mut HashMap<(usize, usize), u64>,
        ) -> u64 {
            if let Some(count) = known.get(&(at, letters.len())) {
                return *count;
            }
            let point = &graph.points[at];
            let mut count = u64::from(point.below.is_none());
            for next in &point.here {
                count = count.saturating_add(ask(graph, *next, letters, known));
            }
            if let (Some((step, target)), Some(letter)) = (point.below, letters.first()) {
                let name = std::str::from_utf8(std::slice::from_ref(letter)).unwrap();
                if step.meets(Step::Name(name), graph.nodes) {
                    count = count.saturating_add(ask(graph, target, &letters[1..], known));
                }
            }
            known.insert((at, letters.len()), count);
            count
        }
        ask(graph, 0, letters, &mut known)
    }

    /// Definitions that refer to each other at the same value and through properties. References at the same value
    /// lead onward only, so that none of them is a loop.
    fn sources() -> impl Strategy<Value = Value> {
        const COUNT: usize = 4;
        let edge = (0..COUNT, 0..COUNT, 0..6_usize);
        prop::collection::vec(edge, 1..9).prop_map(|edges| {
            let mut source = json!({"$ref": "#/$defs/d0", "$defs": {}});
            for at in 0..COUNT {
                source["$defs"][format!("d{at}")] =
                    json!({"type": "object", "properties": {}, "anyOf": [true]});
            }
            for (from, to, kind) in edges {
                let to_name = json!({"$ref": format!("#/$defs/d{to}")});
                let held = &mut source["$defs"][format!("d{from}")];
                match kind {
                    0 | 1 => held["properties"]["a"] = to_name,
                    2 => held["properties"]["b"] = to_name,
                    3 => held["additionalProperties"] = to_name,
                    _ if to > from => held["anyOf"].as_array_mut().unwrap().push(to_name),
                    _ => held["anyOf"]
                        .as_array_mut()
                        .unwrap()
                        .push(json!({"properties": {"a": to_name}})),
                }
            }
            source
        })
    }

    proptest! {
        #[test]
        fn what_is_accepted_asks_no_more_than_its_recursions_allow(source in sources(), letters in prop::collection::vec(prop::sample::select(b"ab".as_slice()), 64)) {
            let nodes = nodes(&source);
            let graph = Graph::of(&nodes);
            let parts = Parts::of(&graph);
            let fork = graph.fork(&parts);
            for letters in [&letters, &vec![b'a'; 64], &[b'a', b'b'].repeat(32)] {
                let asked = questions(&graph, letters);
                let cost = graph.cost(&parts);
                let power = u32::try_from(cost.recursions).unwrap();
                let most = cost.questions.saturating_mul(65_u64.saturating_pow(power));
                prop_assert!(fork.is_some() || asked <= most, "{} asks {} times", source, asked);
            }
        }

        #[test]
        fn what_is_refused_has_two_ways_by_one_word(source in sources()) {
            let nodes = nodes(&source);
            let graph = Graph::of(&nodes);
            let parts = Parts::of(&graph);
            // Definitions this small need few letters for it.
            if let Some(at) = graph.fork(&parts) {
                let mut words: Vec<Vec<u8>> = vec![vec![]];
                let mut doubles = false;
                while let Some(word) = words.pop().filter(|_| !doubles) {
                    doubles = ways(&graph, at, &word) > 1;
                    if word.len() < 8 {
                        words.extend(b"abc".map(|letter| [word.as_slice(), &[letter]].concat()));
                    }
                }
                prop_assert!(doubles, "{}", source);
            }
        }
    }

    /// The ways from a point back to it by the letters of a word.
    fn ways(graph: &Graph<'_>, start: usize, word: &[u8]) -> u64 {
        fn from(graph: &Graph<'_>, at: usize, start: usize, word: &[u8]) -> u64 {
            let point = &graph.points[at];
            let mut count = u64::from(word.is_empty() && at == start);
            count += point
                .here
                .iter()
                .map(|next| from(graph, *next, start, word))
                .sum::<u64>();
            if let (Some((step, target)), Some((letter, rest))) = (point.below, word.split_first())
            {
                let name = std::str::from_utf8(std::slice::from_ref(letter)).unwrap();
                if step.meets(Step::Name(name), graph.nodes) {
                    count += from(graph, target, start, rest);
                }
            }
            count
        }
        from(graph, start, start, word)
    }
}
