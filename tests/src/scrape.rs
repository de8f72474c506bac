//! Plain HTTP inside a namespace, and the metrics that come by it.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::netns::Netns;

/// How long a server may take for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Everything after the header.
    pub body: String,
}

/// Samples of one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Packets by family, verdict and reason, such as `ipv4 drop denied`.
pub type Packets = BTreeMap<String, u64>;

/// What the hosts say to each other without being asked.
const BACKGROUND: [&str; 2] = ["essential", "not_ip"];

/// Asks the server at `address` in a namespace.
///
/// # Errors
/// When it does not answer.
pub fn get(namespace: &Netns, address: SocketAddr, path: &str) -> Result<Answer> {
    let connect = || TcpStream::connect_timeout(&address, LIMIT);
    let mut stream = namespace.enter(connect)?.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).with_context(|| format!("no whole answer from {address}"))?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no header")?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("the answer has no status code")?;
    Ok(Answer { status, body: body.to_owned() })
}

impl Metrics {
    /// Reads the text format of Prometheus.
    ///
    /// # Errors
    /// When a line is not as it should be.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| format!("no sample: {line}")));
        Ok(Self { samples: samples.collect::<Result<_>>()? })
    }

    /// Sum of the samples that have these labels, whatever others they have; `None` without any.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(wanted).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// The same as a count, 0 without any.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.value(name, labels).unwrap_or_default() as u64
    }

    /// Packets with this reason.
    pub fn reason(&self, reason: &str) -> u64 {
        self.count("portcullis_packets_total", &[("reason", reason)])
    }

    /// Packets judged since `before`, without what hosts say to each other by themselves.
    pub fn packets_since(&self, before: &Self) -> Packets {
        self.since(before, "portcullis_packets_total")
    }

    /// Frame bytes judged since `before`, likewise.
    pub fn bytes_since(&self, before: &Self) -> Packets {
        self.since(before, "portcullis_bytes_total")
    }

    fn since(&self, before: &Self, name: &str) -> Packets {
        let mut moved = self.by_verdict(name);
        for (key, count) in before.by_verdict(name) {
            let now = moved.get(&key).copied().unwrap_or_default();
            moved.insert(key, now.wrapping_sub(count));
        }
        moved.retain(|_, count| *count != 0);
        moved
    }

    fn by_verdict(&self, name: &str) -> Packets {
        let mut packets = Packets::new();
        for sample in self.samples.iter().filter(|sample| sample.name == name) {
            let label = |name: &str| sample.labels.get(name).map(String::as_str).unwrap_or_default();
            if !BACKGROUND.contains(&label("reason")) {
                let key = format!("{} {} {}", label("family"), label("verdict"), label("reason"));
                *packets.entry(key).or_default() += sample.value as u64;
            }
        }
        packets
    }
}

/// Packets as a test expects them.
pub fn packets<const N: usize>(expected: [(&str, u64); N]) -> Packets {
    expected.into_iter().map(|(key, count)| (key.to_owned(), count)).collect()
}

fn sample(line: &str) -> Result<Sample> {
    let (series, value) = line.rsplit_once(' ').context("it has no value")?;
    let value = value.parse().context("its value is no number")?;
    let Some((name, labels)) = series.split_once('{') else {
        return Ok(Sample { name: series.to_owned(), labels: BTreeMap::new(), value });
    };
    let mut rest = labels.strip_suffix('}').context("its labels do not end")?;
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").context("a label has no value")?;
        let (value, after) = after.split_once('"').context("the value of a label does not end")?;
        if value.contains('\\') {
            bail!("the value of a label has an escape, which this reader does not know");
        }
        labels.insert(label.to_owned(), value.to_owned());
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Ok(Sample { name: name.to_owned(), labels, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE portcullis_packets_total counter\n\
        portcullis_packets_total{interface=\"eth0\",family=\"ipv4\",verdict=\"drop\",reason=\"denied\"} 3\n\
        portcullis_packets_total{interface=\"eth0\",family=\"ipv6\",verdict=\"drop\",reason=\"denied\"} 4\n\
        portcullis_packets_total{interface=\"eth0\",family=\"ipv6\",verdict=\"pass\",reason=\"essential\"} 4\n\
        portcullis_enforcing 1\n";

    #[test]
    fn samples_are_summed_over_the_labels_that_are_not_asked_for() {
        let metrics = Metrics::parse(BEFORE).unwrap();
        assert_eq!(metrics.reason("denied"), 7);
        assert_eq!(metrics.count("portcullis_packets_total", &[("reason", "denied"), ("family", "ipv6")]), 4);
        assert_eq!(metrics.value("portcullis_enforcing", &[]), Some(1.0));
        assert_eq!(metrics.value("portcullis_unknown", &[]), None);
    }

    #[test]
    fn only_what_moved_is_a_difference_and_background_is_none() {
        let after = BEFORE.replace("denied\"} 3", "denied\"} 5").replace("essential\"} 4", "essential\"} 9");
        let moved = Metrics::parse(&after).unwrap().packets_since(&Metrics::parse(BEFORE).unwrap());
        assert_eq!(moved, packets([("ipv4 drop denied", 2)]));
    }
}
