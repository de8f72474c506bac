//! The daemon confines itself, before there are threads and before it reads anything that others send (decision 14).
//!
//! In: what was asked of `portcullis run`, and where its configuration says that things are. Out: a thread, with all that it starts from
//! now on, that can write only there, executes nothing and makes no call that a daemon never makes; and what of that this kernel has.
//! [`Sandbox`] owns what is told of it.

mod access;
mod calls;
mod places;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use self::places::Openings;
pub use self::{calls::refused_calls, places::DaemonPlaces};
use super::RunOptions;
use crate::{
    control::{LandlockForce, LandlockView, SandboxStatus},
    datapath,
    host::{
        confinement::{Confinement, LandlockSupport},
        sshd::{self, SshdPorts},
    },
};

/// The sandbox of a daemon.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    status: SandboxStatus,
    /// Folders in which files can be written; `None`: wherever the user may.
    writable: Option<Vec<PathBuf>>,
    sshd: SshdPorts,
}

/// Confines the thread that calls, which is to be the only one, for `options`.
pub fn enter(options: &RunOptions) -> Sandbox {
    // From in there no process outside can be looked into.
    let sshd = sshd::look();
    if !options.sandbox {
        let why = Some("it was started with --no-sandbox".to_owned());
        return Sandbox { status: SandboxStatus { why, ..of_kernel() }, writable: None, sshd };
    }
    datapath::look_at_holders();
    let calls = calls::refuse();
    let openings = places::open_in_time(options);
    Sandbox { sshd, ..confined(calls, openings) }
}

/// Confines the thread that calls, and those that it starts, to `places`. It waits for their file systems as long as it takes.
pub fn confine(places: &DaemonPlaces) -> SandboxStatus {
    let calls = calls::refuse();
    confined(calls, Ok(places.open())).status
}

fn confined(calls: Result<(), String>, openings: Result<Openings, String>) -> Sandbox {
    let mut why: Vec<String> = calls.err().into_iter().collect();
    let restricted = openings.and_then(|openings| access::restrict(&openings).map(|support| (openings, support)));
    let (landlock, writable) = match restricted {
        Ok((openings, (state, support))) => {
            why.extend(support.obstacle().map(|[obstacle, hint]| format!("{obstacle}\nhint: {hint}")));
            let abi = if let LandlockSupport::Version(version) = support { version } else { 0 };
            let writable = (state != LandlockForce::None).then(|| openings.writable());
            (LandlockView { state, abi }, writable)
        }
        Err(error) => {
            why.push(error);
            (LandlockView::default(), None)
        }
    };
    let why = (!why.is_empty()).then(|| why.join("; "));
    Sandbox { status: SandboxStatus { landlock, why, ..of_kernel() }, writable, sshd: SshdPorts::default() }
}

/// What the kernel tells of this thread.
fn of_kernel() -> SandboxStatus {
    let Confinement { user, capabilities, has_filter, has_no_new_privileges } = Confinement::of_this_thread();
    SandboxStatus {
        seccomp: has_filter == Some(true),
        no_new_privileges: has_no_new_privileges,
        user,
        capabilities,
        ..SandboxStatus::default()
    }
}

impl Sandbox {
    /// What is told of it.
    pub fn status(&self) -> &SandboxStatus {
        &self.status
    }

    /// What was seen of sshd from outside of it.
    pub fn sshd(&self) -> &SshdPorts {
        &self.sshd
    }

    /// Says in the log what holds.
    pub fn log(&self) {
        let SandboxStatus { landlock, seccomp, user, why, .. } = &self.status;
        let capabilities = self.status.powers();
        let user = user.map_or_else(|| "unknown".to_owned(), |user| user.to_string());
        match why {
            None => tracing::info!(user, capabilities, landlock = landlock.abi, seccomp, "confined"),
            Some(why) => tracing::warn!(
                user,
                capabilities,
                landlock = landlock.abi,
                seccomp,
                "THIS DAEMON IS CONFINED LESS THAN IT COULD BE: {why}"
            ),
        }
    }

    /// Refuses a state folder, without links on the way to it, that the sandbox does not know: the configuration file named another one
    /// when the daemon started.
    ///
    /// # Errors
    /// In words.
    pub fn require_state(&self, folder: &Path) -> Result<(), String> {
        match &self.writable {
            Some(known) if !known.iter().any(|one| folder.starts_with(one)) => Err(format!(
                "cannot use the state folder {}: the configuration file did not name it when this daemon started and confined \
                 itself\nhint: start the daemon again",
                folder.display()
            )),
            _ => Ok(()),
        }
    }
}
