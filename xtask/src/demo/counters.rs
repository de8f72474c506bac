//! `portcullis_packets_total`, as scraped.

use anyhow::{Context as _, Result};

/// Packets by family and reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counters {
    rows: Vec<Row>,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    family: String,
    reason: String,
    packets: u64,
}

impl Counters {
    /// Reads them off a page of metrics.
    pub fn parse(page: &str) -> Result<Self> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("portcullis_packets_total{"));
        let rows: Result<Vec<_>> =
            lines.map(|line| row(line).with_context(|| format!("cannot read `{line}`"))).collect();
        let rows = rows?;
        if rows.is_empty() {
            anyhow::bail!("the metrics have no portcullis_packets_total");
        }
        Ok(Self { rows })
    }

    /// Packets of a family that were judged for this reason.
    pub fn packets(&self, family: &str, reason: &str) -> u64 {
        let rows = self.rows.iter().filter(|row| row.family == family && row.reason == reason);
        rows.map(|row| row.packets).sum()
    }

    /// Packets of any family and reason.
    pub fn total(&self) -> u64 {
        self.rows.iter().map(|row| row.packets).sum()
    }

    /// Every reason that counted more packets than before, in words.
    pub fn growth_since(&self, before: &Self) -> String {
        let grown = self.rows.iter().filter_map(|row| {
            let more = row.packets.checked_sub(before.packets(&row.family, &row.reason)).filter(|more| *more > 0)?;
            Some(format!("{} {} +{more}", row.family, row.reason))
        });
        grown.collect::<Vec<_>>().join(", ")
    }
}

/// Reads `family="ipv4",interface="eth0",reason="denied",verdict="drop"} 3`. Labels come from closed sets: no escapes.
fn row(line: &str) -> Option<Row> {
    let (labels, value) = line.split_once("} ")?;
    let label = |name: &str| {
        let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    Some(Row { family: label("family")?, reason: label("reason")?, packets: value.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP portcullis_packets_total Packets judged.\n# TYPE portcullis_packets_total counter\n\
        portcullis_packets_total{family=\"ipv4\",interface=\"eth0\",reason=\"denied\",verdict=\"drop\"} 3\n\
        portcullis_packets_total{family=\"ipv6\",interface=\"eth0\",reason=\"denied\",verdict=\"drop\"} 4\n\
        portcullis_bytes_total{family=\"ipv4\",interface=\"eth0\",reason=\"denied\",verdict=\"drop\"} 180\n";

    #[test]
    fn packets_are_told_apart_by_family_and_reason() {
        let counters = Counters::parse(PAGE).unwrap();
        assert_eq!(
            (counters.packets("ipv4", "denied"), counters.packets("ipv4", "accepted"), counters.total()),
            (3, 0, 7)
        );
        assert_eq!(counters.growth_since(&Counters::default()), "ipv4 denied +3, ipv6 denied +4");
    }

    #[test]
    fn page_without_packets_is_an_error() {
        assert!(Counters::parse("portcullis_up 1\n").is_err());
        assert!(Counters::parse("portcullis_packets_total{family=\"ipv4\"} 1\n").is_err());
    }
}
