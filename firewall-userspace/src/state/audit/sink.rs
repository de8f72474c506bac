//! What the log is for those who record: they are told whether it can be written, and wait until it is, but not for long.

use std::{fmt, path::PathBuf, sync::Arc};

use super::record::{AuditEvent, ChainLink};

/// Takes what happened.
pub trait AuditSink: Send + Sync + fmt::Debug {
    /// Whether what is done now can be recorded. Whoever changes something asks before, and does not do it otherwise, unless
    /// nobody may keep them from it.
    ///
    /// # Errors
    /// Why not, in words with a hint.
    fn admit(&self) -> Result<(), String>;

    /// Records what happened, in this order. When this returns it is in the file, or it waits for the disk, is in the log of the daemon
    /// meanwhile, and nothing else is [admitted](Self::admit). It may wait for two seconds, so no asynchronous task calls it.
    fn record(&self, events: Vec<AuditEvent>);

    /// The same for those who cannot wait.
    fn note(&self, event: AuditEvent);

    /// The same of what others can cause at will, such as a wrong token: many of them within a minute are summed up by
    /// [`what`](AuditEvent::what), [`peer`](AuditEvent::peer) and [`result`](AuditEvent::result).
    fn note_failure(&self, event: AuditEvent);

    /// How it stands.
    fn view(&self) -> AuditView;
}

/// A handle on the log; cheap to clone.
pub type AuditHandle = Arc<dyn AuditSink>;

/// How the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditView {
    /// Its folder; `None` where there is no log.
    pub folder: Option<PathBuf>,
    /// Why changes are refused; `None` when they are not.
    pub refusing: Option<String>,
    /// What was not as it was left when this daemon began with it.
    pub damaged: Option<String>,
    /// Lines that were written of what was done.
    pub done: u64,
    /// Lines that were written of what was refused.
    pub refused: u64,
    /// Attempts to write that failed.
    pub write_errors: u64,
    /// What happened and waits to be written.
    pub waiting: usize,
    /// What happened and is only in the log of the daemon, because too much waited.
    pub lost: u64,
    /// The last line.
    pub last: Option<ChainLink>,
}

/// A daemon, or a part of one, that records nothing.
#[derive(Debug, Default)]
pub struct Unrecorded;

impl AuditSink for Unrecorded {
    fn admit(&self) -> Result<(), String> {
        Ok(())
    }

    fn record(&self, _: Vec<AuditEvent>) {}

    fn note(&self, _: AuditEvent) {}

    fn note_failure(&self, _: AuditEvent) {}

    fn view(&self) -> AuditView {
        AuditView::default()
    }
}
