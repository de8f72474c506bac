//! What the machines say, and the table of it. The other side is `tests/src/guest/report.rs`.

use std::{
    collections::BTreeMap,
    io::{Write as _, stdout},
    time::Duration,
};

use anyhow::{Result, bail};

use super::{Series, fetch::Kernel};

/// The columns: name of the fact, heading.
const COLUMNS: [(&str, &str); 9] = [
    ("release", "kernel"),
    ("variants", "variants"),
    ("load_ms", "ms each"),
    ("instructions", "verified instructions"),
    ("frames", "frames"),
    ("cases", "cases"),
    ("wire", "on the wire"),
    ("skipped", "skipped"),
    ("swaps", "swaps"),
];

/// What one machine said, and how it ended.
pub(super) struct Outcome {
    series: Series,
    facts: BTreeMap<String, String>,
    end: Option<End>,
    failures: usize,
    /// From power-on to the end.
    pub(super) time: Duration,
}

/// The last line of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ok,
    Failed,
    Refused,
}

impl Outcome {
    pub(super) fn new(kernel: &Kernel) -> Self {
        let facts = BTreeMap::from([("release".to_owned(), kernel.package.clone())]);
        Self { series: kernel.series, facts, end: None, failures: 0, time: Duration::ZERO }
    }

    /// Takes a line; whether it is for people.
    pub(super) fn note(&mut self, line: &str) -> bool {
        if let Some((name, value)) = line.strip_prefix("= ").and_then(|fact| fact.split_once(' ')) {
            self.facts.insert(name.to_owned(), value.to_owned());
            return false;
        }
        self.end = match line.strip_prefix("end ") {
            Some("ok") => Some(End::Ok),
            Some("refused") => Some(End::Refused),
            Some(_) => Some(End::Failed),
            None => return true,
        };
        false
    }

    /// Whether the guest came to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Something went wrong with the machine itself.
    pub(super) fn fail(&mut self, why: &str) {
        self.failures += 1;
        self.show(&format!("FAIL machine: {why}"));
    }

    /// Shows a line as one of this machine.
    pub(super) fn show(&self, line: &str) {
        // Nobody is left to tell when standard output is closed; the outcome stands all the same.
        let _ = writeln!(stdout(), "[{}] {line}", self.series.name());
    }

    /// Whether it went as it must: old kernels are to be refused, the others to pass.
    fn is_right(&self) -> bool {
        let wanted = if self.series == Series::Refused { End::Refused } else { End::Ok };
        self.failures == 0 && self.end == Some(wanted)
    }

    fn word(&self) -> &'static str {
        match (self.is_right(), self.end) {
            (true, Some(End::Refused)) => "refused, as it must be",
            (true, _) => "ok",
            (false, Some(End::Refused)) => "REFUSED",
            (false, Some(End::Ok)) if self.series == Series::Refused => "NOT REFUSED",
            (false, _) => "FAILED",
        }
    }
}

/// Prints the table; an error when a machine did not end as it must.
pub(super) fn summarise(outcomes: &[Outcome], time: Duration) -> Result<()> {
    println!("\nsummary:");
    let mut rows = vec![COLUMNS.map(|(_, heading)| heading.to_owned()).to_vec()];
    rows.extend(outcomes.iter().map(|outcome| {
        COLUMNS.map(|(name, _)| outcome.facts.get(name).cloned().unwrap_or_else(|| "-".to_owned())).to_vec()
    }));
    let words = ["".to_owned()]
        .into_iter()
        .chain(outcomes.iter().map(|outcome| format!("{:.0} s  {}", outcome.time.as_secs_f64(), outcome.word())));
    for (row, word) in rows.iter().zip(words) {
        let cell = |(column, text): (usize, &String)| {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            if column == 0 { format!("{text:<width$}") } else { format!("{text:>width$}") }
        };
        println!("  {}  {word}", row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  "));
    }
    println!("  {:.0} s for all", time.as_secs_f64());
    let wrong: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_right()).map(|outcome| outcome.series.name()).collect();
    if !wrong.is_empty() {
        bail!("these kernels failed: {}", wrong.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(series: Series, lines: &[&str]) -> Outcome {
        let kernel = Kernel { series, package: "linux-image-x".to_owned(), folder: "x".into() };
        let mut outcome = Outcome::new(&kernel);
        for line in lines {
            outcome.note(line);
        }
        outcome
    }

    #[test]
    fn only_a_machine_that_says_so_at_its_end_is_right() {
        assert!(said(Series::Floor, &["= release 6.1.0", "ok variants in 3.0 s", "end ok"]).is_right());
        assert!(!said(Series::Floor, &["ok variants in 3.0 s"]).is_right());
        assert!(!said(Series::Floor, &["FAIL table: x", "end failed"]).is_right());
        assert!(!said(Series::Floor, &["end refused"]).is_right());
        assert!(said(Series::Refused, &["refused: too old", "end refused"]).is_right());
        assert!(!said(Series::Refused, &["end ok"]).is_right());
        assert_eq!(said(Series::Floor, &["= release 6.1.0"]).facts["release"], "6.1.0");
    }
}
