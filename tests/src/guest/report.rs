//! What the machine tells its host, line by line. The other side is `xtask/src/kernels/report.rs`.

use std::{fmt::Display, time::Instant};

use anyhow::Result;
use firewall_userspace::datapath::DatapathError;

/// Lines told so far.
#[derive(Default)]
pub(super) struct Report {
    failed: bool,
    refused: bool,
}

/// What a step found out, for the table of the host.
pub(super) type StepFacts = Vec<(&'static str, String)>;

impl Report {
    /// A cell of the host's table.
    #[expect(clippy::unused_self, reason = "all lines go through the report")]
    pub(super) fn fact(&mut self, name: &str, value: impl Display) {
        println!("= {name} {value}");
    }

    /// Runs one step and tells how it went.
    pub(super) fn step(&mut self, name: &str, step: impl FnOnce() -> Result<StepFacts>) {
        let start = Instant::now();
        match step() {
            Ok(facts) => {
                println!("ok {name} in {:.1} s", start.elapsed().as_secs_f64());
                for (name, value) in facts {
                    self.fact(name, value);
                }
            }
            Err(error) if is_refusal(&error) => {
                self.refused = true;
                println!("refused: {error:#}");
            }
            Err(error) => self.fail(name, &error),
        }
    }

    /// Something is wrong.
    pub(super) fn fail(&mut self, name: &str, error: &anyhow::Error) {
        self.failed = true;
        println!("FAIL {name}: {error:#}");
    }

    /// Whether the product does not run on this kernel, and said so. Whether it had to is for the host to know.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The last line. Without it the host knows that the machine ended on its own.
    pub(super) fn end(&self) {
        let word = match (self.failed, self.refused) {
            (true, _) => "failed",
            (false, true) => "refused",
            (false, false) => "ok",
        };
        println!("end {word}");
    }
}

fn is_refusal(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(DatapathError::Kernel { .. }))
}
