//! Pinned BPF links, and what aya does not pass on of them: the interface they belong to.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use super::syscall::bpf;

/// An XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkFacts {
    /// Its identifier.
    pub(super) id: u32,
    /// The program it attaches.
    pub(super) program: u32,
    /// The interface it attaches to; 0 when it was severed, because the interface is gone or somebody detached it.
    pub(super) ifindex: u32,
}

/// The link that is pinned at `path`.
///
/// # Errors
/// When there is none, or it is no XDP link.
pub(super) fn read(path: &Path) -> io::Result<LinkFacts> {
    let link = open(path)?;
    if kind(&link)? != "bpf-link" {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let info = info(&link)?;
    if info.kind != uapi::LINK_TYPE_XDP {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(LinkFacts { id: info.id, program: info.program, ifindex: info.ifindex })
}

/// What a pin has to do with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    /// The program that is pinned, or that the pinned link attaches; 0 when it is neither.
    pub(super) program: u32,
}

/// What is pinned at `path`, whatever it is.
pub(super) fn identify(path: &Path) -> io::Result<Pin> {
    let object = open(path)?;
    let program = match &*kind(&object)? {
        // Both have the identifier as their second number.
        "bpf-prog" => info(&object)?.id,
        "bpf-link" => info(&object)?.program,
        _ => 0,
    };
    Ok(Pin { program })
}

/// Takes the program of a pinned link off its interface, whoever else holds the link; it is off when this returns
/// (`bpf_xdp_link_detach`, net/core/dev.c), where a link that lost its last holder is freed some time later.
///
/// # Errors
/// When there is no link, or it cannot be detached.
pub(super) fn detach(path: &Path) -> io::Result<()> {
    let link = open(path)?;
    if kind(&link)? != "bpf-link" {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut attributes = DetachAttributes { descriptor: link.as_raw_fd() };
    // SAFETY: the attributes hold no address.
    unsafe { bpf(uapi::LINK_DETACH, &mut attributes) }.map(drop)
}

/// Numbers of linux/bpf.h.
mod uapi {
    pub(super) const OBJ_GET: i32 = 7;
    pub(super) const OBJ_GET_INFO_BY_FD: i32 = 15;
    pub(super) const LINK_DETACH: i32 = 34;
    pub(super) const LINK_TYPE_XDP: u32 = 6;
}

/// Head of the `bpf_attr` of `BPF_OBJ_GET`.
#[repr(C)]
struct OpenAttributes {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Head of the `bpf_attr` of `BPF_LINK_DETACH`.
#[repr(C)]
struct DetachAttributes {
    descriptor: i32,
}

/// `bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoAttributes {
    descriptor: i32,
    length: u32,
    info: u64,
}

/// Head of `struct bpf_link_info` of an XDP link.
#[derive(Default)]
#[repr(C)]
struct Info {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    ifindex: u32,
    rest: u32,
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = OpenAttributes { path: path.as_ptr().addr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the path lives until the call returns, which writes nothing.
    let descriptor = unsafe { bpf(uapi::OBJ_GET, &mut attributes) }?;
    // SAFETY: the kernel just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// What a descriptor is, as the kernel names it; links are `bpf_link` when they are made and `bpf-link` from a pin
/// (kernel/bpf/syscall.c).
fn kind(object: &OwnedFd) -> io::Result<String> {
    let name = fs::read_link(format!("/proc/self/fd/{}", object.as_raw_fd()))?;
    let name = name.to_string_lossy();
    Ok(name.trim_start_matches("anon_inode:").trim_matches(['[', ']']).replace('_', "-"))
}

fn info(object: &OwnedFd) -> io::Result<Info> {
    let mut info = Info::default();
    let mut attributes = InfoAttributes {
        descriptor: object.as_raw_fd(),
        length: size_of::<Info>() as u32,
        info: (&raw mut info).addr() as u64,
    };
    // SAFETY: the kernel writes at most `length` octets to `info`, which lives until the call returns.
    unsafe { bpf(uapi::OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info)
}
