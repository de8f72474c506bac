//! What a start is in the history of the policy, and what waits for a confirmation over it.

use super::{
    Core,
    waiting::{Awaited, Waiting},
};
use crate::{
    clock::{Now, deadline::Deadline},
    config::Bundle,
    control::Caller,
    datapath::Filter,
    policy::Mode,
    state::{
        disk::Disk,
        history::{Care, Content, Generation, How, Standing, start::Basis},
    },
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Takes its place among the generations; the policy is in force already.
    pub(super) fn begin(&mut self, basis: Basis, now: Now) {
        let push = self.keeper.provisional().map(|push| Deadline::resume(push.until, now));
        self.waiting = push.map(|deadline| Waiting::new(Awaited::Push, deadline));
        match basis {
            Basis::Kept(_) => {}
            Basis::Waiting(_, deadline, previous) => {
                // One thing waits at a time: a push that still does has been undone, and that could not be kept.
                if self.waiting.is_some()
                    && let Err(error) = self.undo_push(now)
                {
                    tracing::error!("cannot undo a push that was undone before the restart: {error}");
                }
                let previous = previous.map(|previous| (*previous).into());
                self.waiting = Some(Waiting::new(Awaited::Policy(previous), deadline));
            }
            Basis::Back(previous) => {
                self.in_force.begin(self.history.last() + 1);
                self.note_return(previous, "the policy before the restart was not confirmed".into(), now);
            }
            Basis::File(bundle, mode) => self.begin_with_file(bundle, mode, now),
        }
    }

    fn begin_with_file(&mut self, bundle: Bundle, mode: Option<Mode>, now: Now) {
        let kept = if mode.is_none() && self.history.is_live(&bundle) {
            self.history.read_again(Care::Owe)
        } else {
            let number = self.in_force.begin(self.history.last() + 1);
            let generation = Generation {
                how: How::Start,
                source: bundle.name.clone(),
                summary: "as in the configuration file".into(),
                standing: Standing::Confirmed,
                mode,
                ..Generation::new(number, now.wall, &Caller::daemon().name)
            };
            self.history.record(generation, Content::Sent(bundle), true, None, Care::Owe)
        };
        if let Err(error) = kept {
            tracing::error!(%error, "cannot keep this generation of the policy; trying again");
        }
        self.history.clean();
    }
}
