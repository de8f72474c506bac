//! Where the program is attached, and how it is replaced without a gap.

use std::{collections::BTreeMap, path::Path};

use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};
use nix::{errno::Errno, net::if_::if_nametoindex};

use super::{DatapathError, Generation, PinFolder, pins::remove};
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
    /// one link update each, the others are detached. All of it, or nothing: on failure `previous` is put back.
    ///
    /// Links that a killed daemon left come last: until all else is attached they filter on as they are, and no failure
    /// removes them.
    ///
    /// # Errors
    /// When an interface refuses.
    pub fn switch(
        &mut self,
        generation: &mut Generation,
        mut previous: Option<&mut Generation>,
        wanted: &[Interface],
        pins: &PinFolder,
    ) -> Result<(), DatapathError> {
        let mut attached = Vec::new();
        let mut swapped = Vec::new();
        let is_left = |interface: &&Interface| {
            !self.interfaces.contains_key(&interface.name) && !pins.left_links(&interface.name).is_empty()
        };
        let (left, others): (Vec<_>, Vec<_>) = wanted.iter().partition(is_left);
        for interface in others.iter().chain(&left) {
            let result = match self.interfaces.get(&interface.name) {
                Some(current) if current.configured != interface.mode => {
                    Err(DatapathError::ModeChange { interface: interface.name.clone() })
                }
                Some(_) => {
                    swap(generation.program_mut()?, &interface.name, pins).map(|()| swapped.push(&interface.name))
                }
                None => attach(generation.program_mut()?, interface, pins).map(|new| {
                    attached.push((interface.name.clone(), new));
                }),
            };
            if let Err(error) = result {
                for (name, _) in attached.iter().filter(|(name, _)| left.iter().all(|one| one.name != *name)) {
                    let _ = pins.remove_link(name);
                }
                if let Some(previous) = previous.as_deref_mut() {
                    for name in swapped {
                        swap(previous.program_mut()?, name, pins)?;
                    }
                }
                return Err(error);
            }
        }
        self.interfaces.extend(attached);
        // Also what a killed daemon left on an interface that is not in the configuration any more.
        let is_wanted = |name: &String| wanted.iter().any(|interface| interface.name == *name);
        self.interfaces.retain(|name, _| is_wanted(name));
        pins.interfaces().iter().filter(|name| !is_wanted(name)).try_for_each(|name| pins.remove_link(name))
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
    for (path, mode) in pins.left_links(&interface.name) {
        let fits = interface.mode == AttachMode::Auto || interface.mode == mode;
        if fits && update(program, &path).is_ok() {
            pins.take_over(&path, &interface.name, mode)?;
            return Ok(Attached { ifindex, configured: interface.mode, mode });
        }
        // Another mode is wanted, or the interface it belonged to is gone (ENOLINK): start afresh.
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
    Ok(Attached { ifindex, configured: interface.mode, mode })
}

fn attach_in(
    program: &mut Xdp,
    interface: &Interface,
    ifindex: u32,
    mode: AttachMode,
    pins: &PinFolder,
) -> Result<(), DatapathError> {
    let flags = if mode == AttachMode::Generic { XdpMode::Skb } else { XdpMode::Driver };
    let fail = |error: ProgramError| DatapathError::attach(&interface.name, mode, &error);
    let id = program.attach_to_if_index(ifindex, flags).map_err(fail)?;
    let link = program.take_link(id).map_err(fail)?;
    // aya falls back to an attachment without a link when the kernel refuses one; that could not be swapped or pinned.
    let link = FdLink::try_from(link).map_err(|error| DatapathError::Attach {
        interface: interface.name.clone(),
        mode,
        cause: format!("the kernel has no BPF link for XDP here ({error})"),
        errno: Some(libc::EINVAL),
    })?;
    let path = pins.link(&interface.name, mode);
    link.pin(&path).map(drop).map_err(|error| DatapathError::Attach {
        interface: interface.name.clone(),
        mode,
        cause: format!("its link cannot be pinned to {}: {error}", path.display()),
        errno: None,
    })
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
