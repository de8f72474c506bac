//! `portcullis doctor`: whether this host can be filtered, and what to do about what is in the way.
//!
//! In: what the kernel says of itself and of its interfaces. Out: findings with a way out. Nothing is changed, and nobody owns
//! anything here.

mod coverage;
mod host;
mod interface;
mod offloads;
pub mod on_host;
pub mod posture;

use std::path::Path;

use serde::Serialize;

pub use self::interface::fit;
use crate::{
    config,
    host::devices::{self, Devices, DevicesError},
    policy::Interface,
};

/// Everything that was looked at: the schema `portcullis.doctor/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Always `portcullis.doctor/v1`.
    pub schema: &'static str,
    /// In the order of the checks.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// An interface, or `host`.
    pub subject: String,
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// The command or the line of the configuration that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// Looks at the host and at `interface`, or at the interfaces that the configuration at `config` names.
///
/// # Errors
/// When the kernel does not tell which interfaces there are.
pub fn examine(interface: Option<&str>, config: &Path) -> Result<Findings, DevicesError> {
    let mut checks = host::checks();
    let devices = devices::read()?;
    let wanted = configured(config, &mut checks);
    let wanted = wanted.as_deref().unwrap_or_default();
    match interface {
        Some(name) => checks.extend(checks_of(name, wanted, &devices)),
        None => {
            for one in wanted {
                checks.extend(checks_of(&one.name, wanted, &devices));
            }
            checks.extend(coverage::pairs(&devices, wanted, config));
            checks.extend(coverage::uncovered(&devices, wanted, config));
        }
    }
    Ok(Findings { schema: "portcullis.doctor/v1", checks })
}

/// The interfaces of the configuration; `None` when it cannot be used.
fn configured(config: &Path, checks: &mut Vec<Check>) -> Option<Vec<Interface>> {
    match config::load_regular(config) {
        Ok(loaded) => {
            checks.push(Check::ok("host", "configuration", format!("{}: {loaded}", config.display())));
            Some(loaded.policy.interfaces)
        }
        Err(report) => {
            let first = report.errors().next().map(|error| error.title()).unwrap_or_default();
            let found = format!("{} cannot be used: {first}", config.display());
            // A host that has none yet has no mistake in it.
            let check = match config.exists() {
                true => Check::fail("host", "configuration", found, format!("portcullis check {}", config.display())),
                false => Check::warn("host", "configuration", found, "portcullis init"),
            };
            checks.push(check);
            None
        }
    }
}

/// Everything about the interface with this name, one of its other names included.
fn checks_of(name: &str, wanted: &[Interface], devices: &Devices) -> Vec<Check> {
    let Some(device) = devices.named(name) else {
        return vec![Check::fail(name, "interface", "there is no such interface", "ip link")];
    };
    let mode = wanted.iter().find(|one| device.is_called(&one.name)).map(|one| one.mode);
    let other = (device.name != name).then(|| Check::ok(&device.name, "name", format!("also called {name}")));
    other.into_iter().chain(interface::checks(device, mode, devices, host::cpus())).collect()
}

impl Findings {
    /// The worst of all.
    pub fn worst(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }
}

impl Check {
    fn ok(subject: &str, check: &'static str, found: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), check, level: Level::Ok, found: found.into(), fix: None }
    }

    fn warn(subject: &str, check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Warn, fix: Some(fix.into()), ..Self::ok(subject, check, found) }
    }

    /// Something that nothing mends.
    fn note(subject: &str, check: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Warn, ..Self::ok(subject, check, found) }
    }

    fn fail(subject: &str, check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Fail, fix: Some(fix.into()), ..Self::ok(subject, check, found) }
    }
}

impl Level {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_refused_is_a_failure_and_none_is_a_warning() {
        let file = std::env::temp_dir().join(format!("portcullis-doctor-{}.toml", std::process::id()));
        let looked_at = || {
            let mut checks = Vec::new();
            assert_eq!(configured(&file, &mut checks), None);
            checks.into_iter().map(|check| (check.level, check.fix.unwrap_or_default())).collect::<Vec<_>>()
        };
        std::fs::write(&file, "prots = 1\n").unwrap();
        assert_eq!(looked_at(), [(Level::Fail, format!("portcullis check {}", file.display()))]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(looked_at(), [(Level::Warn, "portcullis init".to_owned())]);
    }
}
