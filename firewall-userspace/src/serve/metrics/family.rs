//! One metric family: what its samples have in common.

use std::collections::HashMap;

use prometheus::{
    core::Desc,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

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

    fn new(name: &str, help: &str, labels: &[&str], kind: MetricType) -> prometheus::Result<Self> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let description = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { description, kind, samples: Vec::new() })
    }

    /// Adds a sample; `values` are in the order of the labels.
    pub fn push(&mut self, values: &[&str], number: f64) {
        debug_assert_eq!(values.len(), self.description.variable_labels.len(), "{}", self.description.fq_name);
        let pair = |(name, value): (&String, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut sample = Metric::from_label(self.description.variable_labels.iter().zip(values).map(pair).collect());
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
