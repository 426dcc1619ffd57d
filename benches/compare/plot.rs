//! Plots as SVG: panels side by side, each with lines over decades on both axes.

use std::fmt::Write;

/// One pair of axes.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// What the lower axis counts.
    pub(crate) over: String,
    pub(crate) series: Vec<Series>,
}

/// A line and its name.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Both are more than zero.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;

/// Told apart also by those who see no red or green (Okabe and Ito's palette).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// The whole picture.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        let left = WIDTH * number as f64;
        let _ = writeln!(svg, "<g transform=\"translate({left} 0)\">");
        panel.draw(&mut svg);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, svg: &mut String) {
        let points = || self.series.iter().flat_map(|it| it.points.iter());
        let across = Scale::over(points().map(|it| it.0), (LEFT, WIDTH - RIGHT));
        let up = Scale::over(points().map(|it| it.1), (HEIGHT - BOTTOM, TOP));
        text(svg, (LEFT, 20.0, "start"), &self.title);
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        text(svg, (middle, HEIGHT - 12.0, "middle"), &self.over);
        for value in across.marks() {
            let x = across.place(value);
            line(svg, (x, TOP), (x, HEIGHT - BOTTOM));
            text(svg, (x, HEIGHT - BOTTOM + 18.0, "middle"), &short(value));
        }
        for value in up.marks() {
            let y = up.place(value);
            line(svg, (LEFT, y), (WIDTH - RIGHT, y));
            text(svg, (LEFT - 6.0, y + 4.0, "end"), &short(value));
        }
        for ((number, series), colour) in self.series.iter().enumerate().zip(COLOURS) {
            series.draw(svg, (&across, &up), colour);
            let x = LEFT + 90.0 * number as f64;
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"40\" fill=\"{colour}\">{}</text>",
                series.name
            );
        }
    }
}

impl Series {
    fn draw(&self, svg: &mut String, (across, up): (&Scale, &Scale), colour: &str) {
        let mut path = String::new();
        for (x, y) in &self.points {
            let (x, y) = (across.place(*x), up.place(*y));
            let _ = write!(path, "{x:.1},{y:.1} ");
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let path = path.trim_end();
        let _ = writeln!(
            svg,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
        );
    }
}

/// Decades, from the one below all values to the one above them.
struct Scale {
    first: i32,
    last: i32,
    ends: (f64, f64),
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>, ends: (f64, f64)) -> Self {
        let logs: Vec<f64> = values.map(f64::log10).collect();
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = least.floor() as i32;
        Self {
            first,
            last: (most.ceil() as i32).max(first + 1),
            ends,
        }
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        (self.first..=self.last).map(|power| 10_f64.powi(power))
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.first)) / f64::from(self.last - self.first);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, (x, y, anchor): (f64, f64, &str), what: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333333\">{what}</text>"
    );
}

/// With commas between thousands.
fn short(value: f64) -> String {
    if value < 1.0 {
        return value.to_string();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
