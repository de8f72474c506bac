//! Arrays of the kernel in our address space.

use std::{num::NonZeroUsize, ops::Deref, os::fd::AsFd, ptr::NonNull};

use aya::maps::Map;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::DatapathError;

/// The values of a `BPF_F_MMAPABLE` array, as a slice of atomic integers.
pub(super) struct Mapped<T> {
    start: NonNull<T>,
    length: usize,
}

// SAFETY: the memory belongs to the mapping, not to a thread; all access is through atomic integers.
unsafe impl<T: Send> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Mapped<T> {}

impl<T> Mapped<T> {
    /// Maps `length` integers of `map`, which must have at least as many. The mapping keeps the kernel's array alive.
    pub(super) fn new(map: Map, length: usize) -> Result<Self, DatapathError> {
        let fail = |cause: String| DatapathError::Map { what: "map the list table".into(), cause, errno: None };
        let Map::Array(data) = &map else {
            return Err(fail("it is no array".into()));
        };
        let octets = NonZeroUsize::new(length * size_of::<T>()).ok_or_else(|| fail("it is empty".into()))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh shared mapping at an address of the kernel's choice.
        let start = unsafe { mmap(None, octets, protection, MapFlags::MAP_SHARED, data.fd().as_fd(), 0) }
            .map_err(|errno| fail(errno.desc().to_owned()))?;
        Ok(Self { start: start.cast(), length })
    }
}

impl<T> Deref for Mapped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` mapped that many, page-aligned, zeroed by the kernel, and only `drop` unmaps them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the range is the one that `new` mapped, and nobody borrows it any more.
        let _ = unsafe { munmap(self.start.cast(), self.length * size_of::<T>()) };
    }
}
