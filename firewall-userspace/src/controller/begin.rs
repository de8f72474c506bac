//! What a start is in the history of the policy.

use jiff::Timestamp;

use super::{State, Waiting};
use crate::{
    config::Bundle,
    policy::Mode,
    state::history::{Care, Content, Generation, How, Standing, start::Basis},
};

impl State {
    /// Takes its place among the generations; the policy is in force already.
    pub(super) fn begin(&mut self, basis: Basis) {
        self.number = self.history.last().max(1);
        match basis {
            Basis::Kept(_) => {}
            Basis::Waiting(_, deadline, previous) => {
                self.waiting = Some(Waiting::new(deadline, previous.map(|previous| *previous)));
            }
            Basis::Back(previous) => {
                self.number = self.history.last() + 1;
                self.note_return(previous, "the policy before the restart was not confirmed".into());
            }
            Basis::File(bundle, mode) => self.begin_with_file(bundle, mode),
        }
    }

    fn begin_with_file(&mut self, bundle: Bundle, mode: Option<Mode>) {
        let kept = if mode.is_none() && self.history.is_live(&bundle) {
            self.history.read_again()
        } else {
            self.number = self.history.last() + 1;
            let generation = Generation {
                number: self.number,
                at: Timestamp::now(),
                owner: "daemon".into(),
                how: How::Start,
                of: None,
                source: bundle.name.clone(),
                summary: "as in the configuration file".into(),
                standing: Standing::Confirmed,
                mode,
                bundle: self.number,
            };
            self.history.record(generation, Content::Sent(bundle), true, None, Care::Owe)
        };
        if let Err(error) = kept {
            self.snapshots.counters.failures += 1;
            tracing::error!(%error, "cannot keep this generation of the policy; trying again");
        }
        self.history.clean();
    }
}
