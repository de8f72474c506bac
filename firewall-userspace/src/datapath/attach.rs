//! Where the program is attached, and how it is replaced without a gap.

use std::{collections::BTreeMap, path::Path};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use nix::{
    errno::Errno,
    net::if_::{if_nameindex, if_nametoindex},
};

use super::{DatapathError, LoadedPolicy, PinFolder, fitness, foreign, link, pins::remove};
use crate::policy::{AttachMode, Interface};

/// One attached interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its index when it was attached.
    pub ifindex: u32,
    /// What was asked for.
    pub configured: AttachMode,
    /// What it got: native or generic.
    pub mode: AttachMode,
    /// Whether it is filtered.
    pub presence: Presence,
}

/// Whether an interface is filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Attached,
    /// There is no interface of that name.
    Missing,
    /// It is, but has another name now.
    Renamed(String),
    /// It is there and not filtered: why.
    Refused(String),
}

impl Presence {
    /// Its name in status.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Missing => "missing",
            Self::Renamed(_) => "renamed",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether packets are judged.
    pub const fn is_filtered(&self) -> bool {
        matches!(self, Self::Attached | Self::Renamed(_))
    }
}

/// The state of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentState {
    /// Its name.
    pub name: String,
    /// Where and how it is attached.
    pub attached: Attached,
    /// How often it was attached again: it was made anew, or somebody had detached it.
    pub reattachments: u64,
}

/// What became of an interface by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceChange {
    /// Only how it is told has changed.
    Presence(Presence),
    /// It was made anew, or came, and is filtered again.
    Created,
    /// Its link was taken away, and is there again.
    Detached,
    /// Its link had this program in the place of ours, and has ours again.
    Replaced(u32),
}

/// The interfaces on which a program of ours is attached. Links are pinned: they outlive this value.
#[derive(Debug, Default)]
pub struct Attachments {
    interfaces: BTreeMap<String, Attached>,
}

impl Attachments {
    /// What is attached, by interface.
    pub fn interfaces(&self) -> &BTreeMap<String, Attached> {
        &self.interfaces
    }

