//! A word to the kernel's verifier.

/// Returns `value`, about which the verifier then knows nothing.
///
/// The verifier follows every path on its own until two of them look alike. Values that it knows exactly, such as which
/// extension headers were seen, keep paths apart that need not be: the number of paths then grows with the product of the
/// choices instead of their sum. `noise` must be a number that the verifier does not know, such as octets of the packet.
#[inline(always)]
pub fn forget(value: usize, noise: u32) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: two exclusive ors with the same number: registers only, and no effect.
        unsafe {
            core::arch::asm!(
                "{value} ^= {noise}",
                "{value} ^= {noise}",
                value = inout(reg) value,
                noise = in(reg) u64::from(noise),
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = noise;
        value
    }
}

/// All ones if the highest bit of `number` is set, else 0. The compiler does not know it, else it would make a branch of
/// what is done with it.
#[inline(always)]
pub fn sign(number: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // SAFETY: changes this register and nothing else.
        unsafe {
            core::arch::asm!(
                "{number} s>>= 63",
                number = inout(reg) number,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    (number.cast_signed() >> 63).cast_unsigned()
}

/// Returns `index`, of which the verifier then knows that it has 16 bits.
///
/// The compiler leaves out a mask that changes nothing, such as after a swap of octets. The verifier of Linux 6.1 knows
/// nothing of what a swap gives (`BPF_END` in kernel/bpf/verifier.c) and needs the mask.
#[inline(always)]
pub fn index_16(index: u16) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut index = u64::from(index);
        // SAFETY: it clears bits of a register that are clear.
        unsafe {
            core::arch::asm!("{index} &= 65535", index = inout(reg) index, options(pure, nomem, nostack, preserves_flags));
        }
        index as usize
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        index.into()
    }
}

/// The same for an enumeration of one octet.
#[inline(always)]
pub fn forget_choice<T: Copy>(choice: T, noise: u32) -> T {
    const { assert!(size_of::<T>() == 1) };
    // SAFETY: `T` is one octet, so it may be read as one.
    let octet = unsafe { core::mem::transmute_copy::<T, u8>(&choice) };
    let octet = forget(octet as usize, noise) as u8;
    // SAFETY: the octet is the one that was read above from a valid `T`.
    unsafe { core::mem::transmute_copy::<u8, T>(&octet) }
}

/// Returns `number`, about which the compiler then knows nothing.
///
/// The ways to here meet here and set this number; otherwise the compiler hands on what each of them knows, and every
/// way sets, in time for the branch that may lead to it, all that is made of it further on.
#[inline(always)]
pub fn opaque(number: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut number = number;
        // Not without an instruction: the kernel refuses line information of two lines for one.
        // SAFETY: copies a register to itself.
        unsafe {
            core::arch::asm!(
                "{number} = {number}",
                number = inout(reg) number,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        number
    }
    #[cfg(not(target_arch = "bpf"))]
    number
}
