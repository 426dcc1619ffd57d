//! Drawing problems: the source line with the place underlined, unless the line may hold a
//! credential.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::Annotation;
use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::problem::printable;

/// Colours or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files, pipes and tests.
    Plain,
    /// ANSI colours, for a terminal.
    Styled,
}

/// The texts of the files that were read, and the lines of them that are never drawn.
#[derive(Clone, Default)]
pub struct Sources {
    texts: BTreeMap<Arc<str>, Text>,
    hidden: HashSet<(Arc<str>, usize)>,
}

impl Sources {
    /// No file yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the text of a file, for drawing its lines. Returns the name for use in places.
    pub fn add(&mut self, file: &str, text: impl Into<String>) -> Arc<str> {
        let file: Arc<str> = Arc::from(file);
        self.texts.insert(Arc::clone(&file), Text::new(text.into()));
        file
    }

    /// Never draws a line of this place, whatever problem points at it: its value is a credential.
    pub fn hide(&mut self, place: &Place) {
        let lines = place.lines();
        self.hidden
            .extend(lines.map(|line| (Arc::clone(place.file()), line)));
    }

    /// The problem as a person reads it. Ends with a line feed.
    #[must_use]
    pub fn render(&self, problem: &Problem, style: Style) -> String {
        let mut text = problem.headline();
        text.push('\n');
        let drawn = self.drawing(problem, style);
        if !drawn.is_empty() {
            text.push_str(&drawn);
            text.push('\n');
        }
        text
    }

    fn drawing(&self, problem: &Problem, style: Style) -> String {
        let mut group = Group::with_level(match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        });
        group = match self.line_of(problem, &problem.place) {
            Line::Shown(line) => {
                let span = AnnotationKind::Primary.span(underlined(line, &problem.place));
                group.element(snippet(line, &problem.place).annotation(span))
            }
            Line::Hidden => group.element(Level::NOTE.message(HIDDEN)),
            Line::Absent => group,
        };
        if let Some((label, place)) = &problem.second {
            group = match self.line_of(problem, place) {
                Line::Shown(line) => {
                    let span = AnnotationKind::Context.span(underlined(line, place));
                    let drawn = snippet(line, place).path(printable(place.file()));
                    group.element(drawn.annotation(span.label(label.clone())))
                }
                Line::Hidden | Line::Absent => {
                    group.element(Level::NOTE.message(format!("{label}: {place}")))
                }
            };
        }
        if let Some(remedy) = &problem.remedy {
            group = group.element(Level::HELP.message(remedy.clone()));
        }
        if group.is_empty() {
            return String::new();
        }
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Styled => Renderer::styled(),
        };
        renderer.render(&[group])
    }

    fn line_of(&self, problem: &Problem, place: &Place) -> Line<'_> {
        let text = self.texts.get(place.file());
        let Some(line) = text.and_then(|text| text.line(place.line() - 1)) else {
            return Line::Absent;
        };
        let is_marked = self
            .hidden
            .contains(&(Arc::clone(place.file()), place.line()));
        if problem.hides_source || is_marked || looks_like_a_credential(line) {
            return Line::Hidden;
        }
        Line::Shown(line)
    }
}

/// A text and where its lines start: a file may have as many problems as lines.
#[derive(Clone)]
struct Text {
    text: String,
    starts: Vec<usize>,
}

impl Text {
    fn new(mut text: String) -> Self {
        // The renderer shows ASCII controls as pictures and leaves these, some of which move a terminal's cursor.
        let is_c1 = |c: char| matches!(c, '\u{80}'..='\u{9f}');
        if text.contains(is_c1) {
            text = text.replace(is_c1, "\u{fffd}");
        }
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        Self { text, starts }
    }

    /// A line, counted from 0, without its end.
    fn line(&self, index: usize) -> Option<&str> {
        let start = *self.starts.get(index)?;
        self.text.get(start..)?.lines().next()
    }
}

/// What a person reads instead of a line.
const HIDDEN: &str = "the line is not shown, because it may hold a credential";

/// The line of a place.
enum Line<'a> {
    Shown(&'a str),
    Hidden,
    Absent,
}

impl fmt::Debug for Sources {
    /// Names only: the texts may hold credentials, which is a problem that is still to be told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.texts.keys()).finish()
    }
}

fn snippet<'a>(line: &'a str, place: &Place) -> Snippet<'a, Annotation<'a>> {
    Snippet::source(line).line_start(place.line())
}

/// The bytes of the line that are meant: at least one character, and never past its end.
fn underlined(line: &str, place: &Place) -> Range<usize> {
    let byte = |column: usize| {
        line.char_indices()
            .nth(column)
            .map_or(line.len(), |(at, _)| at)
    };
    let start = place.column() - 1;
    byte(start)..byte(start.saturating_add(place.length().max(1)))
}

