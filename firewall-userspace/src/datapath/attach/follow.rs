//! What happens by itself: interfaces that come, go, are renamed or meddled with.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::{Duration, Instant},
};

use super::{
    AttachmentState, Held, InterfaceChange, Presence,
    device::{Filtered, Program, index_of, name_of},
};
use crate::{datapath::PinFolder, policy::Interface};

/// The shortest time between two attempts on an interface that refuses: a driver may go down and up for one, which is an event again.
const RETRY: Duration = Duration::from_secs(1);

/// Changes of one look, by interface.
pub(super) type Changes = BTreeMap<String, InterfaceChange>;

/// Interfaces of the policy that are there, with their index.
type Bound = BTreeMap<String, u32>;

impl Held {
    /// See [`Attachments::follow`](super::Attachments::follow).
    pub(super) fn follow(&mut self, pins: &PinFolder, retries: bool) -> bool {
        let (changes, has_pinned) = self.bring_in_line(pins, retries);
        let is_changed = has_pinned || !changes.is_empty();
        self.note(changes);
        is_changed
    }

    /// Counts and logs changes.
    pub(super) fn note(&mut self, changes: impl IntoIterator<Item = (String, InterfaceChange)>) {
        for (interface, change) in changes {
            change.log(&interface);
            self.news.links += u64::from(change.is_drift());
        }
    }

    /// Brings everything in line; what changed of interfaces, and whether something did of pins.
    pub(super) fn bring_in_line(&mut self, pins: &PinFolder, retries: bool) -> (Changes, bool) {
        let mut changes = Changes::new();
        let Some(program) = self.program.take() else { return (changes, false) };
        let bound: Bound = self.wanted.keys().filter_map(|name| Some((name.clone(), index_of(name)?))).collect();
        // Each interface of the policy is told, whatever was told of a device that had its name for a moment.
        for (name, mode) in &self.wanted {
            if self.told.get(name).is_none_or(|state| state.was.is_some()) {
                self.told.insert(name.clone(), AttachmentState::new(name, *mode));
            }
        }
        let severed = self.forget_severed();
        self.keep_program(&program, &mut changes);
        self.attach_where_none_is(&program, &bound, &severed, retries, &mut changes);
        self.program = Some(program);
        self.name_devices(&bound);
        self.release(&bound);
        self.tell(&bound, &mut changes);
        let indices = bound.values().copied().collect();
        let (repaired, is_changed) = self.pinning.tend(&mut self.devices, &indices, pins);
        self.news.pins += repaired;
        for state in self.told.values_mut() {
            let device = self.devices.get(&state.attached.ifindex).filter(|_| state.attached.presence.is_filtered());
            state.is_pinned = device.is_some_and(|device| device.is_pinned);
        }
        (changes, is_changed)
    }

    /// Forgets links that are on nothing any more; the indices of their devices.
    fn forget_severed(&mut self) -> BTreeSet<u32> {
        let is_severed = |(index, device): (&u32, &Filtered)| device.facts(*index).is_none().then_some(*index);
        let severed: BTreeSet<u32> = self.devices.iter().filter_map(is_severed).collect();
        self.devices.retain(|index, _| !severed.contains(index));
        severed
    }

    /// Puts our program back where somebody has put another one into our link.
    fn keep_program(&mut self, program: &Program, changes: &mut Changes) {
        for (index, device) in &self.devices {
            let Some(facts) = device.facts(*index).filter(|facts| facts.program != program.id) else { continue };
            match device.link.update(program.as_fd()) {
                Ok(()) => drop(changes.insert(device.origin.clone(), InterfaceChange::Replaced(facts.program))),
                Err(error) => tracing::error!(
                    interface = device.origin,
                    program = facts.program,
                    "another program is in our link, and ours cannot be put back: {error}"
                ),
            }
        }
    }

