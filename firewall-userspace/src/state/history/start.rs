//! The policy that a daemon starts with.

use std::path::Path;

use super::{Choice, Disk, Generation, History, Provision, Why, choose};
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
    /// What was in force before, and goes on when the configuration file is refused.
    pub fallback: Option<Box<Fallback>>,
    /// Why the configuration file is not used.
    pub refused: Option<String>,
}

/// The last policy that was accepted.
pub struct Fallback {
    /// It.
    pub policy: Policy,
    /// Its generation.
    pub generation: Generation,
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
    /// It was in force before one that cannot be read any more: why.
    Older(Generation, String),
}

/// What a start chooses from.
struct Starting<'a, D: Disk> {
    /// How the configuration file is called.
    config: String,
    file: Result<Loaded, String>,
    history: &'a History<D>,
    now: Now,
}

/// Chooses between the configuration `file` at `path` and what is kept, and says which in the log. A file that cannot be used is
/// given as the words that say why.
///
/// # Errors
/// There is nothing that can be used, in words.
pub fn start<D: Disk>(
    path: &Path,
    file: Result<Loaded, String>,
    history: &History<D>,
    now: Now,
) -> Result<Start, String> {
    let choice = choose(history, file.as_ref().ok().map(|file| (&file.bundle, file.policy.mode)), now);
    let refused = file.as_ref().err().cloned();
    let starting = Starting { config: path.display().to_string(), file, history, now };
    let start = match choice {
        Choice::File(mode, why) => starting.file(mode, &why.to_string()),
        Choice::Kept(generation, why) => starting.kept(generation, why),
        Choice::Waiting(generation, pending, deadline) => starting.waiting(generation, &pending, deadline),
        Choice::Back(previous, pending) => starting.back(previous, &pending),
        Choice::Nothing => starting.anything("no generation of the policy is kept".into()),
    }?;
    if let Some(why) = &refused {
        tracing::error!(
            config = %path.display(),
            "THE CONFIGURATION FILE IS NOT IN FORCE, what was in force before is: {why}\nhint: correct the file, then `portcullis reload`"
        );
    }
    Ok(Start { refused, ..start })
}

impl<D: Disk> Starting<'_, D> {
    fn file(self, mode: Option<Mode>, why: &str) -> Result<Start, String> {
        let Self { config, file, history, .. } = self;
        let file = file?;
        tracing::info!("starting with {config}: {why}");
        let kept = |generation: &Generation| match policy_of(history, generation) {
            Ok(policy) => Some(Box::new(Fallback { policy, generation: generation.clone() })),
            Err(error) => {
                tracing::error!("cannot compare the configuration file with what was in force: {error}");
                None
            }
        };
        let (fallback, refused) = (history.active().and_then(kept), None);
        Ok(Start { policy: in_mode(file.policy, mode), basis: Basis::File(file.bundle, mode), fallback, refused })
    }

    fn kept(self, generation: Generation, why: Why) -> Result<Start, String> {
        let config = &self.config;
        let begin = format!("generation {} ({})", generation.number, generation.how.label());
        let policy = match (&why, &self.file) {
            (Why::Same, Ok(file)) => in_mode(file.policy.clone(), generation.mode),
            _ => match policy_of(self.history, &generation) {
                Ok(policy) => policy,
                Err(error) => return self.anything(error),
            },
        };
        match why {
            Why::Same if generation.mode.is_none() => tracing::info!("starting with {begin}: {why}"),
            // Why is said by the caller, at length.
            Why::Unusable => tracing::warn!("starting with {begin} and not with {config}: {why}"),
            _ => tracing::warn!(
                "starting with {begin} and not with {config}: {why}\nhint: `portcullis reload` reads {config}, which says \
                 something else"
            ),
        }
        Ok(Start::with(policy, Basis::Kept(generation)))
    }

    fn waiting(self, generation: Generation, pending: &Provision, deadline: Deadline) -> Result<Start, String> {
        let previous = self.history.generation(pending.previous);
        let kept = previous.ok_or_else(|| "it is not kept".to_owned());
        let kept = kept.and_then(|previous| policy_of(self.history, previous));
        let policy = match (policy_of(self.history, &generation), previous) {
            (Ok(policy), _) => policy,
            (Err(error), Some(previous)) if kept.is_ok() => {
                tracing::error!("cannot go on with a policy that waits for a confirmation: {error}");
                let previous = previous.clone();
                return self.back(previous, pending);
            }
            (Err(error), _) => return self.anything(error),
        };
        if let Err(error) = &kept {
            tracing::error!("cannot read generation {}, which may have to come back: {error}", pending.previous);
        }
        tracing::warn!(
            "starting with generation {} ({}), which waits for a confirmation for {} s more; generation {} comes back without one",
            generation.number,
            generation.how.label(),
            deadline.left(self.now).as_secs(),
            pending.previous
        );
        Ok(Start::with(policy, Basis::Waiting(generation, deadline, kept.ok().map(Box::new))))
    }

    fn back(self, previous: Generation, pending: &Provision) -> Result<Start, String> {
        let policy = match policy_of(self.history, &previous) {
            Ok(policy) => policy,
            Err(error) => return self.anything(error),
        };
        tracing::warn!(
            "starting with generation {}: nobody confirmed generation {} in time",
            previous.number,
            pending.generation
        );
        Ok(Start::with(policy, Basis::Back(previous)))
    }

    /// What was to be used cannot be, as `error` says: the configuration file, or the newest generation that can be read.
    fn anything(self, error: String) -> Result<Start, String> {
        let unusable = match &self.file {
            Ok(_) => {
                tracing::error!("cannot go on with what was in force: {error}");
                return self.file(None, "what was in force cannot be read");
            }
            Err(unusable) => unusable,
        };
        let confirmed =
            self.history.generations().iter().rev().filter(|one| one.standing == super::Standing::Confirmed);
        let mut readable = confirmed.filter_map(|one| Some((one.clone(), policy_of(self.history, one).ok()?)));
        let Some((generation, policy)) = readable.next() else {
            return Err(format!("{unusable}\n{error}"));
        };
        tracing::error!("starting with generation {}, the newest that can be used: {error}", generation.number);
        Ok(Start::with(policy, Basis::Older(generation, error)))
    }
}

impl Start {
    fn with(policy: Policy, basis: Basis) -> Self {
        Self { policy, basis, fallback: None, refused: None }
    }

    /// What was in force before goes on, since the configuration file is refused: why.
    ///
    /// # Errors
    /// Itself, when it does not come from the file or nothing is known of before.
    pub fn fall_back(self, why: &str) -> Result<Self, Box<Self>> {
        match self {
            Self { basis: Basis::File(..), fallback: Some(before), .. } => {
                let Fallback { policy, generation } = *before;
                tracing::error!(
                    "THE CONFIGURATION FILE IS NOT IN FORCE, generation {} ({}) is, as before: {why}",
                    generation.number,
                    generation.how.label()
                );
                Ok(Self { refused: Some(why.to_owned()), ..Self::with(policy, Basis::Kept(generation)) })
            }
            other => Err(Box::new(other)),
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

/// `policy` in another mode, if there is one.
fn in_mode(policy: Policy, mode: Option<Mode>) -> Policy {
    Policy { mode: mode.unwrap_or(policy.mode), ..policy }
}
