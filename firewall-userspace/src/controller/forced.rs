//! What speaks against a change and is done all the same.

use crate::{
    control::{Force, Refusal},
    preview::guard::Harm,
};

/// What is forced, in words.
#[derive(Default)]
pub(super) struct Forced(Vec<String>);

impl Forced {
    /// With something else before the rest.
    pub(super) fn after(self, first: Option<String>) -> Self {
        Self(first.into_iter().chain(self.0).collect())
    }

    /// Says so in the log, now that it is done.
    pub(super) fn tell(&self) {
        for words in &self.0 {
            tracing::warn!("forced: {words}");
        }
    }
}

/// Refuses what no lifted guard lets through; the rest is forced.
pub(super) fn insist(harms: Vec<Harm>, force: &Force) -> Result<Forced, Refusal> {
    let (forced, refused): (Vec<Harm>, Vec<Harm>) = harms.into_iter().partition(|harm| force.lifts(harm.guard()));
    if !refused.is_empty() {
        return Err(Refusal::Guarded(refused));
    }
    Ok(Forced(forced.iter().map(Harm::to_string).collect()))
}
