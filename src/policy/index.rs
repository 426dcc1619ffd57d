//! Actions by what they match: host, port, method, then the path segment by segment.
//!
//! Look-ups cost what the request is long, never what the policy is large. Literal beats placeholder at the first
//! segment in which two patterns differ; two patterns that fit a common path while neither is the narrower at every
//! segment are an [`Overlap`], and a policy with one is not loaded. So the first match found is the only one there is.

use std::sync::Arc;

use http::Method;

use crate::action::{Action, PathPattern, Segment};
use crate::policy::hash::PolicyMap;
use crate::request::{Host, HostPattern, Path, Scheme};

/// The actions of one environment, by what they match.
#[derive(Debug, Default)]
pub struct Index {
    exact: PolicyMap<Host, Site>,
    one_label: PolicyMap<Host, Site>,
}

/// Two actions between which a request could not choose.
#[derive(Debug)]
pub struct Overlap {
    /// The action that was declared before.
    pub first: Arc<Action>,
}

/// What is declared at a host.
#[derive(Debug)]
struct Site {
    scheme: Scheme,
    ports: Vec<Port>,
}

#[derive(Debug)]
struct Port {
    number: u16,
    methods: Vec<(Method, Tree)>,
}

/// One found look-up.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The one action that fits, and whether it is the one for every path that its pattern fits.
    Action(&'a Arc<Action>, Standing),
    /// No action has this host.
    NoHost,
    /// The host is there, but not at this port.
    NoPort,
    /// Host and port are there, but no action fits. These are the trees to look for near ones.
    NoAction(Near<'a>),
}

/// The actions of a host and port, for a refusal that names the nearest.
#[derive(Debug)]
pub(super) struct Near<'a>(&'a Port);

/// How an action stands to the others of its host, port and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No narrower pattern fits a path that its own fits: it is the one for all of them.
    Unrivalled,
    /// Some of its paths are another action's.
    Rivalled,
}

impl Index {
    /// Adds an action. All actions of a host have one scheme; the policy has seen to it.
    ///
    /// # Errors
    /// The action with which it overlaps; nothing is added.
    pub fn insert(&mut self, action: Arc<Action>) -> Result<(), Overlap> {
        let (sites, host) = match &action.host {
            HostPattern::Exact(host) => (&mut self.exact, host),
            HostPattern::OneLabel(parent) => (&mut self.one_label, parent),
        };
        let site = sites.entry(host.clone()).or_insert_with(|| Site {
            scheme: action.scheme,
            ports: Vec::new(),
        });
        site.tree(action.port, &action.method).insert(action)
    }

    /// The scheme of a host's actions.
    pub fn scheme(&self, host: &Host) -> Option<Scheme> {
        self.site(host).map(|site| site.scheme)
    }

    /// Whether any action has this host.
    pub fn knows(&self, host: &Host) -> bool {
        self.site(host).is_some()
    }

    /// Whether any action has this host and port.
    pub fn has(&self, host: &Host, port: u16) -> bool {
        self.site(host)
            .is_some_and(|site| site.port(port).is_some())
    }

    /// A host as the policy writes it: itself, or the `*.` that covers it.
    pub fn written(&self, host: &Host) -> Option<HostPattern> {
        if self.exact.contains_key(host) {
            return Some(HostPattern::Exact(host.clone()));
        }
        let (parent, _) = self.one_label.get_key_value(host.parent()?)?;
        Some(HostPattern::OneLabel(parent.clone()))
    }

    /// The action for a request.
    pub(super) fn find(&self, host: &Host, port: u16, method: &Method, path: &Path) -> Found<'_> {
        let Some(site) = self.site(host) else {
            return Found::NoHost;
        };
        let Some(port) = site.port(port) else {
            return Found::NoPort;
        };
        match port.tree(method).and_then(|tree| tree.find(path)) {
            Some((action, standing)) => Found::Action(action, standing),
            None => Found::NoAction(Near(port)),
        }
    }

    /// All actions at a host and port.
    pub(super) fn at(&self, host: &Host, port: u16) -> impl Iterator<Item = &Arc<Action>> {
        let port = self.site(host).and_then(|site| site.port(port));
        let trees = port.into_iter().flat_map(|port| &port.methods);
        trees.flat_map(|(_, tree)| &tree.actions)
    }

    fn site(&self, host: &Host) -> Option<&Site> {
        let wild = || self.one_label.get(host.parent()?);
        self.exact.get(host).or_else(wild)
    }
}

