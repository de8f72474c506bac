//! What an operator says about the log.

use std::os::fd::AsFd;

use nix::sys::stat::fstat;

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// `format`.
    pub format: LogFormat,
    /// `level`.
    pub level: LogLevel,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// To the journal where standard error leads there, else as text.
    #[default]
    Auto,
    /// A line of text on standard error.
    Text,
    /// A line of JSON on standard error.
    Json,
    /// With its fields to the journal of systemd.
    Journal,
}

/// Which events are logged: those of this level and of the graver ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Something is worse than it should be.
    Warn,
    /// A state has changed.
    #[default]
    Info,
    /// For whoever looks for a mistake in the daemon.
    Debug,
}

/// How events are written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventForm {
    Text,
    Json,
    Journal,
}

impl LogFormat {
    /// Its name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
            Self::Journal => "journal",
        }
    }

    /// What it is for this process.
    pub(super) fn resolve(self) -> EventForm {
        match self {
            Self::Auto if leads_to_journal() => EventForm::Journal,
            Self::Auto | Self::Text => EventForm::Text,
            Self::Json => EventForm::Json,
            Self::Journal => EventForm::Journal,
        }
    }
}

impl LogLevel {
    /// Its name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// The filter of `tracing` for it: libraries have nothing to say below `info`.
    pub(super) const fn filter(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "info,firewall_userspace=debug",
        }
    }
}

/// Whether standard error leads to the journal: systemd says which file does (systemd.exec(5), `$JOURNAL_STREAM`).
fn leads_to_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(std::io::stderr().as_fd()).is_ok_and(|found| is_stream(&told, found.st_dev, found.st_ino))
}

/// Whether `told` is this device and inode.
fn is_stream(told: &str, device: u64, inode: u64) -> bool {
    told.split_once(':').is_some_and(|(of, is)| of.parse() == Ok(device) && is.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_where_systemd_says_it_is() {
        assert!(is_stream("9:34567", 9, 34567));
        for other in ["", "9", "9:", ":34567", "9:34568", "8:34567", "9:34567:1", "0x9:34567", "-9:34567"] {
            assert!(!is_stream(other, 9, 34567), "{other}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_used() {
        assert_eq!(LogFormat::Text.resolve(), EventForm::Text);
        assert_eq!(LogFormat::Json.resolve(), EventForm::Json);
        assert_eq!(LogFormat::Journal.resolve(), EventForm::Journal);
    }
}
