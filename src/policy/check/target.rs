//! Where the requests of an action go in one environment: URL, or connection and path.

use crate::action::{BadPath, PathPattern};
use crate::policy::check::connection::{Base, trimmed};
use crate::policy::check::ground::Ground;
use crate::policy::check::parameters::{Fit, Parameters};
use crate::policy::check::site::Site;
use crate::policy::check::told::{Told, part_of};
use crate::policy::raw::decode::Text;
use crate::problem::{Place, Problem};
use crate::request::{HostPattern, Scheme};

/// Where a request goes in one environment.
pub(super) struct Target<'a> {
    pub(super) scheme: Scheme,
    /// `None` where it is wrong, which has been told.
    pub(super) host: Option<HostPattern>,
    pub(super) port: u16,
    /// The whole path, as a pattern.
    path: String,
    /// The text in which the path stands, or its end.
    written: &'a Text,
    /// How many bytes of the path stand before that text, and how many of the text before the path.
    before: (usize, usize),
    pub(super) url: &'a Place,
}

impl<'a> Target<'a> {
    /// The target of an absolute URL.
    pub(super) fn of_url(url: &'a Text, site: &Site<'a>) -> Self {
        let path = if site.path.is_empty() { "/" } else { site.path };
        Self {
            scheme: site.scheme,
            host: site.host.clone(),
            port: site.port,
            path: path.to_owned(),
            written: url,
            before: (0, url.value.len() - site.path.len()),
            url: &url.place,
        }
    }

    /// Base and path, with one slash between them.
    pub(super) fn of_base(base: &Base<'a>, path: Option<&'a Text>) -> Self {
        let whole = Self::of_url(base.url, &base.site);
        let Some(path) = path.filter(|path| !path.value.is_empty()) else {
            return whole;
        };
        let start = trimmed(base.site.path);
        let end = path.value.strip_prefix('/').unwrap_or(&path.value);
        Self {
            path: format!("{start}/{end}"),
            written: path,
            before: (start.len() + 1, path.value.len() - end.len()),
            ..whole
        }
    }

    /// A path whose base is not known: there is only its text to look at.
    pub(super) fn of_path(path: &'a Text) -> Self {
        let end = path.value.strip_prefix('/').unwrap_or(&path.value);
        Self {
            scheme: Scheme::Https,
            host: None,
            port: Scheme::Https.default_port(),
            path: format!("/{end}"),
            written: path,
            before: (1, path.value.len() - end.len()),
            url: &path.place,
        }
    }

    /// Reads the path, whose every placeholder must have a single value in every call.
    pub(super) fn pattern(
        &self,
        (ground, environment): (&Ground<'_>, usize),
        parameters: &Parameters<'_>,
        told: &mut Told<'_>,
    ) -> Option<PathPattern> {
        let scope = ground.scope(environment, parameters);
        let pattern = match PathPattern::parse(&self.path, &scope) {
            Ok(pattern) => pattern,
            Err(mistake) => {
                let place = self.place(mistake.at.start, mistake.at.end);
                let problem = Problem::error(&place, mistake.bad.to_string());
                told.tell(match remedy(&mistake.bad) {
                    Some(remedy) => problem.remedy(remedy),
                    None => problem,
                });
                return None;
            }
        };
        let fits = pattern
            .parameters()
            .map(|name| self.fits(name, parameters, told));
        let fits: Vec<bool> = fits.collect();
        fits.into_iter().all(|fits| fits).then_some(pattern)
    }

    fn fits(&self, name: &str, parameters: &Parameters<'_>, told: &mut Told<'_>) -> bool {
        let (message, remedy) = if parameters.fit(name) != Fit::Scalar {
            let message = format!("`{name}` is not a single value, and cannot stand in a path");
            (message, "give it a scalar type, or send it elsewhere")
        } else if !parameters.is_certain(name) {
            let message = format!("`{name}` may be missing, and the path cannot do without it");
            (message, "list it under `required`, or give it a default")
        } else {
            return true;
        };
        let (start, end) = placeholder(&self.path, name);
        let problem = Problem::error(&self.place(start, end), message).remedy(remedy);
        told.tell(problem.second("declared here", parameters.place(name)));
        false
    }

    /// The place of some bytes of the path.
    fn place(&self, start: usize, end: usize) -> Place {
        let (of_path, of_text) = self.before;
        let at = |byte: usize| byte.saturating_sub(of_path) + of_text;
        part_of(self.written, at(start), at(end))
    }
}

fn remedy(bad: &BadPath) -> Option<&str> {
    Some(match bad {
        BadPath::Template(problem) => return problem.remedy.as_deref(),
        BadPath::NotAbsolute => "begin it with `/`",
        BadPath::QueryOrFragment => "move it to `query`",
        BadPath::EmptySegment => "write one `/`",
        BadPath::Segment(_) => "write the path that is meant",
        BadPath::Encoding(_) => "write the text itself, or its UTF-8 percent-encoding",
        BadPath::TwoPlaceholders => "make it one parameter, or two segments",
        BadPath::TwiceTheSame(_) => "use two parameters",
        BadPath::RestNotLast => "move it to the end, alone between slashes",
        BadPath::Property => "make it a parameter at the top",
        BadPath::BuiltIn => "use a parameter",
    })
}

/// The bytes of a parameter's placeholder in a path; the whole path where it is written in another way.
fn placeholder(path: &str, name: &str) -> (usize, usize) {
    let open = path.match_indices("{{").map(|(at, _)| at);
    let mut spans = open.filter_map(|at| Some((at, at + path[at..].find("}}")? + 2)));
    let found = spans.find(|(start, end)| {
        let inside = path[start + 2..end - 2].trim().trim_end_matches("...");
        inside.trim_start_matches(".parameters.") == name
    });
    found.unwrap_or((0, path.len()))
}
