//! Maps for programs of our own.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};

use super::call::{Command, address, bpf, owned};

/// An array of one element, which a program finds at a fixed address.
#[derive(Debug)]
pub struct Array(OwnedFd);

/// The program that another one calls in its place.
#[derive(Debug)]
pub struct ProgramArray(OwnedFd);

/// `enum bpf_map_type` of linux/bpf.h.
#[derive(Clone, Copy)]
#[repr(u32)]
enum MapType {
    Array = 2,
    ProgramArray = 3,
}

/// Head of the `bpf_attr` of `BPF_MAP_CREATE`.
#[repr(C)]
struct CreateAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// `bpf_attr` of `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
struct UpdateAttributes {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Array {
    /// Makes it with this content.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn of(octets: &[u8]) -> Result<Self> {
        let size = u32::try_from(octets.len()).context("an element of an array has at most 4 GiB")?;
        let map = create(MapType::Array, size)?;
        update(map.as_fd(), octets).context("cannot fill an array")?;
        Ok(Self(map))
    }
}

impl AsFd for Array {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ProgramArray {
    /// Makes it, empty: its first program decides what kind of programs it takes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> Result<Self> {
        create(MapType::ProgramArray, size_of::<u32>() as u32).map(Self)
    }

    /// Puts a program in.
    ///
    /// # Errors
    /// When it is of another kind than the program that uses the map.
    pub fn set(&self, program: BorrowedFd<'_>) -> Result<()> {
        update(self.as_fd(), &program.as_raw_fd().to_ne_bytes()).context("cannot put a program behind another one")
    }
}

impl AsFd for ProgramArray {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn create(kind: MapType, value_size: u32) -> Result<OwnedFd> {
    let key_size = size_of::<u32>() as u32;
    let mut attributes = CreateAttributes { kind: kind as u32, key_size, value_size, max_entries: 1, flags: 0 };
    // SAFETY: the attributes hold no address.
    let descriptor = unsafe { bpf(Command::MapCreate, &mut attributes) }
        .with_context(|| format!("cannot make an array of {value_size} octets"))?;
    // SAFETY: the kernel just made it.
    Ok(unsafe { owned(descriptor) })
}

/// Writes element 0; `value` must be as long as the map's values are.
fn update(map: BorrowedFd<'_>, value: &[u8]) -> Result<()> {
    let key = 0u32;
    let mut attributes = UpdateAttributes {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: address(&raw const key),
        value: address(value.as_ptr()),
        flags: 0,
    };
    // SAFETY: key and value live until the call returns and are as long as those of the map; it writes nothing.
    unsafe { bpf(Command::MapUpdate, &mut attributes) }?;
    Ok(())
}
