//! What readers may ask for.

use std::{fmt, net::IpAddr};

use super::Counters;
use crate::{
    clock::Now,
    control::{EntriesQuery, Generations, Page, Pushes, Refusal, Status, Undo},
    datapath::FrameCounters,
    policy::ApiSettings,
    preview::{diff::PolicyDocument, explain::Membership},
};

/// What readers are told: all of it is of one moment, and nobody waits for it.
pub trait Readings: Send + Sync + fmt::Debug {
    /// The state of the daemon.
    fn status(&self, now: Now) -> Status;

    /// The next entries of one list or of all.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for an unknown list.
    fn entries(&self, query: &EntriesQuery) -> Result<Page, Refusal>;

    /// What a source is in.
    ///
    /// # Errors
    /// [`Refusal::NoPolicy`].
    fn membership(&self, source: IpAddr) -> Result<Membership, Refusal>;

    /// The policy in force as a document; it may be large.
    fn document(&self) -> PolicyDocument;

    /// The generations of the policy that are kept.
    fn history(&self, now: Now) -> Generations;

    /// The last pushes that can be taken back, the newest first; at most so many.
    fn pushes(&self, limit: usize) -> Pushes;

    /// Whether an undo is [carried out as a sync](super::Controller::undo), because very much is to be undone.
    fn is_undone_as_sync(&self, undo: &Undo) -> bool;

    /// Where the API is served, and to whom, by what is in force; `None` when nobody knows.
    fn api(&self) -> Option<&ApiSettings>;

    /// The counters of the data plane, read from the kernel now.
    ///
    /// # Errors
    /// [`Refusal::Datapath`] when a map cannot be read.
    fn frames(&self) -> Result<FrameCounters, Refusal>;

    /// All counters, with those.
    ///
    /// # Errors
    /// Those of [`frames`](Self::frames).
    fn counters(&self) -> Result<Counters, Refusal>;
}
