//! Interfaces that come, go and change while the daemon runs.

use super::{State, drift::LINK, load};
use crate::{
    datapath::{Attachments, Change, DatapathError, PinFolder, Presence},
    policy::Policy,
};

/// Refuses a start on an interface that is not there, unless a daemon before has filtered it: then it is no mistake.
pub(super) fn require(policy: &Policy, pins: &PinFolder) -> Result<(), DatapathError> {
    let left = pins.interfaces();
    let mut new = policy.interfaces.iter().filter(|interface| !left.contains(&interface.name));
    new.try_for_each(|interface| Attachments::index_of(&interface.name).map(drop))
}

impl State {
    /// Brings links and interfaces in line again; whether all is well afterwards.
    pub(super) fn follow_interfaces(&mut self) {
        let changes = self.attachments.follow(&mut self.live, &self.pins);
        let mut is_new = false;
        for (interface, change) in changes {
            match change {
                Change::Presence(Presence::Attached) => tracing::info!(interface, "is as configured again"),
                Change::Presence(Presence::Missing) => {
                    tracing::error!(interface, "is gone; it is filtered again as soon as it is back");
                }
                Change::Presence(Presence::Renamed(name)) => {
                    tracing::warn!(
                        interface,
                        name,
                        "has another name now and is filtered on; change the configuration"
                    );
                }
                Change::Presence(Presence::Refused(cause)) => {
                    tracing::error!(interface, "is not filtered: {cause}");
                }
                Change::Created => {
                    tracing::warn!(interface, "was made anew, and is filtered again");
                    self.count_reattachment(&interface);
                    is_new = true;
                }
                Change::Detached => {
                    tracing::error!(interface, "somebody has detached the program; it is attached again");
                    self.count_reattachment(&interface);
                    self.drift.count(LINK, 1);
                }
                Change::Replaced(program) => {
                    tracing::error!(interface, program, "somebody has put another program in our link; ours is back");
                    self.count_reattachment(&interface);
                    self.drift.count(LINK, 1);
                }
            }
        }
        // The program knows interfaces by their index, where there are several.
        let has_several = self.policy.interfaces.iter().any(|interface| self.ids.position(&interface.name) > 0);
        if is_new && has_several {
            let renewed =
                load(&self.policy, &self.ids, &self.members, &self.pins, self.trace_packets).and_then(|mut next| {
                    let wanted = &self.policy.interfaces;
                    self.attachments.switch(&mut next, Some(&mut self.live), wanted, &self.pins).map(|()| next)
                });
            match renewed {
                Ok(next) => self.live = next,
                Err(error) => tracing::error!("packets of a new interface are counted for another one: {error}"),
            }
        }
    }

    fn count_reattachment(&mut self, interface: &str) {
        *self.reattachments.entry(interface.to_owned()).or_default() += 1;
    }
}
