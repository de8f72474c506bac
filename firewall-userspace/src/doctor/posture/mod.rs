//! `portcullis audit posture`: this installation as somebody would look at it who wants to get past it.
//!
//! In: the configuration, the files that it names, the interfaces of this host, and what a daemon says of itself. Out: a line for each
//! thing that was looked at. Nothing is changed, and nobody owns anything here.

mod files;
mod live;
mod settings;

use std::path::Path;

use super::{Check, Findings, coverage};
use crate::{config, control::Status, host::devices};

/// What the daemon says of itself.
#[derive(Debug)]
pub struct LiveFacts {
    /// Its status, or why there is none.
    pub status: Result<Status, String>,
}

/// Looks at the installation whose configuration is at `config`.
pub fn examine(config: &Path, live: &LiveFacts) -> Findings {
    let mut checks = Vec::new();
    match config::load_regular(config) {
        Ok(loaded) => {
            checks.extend(files::checks(config, &loaded));
            checks.extend(settings::checks(&loaded.policy));
            match devices::read() {
                Ok(devices) => checks.extend(coverage::uncovered(&devices, &loaded.policy.interfaces, config)),
                Err(error) => checks.push(Check::note("host", "coverage", error.to_string())),
            }
        }
        Err(report) => {
            let first = report.errors().next().map(|error| error.title()).unwrap_or_default();
            let found = format!("{} cannot be used: {first}", config.display());
            checks.push(Check::fail("host", "configuration", found, format!("portcullis check {}", config.display())));
        }
    }
    checks.extend(live::checks(live));
    Findings { schema: "portcullis.posture/v1", checks }
}
