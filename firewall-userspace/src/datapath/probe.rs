//! What the kernel can do, asked without attaching anything.

use std::path::{Path, PathBuf};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{is_map_supported, is_program_supported},
};

pub use super::capabilities::{CAPABILITIES, missing_capabilities};
use super::{DatapathError, ForeignProgram, OBJECT, floor, foreign, pins};
use crate::host::devices::AttachedProgram;

/// Kinds of maps that the program has.
const MAPS: [(MapType, &str); 3] =
    [(MapType::Array, "array"), (MapType::Hash, "hash"), (MapType::PerCpuArray, "per-CPU array")];

/// Whether the kernel is new enough.
///
/// # Errors
/// With what it lacks.
pub fn kernel() -> Result<(), DatapathError> {
    floor::check()
}

/// What an operator does about a kernel that is too old.
pub fn newer_kernel() -> String {
    floor::newer()
}

/// Whether this binary carries the program.
pub fn has_program() -> bool {
    !OBJECT.is_empty()
}

/// Tries to make an XDP program and a map of each kind; what cannot be made, and why.
///
/// # Errors
/// The first that the kernel refuses.
pub fn features() -> Result<(), String> {
    let told = |what: &str, result: Result<bool, String>| match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("the kernel has no {what}")),
        Err(error) => Err(format!("cannot try {what}: {error}")),
    };
    told("XDP programs", is_program_supported(ProgramType::Xdp).map_err(|error| error.to_string()))?;
    for (kind, name) in MAPS {
        told(&format!("{name} maps"), is_map_supported(kind).map_err(|error| error.to_string()))?;
    }
    Ok(())
}

/// Everything that this user may know of a program on an interface.
pub fn program(attached: AttachedProgram) -> ForeignProgram {
    foreign::describe(attached, None)
}

/// The BPF file system that the folder `pins` is or would be on, and its permissions; `None` when there is none.
pub fn bpffs_of(pins: &Path) -> Option<(PathBuf, u32)> {
    pins::root_of(pins)
}
