//! One metric family: what its samples have in common.

use std::{collections::HashMap, time::Duration};

use prometheus::{
    core::Desc,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::clock::durations::{BOUNDS, Timings};

/// A metric family with its samples.
pub struct Family {
    description: Desc,
    kind: MetricType,
    samples: Vec<Metric>,
}

impl Family {
    /// A family of numbers that only grow; `name` ends in `_total`.
    pub fn counter(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help, labels, MetricType::COUNTER)
    }

    /// A family of numbers that go up and down.
    pub fn gauge(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help, labels, MetricType::GAUGE)
    }

    /// A family of lengths of time, in seconds.
    pub fn histogram(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(name, help, labels, MetricType::HISTOGRAM)
    }

    fn new(name: &str, help: &str, labels: &[&str], kind: MetricType) -> prometheus::Result<Self> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let description = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { description, kind, samples: Vec::new() })
    }

    /// Adds a sample; `values` are in the order of the labels.
    pub fn push(&mut self, values: &[&str], number: f64) {
        let mut sample = self.sample(values);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(number);
            sample.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(number);
            sample.set_gauge(gauge);
        }
        self.samples.push(sample);
    }

    /// Adds lengths of time to a histogram, likewise.
    pub fn push_timings(&mut self, values: &[&str], timings: &Timings) {
        let bucket = |(bound, count): (Duration, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound.as_secs_f64());
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(BOUNDS.into_iter().zip(timings.within).map(bucket).collect());
        histogram.set_sample_count(timings.count);
        histogram.set_sample_sum(timings.sum.as_secs_f64());
        let mut sample = self.sample(values);
        sample.set_histogram(histogram);
        self.samples.push(sample);
    }

    /// One without a value yet.
    fn sample(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(values.len(), self.description.variable_labels.len(), "{}", self.description.fq_name);
        let pair = |(name, value): (&String, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(self.description.variable_labels.iter().zip(values).map(pair).collect())
    }

    /// The family with one sample without labels.
    #[must_use]
    pub fn with(mut self, number: f64) -> Self {
        self.push(&[], number);
        self
    }

    /// What the registry checks.
    pub fn description(&self) -> &Desc {
        &self.description
    }

    /// What the encoder writes.
    pub fn to_proto(&self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.description.fq_name.clone());
        family.set_help(self.description.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(self.samples.clone());
        family
    }
}
