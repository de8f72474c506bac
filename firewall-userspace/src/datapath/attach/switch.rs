//! From one program to the next, and from one set of interfaces to another.

use std::{collections::BTreeMap, fs};

use nix::errno::Errno;

use super::{
    AttachmentState, Held, InterfaceChange, Presence, Unwilling,
    device::{Filtered, Occupants, Program, index_of, name_of},
};
use crate::{
    datapath::{DatapathError, PinFolder, PinnedLink, link::Link},
    policy::{AttachMode, Interface, attach_label},
};

/// Interfaces that refuse, and why.
type Refusals = Vec<(String, DatapathError)>;

impl Held {
    /// See [`Attachments::switch`](super::Attachments::switch).
    pub(super) fn switch(
        &mut self,
        program: Program,
        wanted: &[Interface],
        pins: &PinFolder,
        unwilling: &Unwilling,
    ) -> Result<(), DatapathError> {
        let is_start = self.program.is_none();
        // Whoever asks for a change wants to know who is in the way now.
        self.occupants = Occupants::default();
        if is_start {
            self.adopt(pins);
        }
        let there: Vec<(u32, &Interface)> =
            wanted.iter().filter_map(|interface| Some((index_of(&interface.name)?, interface))).collect();
        let (attached, mut refusals) =
            self.attach_new(&program, &there, is_start && *unwilling == Unwilling::IsWaitedFor)?;
        if is_start && refusals.len() == wanted.len() && !refusals.is_empty() {
            return Err(refusals.swap_remove(0).1);
        }
        if let Err(error) = self.swap_all(&program, &there, &attached, is_start) {
            self.give_up(&attached);
            return Err(error);
        }
        let is_first = |name: &String| is_start || !self.wanted.contains_key(name);
        for interface in wanted.iter().filter(|interface| is_first(&interface.name)) {
            let state = AttachmentState::new(&interface.name, interface.mode);
            self.told.insert(interface.name.clone(), state);
        }
        self.wanted = wanted.iter().map(|interface| (interface.name.clone(), interface.mode)).collect();
        self.program = Some(program);
        for (name, error) in refusals {
            if let Some(state) = self.told.get_mut(&name) {
                state.attached.ifindex = index_of(&name).unwrap_or(0);
                state.attached.presence = Presence::Refused(error.to_string());
            }
        }
        // How everything stands is told as a whole.
        let (changes, _) = self.bring_in_line(pins, false);
        let is_plain =
            |change: &InterfaceChange| matches!(change, InterfaceChange::Presence(_) | InterfaceChange::Came);
        self.note(changes.into_iter().filter(|(_, change)| !is_plain(change)));
        Ok(())
    }

    /// Takes the links that a daemon before this one left. Those of devices that are gone are forgotten.
    fn adopt(&mut self, pins: &PinFolder) {
        for (path, PinnedLink { interface: origin, mode, .. }) in pins.left_links() {
            let found = Link::open(&path).and_then(|link| link.facts().map(|facts| (link, facts)));
            match found {
                Ok((link, facts)) if facts.ifindex != 0 => {
                    let device = Filtered { link, id: facts.id, mode, origin, pin: Some(path), is_pinned: false };
                    self.devices.entry(facts.ifindex).or_insert(device);
                }
                _ => drop(fs::remove_file(&path)),
            }
        }
    }

    /// Attaches `program` where nothing of ours is: the devices, and the interfaces that are waited for because they refuse.
    fn attach_new(
        &mut self,
        program: &Program,
        there: &[(u32, &Interface)],
        is_patient: bool,
    ) -> Result<(Vec<u32>, Refusals), DatapathError> {
        let (mut attached, mut refusals) = (Vec::new(), Refusals::new());
        for (index, interface) in there {
            if self.devices.get(index).is_some_and(|device| device.facts(*index).is_some()) {
                continue;
            }
            match Filtered::attach(program, interface, *index, &mut self.occupants) {
                Ok(device) => {
                    self.devices.insert(*index, device);
                    attached.push(*index);
                }
                // It has gone meanwhile.
                Err(_) if index_of(&interface.name) != Some(*index) => {}
                Err(error) => {
                    let waits = is_patient && !is_owned(&error) || self.wanted.contains_key(&interface.name);
                    if !waits {
                        self.give_up(&attached);
                        return Err(error);
                    }
                    refusals.push((interface.name.clone(), error));
                }
            }
        }
        Ok((attached, refusals))
    }