    /// Attaches the program to interfaces of the policy that are there without it.
    fn attach_where_none_is(
        &mut self,
        program: &Program,
        bound: &Bound,
        severed: &BTreeSet<u32>,
        retries: bool,
        changes: &mut Changes,
    ) {
        self.owes_retry |= retries;
        let may_retry = self.owes_retry && self.tried.is_none_or(|tried| tried.elapsed() >= RETRY);
        let open: Vec<_> = bound.iter().filter(|(_, index)| !self.devices.contains_key(index)).collect();
        for (name, index) in open {
            let Some(state) = self.told.get_mut(name) else { continue };
            let was = mem::replace(&mut state.attached.ifindex, *index);
            let has_refused = matches!(state.attached.presence, Presence::Refused(_));
            if has_refused && was == *index && !may_retry {
                continue;
            }
            let interface = Interface { name: name.clone(), mode: state.attached.configured, required: false };
            match Filtered::attach(program, &interface, *index, &mut self.occupants) {
                Ok(device) => {
                    let change = match was {
                        0 => InterfaceChange::Came,
                        _ if has_refused => InterfaceChange::Came,
                        was if was == *index && severed.contains(index) => InterfaceChange::Detached,
                        _ => InterfaceChange::Created,
                    };
                    self.devices.insert(*index, device);
                    changes.insert(name.clone(), change);
                }
                Err(error) => {
                    let presence = Presence::Refused(error.to_string());
                    if presence != state.attached.presence {
                        changes.insert(name.clone(), InterfaceChange::Presence(presence));
                    }
                }
            }
        }
        if may_retry {
            (self.owes_retry, self.tried) = (false, Some(Instant::now()));
        }
    }

    /// A device that has a name of the policy is the interface of that name.
    fn name_devices(&mut self, bound: &Bound) {
        for (index, device) in &mut self.devices {
            if bound.get(&device.origin) != Some(index)
                && let Some((name, _)) = bound.iter().find(|(_, other)| *other == index)
            {
                device.origin.clone_from(name);
            }
        }
    }

    /// Takes the program off what the policy does not name any more, by its name of now or that of before.
    fn release(&mut self, bound: &Bound) {
        let wanted = &self.wanted;
        self.devices.retain(|index, device| {
            if wanted.contains_key(&device.origin) || bound.values().any(|other| other == index) {
                return true;
            }
            let interface = name_of(*index).unwrap_or_else(|| device.origin.clone());
            match device.link.detach() {
                Ok(()) => {
                    tracing::warn!(interface, "is not in the configuration any more, and not filtered any more");
                    false
                }
                Err(error) => {
                    tracing::error!(interface, "is still filtered and not configured any more; trying again: {error}");
                    true
                }
            }
        });
    }

    /// Notes how everything stands, and what of it is another than before.
    fn tell(&mut self, bound: &Bound, changes: &mut Changes) {
        let known: BTreeSet<String> =
            self.told.values().filter(|state| state.was.is_some()).map(|state| state.name.clone()).collect();
        let wanted = &self.wanted;
        self.told.retain(|name, state| state.was.is_none() && wanted.contains_key(name));
        for (name, state) in &mut self.told {
            let presence = match bound.get(name).map(|index| (*index, self.devices.get(index))) {
                Some((index, Some(device))) => {
                    (state.attached.ifindex, state.attached.mode) = (index, device.mode);
                    Presence::Attached
                }
                Some((_, None)) => match changes.get(name) {
                    Some(InterfaceChange::Presence(presence)) => presence.clone(),
                    _ => state.attached.presence.clone(),
                },
                None => {
                    let mut renamed = self.devices.iter().filter(|(_, device)| device.origin == *name);
                    let renamed = renamed.find_map(|(index, _)| Some((*index, name_of(*index)?)));
                    renamed.map_or(Presence::Missing, |(index, now)| {
                        state.attached.ifindex = index;
                        Presence::Renamed(now)
                    })
                }
            };
            if let Some(change) = changes.get(name) {
                state.reattachments += u64::from(change.is_reattachment());
            } else if presence != state.attached.presence {
                changes.insert(name.clone(), InterfaceChange::Presence(presence.clone()));
            }
            state.attached.presence = presence;
        }
        self.tell_displaced(bound, &known, changes);
    }

    /// Notes devices that are filtered on and whose name another interface has now.
    fn tell_displaced(&mut self, bound: &Bound, known: &BTreeSet<String>, changes: &mut Changes) {
        for (index, device) in &self.devices {
            let is_bound = bound.values().any(|other| other == index);
            let Some(now) = name_of(*index).filter(|_| !is_bound && bound.contains_key(&device.origin)) else {
                continue;
            };
            // Names may change while they are looked at.
            if self.wanted.contains_key(&now) {
                continue;
            }
            if !known.contains(&now) {
                changes.insert(now.clone(), InterfaceChange::Displaced(device.origin.clone()));
            }
            let configured = self.wanted.get(&device.origin).copied().unwrap_or(device.mode);
            let mut state = AttachmentState::new(&now, configured);
            (state.attached.ifindex, state.attached.mode) = (*index, device.mode);
            (state.attached.presence, state.was) = (Presence::Renamed(now.clone()), Some(device.origin.clone()));
            self.told.insert(now, state);
        }
    }
}
