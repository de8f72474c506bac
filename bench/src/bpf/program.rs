//! Programs: loading our own, running and attaching any.

use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use anyhow::{Context as _, Result};

use super::{
    call::{Command, address, bpf, owned},
    instruction::Instruction,
};

/// A loaded XDP program.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// An attached program, detached when this goes.
#[derive(Debug)]
pub struct Link(#[expect(dead_code, reason = "held for its end")] OwnedFd);

/// What the kernel compares before it lets one program call another.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Takes frames of several buffers.
    pub frags: bool,
    /// Says that it is for an interface.
    pub attach_type: bool,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self { frags: true, attach_type: true },
        Self { frags: true, attach_type: false },
        Self { frags: false, attach_type: true },
        Self { frags: false, attach_type: false },
    ];
}

/// What came of running a program many times.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// XDP action of the last run.
    pub action: u32,
    /// Mean time of a run, in whole nanoseconds.
    pub ns: u32,
}

/// Numbers of linux/bpf.h.
mod uapi {
    pub(super) const PROG_TYPE_XDP: u32 = 6;
    pub(super) const ATTACH_TYPE_XDP: u32 = 37;
    pub(super) const XDP_HAS_FRAGS: u32 = 1 << 5;
    pub(super) const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
    pub(super) const TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
}

/// Frames that the kernel makes before it hands them on; at most 256 (`TEST_XDP_MAX_BATCH`, net/bpf/test_run.c).
const LIVE_BATCH: u32 = 64;

/// Head of the `bpf_attr` of `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// `bpf_attr` of `BPF_PROG_TEST_RUN`.
#[derive(Default)]
#[repr(C)]
struct RunAttributes {
    program: u32,
    action: u32,
    data_in_size: u32,
    data_out_size: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    padding: u32,
}

/// `struct xdp_md`.
#[repr(C)]
struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_interface: u32,
    receive_queue: u32,
    egress_interface: u32,
}

/// Head of the `bpf_attr` of `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkAttributes {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

impl Program {
    /// Loads it. Whoever calls knows these few instructions to be right, so no verifier's log is asked for.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(instructions: &[Instruction], kind: Kind) -> Result<Self> {
        let license: &CStr = c"GPL";
        let mut attributes = LoadAttributes {
            kind: uapi::PROG_TYPE_XDP,
            instruction_count: instructions.len() as u32,
            instructions: address(instructions.as_ptr()),
            license: address(license.as_ptr()),
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: if kind.frags { uapi::XDP_HAS_FRAGS } else { 0 },
            name: *b"portcullis_bench",
            interface: 0,
            attach_type: if kind.attach_type { uapi::ATTACH_TYPE_XDP } else { 0 },
        };
        attributes.name[15] = 0;
        // SAFETY: the instructions and the licence live until the call returns, which writes nothing.
        let descriptor = unsafe { bpf(Command::ProgramLoad, &mut attributes) }
            .with_context(|| format!("cannot load a program of {} instructions", instructions.len()))?;
        // SAFETY: the kernel just made it.
        Ok(Self(unsafe { owned(descriptor) }))
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Runs a program `repeat` times on one copy of `frame`, which it may change, as if it came in on the loopback
/// interface.
///
/// # Errors
/// When the kernel refuses.
pub fn run(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<Run> {
    let mut attributes = RunAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        data_in_size: frame.len() as u32,
        data_in: address(frame.as_ptr()),
        repeat,
        ..RunAttributes::default()
    };
    // SAFETY: the frame lives until the call returns; it writes to the attributes only, whose sizes for output are 0.
    unsafe { bpf(Command::ProgramTestRun, &mut attributes) }.context("cannot run a program")?;
    Ok(Run { action: attributes.action, ns: attributes.duration })
}

/// Runs a program once: the frame as it left it.
///
/// # Errors
/// When the kernel refuses, or the program made the frame longer.
pub fn run_once(program: BorrowedFd<'_>, frame: &[u8]) -> Result<Vec<u8>> {
    let mut after = vec![0; frame.len()];
    let mut attributes = RunAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        data_in_size: frame.len() as u32,
        data_out_size: after.len() as u32,
        data_in: address(frame.as_ptr()),
        data_out: address(after.as_mut_ptr()),
        repeat: 1,
        ..RunAttributes::default()
    };
    // SAFETY: both frames live until the call returns, and it writes to the second no more than its size.
    unsafe { bpf(Command::ProgramTestRun, &mut attributes) }.context("cannot run a program")?;
    after.truncate(attributes.data_out_size as usize);
    Ok(after)
}

/// Makes `count` frames in the namespace of this thread, and does with each what the program says.
///
/// # Errors
/// When the kernel refuses.
pub fn run_live(program: BorrowedFd<'_>, frame: &[u8], count: u32) -> Result<()> {
    let length = frame.len() as u32;
    let context = Context {
        data: 0,
        data_end: length,
        data_meta: 0,
        ingress_interface: 0,
        receive_queue: 0,
        egress_interface: 0,
    };
    let mut attributes = RunAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        data_in_size: length,
        data_in: address(frame.as_ptr()),
        repeat: count,
        context_in_size: size_of::<Context>() as u32,
        context_in: address(&raw const context),
        flags: uapi::TEST_XDP_LIVE_FRAMES,
        batch: LIVE_BATCH,
        ..RunAttributes::default()
    };
    // SAFETY: frame and context live until the call returns; it writes to the attributes only, as above.
    unsafe { bpf(Command::ProgramTestRun, &mut attributes) }.context("cannot make frames")?;
    Ok(())
}

/// Attaches a program in the driver of `interface` of the namespace of this thread.
///
/// # Errors
/// When the kernel refuses.
pub fn attach(program: BorrowedFd<'_>, interface: u32) -> Result<Link> {
    let mut attributes = LinkAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        interface,
        attach_type: uapi::ATTACH_TYPE_XDP,
        flags: uapi::XDP_FLAGS_DRV_MODE,
    };
    // SAFETY: the attributes hold no address.
    let descriptor = unsafe { bpf(Command::LinkCreate, &mut attributes) }
        .with_context(|| format!("cannot attach a program to interface {interface}"))?;
    // SAFETY: the kernel just made it.
    Ok(Link(unsafe { owned(descriptor) }))
}