impl Near<'_> {
    /// How many actions a refusal looks at, so that asking for nonsense stays cheap at a large host.
    const LOOKED_AT: usize = 64;

    /// Some of the actions, of every method.
    pub(super) fn actions(&self) -> impl Iterator<Item = &Arc<Action>> {
        let trees = self.0.methods.iter();
        trees
            .flat_map(|(_, tree)| &tree.actions)
            .take(Self::LOOKED_AT)
    }

    /// The methods with which this very path is declared by an action that counts.
    pub(super) fn methods(&self, path: &Path, counts: impl Fn(&Action) -> bool) -> Vec<&Method> {
        let trees = self.0.methods.iter();
        trees
            .filter(|(_, tree)| tree.find(path).is_some_and(|(action, _)| counts(action)))
            .map(|(method, _)| method)
            .collect()
    }
}

impl Site {
    fn port(&self, number: u16) -> Option<&Port> {
        self.ports.iter().find(|it| it.number == number)
    }

    fn tree(&mut self, number: u16, method: &Method) -> &mut Tree {
        let at = self.ports.iter().position(|it| it.number == number);
        let at = at.unwrap_or_else(|| {
            self.ports.push(Port {
                number,
                methods: Vec::new(),
            });
            self.ports.len() - 1
        });
        self.ports[at].tree_of(method)
    }
}

impl Port {
    fn tree(&self, method: &Method) -> Option<&Tree> {
        let found = self.methods.iter().find(|(it, _)| it == method);
        found.map(|(_, tree)| tree)
    }

    fn tree_of(&mut self, method: &Method) -> &mut Tree {
        let at = self.methods.iter().position(|(it, _)| it == method);
        let at = at.unwrap_or_else(|| {
            self.methods.push((method.clone(), Tree::default()));
            self.methods.len() - 1
        });
        &mut self.methods[at].1
    }
}

/// The paths of one host, port and method.
#[derive(Debug, Default)]
struct Tree {
    root: Node,
    actions: Vec<Arc<Action>>,
    /// Of the same actions, in the same order.
    standings: Vec<Standing>,
}

/// A segment's place in the tree. Numbers are places in `Tree::actions`.
#[derive(Debug, Default)]
struct Node {
    /// Boxed, since a map has room for more than it holds: mostly for three more.
    literals: PolicyMap<Box<str>, Box<Node>>,
    /// From the narrowest to the widest: the longest literals first.
    placeholders: Vec<(Segment, Node)>,
    rest: Option<usize>,
    end: Option<usize>,
}

impl Tree {
    fn insert(&mut self, action: Arc<Action>) -> Result<(), Overlap> {
        let mut others = Vec::new();
        self.root.overlapping(action.path.segments(), &mut others);
        let mut standing = Standing::Unrivalled;
        let mut beaten = Vec::new();
        for number in others {
            let other = &self.actions[number];
            if narrower(&other.path, &action.path) {
                standing = Standing::Rivalled;
            } else if narrower(&action.path, &other.path) {
                beaten.push(number);
            } else {
                let first = other.clone();
                return Err(Overlap { first });
            }
        }
        for number in beaten {
            self.standings[number] = Standing::Rivalled;
        }
        let number = self.actions.len();
        self.root.insert(action.path.segments(), number);
        self.actions.push(action);
        self.standings.push(standing);
        Ok(())
    }

    fn find(&self, path: &Path) -> Option<(&Arc<Action>, Standing)> {
        let number = self.root.find(path, 0)?;
        Some((&self.actions[number], self.standings[number]))
    }
}

impl Node {
    fn find(&self, path: &Path, at: usize) -> Option<usize> {
        if at == path.len() {
            return self.end;
        }
        let segment = path.segment(at);
        let literal = self.literals.get(segment);
        if let Some(found) = literal.and_then(|node| node.find(path, at + 1)) {
            return Some(found);
        }
        let fitting = self.placeholders.iter();
        let found = fitting
            .filter(|(pattern, _)| pattern.captures(segment).is_some())
            .find_map(|(_, node)| node.find(path, at + 1));
        found.or_else(|| self.rest.filter(|_| path.rest(at).is_some()))
    }

