//! Objects of the kernel as a BPF file system has them: opened, told apart, pinned by their descriptors.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use super::syscall::bpf;

/// What an object is, as the kernel names it.
pub(super) const LINK: &str = "bpf-link";
pub(super) const MAP: &str = "bpf-map";
pub(super) const PROGRAM: &str = "bpf-prog";

/// What is pinned at `path`, whatever it is: `bpf-link`, `bpf-prog` or `bpf-map`, with its identifier.
///
/// # Errors
/// When nothing of the kernel's is there.
pub(super) fn identify(path: &Path) -> io::Result<(String, u32)> {
    let object = open(path)?;
    Ok((kind(object.as_fd())?, info(object.as_fd())?.id))
}

/// Whether what is pinned at `path` is the object of this `kind` and identifier.
pub(super) fn is(path: &Path, kind: &str, id: u32) -> bool {
    id_of(path, kind) == Some(id)
}

/// Identifier of the object of this `kind` that is pinned at `path`; `None` when something else is there, or nothing.
pub(super) fn id_of(path: &Path, kind: &str) -> Option<u32> {
    identify(path).ok().filter(|(found, _)| found == kind).map(|(_, id)| id)
}

/// The program that is pinned at `path`, or that the link there attaches; 0 when something else is there.
///
/// # Errors
/// When nothing of the kernel's is there.
pub(super) fn program_of(path: &Path) -> io::Result<u32> {
    let object = open(path)?;
    match &*kind(object.as_fd())? {
        PROGRAM => Ok(info(object.as_fd())?.id),
        LINK => Ok(info(object.as_fd())?.program),
        _ => Ok(0),
    }
}

/// Opens what is pinned at `path`.
///
/// # Errors
/// When there is nothing, or it may not be opened.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = PathAttributes { path: path.as_ptr().expose_provenance() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the path lives until the call returns, which writes nothing.
    let descriptor = unsafe { bpf(uapi::OBJ_GET, &mut attributes) }?;
    // SAFETY: the kernel just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// Pins `object` at `path`, where nothing is.
///
/// # Errors
/// When something is there, or it is not on a BPF file system.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let descriptor = object.as_raw_fd().cast_unsigned();
    let mut attributes = PathAttributes { path: path.as_ptr().expose_provenance() as u64, descriptor, flags: 0 };
    // SAFETY: the path lives until the call returns, which writes nothing.
    unsafe { bpf(uapi::OBJ_PIN, &mut attributes) }.map(drop)
}

/// What a descriptor is, as the kernel names it; links are `bpf_link` when they are made and `bpf-link` from a pin
/// (kernel/bpf/syscall.c).
pub(super) fn kind(object: BorrowedFd<'_>) -> io::Result<String> {
    let name = fs::read_link(format!("/proc/self/fd/{}", object.as_raw_fd()))?;
    let name = name.to_string_lossy();
    Ok(name.trim_start_matches("anon_inode:").trim_matches(['[', ']']).replace('_', "-"))
}

/// Head of `struct bpf_link_info` of an XDP link. Programs and maps have their identifier at the same place.
#[derive(Default)]
#[repr(C)]
pub(super) struct Info {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) program: u32,
    padding: u32,
    pub(super) ifindex: u32,
    rest: u32,
}

/// What the kernel tells of an object.
pub(super) fn info(object: BorrowedFd<'_>) -> io::Result<Info> {
    let mut info = Info::default();
    let mut attributes = InfoAttributes {
        descriptor: object.as_raw_fd(),
        length: size_of::<Info>() as u32,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: the kernel writes at most `length` octets to `info`, which lives until the call returns.
    unsafe { bpf(uapi::OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info)
}

/// Numbers of linux/bpf.h.
mod uapi {
    pub(super) const OBJ_PIN: i32 = 6;
    pub(super) const OBJ_GET: i32 = 7;
    pub(super) const OBJ_GET_INFO_BY_FD: i32 = 15;
}

/// Head of the `bpf_attr` of `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
struct PathAttributes {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// `bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoAttributes {
    descriptor: i32,
    length: u32,
    info: u64,
}