    /// Takes `program` off the devices that were just attached.
    fn give_up(&mut self, attached: &[u32]) {
        for index in attached {
            if let Some(device) = self.devices.remove(index) {
                let _ = device.link.detach();
            }
        }
    }

    /// Makes `program` that of every device that was filtered before; when one refuses, the old one goes back.
    fn swap_all(
        &mut self,
        program: &Program,
        there: &[(u32, &Interface)],
        attached: &[u32],
        is_start: bool,
    ) -> Result<(), DatapathError> {
        let modes: BTreeMap<u32, &Interface> = there.iter().copied().collect();
        let mut swapped = Vec::new();
        for (index, device) in self.devices.iter_mut().filter(|(index, _)| !attached.contains(index)) {
            let wanted = modes.get(index);
            if let Some(interface) = wanted.filter(|interface| is_start && !fits(interface.mode, device.mode)) {
                reattach(device, program, interface, *index)?;
                continue;
            }
            match device.link.update(program.as_fd()) {
                Ok(()) => swapped.push(*index),
                // It is gone: what is there now is looked at in a moment.
                Err(error) if error.raw_os_error() == Some(Errno::ENOLINK as i32) => {}
                Err(error) => {
                    let interface = name_of(*index).unwrap_or_else(|| device.origin.clone());
                    self.swap_back(&swapped);
                    return Err(DatapathError::Swap { interface, cause: error.to_string() });
                }
            }
        }
        Ok(())
    }

    fn swap_back(&self, swapped: &[u32]) {
        let Some(program) = &self.program else { return };
        // The others still go back when one does not; the next look at the interfaces tries it again.
        for (interface, device) in swapped.iter().filter_map(|index| Some((index, self.devices.get(index)?))) {
            if let Err(error) = device.link.update(program.as_fd()) {
                tracing::error!(interface, "cannot put the old policy back; trying again: {error}");
            }
        }
    }
}

/// Whether what is in the way is a program of ours that lives by another process alone: that one would be put out of force.
fn is_owned(error: &DatapathError) -> bool {
    let DatapathError::Foreign { programs, .. } = error else { return false };
    programs.iter().any(|program| program.origin.is_ours() && program.pins.is_empty())
}

fn fits(wanted: AttachMode, mode: AttachMode) -> bool {
    wanted == AttachMode::Auto || wanted == mode
}

/// Attaches what a daemon before this one left in another mode in the one that is wanted now. Both at once cannot be; where the new one
/// is refused, the old one is filtered on with.
fn reattach(
    device: &mut Filtered,
    program: &Program,
    interface: &Interface,
    ifindex: u32,
) -> Result<(), DatapathError> {
    let fail =
        |error: std::io::Error| DatapathError::Swap { interface: interface.name.clone(), cause: error.to_string() };
    device.link.detach().map_err(fail)?;
    let occupants = &mut Occupants::default();
    let attached = Filtered::attach(program, interface, ifindex, occupants);
    let error = match attached {
        Ok(fresh) => {
            *device = fresh;
            return Ok(());
        }
        Err(error) => error,
    };
    let before = Interface { mode: device.mode, ..interface.clone() };
    *device = Filtered::attach(program, &before, ifindex, occupants)?;
    let mode = attach_label(device.mode);
    tracing::error!(interface = interface.name, mode, "is filtered on in the mode it had: {error}");
    Ok(())
}
