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
        history::{Care, Content, Generation, start::Basis},
    },
};

impl<F: Filter, D: Disk> Core<F, D> {
    /// Takes its place among the generations; the policy is in force already.
    pub(super) fn begin(&mut self, basis: Basis, now: Now) {
        let push = self.keeper.provisional().map(|push| Deadline::resume(push.until, now));
        self.undoable.waiting = push.map(|deadline| Waiting::new(Awaited::Push, deadline));
        match basis {
            Basis::Kept(_) => {}
            Basis::Waiting(_, deadline, previous) => {
                // One thing waits at a time: a push that still does has been undone, and that could not be kept.
                if self.undoable.waiting.is_some()
                    && let Err(error) = self.undo_push(now)
                {
                    tracing::error!("cannot undo a push that was undone before the restart: {error}");
                }
                let previous = previous.map(|previous| (*previous).into());
                self.undoable.waiting = Some(Waiting::new(Awaited::Policy(previous), deadline));
            }
            Basis::Back(previous) => {
                self.in_force.begin(self.history.last() + 1);
                self.note_return(previous, "the policy before the restart was not confirmed".into(), now);
            }
            Basis::Older(kept, why) => {
                let number = self.in_force.begin(self.history.last() + 1);
                let Generation { number: of, mode, temporary, source, bundle, .. } = kept;
                let summary = why.lines().next_back().unwrap_or_default().to_owned();
                let generation = Generation {
                    of: Some(of),
                    mode,
                    temporary,
                    source,
                    bundle,
                    summary,
                    ..Generation::new(number, now.wall, &Caller::daemon().name)
                };
                self.note_start(generation, Content::Of(of), false);
            }
            Basis::File(bundle, mode) => self.begin_with_file(bundle, mode, now),
        }
    }

    fn begin_with_file(&mut self, bundle: Bundle, mode: Option<Mode>, now: Now) {
        if self.history.is_live(&bundle, mode) {
            if let Err(error) = self.history.read_again(Care::Owe) {
                tracing::error!(%error, "cannot keep what the configuration file was read as; trying again");
            }
            return self.history.clean();
        }
        let number = self.in_force.begin(self.history.last() + 1);
        let generation = Generation {
            source: bundle.name.clone(),
            summary: "as in the configuration file".into(),
            mode,
            temporary: mode.and(self.history.active()).and_then(|active| active.temporary.clone()),
            ..Generation::new(number, now.wall, &Caller::daemon().name)
        };
        self.note_start(generation, Content::Sent(bundle), true);
    }

    /// Keeps the generation that a start has made.
    fn note_start(&mut self, generation: Generation, content: Content, is_read: bool) {
        if let Err(error) = self.history.record(generation, content, is_read, None, Care::Owe) {
            tracing::error!(%error, "cannot keep this generation of the policy; trying again");
        }
        self.history.clean();
    }
}