/// Whether a line holds something with the shape of a credential. This is the last net, for lines
/// that nobody marked; it may hide too much.
fn looks_like_a_credential(line: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "sk-",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xox",
        "AKIA",
        "eyJ",
    ];
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_+=~".contains(c);
    line.split(|c| !is_part(c)).any(|run| {
        let known = PREFIXES.iter().any(|prefix| run.starts_with(prefix));
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let upper = run.bytes().any(|b| b.is_ascii_uppercase());
        let lower = run.bytes().any(|b| b.is_ascii_lowercase());
        (known && run.len() >= 16)
            || (run.len() >= 20 && digits >= 2 && upper && lower)
            || (run.len() >= 32 && digits >= 2 && (upper || lower))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 1\nactions:\n  größe: {metod: POST}\n  größe: {}\n";

    fn world() -> (Sources, Arc<str>) {
        let mut sources = Sources::new();
        let file = sources.add("p.yaml", TEXT);
        (sources, file)
    }

    #[test]
    fn the_place_is_underlined_below_its_line_and_the_remedy_follows() {
        let (sources, file) = world();
        let problem = Problem::error(&Place::new(&file, 3, 11, 5), "unknown field `metod`")
            .did_you_mean("metod", ["method", "path"]);
        let expected = "\
p.yaml:3:11: error: unknown field `metod`
  |
3 |   größe: {metod: POST}
  |           ^^^^^
  |
  = help: did you mean `method`?
";
        assert_eq!(sources.render(&problem, Style::Plain), expected);
    }

    #[test]
    fn the_second_place_is_drawn_with_its_own_position() {
        let (sources, file) = world();
        let problem = Problem::error(&Place::new(&file, 4, 3, 5), "`größe` is declared twice")
            .second("first declared here", &Place::new(&file, 3, 3, 5));
        let drawn = sources.render(&problem, Style::Plain);
        assert!(
            drawn.starts_with("p.yaml:4:3: error: `größe` is declared twice\n"),
            "{drawn}"
        );
        assert!(drawn.contains("p.yaml:3:3"), "{drawn}");
        assert!(drawn.contains("----- first declared here"), "{drawn}");
    }

    #[test]
    fn a_hidden_line_is_not_drawn_for_any_problem() {
        let (mut sources, file) = world();
        let place = Place::new(&file, 3, 3, 5);
        let asked = Problem::error(&place, "no").hides_source();
        assert!(!sources.render(&asked, Style::Plain).contains("POST"));
        let other = Problem::error(&Place::new(&file, 3, 11, 5), "no");
        assert!(sources.render(&other, Style::Plain).contains("POST"));
        sources.hide(&place);
        assert!(!sources.render(&other, Style::Plain).contains("POST"));
        let pointing = Problem::error(&Place::new(&file, 4, 3, 5), "no").second("here", &place);
        let drawn = sources.render(&pointing, Style::Plain);
        assert!(
            !drawn.contains("POST") && drawn.contains("p.yaml:3:3"),
            "{drawn}"
        );
    }

    #[test]
    fn every_line_of_a_hidden_value_is_kept_off() {
        let (mut sources, file) = world();
        let last = Problem::error(&Place::new(&file, 3, 3, 2), "no");
        assert!(sources.render(&last, Style::Plain).contains("POST"));
        sources.hide(&Place::new(&file, 1, 1, 2).through(3));
        assert!(!sources.render(&last, Style::Plain).contains("POST"));
    }

    #[test]
    fn lines_with_the_shape_of_a_credential_are_hidden_unasked() {
        let rows = [
            ("token: ghp_16C7e42F292c6912E7710c838347Ae178B4a", true),
            ("key: 0123456789abcdef0123456789abcdef", true),
            ("Authorization: Bearer eyJhbGciOiJIUzI1NiIs", true),
            ("description: Creates a support ticket in Jira.", false),
            (
                "base_url: https://mycompany.atlassian.net/rest/api/3/issue",
                false,
            ),
            ("path: /v1/customers/{{customer_identifier_2026}}", false),
            ("task-force-of-eight: 3", false),
        ];
        for (line, hidden) in rows {
            assert_eq!(looks_like_a_credential(line), hidden, "{line}");
        }
    }

    #[test]
    fn a_place_outside_of_the_text_does_not_panic() {
        let (sources, file) = world();
        for (line, column, length) in [(1, 99, 4), (99, 1, 1), (4, 14, 0), (1, 1, usize::MAX)] {
            let problem = Problem::error(&Place::new(&file, line, column, length), "odd");
            assert!(sources.render(&problem, Style::Styled).contains("odd"));
        }
    }

    #[test]
    fn escape_sequences_of_a_file_do_not_reach_the_terminal() {
        let mut sources = Sources::new();
        let file = sources.add("\u{1b}[31m.yaml", "a: \u{1b}[2J\u{202e}x\n");
        let problem = Problem::error(&Place::new(&file, 1, 4, 3), "bad \u{1b}[2J\u{202e}");
        let drawn = sources.render(&problem, Style::Plain);
        assert!(!drawn.contains(['\u{1b}', '\u{202e}']), "{drawn:?}");
        assert!(!problem.json().to_string().contains(['\u{1b}', '\u{202e}']));
    }
}
