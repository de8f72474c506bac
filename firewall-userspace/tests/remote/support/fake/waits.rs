//! What waits for a confirmation: nothing, unless a test wants it.

use std::sync::Mutex;

use firewall_userspace::control::{Confirm, Confirmed, Pending, PendingChange, Refusal};
use jiff::SignedDuration;

use super::time;

/// Changes that wait, and what became of them.
#[derive(Debug, Default)]
pub struct Waits {
    /// How long a change waits that asks for it; `None` when none does.
    pub seconds: Option<u64>,
    /// Another change takes the place of each that waits.
    pub is_replaced: bool,
    /// Times that were asked for.
    pub asked: Mutex<Vec<String>>,
    /// What was confirmed.
    pub confirmed: Mutex<Vec<Pending>>,
    /// What waits now.
    pub waiting: Mutex<Option<Pending>>,
}

impl Waits {
    /// Changes that ask for it wait for `seconds`, as they are told.
    pub fn of(seconds: u64) -> Self {
        Self { seconds: Some(seconds), ..Self::default() }
    }

    /// What waits after a change that asked for it.
    pub(super) fn after(&self, confirm: Option<&String>, change: PendingChange, generation: u64) -> Option<Pending> {
        let (seconds, confirm) = self.seconds.zip(confirm)?;
        self.asked.lock().unwrap().push(confirm.clone());
        let (previous, entries) = match change {
            PendingChange::Policy => (Some(3), None),
            PendingChange::Push => (None, Some(1)),
        };
        let deadline = time() + SignedDuration::from_secs(seconds.try_into().unwrap());
        let pending =
            Pending { change, generation, previous, entries, owner: "root".into(), deadline, seconds_left: seconds };
        let other = Pending { generation: generation + 1, ..pending.clone() };
        *self.waiting.lock().unwrap() = Some(if self.is_replaced { other } else { pending.clone() });
        Some(pending)
    }

    /// As the daemon does it.
    pub(super) fn confirm(&self, confirm: Confirm) -> Result<Confirmed, Refusal> {
        let mut waiting = self.waiting.lock().unwrap();
        let Some(pending) = waiting.clone() else { return Err(Refusal::NothingPending { why: None }) };
        if let Some(wanted) = confirm.generation.filter(|wanted| *wanted != pending.generation) {
            let why = Some(format!("number {wanted} does not, {} does", pending.name()));
            return Err(Refusal::NothingPending { why });
        }
        if !confirm.dry_run {
            *waiting = None;
            self.confirmed.lock().unwrap().push(pending.clone());
        }
        Ok(Confirmed { confirmed: pending, dry_run: confirm.dry_run })
    }
}
