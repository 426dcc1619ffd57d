//! Figures in Prometheus' text format that the recorder does not have: those that are looked up when somebody scrapes,
//! and times.
//!
//! Written by hand because the recorder can't forget a series, and of a replaced policy, a removed secret or agent
//! nothing should stay; and because of what its histograms cost (`times`).

use std::fmt::{Display, Write as _};

use crate::metrics::declared::{Kind, Metric};

/// One figure of now.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it is a figure of.
    pub metric: &'static Metric,
    /// In the order of the metric's labels.
    pub labels: Vec<String>,
    /// The figure.
    pub value: f64,
}

impl Sample {
    /// A figure under these values of the metric's labels.
    pub fn of(metric: &'static Metric, labels: &[&str], value: f64) -> Self {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        Self {
            metric,
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            value,
        }
    }
}

/// Appends figures, those of one metric next to each other.
pub(super) fn push(text: &mut String, samples: &[Sample]) {
    for of_one in samples.chunk_by(|a, b| a.metric.name == b.metric.name) {
        let Some(Sample { metric, .. }) = of_one.first() else {
            continue;
        };
        push_head(text, metric);
        for sample in of_one {
            push_line(text, (metric, ""), &sample.labels, None, sample.value);
        }
        text.push('\n');
    }
}

/// Appends what a metric is.
pub(super) fn push_head(text: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let Metric { name, help, .. } = metric;
    // Writing to a text does not fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// Appends one figure: of a metric, or of the part of a histogram with this ending to its name, there with the bound of
/// a bucket.
pub(super) fn push_line(
    text: &mut String,
    (metric, part): (&Metric, &str),
    labels: &[impl AsRef<str>],
    bound: Option<&str>,
    value: impl Display,
) {
    let names = metric.labels.iter().copied().chain(["le"]);
    let values = labels.iter().map(AsRef::as_ref).chain(bound);
    let pairs: Vec<String> = names
        .zip(values)
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    let labels = match pairs.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", pairs.join(",")),
    };
    let _ = writeln!(text, "{}{part}{labels} {value}", metric.name);
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::declared::{PROCESS_FDS, SECRET_AGE};

    #[test]
    fn figures_of_one_metric_stand_under_one_head_and_nothing_in_a_label_ends_it() {
        let samples = [
            Sample::of(&SECRET_AGE, &["a"], 1.5),
            Sample::of(&SECRET_AGE, &["b\"} 7\n\\"], 2.0),
            Sample::of(&PROCESS_FDS, &[], 12.0),
        ];
        let mut text = String::new();
        push(&mut text, &samples);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "exeat_secret_age_seconds{secret=\"a\"} 1.5",
            "exeat_secret_age_seconds{secret=\"b\\\"} 7\\n\\\\\"} 2",
            "",
            "process_open_fds 12",
            "",
        ];
        assert_eq!(lines, expected);
        assert_eq!(
            text.matches("# TYPE exeat_secret_age_seconds gauge\n")
                .count(),
            1
        );
    }
}
