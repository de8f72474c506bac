//! `[[test]]`: packets and what the policy of the same file is to say about them.
//!
//! A test is about the file: pushed entries do not count, so that its result is the same on every machine.

use std::{collections::BTreeSet, fmt};

use super::model::{HostModel, Judged, configured_members};
use crate::{
    config::{Diagnostic, Loaded, Report, Severity},
    policy::packet_test::{PolicyTest, TestPlace},
};

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<'t> {
    /// The test.
    pub test: &'t PolicyTest,
    /// What the policy says.
    pub judged: Judged,
}

/// Runs the tests of `loaded` in the order of the file.
pub fn run(loaded: &Loaded) -> Vec<Outcome<'_>> {
    if loaded.tests.is_empty() {
        return Vec::new();
    }
    let model = HostModel::new(&loaded.policy);
    let members = configured_members(&loaded.policy, &BTreeSet::new());
    // Loading refuses tests whose addresses are of different families, the only ones that have no outcome.
    let outcomes = loaded.tests.iter().filter_map(|test| {
        let judged = model.judge(&test.packet, &members.lookup(test.packet.source))?;
        Some(Outcome { test, judged })
    });
    outcomes.collect()
}

/// `loaded`, when all of its tests pass.
///
/// # Errors
/// A report with every test that fails.
pub fn require(loaded: Loaded) -> Result<Loaded, Report> {
    match report(&run(&loaded), &loaded) {
        report if report.is_empty() => Ok(loaded),
        report => Err(report),
    }
}

/// What fails, with its place in the file.
pub fn report(outcomes: &[Outcome<'_>], loaded: &Loaded) -> Report {
    Report::new(outcomes.iter().filter(|outcome| !outcome.passed()).map(Outcome::failure).collect(), &loaded.files)
}

impl Outcome<'_> {
    /// Whether it is as expected.
    pub fn passed(&self) -> bool {
        let Self { test, judged } = self;
        test.expect.is_met_by(judged.verdict)
            && test.service.as_ref().is_none_or(|service| judged.service.as_ref() == Some(service))
    }

    fn failure(&self) -> Diagnostic {
        let Self { test, judged } = self;
        let expected = match &test.service {
            None => test.expect.to_string(),
            Some(service) => format!("{} by service `{service}`", test.expect),
        };
        let message = format!("the test `{}` fails: expected {expected}, got {judged}", test.name);
        let hint = format!("{}: {}", judged.verdict.label(), judged.verdict.doc());
        let TestPlace { file, path, location } = test.place.clone();
        Diagnostic { severity: Severity::Error, path, message, file, location: Some(location), hint: Some(hint) }
    }
}

/// `drop (not_allowed) by service `https``.
impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", if self.passes() { "pass" } else { "drop" }, self.verdict.label())?;
        match &self.service {
            Some(service) => write!(f, " by service `{service}`"),
            None => Ok(()),
        }
    }
}
