//! XDP links by their descriptors: who holds one keeps its interface filtered, pinned or not.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::Path,
};

use super::{object, syscall::bpf};
use crate::policy::AttachMode;

/// Takes the program of a pinned link off its interface, whoever else holds the link; it is off when this returns
/// (`bpf_xdp_link_detach`, net/core/dev.c), where a link that lost its last holder is freed some time later.
///
/// # Errors
/// When there is no link, or it cannot be detached.
pub(super) fn detach(path: &Path) -> io::Result<()> {
    Link::open(path)?.detach()
}

/// An XDP link that is held.
#[derive(Debug)]
pub(super) struct Link {
    descriptor: OwnedFd,
}

/// What the kernel tells of an XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkFacts {
    /// Its identifier.
    pub(super) id: u32,
    /// The program it attaches.
    pub(super) program: u32,
    /// The interface it attaches to; 0 when it was severed, because the interface is gone or somebody detached it.
    pub(super) ifindex: u32,
}

impl Link {
    /// Attaches `program` to an interface, in this mode; generic or native, not automatic.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn create(program: BorrowedFd<'_>, ifindex: u32, mode: AttachMode) -> io::Result<Self> {
        let flags = if mode == AttachMode::Generic { uapi::XDP_FLAGS_SKB_MODE } else { uapi::XDP_FLAGS_DRV_MODE };
        let program = program.as_raw_fd().cast_unsigned();
        let mut attributes = CreateAttributes { program, ifindex, kind: uapi::ATTACH_TYPE_XDP, flags, rest: [0; 4] };
        // SAFETY: the attributes have no addresses.
        let descriptor = unsafe { bpf(uapi::LINK_CREATE, &mut attributes) }?;
        // SAFETY: the kernel just made this descriptor, and nobody else knows it.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor as i32) } })
    }

    /// The link that is pinned at `path`.
    ///
    /// # Errors
    /// When there is none, or it is no XDP link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let descriptor = object::open(path)?;
        let is_xdp = object::kind(descriptor.as_fd())? == object::LINK
            && object::info(descriptor.as_fd())?.kind == uapi::LINK_TYPE_XDP;
        if is_xdp { Ok(Self { descriptor }) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// What the kernel tells of it now.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn facts(&self) -> io::Result<LinkFacts> {
        let object::Info { id, program, ifindex, .. } = object::info(self.descriptor.as_fd())?;
        Ok(LinkFacts { id, program, ifindex })
    }

    /// Makes `program` that of the link: atomic for every packet.
    ///
    /// # Errors
    /// When the kernel refuses, such as `ENOLINK` for one that was severed.
    pub(super) fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let [link, program] = [self.descriptor.as_raw_fd(), program.as_raw_fd()].map(i32::cast_unsigned);
        let mut attributes = UpdateAttributes { link, program, flags: 0, old: 0 };
        // SAFETY: the attributes have no addresses.
        unsafe { bpf(uapi::LINK_UPDATE, &mut attributes) }.map(drop)
    }

    /// Takes the program off the interface now, whoever else holds the link.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn detach(&self) -> io::Result<()> {
        let mut attributes = DetachAttributes { link: self.descriptor.as_raw_fd().cast_unsigned() };
        // SAFETY: the attributes have no addresses.
        unsafe { bpf(uapi::LINK_DETACH, &mut attributes) }.map(drop)
    }

    /// Pins it at `path`, where nothing is.
    ///
    /// # Errors
    /// When it cannot be pinned there.
    pub(super) fn pin(&self, path: &Path) -> io::Result<()> {
        object::pin(self.descriptor.as_fd(), path)
    }
}

/// Numbers of linux/bpf.h and linux/if_link.h.
mod uapi {
    pub(super) const LINK_CREATE: i32 = 28;
    pub(super) const LINK_UPDATE: i32 = 29;
    pub(super) const LINK_DETACH: i32 = 34;
    pub(super) const LINK_TYPE_XDP: u32 = 6;
    pub(super) const ATTACH_TYPE_XDP: u32 = 37;
    pub(super) const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
    pub(super) const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
}

/// Head of the `bpf_attr` of `BPF_LINK_CREATE`.
#[repr(C)]
struct CreateAttributes {
    program: u32,
    ifindex: u32,
    kind: u32,
    flags: u32,
    rest: [u32; 4],
}

/// Head of the `bpf_attr` of `BPF_LINK_UPDATE`.
#[repr(C)]
struct UpdateAttributes {
    link: u32,
    program: u32,
    flags: u32,
    old: u32,
}

/// `bpf_attr` of `BPF_LINK_DETACH`.
#[repr(C)]
struct DetachAttributes {
    link: u32,
}
