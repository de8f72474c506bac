//! bpf(2), for what aya does not do with it.

use std::{
    ffi::c_long,
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

const MAP_LOOKUP_ELEM: i32 = 1;

/// `bpf_attr` of `BPF_MAP_LOOKUP_ELEM`.
#[repr(C)]
struct LookupAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Reads the entry at `index` of an array. aya returns values on the stack, where a row of ports has no room.
///
/// # Safety
/// `map` must be an array, not one by CPU, whose values are at most as long as `value`: the kernel writes a whole one.
pub(super) unsafe fn lookup(map: BorrowedFd<'_>, index: u32, value: &mut [u8]) -> io::Result<()> {
    let mut attributes = LookupAttributes {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: (&raw const index).expose_provenance() as u64,
        value: value.as_mut_ptr().expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: the key is a number, as that of an array is, and lives until the call returns; a value fits by the contract above.
    unsafe { bpf(MAP_LOOKUP_ELEM, &mut attributes) }.map(drop)
}

/// The call itself, for a `bpf_attr` that is as long as `T`: the kernel takes what lies behind for zeroes.
///
/// # Safety
/// The addresses in `attributes` must be those that `command` may read and write until it returns.
pub(super) unsafe fn bpf<T>(command: i32, attributes: &mut T) -> io::Result<c_long> {
    // SAFETY: the attributes are as long as said and live until the call returns; the rest is the promise of the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
