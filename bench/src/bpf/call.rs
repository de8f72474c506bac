//! bpf(2) itself.

use std::{
    ffi::c_long,
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// Commands (`enum bpf_cmd` of linux/bpf.h).
#[derive(Clone, Copy)]
#[repr(i32)]
pub(super) enum Command {
    MapCreate = 0,
    MapUpdate = 2,
    ProgramLoad = 5,
    ProgramTestRun = 10,
    LinkCreate = 28,
}

/// The call, for a `bpf_attr` that is as long as `T`: the kernel takes what lies behind for zeroes.
///
/// # Safety
/// `T` must be laid out as the kernel wants it for `command`, and the addresses in it those that the command may read
/// and write until it returns.
pub(super) unsafe fn bpf<T>(command: Command, attributes: &mut T) -> io::Result<c_long> {
    // SAFETY: the attributes are as long as said and live until the call returns; the rest is the promise of the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as i32, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes what a command that makes a descriptor returned.
///
/// # Safety
/// Nobody else may own the descriptor.
pub(super) unsafe fn owned(descriptor: c_long) -> OwnedFd {
    // SAFETY: the promise of the caller; descriptors fit into an `i32`.
    unsafe { OwnedFd::from_raw_fd(descriptor as i32) }
}

/// An address as attributes hold it.
pub(super) fn address<T: ?Sized>(pointer: *const T) -> u64 {
    pointer.cast::<()>().expose_provenance() as u64
}