    fn insert(&mut self, segments: &[Segment], number: usize) {
        match segments {
            [] => self.end = Some(number),
            [Segment::Rest { .. }, ..] => self.rest = Some(number),
            [Segment::Literal { decoded, .. }, rest @ ..] => {
                let node = self.literals.entry(decoded.clone()).or_default();
                node.insert(rest, number);
            }
            [segment, rest @ ..] => self.placeholder(segment).insert(rest, number),
        }
    }

    fn placeholder(&mut self, segment: &Segment) -> &mut Node {
        let same = |(it, _): &(Segment, Node)| literals(it) == literals(segment);
        let at = self.placeholders.iter().position(same);
        let at = at.unwrap_or_else(|| {
            let narrower = |(it, _): &(Segment, Node)| width(it) >= width(segment);
            let at = self
                .placeholders
                .iter()
                .take_while(|it| narrower(it))
                .count();
            // Mostly one, where the first growth of a list makes room for four.
            self.placeholders.reserve_exact(1);
            self.placeholders
                .insert(at, (segment.clone(), Node::default()));
            at
        });
        &mut self.placeholders[at].1
    }

    /// The actions that may fit a path which a pattern of these segments fits too.
    fn overlapping(&self, segments: &[Segment], out: &mut Vec<usize>) {
        match segments {
            [] => out.extend(self.end),
            [Segment::Rest { .. }, ..] => self.all_below(out),
            [segment, rest @ ..] => {
                // A rest of the policy may swallow whatever follows here, an empty last segment aside.
                out.extend(self.rest);
                self.overlapping_children(segment, rest, out);
            }
        }
    }

    fn overlapping_children(&self, segment: &Segment, rest: &[Segment], out: &mut Vec<usize>) {
        match segment {
            Segment::Literal { decoded, .. } => {
                if let Some(node) = self.literals.get(decoded) {
                    node.overlapping(rest, out);
                }
                for (pattern, node) in &self.placeholders {
                    if pattern.captures(decoded).is_some() {
                        node.overlapping(rest, out);
                    }
                }
            }
            _ => {
                for (literal, node) in &self.literals {
                    if segment.captures(literal).is_some() {
                        node.overlapping(rest, out);
                    }
                }
                for (pattern, node) in &self.placeholders {
                    if meet(pattern, segment) {
                        node.overlapping(rest, out);
                    }
                }
            }
        }
    }

    fn all_below(&self, out: &mut Vec<usize>) {
        out.extend(self.rest);
        let literals = self.literals.values().map(Box::as_ref);
        let placeholders = self.placeholders.iter().map(|(_, node)| node);
        for node in literals.chain(placeholders) {
            out.extend(node.end);
            node.all_below(out);
        }
    }
}

fn literals(segment: &Segment) -> Option<(&str, &str)> {
    match segment {
        Segment::Placeholder { prefix, suffix, .. } => Some((prefix, suffix)),
        _ => None,
    }
}

fn width(segment: &Segment) -> usize {
    literals(segment).map_or(0, |(prefix, suffix)| prefix.len() + suffix.len())
}

/// Whether some segment fits both placeholders: one prefix begins the other, one suffix ends the other.
fn meet(one: &Segment, other: &Segment) -> bool {
    let (Some((prefix, suffix)), Some((other_prefix, other_suffix))) =
        (literals(one), literals(other))
    else {
        return true;
    };
    (prefix.starts_with(other_prefix) || other_prefix.starts_with(prefix))
        && (suffix.ends_with(other_suffix) || other_suffix.ends_with(suffix))
}

/// Whether, of two patterns that overlap, the first is at every segment at least as narrow, and somewhere narrower.
fn narrower(one: &PathPattern, other: &PathPattern) -> bool {
    let (mut ones, mut others) = (one.segments().iter(), other.segments().iter());
    let mut somewhere = false;
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return somewhere,
            (Some(Segment::Rest { .. }), Some(Segment::Rest { .. })) => return somewhere,
            (Some(_), Some(Segment::Rest { .. })) => return true,
            (Some(one), Some(other)) if within(one, other) => somewhere |= !within(other, one),
            _ => return false,
        }
    }
}

/// Whether every segment that fits the first fits the second.
fn within(one: &Segment, other: &Segment) -> bool {
    match (one, other) {
        (Segment::Literal { decoded, .. }, other) => other.captures(decoded).is_some(),
        (one, other) => match (literals(one), literals(other)) {
            (Some((prefix, suffix)), Some((wide_prefix, wide_suffix))) => {
                prefix.starts_with(wide_prefix) && suffix.ends_with(wide_suffix)
            }
            _ => false,
        },
    }
}