    /// Makes `generation` the program of exactly `wanted`: new interfaces are attached, those that stay are swapped by
    /// one link update each, the others are detached. All of it, or nothing: on failure `previous` is put back. What cannot be
    /// detached does not fail it, and is tried again by [`follow`](Self::follow). An interface that is not there is waited
    /// for, and so is one that refuses, unless it is new: what can be filtered does not wait for the others.
    ///
    /// At a start, which has no `previous`, every interface that refuses is waited for, as long as there is another one.
    ///
    /// Links that a killed daemon left come last: until all else is attached they filter on as they are, and no failure
    /// removes them.
    ///
    /// # Errors
    /// When a new interface refuses; at a start, when all of them do.
    pub fn switch(
        &mut self,
        generation: &mut LoadedPolicy,
        mut previous: Option<&mut LoadedPolicy>,
        wanted: &[Interface],
        pins: &PinFolder,
    ) -> Result<(), DatapathError> {
        let mut attached = Vec::new();
        let mut swapped = Vec::new();
        let is_left = |interface: &&Interface| {
            !self.interfaces.contains_key(&interface.name) && !pins.left_links(&interface.name).is_empty()
        };
        let (left, others): (Vec<_>, Vec<_>) = wanted.iter().partition(is_left);
        let is_start = previous.is_none();
        let mut first_refusal = None;
        for interface in others.iter().chain(&left) {
            let is_there = Self::index_of(&interface.name).is_ok();
            let result = match self.interfaces.get(&interface.name) {
                Some(current) if current.configured != interface.mode => {
                    Err(DatapathError::ModeChange { interface: interface.name.clone() })
                }
                // It waits for its return.
                Some(_) if !is_there => Ok(()),
                Some(current) if current.presence == Presence::Attached && has_link(&interface.name, pins) => {
                    swap(generation.program_mut()?, &interface.name, pins).map(|()| swapped.push(&interface.name))
                }
                None if !is_there => {
                    attached.push((interface.name.clone(), Attached::without(interface, Presence::Missing)));
                    Ok(())
                }
                known => match attach(generation.program_mut()?, interface, pins) {
                    Ok(new) => {
                        attached.push((interface.name.clone(), new));
                        Ok(())
                    }
                    Err(error) if is_start || known.is_some() => {
                        let presence = Presence::Refused(error.to_string());
                        attached.push((interface.name.clone(), Attached::without(interface, presence)));
                        first_refusal = first_refusal.or(Some(error));
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                let is_new =
                    |name: &String| left.iter().all(|one| one.name != *name) && !self.interfaces.contains_key(name);
                for (name, _) in attached.iter().filter(|(name, _)| is_new(name)) {
                    let _ = pins.remove_link(name);
                }
                if let Some(previous) = previous.as_deref_mut() {
                    for name in swapped {
                        // The others still go back when one does not; the next look at the interfaces tries it again.
                        let back = previous.program_mut().and_then(|program| swap(program, name, pins));
                        if let Err(error) = back {
                            tracing::error!(interface = name, "cannot put the old policy back; trying again: {error}");
                        }
                    }
                }
                return Err(error);
            }
        }
        let refuses = |(_, one): &(String, Attached)| matches!(one.presence, Presence::Refused(_));
        if let (true, true, Some(error)) = (is_start, attached.iter().all(refuses), first_refusal) {
            return Err(error);
        }
        self.interfaces.extend(attached);
        // Also what a killed daemon left on an interface that is not in the configuration any more.
        let is_wanted = |name: &String| wanted.iter().any(|interface| interface.name == *name);
        self.interfaces.retain(|name, _| is_wanted(name));
        self.detach_others(pins);
        Ok(())
    }

    /// Detaches from interfaces that are not among ours: a policy that is in force does not fail because of them.
    fn detach_others(&self, pins: &PinFolder) {
        for name in pins.interfaces().iter().filter(|name| !self.interfaces.contains_key(*name)) {
            if let Err(error) = pins.remove_link(name) {
                tracing::error!(
                    interface = name,
                    "is still filtered and is not configured any more; trying again: {error}"
                );
            }
        }
    }

    /// Looks whether each interface has a link of ours with the program of `generation`, and attaches it again where it
    /// has not. What changed, by interface.
    pub fn follow(&mut self, generation: &mut LoadedPolicy, pins: &PinFolder) -> Vec<(String, InterfaceChange)> {
        self.detach_others(pins);
        let mut changes = Vec::new();
        let Ok((program, id)) = generation.program_mut().and_then(|program| {
            let id = program.info().map_err(DatapathError::program)?.id();
            Ok((program, id))
        }) else {
            return changes;
        };
        for (name, attached) in &mut self.interfaces {
            let index = Self::index_of(name).ok();
            let link = pins.find_link(name).and_then(|(path, _)| Some((link::read(&path).ok()?, path)));
            let link = link.filter(|(link, _)| link.ifindex != 0);
            let change = match (index, link) {
                (Some(index), Some((link, path))) if link.ifindex == index => {
                    attached.ifindex = index;
                    if link.program == id {
                        Ok(InterfaceChange::Presence(Presence::Attached))
                    } else {
                        update(program, &path).map(|()| InterfaceChange::Replaced(link.program))
                    }
                }
                (Some(index), _) => {
                    let interface = Interface { name: name.clone(), mode: attached.configured, required: false };
                    let is_known = attached.ifindex == index && attached.presence != Presence::Missing;
                    attach(program, &interface, pins).map_err(|error| error.to_string()).map(|new| {
                        *attached = new;
                        if is_known { InterfaceChange::Detached } else { InterfaceChange::Created }
                    })
                }
                (None, Some((link, _))) => Ok(InterfaceChange::Presence(match name_of(link.ifindex) {
                    Some(name) => Presence::Renamed(name),
                    None => Presence::Missing,
                })),
                (None, None) => Ok(InterfaceChange::Presence(Presence::Missing)),
            };
            let change = change.unwrap_or_else(|cause| InterfaceChange::Presence(Presence::Refused(cause)));
            let presence = match &change {
                InterfaceChange::Presence(presence) => presence.clone(),
                _ => Presence::Attached,
            };
            if change == InterfaceChange::Presence(attached.presence.clone()) {
                continue;
            }
            attached.presence = presence;
            changes.push((name.clone(), change));
        }
        changes
    }

    /// Index of an interface.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn index_of(interface: &str) -> Result<u32, DatapathError> {
        if_nametoindex(interface).map_err(|_| DatapathError::NoInterface { interface: interface.to_owned() })
    }
}

/// Attaches to an interface on which no link of ours is known. A link that a daemon left behind is adopted, so that a
/// restart opens no gap.
fn attach(program: &mut Xdp, interface: &Interface, pins: &PinFolder) -> Result<Attached, DatapathError> {
    let ifindex = Attachments::index_of(&interface.name)?;
    fitness::require(&interface.name, ifindex)?;
    for (path, mode) in pins.left_links(&interface.name) {
        let is_its = link::read(&path).is_ok_and(|link| link.ifindex == ifindex);
        let fits = interface.mode == AttachMode::Auto || interface.mode == mode;
        if is_its && fits && update(program, &path).is_ok() {
            pins.take_over(&path, &interface.name, mode)?;
            return Ok(Attached { ifindex, configured: interface.mode, mode, presence: Presence::Attached });
        }
        // Another mode is wanted, or the interface it belonged to is gone or has another name: start afresh.
        remove(&path)?;
    }
    let mode = match interface.mode {
        AttachMode::Auto => match attach_in(program, interface, ifindex, AttachMode::Native, pins) {
            Ok(()) => AttachMode::Native,
            Err(DatapathError::Attach { errno: Some(libc::EOPNOTSUPP), .. }) => {
                attach_in(program, interface, ifindex, AttachMode::Generic, pins)?;
                AttachMode::Generic
            }
            Err(error) => return Err(error),
        },
        mode => {
            attach_in(program, interface, ifindex, mode, pins)?;
            mode
        }
    };
    Ok(Attached { ifindex, configured: interface.mode, mode, presence: Presence::Attached })
}

fn attach_in(
    program: &mut Xdp,
    interface: &Interface,
    ifindex: u32,
    mode: AttachMode,
    pins: &PinFolder,
) -> Result<(), DatapathError> {
    let flags = if mode == AttachMode::Generic { XdpMode::Skb } else { XdpMode::Driver };
    let fail = |error: ProgramError| {
        let told = DatapathError::attach(&interface.name, mode, &error);
        match told {
            DatapathError::Attach { errno: Some(libc::EBUSY | libc::EEXIST), .. } => {
                let programs = foreign::programs_on(ifindex);
                if programs.is_empty() {
                    return fitness::explained(told, ifindex);
                }
                DatapathError::Foreign { interface: interface.name.clone(), mode, programs }
            }
            told => fitness::explained(told, ifindex),
        }
    };
    let id = program.attach_to_if_index(ifindex, flags).map_err(fail)?;
    let link = program.take_link(id).map_err(fail)?;
    // aya falls back to an attachment without a link when the kernel refuses one; that could not be swapped or pinned.
    let link = FdLink::try_from(link).map_err(|error| DatapathError::Attach {
        interface: interface.name.clone(),
        mode,
        cause: format!("the kernel has no BPF link for XDP here ({error})"),
        errno: Some(libc::EINVAL),
        advice: None,
    })?;
    let path = pins.link(&interface.name, mode);
    link.pin(&path).map(drop).map_err(|error| DatapathError::Attach {
        interface: interface.name.clone(),
        mode,
        cause: format!("its link cannot be pinned to {}: {error}", path.display()),
        errno: None,
        advice: None,
    })
}

impl Attached {
    /// An interface that is not filtered, and why.
    fn without(interface: &Interface, presence: Presence) -> Self {
        let mode = if interface.mode == AttachMode::Generic { AttachMode::Generic } else { AttachMode::Native };
        Self { ifindex: 0, configured: interface.mode, mode, presence }
    }
}

/// Whether the pinned link of an interface is on this very interface.
fn has_link(interface: &str, pins: &PinFolder) -> bool {
    let link = pins.find_link(interface).and_then(|(path, _)| link::read(&path).ok());
    link.is_some_and(|link| Attachments::index_of(interface).is_ok_and(|index| link.ifindex == index))
}

/// Name of an interface of this namespace.
fn name_of(ifindex: u32) -> Option<String> {
    let interfaces = if_nameindex().ok()?;
    let name = interfaces.iter().find(|one| one.index() == ifindex)?.name();
    name.to_str().ok().map(str::to_owned)
}

fn swap(program: &mut Xdp, interface: &str, pins: &PinFolder) -> Result<(), DatapathError> {
    let fail = |cause| DatapathError::Swap { interface: interface.to_owned(), cause };
    let (path, _) = pins.find_link(interface).ok_or_else(|| fail("its pinned link is gone".to_owned()))?;
    update(program, &path).map_err(fail)
}

/// Makes `program` that of a pinned link: one `BPF_LINK_UPDATE`, atomic for every packet.
fn update(program: &mut Xdp, path: &Path) -> Result<(), String> {
    let link: FdLink = PinnedLink::from_pin(path).map_err(|error| error.to_string())?.into();
    let link = XdpLink::try_from(link).map_err(|error| error.to_string())?;
    let id = program.attach_to_link(link).map_err(|error| match &error {
        ProgramError::SyscallError(call) if call.io_error.raw_os_error() == Some(Errno::ENOLINK as i32) => {
            "the interface was removed".to_owned()
        }
        _ => error.to_string(),
    })?;
    // Only our handle is closed; the pin keeps the attachment.
    program.take_link(id).map(drop).map_err(|error| error.to_string())
}
