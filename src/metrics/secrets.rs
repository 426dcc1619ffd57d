//! Secrets as figures: how often each was read from its source, and how long ago.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use ::metrics::Counter;
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::metrics::declared::{SECRET_AGE, SECRET_FETCHES};
use crate::metrics::{Sample, counter};
use crate::name::SecretName;
use crate::policy::SecretSource;

/// All that were read, or could not be.
#[derive(Default)]
pub(super) struct Secrets {
    counters: HashMap<SecretName, [Counter; 2]>,
    /// One secret has a source in each environment. Forgotten when a scrape finds it undeclared.
    read: HashMap<(SecretName, SecretSource), Instant>,
}

impl Secrets {
    pub(super) fn fetched(
        &mut self,
        recorder: &PrometheusRecorder,
        (name, source): (&SecretName, &SecretSource),
        read: bool,
    ) {
        let made = || {
            ["read", "failed"]
                .map(|outcome| counter(recorder, &SECRET_FETCHES, &[name.as_str(), outcome]))
        };
        let [good, bad] = self.counters.entry(name.clone()).or_insert_with(made);
        if read {
            good.increment(1);
            let key = (name.clone(), source.clone());
            self.read.insert(key, Instant::now());
        } else {
            bad.increment(1);
        }
    }

    pub(super) fn ages(
        &mut self,
        is_declared: impl Fn(&SecretName, &SecretSource) -> bool,
    ) -> Vec<Sample> {
        self.read
            .retain(|(name, source), _| is_declared(name, source));
        let mut oldest: BTreeMap<&SecretName, Instant> = BTreeMap::new();
        for ((name, _), read) in &self.read {
            let first = oldest.entry(name).or_insert(*read);
            *first = (*first).min(*read);
        }
        let age = |(name, read): (&SecretName, Instant)| {
            Sample::of(&SECRET_AGE, &[name.as_str()], read.elapsed().as_secs_f64())
        };
        oldest.into_iter().map(age).collect()
    }
}
