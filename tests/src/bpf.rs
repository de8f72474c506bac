//! The few calls of bpf(2) that tests make without aya: they attach programs that are not ours, and make frames.

use std::{
    ffi::{CStr, CString, c_long},
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result};

/// Most frames that the kernel makes before it hands them on (`TEST_XDP_MAX_BATCH` is 256, net/bpf/test_run.c).
const BATCH: u32 = 64;

/// An XDP program of two instructions, which does the same with every frame.
#[derive(Debug)]
pub struct Constant(File);

/// A program attached through a link, detached when this goes.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    /// Its identifier.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn id(&self) -> Result<u32> {
        let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let id = facts.lines().find_map(|line| line.strip_prefix("link_id:"));
        id.context("the kernel does not tell of this link")?.trim().parse().context("no number")
    }
}

/// What a program does with a frame (`enum xdp_action` of linux/bpf.h).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum XdpAction {
    /// Hands it to the stack.
    Pass = 2,
    /// Sends it out of the interface it came from.
    Transmit = 3,
}

/// Numbers of linux/bpf.h.
mod uapi {
    pub(super) const PROG_LOAD: i32 = 5;
    pub(super) const OBJ_PIN: i32 = 6;
    pub(super) const PROG_TEST_RUN: i32 = 10;
    pub(super) const LINK_CREATE: i32 = 28;
    pub(super) const PROG_TYPE_XDP: u32 = 6;
    pub(super) const ATTACH_TYPE_XDP: u32 = 37;
    pub(super) const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
    pub(super) const TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
    /// `r0 = imm` and `exit`.
    pub(super) const MOV64_IMM: u8 = 0xb7;
    pub(super) const EXIT: u8 = 0x95;
}

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

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
}

/// `bpf_attr` of `BPF_PROG_TEST_RUN`.
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

/// Head of the `bpf_attr` of `BPF_OBJ_PIN`.
#[repr(C)]
struct PinAttributes {
    path: u64,
    program: u32,
    flags: u32,
}

impl Constant {
    /// Loads it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn load(action: XdpAction) -> Result<Self> {
        Self::named(action, "")
    }

    /// The same with a name, of which the kernel keeps 15 octets.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn named(action: XdpAction, name: &str) -> Result<Self> {
        let mut kept = [0; 16];
        kept.iter_mut().zip(name.bytes().take(15)).for_each(|(octet, letter)| *octet = letter);
        let instruction = |code, immediate| Instruction { code, registers: 0, offset: 0, immediate };
        let program = [instruction(uapi::MOV64_IMM, action as i32), instruction(uapi::EXIT, 0)];
        let license: &CStr = c"GPL";
        let mut attributes = LoadAttributes {
            kind: uapi::PROG_TYPE_XDP,
            instruction_count: program.len() as u32,
            instructions: address(program.as_ptr()),
            license: address(license.as_ptr()),
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
            name: kept,
        };
        // SAFETY: the program and its licence live until the call returns, which writes nothing.
        let descriptor = unsafe { bpf(uapi::PROG_LOAD, &mut attributes) };
        Ok(Self(owned(descriptor.context("cannot load a program of two instructions")?).into()))
    }

    /// Makes `count` frames that came in on `interface` of the namespace of this thread, and does with them what the
    /// program says.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn run_live(&self, frame: &[u8], interface: u32, count: u32) -> Result<()> {
        let length = frame.len() as u32;
        let context = Context {
            data: 0,
            data_end: length,
            data_meta: 0,
            ingress_interface: interface,
            receive_queue: 0,
            egress_interface: 0,
        };
        let mut attributes = RunAttributes {
            program: self.descriptor(),
            action: 0,
            data_in_size: length,
            data_out_size: 0,
            data_in: address(frame.as_ptr()),
            data_out: 0,
            repeat: count,
            duration: 0,
            context_in_size: size_of::<Context>() as u32,
            context_out_size: 0,
            context_in: address(&raw const context),
            context_out: 0,
            flags: uapi::TEST_XDP_LIVE_FRAMES,
            cpu: 0,
            batch: BATCH,
            padding: 0,
        };
        // SAFETY: frame and context live until the call returns; it writes to the attributes only, whose sizes for
        // output are 0.
        unsafe { bpf(uapi::PROG_TEST_RUN, &mut attributes) }.context("cannot make frames")?;
        Ok(())
    }

    /// Attaches it to `interface` of the namespace of this thread, in the driver.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&self, interface: u32) -> Result<Link> {
        let mut attributes = LinkAttributes {
            program: self.descriptor(),
            interface,
            attach_type: uapi::ATTACH_TYPE_XDP,
            flags: uapi::XDP_FLAGS_DRV_MODE,
        };
        // SAFETY: the attributes hold no address.
        let descriptor = unsafe { bpf(uapi::LINK_CREATE, &mut attributes) };
        Ok(Link(owned(descriptor.context("cannot attach a program of two instructions")?)))
    }

    /// Pins it, for `ip link set ... xdpdrv pinned PATH`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin(&self, path: &Path) -> Result<()> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        let mut attributes = PinAttributes { path: address(name.as_ptr()), program: self.descriptor(), flags: 0 };
        // SAFETY: the name lives until the call returns, which writes nothing.
        unsafe { bpf(uapi::OBJ_PIN, &mut attributes) }.with_context(|| format!("cannot pin to {}", path.display()))?;
        Ok(())
    }

    fn descriptor(&self) -> u32 {
        self.0.as_raw_fd().cast_unsigned()
    }
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// The call itself, for a `bpf_attr` that is as long as `T`: the kernel takes what lies behind for zeroes.
///
/// # Safety
/// The addresses in `attributes` must be those that `command` may read and write until it returns.
unsafe fn bpf<T>(command: i32, attributes: &mut T) -> io::Result<c_long> {
    // SAFETY: the attributes are as long as said and live until the call returns; the rest is the promise of the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(descriptor: c_long) -> OwnedFd {
    // SAFETY: the kernel just made this descriptor, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(descriptor as i32) }
}
