//! Snapshots of the store, written by a thread of their own while pushes go on.

use std::thread::JoinHandle;

use jiff::Timestamp;

use super::State;
use crate::{
    control::StoreCounters,
    state::{error::StoreError, journal::Written},
};

/// The snapshot that is being written, and how those before went.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    running: Option<JoinHandle<Result<Written, StoreError>>>,
    pub(super) counters: StoreCounters,
}

impl Snapshots {
    /// Whether one is being written.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Waits for the one that is being written.
    pub(super) fn finish(&mut self) {
        if let Some(thread) = self.running.take() {
            drop(thread.join());
        }
    }
}

impl State {
    /// Begins a snapshot when one is due.
    pub(super) fn take_snapshot(&mut self) {
        if !self.store.is_due() || self.store.is_owing() {
            return;
        }
        let job = match self.store.rotate(&self.runtime, Timestamp::now()) {
            Ok(job) => job,
            Err(error) => {
                self.snapshots.counters.snapshot_failures += 1;
                tracing::warn!(%error, "cannot begin a snapshot; trying again after the next push");
                return;
            }
        };
        match std::thread::Builder::new().name("snapshot".into()).spawn(move || job.run()) {
            Ok(thread) => self.snapshots.running = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread to be had for a snapshot; trying again later");
                self.store.rotated(None);
            }
        }
    }

    /// Notes what became of a snapshot that is over.
    pub(super) fn collect_snapshot(&mut self) {
        let Some(thread) = self.snapshots.running.take_if(|thread| thread.is_finished()) else { return };
        let counters = &mut self.snapshots.counters;
        let written = match thread.join() {
            Ok(Ok(written)) => {
                counters.snapshots += 1;
                tracing::debug!(number = written.number, octets = written.octets, "wrote a snapshot");
                Some(written)
            }
            Ok(Err(error)) => {
                counters.snapshot_failures += 1;
                tracing::warn!(%error, "cannot write a snapshot; the journals keep everything until the next one");
                None
            }
            Err(_) => {
                counters.snapshot_failures += 1;
                tracing::error!("writing a snapshot panicked: a bug worth a report");
                None
            }
        };
        self.store.rotated(written);
    }
}
