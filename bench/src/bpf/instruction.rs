//! As much of an assembler as the programs of [`scrambler`](crate::scrambler) take.

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// One instruction (`struct bpf_insn`). Names say what happens to the registers in the order they are given.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A register: `R1` to `R5` carry arguments, `R6` to `R9` survive calls.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
}

/// How much is loaded or stored.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Width {
    Bits16 = 0x08,
    Bits32 = 0x00,
    Bits64 = 0x18,
}

/// 64-bit arithmetic.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Operation {
    Add = 0x00,
    Multiply = 0x20,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Xor = 0xa0,
    Move = 0xb0,
}

/// Helpers (`___BPF_FUNC_MAPPER` of linux/bpf.h).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Helper {
    TailCall = 12,
    Redirect = 23,
}

const ALU64: u8 = 0x07;
const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const LOAD_IMMEDIATE_64: u8 = 0x18;
const JUMP_IF_GREATER: u8 = 0x2d;
const TO_BIG_ENDIAN: u8 = 0xdc;
const ATOMIC_64: u8 = 0xdb;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// Registers as operands, not immediates.
const BY_REGISTER: u8 = 0x08;
/// What the immediate of [`LOAD_IMMEDIATE_64`] is: `BPF_PSEUDO_MAP_FD` and `BPF_PSEUDO_MAP_VALUE`.
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;

impl Instruction {
    const fn new(code: u8, to: Register, from: u8, offset: i16, immediate: i32) -> Self {
        Self { code, registers: to as u8 | from << 4, offset, immediate }
    }

    /// `to = to operation from`.
    pub const fn calculate(operation: Operation, to: Register, from: Register) -> Self {
        Self::new(ALU64 | BY_REGISTER | operation as u8, to, from as u8, 0, 0)
    }

    /// `to = to operation number`, which is sign-extended.
    pub const fn calculate_with(operation: Operation, to: Register, number: i32) -> Self {
        Self::new(ALU64 | operation as u8, to, 0, 0, number)
    }

    /// `to = from`.
    pub const fn copy(to: Register, from: Register) -> Self {
        Self::calculate(Operation::Move, to, from)
    }

    /// `to = number`.
    pub const fn set(to: Register, number: i32) -> Self {
        Self::calculate_with(Operation::Move, to, number)
    }

    /// `to = *(from + offset)`.
    pub const fn load(width: Width, to: Register, from: Register, offset: i16) -> Self {
        Self::new(LOAD | width as u8, to, from as u8, offset, 0)
    }

    /// `*(to + offset) = from`.
    pub const fn store(width: Width, to: Register, offset: i16, from: Register) -> Self {
        Self::new(STORE | width as u8, to, from as u8, offset, 0)
    }

    /// `*(to + offset) += from`, 64 bits wide, as one step that waits for all stores before it.
    pub const fn atomic_add(to: Register, offset: i16, from: Register) -> Self {
        Self::new(ATOMIC_64, to, from as u8, offset, Operation::Add as i32)
    }

    /// The low `bits` of a register in network order.
    pub const fn to_big_endian(register: Register, bits: i32) -> Self {
        Self::new(TO_BIG_ENDIAN, register, 0, 0, bits)
    }

    /// Skips `count` instructions when `left > right`, unsigned.
    pub const fn skip_if_greater(left: Register, right: Register, count: i16) -> Self {
        Self::new(JUMP_IF_GREATER, left, right as u8, count, 0)
    }

    /// Calls a helper.
    pub const fn call(helper: Helper) -> Self {
        Self::new(CALL, Register::R0, 0, 0, helper as i32)
    }

    /// Ends the program; `R0` is the action.
    pub const fn exit() -> Self {
        Self::new(EXIT, Register::R0, 0, 0, 0)
    }

    /// `to = number`, as two instructions.
    pub const fn set_64(to: Register, number: u64) -> [Self; 2] {
        let rest = Self { code: 0, registers: 0, offset: 0, immediate: (number >> 32) as i32 };
        [Self::new(LOAD_IMMEDIATE_64, to, 0, 0, number as i32), rest]
    }

    /// `to =` the map, as a helper wants it, as two instructions.
    pub fn map(to: Register, map: BorrowedFd<'_>) -> [Self; 2] {
        let [mut first, rest] = Self::set_64(to, u64::from(map.as_raw_fd().cast_unsigned()));
        first.registers |= MAP << 4;
        [first, rest]
    }

    /// `to =` the address of the first element of an array, as two instructions.
    pub fn map_value(to: Register, map: BorrowedFd<'_>) -> [Self; 2] {
        let [mut first, rest] = Self::set_64(to, u64::from(map.as_raw_fd().cast_unsigned()));
        first.registers |= MAP_VALUE << 4;
        [first, rest]
    }
}
