//! Arrays of the kernel in our address space.

use std::{
    num::NonZeroUsize,
    ops::{Deref, Range},
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::maps::Map;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::DatapathError;
use crate::lists::table::Words;

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

    /// Memory of our own: zeroes, which take none until they are written.
    fn zeroes(length: usize) -> Result<Self, DatapathError> {
        let fail = |cause: String| DatapathError::Map { what: "mirror the list table".into(), cause, errno: None };
        let octets = NonZeroUsize::new(length * size_of::<T>()).ok_or_else(|| fail("it is empty".into()))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh private mapping at an address of the kernel's choice.
        let start =
            unsafe { mmap_anonymous(None, octets, protection, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE) }
                .map_err(|errno| fail(errno.desc().to_owned()))?;
        Ok(Self { start: start.cast(), length })
    }
}

/// What the kernel's array should have, and the array. All is read from our own memory, which nobody else changes, and
/// written to both.
pub(super) struct Mirrored<T> {
    own: Mapped<T>,
    kernel: Mapped<T>,
}

impl<T> Mirrored<T> {
    /// Maps as [`Mapped::new`] a `map` of zeroes.
    pub(super) fn new(map: Map, length: usize) -> Result<Self, DatapathError> {
        Ok(Self { own: Mapped::zeroes(length)?, kernel: Mapped::new(map, length)? })
    }

    /// How many integers.
    pub(super) fn len(&self) -> usize {
        self.own.len()
    }
}

macro_rules! mirrored {
    ($atomic:ty, $number:ty) => {
        impl Words<$number> for Mirrored<$atomic> {
            fn count(&self) -> usize {
                self.own.len()
            }

            fn load(&self, index: usize) -> $number {
                self.own.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
            }

            fn store(&self, index: usize, value: $number) {
                if let (Some(own), Some(kernel)) = (self.own.get(index), self.kernel.get(index)) {
                    own.store(value, Ordering::Relaxed);
                    kernel.store(value, Ordering::Release);
                }
            }
        }

        impl Mirrored<$atomic> {
            /// Puts the kernel's numbers of this range right; which were wrong.
            pub(super) fn repair(&self, range: Range<usize>) -> Vec<usize> {
                let mut wrong = Vec::new();
                let both = self.own.iter().zip(self.kernel.iter()).enumerate();
                for (index, (own, kernel)) in both.skip(range.start).take(range.len()) {
                    let wanted = own.load(Ordering::Relaxed);
                    if kernel.load(Ordering::Relaxed) != wanted {
                        kernel.store(wanted, Ordering::Release);
                        wrong.push(index);
                    }
                }
                wrong
            }
        }
    };
}

mirrored!(AtomicU32, u32);
mirrored!(AtomicU64, u64);

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
