//! What filters: the policy in force with its tables, on interfaces.

use std::{fmt, sync::Arc, time::Duration};

use firewall_common::{Action, Verdict, abi::Explanation};

use super::{AttachmentState, DatapathError, DriftCounters, FrameCounters};
use crate::{
    clock::Now,
    lists::members::Members,
    policy::{Name, Policy, Prefix},
};

/// Filters packets by a policy. The one in use is [`KernelFilter`](super::KernelFilter); tests have a fake.
pub trait Filter: Send {
    /// Refuses a policy that cannot come into force by [`switch`](Self::switch), without touching anything.
    ///
    /// # Errors
    /// When an interface is not there, or would have to be attached in another mode.
    fn admit(&self, policy: &Policy) -> Result<(), DatapathError>;

    /// Makes `policy` with these `members` the one in force: for every packet the old one judges, or the new one.
    ///
    /// # Errors
    /// When the kernel refuses. The old policy is in force then, as a whole.
    fn switch(&mut self, policy: &Arc<Policy>, members: &Members) -> Result<(), DatapathError>;

    /// Brings the tables in line with `members`, of which `prefixes` have changed. Tables that are full grow.
    ///
    /// # Errors
    /// When the kernel refuses. A part of the change may have happened: the caller gives the old members again.
    fn update(&mut self, members: &Members, prefixes: &mut dyn Iterator<Item = Prefix>) -> Result<(), DatapathError>;

    /// Brings interfaces in line with the policy in force, after some may have come, gone or changed.
    fn follow(&mut self, members: &Members);

    /// Compares a piece of what filters with what was written, when it is time for that; whether its state is another now.
    fn look(&mut self, members: &Members, now: Now) -> bool;

    /// How long until there is something to [look](Self::look) at.
    fn time_until_look(&self, now: Now) -> Duration;

    /// What brings interfaces in line while the filter is busy.
    fn upkeep(&self) -> Arc<dyn Upkeep>;

    /// Its state now.
    fn report(&self) -> FilterReport;

    /// Explains packets by what is in force now.
    fn explainer(&self) -> Arc<dyn Explainer>;

    /// Reads the counters of what is in force now.
    fn counters(&self) -> Arc<dyn CounterReader>;
}

/// The state of a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterReport {
    /// Interfaces of the policy, by name.
    pub interfaces: Vec<AttachmentState>,
    /// Why what filters is not pinned, so that it would end with the daemon; `None` when it is.
    pub pin_failure: Option<String>,
    /// How comparing went.
    pub drift: DriftCounters,
    /// Octets of the list tables: in use, and reserved.
    pub list_tables: [u64; 2],
    /// Classes of the list tables: each is another set of lists, or another end.
    pub list_classes: u64,
}

/// Brings interfaces and pins in line with the policy in force, on whichever thread: it waits for no table that is loaded.
pub trait Upkeep: Send + Sync + fmt::Debug {
    /// Does so now. What refused before is tried again when `retries`. Whether there is something to tell.
    fn follow(&self, retries: bool) -> bool;
}

/// Says what would become of a packet, without side effects. It belongs to what was in force when it was made.
pub trait Explainer: Send + Sync + fmt::Debug {
    /// Whether a question is answered at once.
    fn is_loaded(&self) -> bool;

    /// Makes it answer at once: the verifier takes a fraction of a second, on the caller's thread.
    ///
    /// # Errors
    /// When the kernel refuses.
    fn load(&self) -> Result<(), DatapathError>;

    /// What would become of `frame`.
    ///
    /// # Errors
    /// When the kernel refuses the frame.
    fn explain(&self, frame: &[u8]) -> Result<Judgement, DatapathError>;
}

/// What a filter says about a packet.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What is done with it.
    pub action: Action,
    /// What is said about it.
    pub verdict: Verdict,
    /// The service that judged it.
    pub service: Option<Name>,
    /// The limit that was asked.
    pub limit: Option<Name>,
    /// What it followed from.
    pub explanation: Explanation,
}

/// Reads counters, on whichever thread. It belongs to what was in force when it was made.
pub trait CounterReader: Send + Sync + fmt::Debug {
    /// All of them.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn read(&self) -> Result<FrameCounters, DatapathError>;
}
