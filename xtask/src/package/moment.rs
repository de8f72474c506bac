//! The one time that a package knows: when its commit was made.

use std::{env, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{process, tree::Tree};

/// Variable by which builders are told the time (reproducible-builds.org).
pub const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// A point in time, in the forms that files of the package want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    seconds: u64,
    iso: String,
    mail: String,
}

impl Moment {
    /// Of the commit that is checked out, or what `SOURCE_DATE_EPOCH` says.
    ///
    /// # Errors
    /// When neither is there, or `date` cannot read it.
    pub fn of_commit(tree: &Tree) -> Result<Self> {
        let seconds = match env::var(VARIABLE) {
            Ok(told) => told,
            Err(_) => process::output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(&tree.root))
                .with_context(|| format!("cannot tell when the commit was made\nhint: set {VARIABLE}"))?,
        };
        let seconds: u64 =
            seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds since 1970"))?;
        Self::parse(&format!("@{seconds}"))
    }

    /// Midnight of a day, as `2026-11-28`.
    ///
    /// # Errors
    /// When it has another form: `date` takes `tomorrow`, and nothing at all, for a day of this week.
    pub fn of_day(day: &str) -> Result<Self> {
        let moment = Self::parse(day)?;
        if moment.iso.split_once('T').map(|(date, _)| date) != Some(day) {
            bail!("`{day}` is no day as 2026-11-28");
        }
        Ok(moment)
    }

    fn parse(told: &str) -> Result<Self> {
        let form = "+%s\n%Y-%m-%dT%H:%M:%SZ\n%a, %d %b %Y %H:%M:%S +0000";
        let said = process::output(Command::new("date").env("LC_ALL", "C").args(["--utc", "--date", told, form]))?;
        let mut lines = said.lines();
        let mut line = || lines.next().with_context(|| format!("`date` said `{said}` of {told}"));
        let seconds = line()?.parse().with_context(|| format!("`date` said `{said}` of {told}"))?;
        Ok(Self { seconds, iso: line()?.to_owned(), mail: line()?.to_owned() })
    }

    /// Seconds since 1970.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// As RFC 3339 has it, in UTC.
    pub fn iso(&self) -> &str {
        &self.iso
    }

    /// As RFC 5322 has it, in UTC.
    pub fn mail(&self) -> &str {
        &self.mail
    }

    /// A time for tests.
    #[cfg(test)]
    pub fn test() -> Self {
        Self {
            seconds: 1_795_843_382,
            iso: "2026-11-28T04:03:02Z".to_owned(),
            mail: "Sat, 28 Nov 2026 04:03:02 +0000".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_same_forms_in_every_zone_and_language() {
        let moment = Moment::parse("@1700000000").unwrap();
        assert_eq!(moment.seconds(), 1_700_000_000);
        assert_eq!(moment.iso(), "2023-11-14T22:13:20Z");
        assert_eq!(moment.mail(), "Tue, 14 Nov 2023 22:13:20 +0000");
        assert_eq!(Moment::of_day("2023-11-14").unwrap().mail(), "Tue, 14 Nov 2023 00:00:00 +0000");
    }

    #[test]
    fn a_day_that_depends_on_today_is_refused() {
        for day in ["", "tomorrow", "14 Nov", "2023-11-14 12:00", "2023-1-2"] {
            assert!(Moment::of_day(day).is_err(), "{day}");
        }
    }
}
