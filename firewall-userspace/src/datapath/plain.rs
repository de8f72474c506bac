//! Values of maps.

/// Lets aya copy `T` to and from a map.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: used in this module's parent only, for the types of `firewall_common::abi`: `repr(C)`, integers without padding,
// of which every bit pattern is valid.
unsafe impl<T: Copy + 'static> aya::Pod for Plain<T> {}
