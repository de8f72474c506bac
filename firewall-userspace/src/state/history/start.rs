//! The policy that a daemon starts with.

use std::path::Path;

use super::{Choice, Disk, Generation, History, Why, choose};
use crate::{
    clock::{Now, deadline::Deadline},
    config::{self, Bundle, Loaded},
    policy::{Mode, Policy},
};

/// The policy that a daemon starts with.
pub struct Start {
    /// It.
    pub policy: Policy,
    /// Where it comes from.
    pub basis: Basis,
}

/// Where a policy comes from.
pub enum Basis {
    /// From the configuration file, with this mode in place of its own.
    File(Bundle, Option<Mode>),
    /// It is a generation that is kept.
    Kept(Generation),
    /// It is a generation that waits for a confirmation until the deadline; what comes back otherwise.
    Waiting(Generation, Deadline, Option<Box<Policy>>),
    /// It was in force before one that nobody confirmed in time.
    Back(Generation),
}

/// What to do when the generation that was in force cannot be used.
const CHANGE_THE_FILE: &str = "hint: what a daemon left attached goes on filtering; change the configuration file, then the next \
                               start uses that";
/// The same while a confirmation is waited for, when the configuration file does not count.
const SET_ASIDE: &str = "hint: what a daemon left attached goes on filtering; remove the file `history` from the state folder, \
                         then the next start uses the configuration file";

/// Chooses between the configuration `file` at `path` and what is kept, and says which in the log.
///
/// # Errors
/// What is needed is damaged or cannot be used any more, in words.
pub fn start<D: Disk>(path: &Path, file: Loaded, history: &History<D>, now: Now) -> Result<Start, String> {
    let choice = choose(history, &file.bundle, now).map_err(|error| error.to_string())?;
    let config = path.display();
    let begin = |generation: &Generation| format!("generation {} ({})", generation.number, generation.how.label());
    let hint = format!("hint: `portcullis reload` reads {config}, which says something else");
    match choice {
        Choice::File(mode, why) => {
            tracing::info!("starting with {config}: {why}");
            Ok(Start { policy: in_mode(file.policy, mode), basis: Basis::File(file.bundle, mode) })
        }
        Choice::Kept(generation, why) => {
            let policy = match why {
                Why::Same => in_mode(file.policy, generation.mode),
                _ => policy_of(history, &generation).map_err(|error| with_hint(error, CHANGE_THE_FILE))?,
            };
            match why {
                Why::Same if generation.mode.is_none() => {
                    tracing::info!("starting with {}: {why}", begin(&generation));
                }
                _ => tracing::warn!("starting with {} and not with {config}: {why}\n{hint}", begin(&generation)),
            }
            Ok(Start { policy, basis: Basis::Kept(generation) })
        }
        Choice::Waiting(generation, pending, deadline) => {
            let policy = policy_of(history, &generation).map_err(|error| with_hint(error, SET_ASIDE))?;
            let previous = history.generation(pending.previous).ok_or_else(|| "it is not kept".to_owned());
            let previous = previous.and_then(|previous| policy_of(history, previous));
            if let Err(error) = &previous {
                tracing::error!("cannot read generation {}, which may have to come back: {error}", pending.previous);
            }
            let seconds = deadline.left(now).as_secs();
            tracing::warn!(
                "starting with {}, which waits for a confirmation for {seconds} s more; generation {} comes back without one",
                begin(&generation),
                pending.previous
            );
            let previous = previous.ok().map(Box::new);
            Ok(Start { policy, basis: Basis::Waiting(generation, deadline, previous) })
        }
        Choice::Back(previous, pending) => {
            let policy = policy_of(history, &previous).map_err(|error| with_hint(error, SET_ASIDE))?;
            tracing::warn!(
                "starting with generation {}: nobody confirmed generation {} in time",
                previous.number,
                pending.generation
            );
            Ok(Start { policy, basis: Basis::Back(previous) })
        }
    }
}

/// The policy of a generation that is kept.
///
/// # Errors
/// When it cannot be read or used, in words.
pub fn policy_of<D: Disk>(history: &History<D>, generation: &Generation) -> Result<Policy, String> {
    let bundle = history.bundle_of(generation).map_err(|error| error.to_string())?;
    let loaded = config::load_bundle(&bundle).map_err(|report| {
        format!("{}cannot use generation {} of the policy", report.render(false), generation.number)
    })?;
    Ok(in_mode(loaded.policy, generation.mode))
}

/// `error` with what to do about it, unless it says that already.
fn with_hint(error: String, hint: &str) -> String {
    if error.contains("\nhint: what a daemon left") { error } else { format!("{error}\n{hint}") }
}

/// `policy` in another mode, if there is one.
fn in_mode(policy: Policy, mode: Option<Mode>) -> Policy {
    Policy { mode: mode.unwrap_or(policy.mode), ..policy }
}
