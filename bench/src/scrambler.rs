//! Programs that give every frame another source: in front of the program under test, or in front of a cable.
//!
//! What they cost is the same for every program behind them, and is part of what a bare drop behind them costs.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, anyhow};

use crate::{
    bpf::{
        self, Array, Kind, Program, ProgramArray,
        instruction::{
            Helper, Instruction,
            Operation::{Add, And, Multiply, Or, ShiftLeft, ShiftRight, Xor},
            Register::{self, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9},
            Width::{Bits16, Bits32, Bits64},
        },
    },
    frame::{self, Family, Segment},
};

/// Where sources come from. Frames are those of [`frame`]: no VLAN tag.
#[derive(Debug)]
pub struct Sources {
    family: Family,
    kind: SourceKind,
    /// How many frames there were.
    count: Array,
}

#[derive(Debug)]
enum SourceKind {
    /// [`TABLE_LENGTH`] addresses, in turn.
    Table(Array),
    /// Addresses of which none comes twice.
    Fresh,
}

/// A program that changes the source of a frame and hands it to another one.
#[derive(Debug)]
pub struct Scrambler {
    program: Program,
    _next: ProgramArray,
}

/// Addresses in a table.
pub const TABLE_LENGTH: usize = 1 << 20;

/// Fresh sources are numbered: bits of the number that are hashed, and what comes before them in the address.
///
/// 128.0.0.0/2 and 2000::/3 (in which /64s are numbered) hold no impossible source.
const FRESH_V4: Numbered = Numbered { bits: 30, before: 0x8000_0000 };
const FRESH_V6: Numbered = Numbered { bits: 61, before: 0x2000_0000_0000_0000 };

struct Numbered {
    bits: u32,
    before: u64,
}

/// Odd, so that multiplying is one to one; high bits mix into all below (the constants of SplitMix64 and of Murmur3).
const FACTORS: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0xff51_afd7_ed55_8ccd];

impl Sources {
    /// A table to be walked in order, again and again.
    ///
    /// # Errors
    /// When there is no address, or the kernel refuses.
    pub fn table(family: Family, addresses: &[u128]) -> Result<Self> {
        let sized = (0..TABLE_LENGTH).map(|index| addresses.get(index % addresses.len().max(1)));
        let sized = sized.map(|address| address.copied().ok_or_else(|| anyhow!("a table of no addresses")));
        let mut octets = Vec::with_capacity(TABLE_LENGTH << family.entry_shift());
        let frame = frame::build(family, Segment::Syn);
        for address in sized {
            octets.extend(frame::table_entry(family, &frame, address?));
        }
        Ok(Self { family, kind: SourceKind::Table(Array::of(&octets)?), count: Array::of(&[0; 8])? })
    }

    /// Sources of which none comes twice in 2^30 frames of IPv4, or 2^61 of IPv6.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fresh(family: Family) -> Result<Self> {
        Ok(Self { family, kind: SourceKind::Fresh, count: Array::of(&[0; 8])? })
    }

    /// `R6 =` the context, `R4 =` the frame, whose source is another one after this. Uses all registers.
    fn rewrite(&self) -> Vec<Instruction> {
        let store = match &self.kind {
            SourceKind::Table(table) => self.store_from(table),
            SourceKind::Fresh => self.store_fresh(),
        };
        let mut program = vec![
            Instruction::copy(R6, R1),
            Instruction::load(Bits32, R4, R6, 0),
            Instruction::load(Bits32, R5, R6, 4),
            Instruction::copy(R3, R4),
            Instruction::calculate_with(Add, R3, self.family.header_end()),
        ];
        program.extend(Instruction::map_value(R2, self.count.as_fd()));
        let mut body = vec![Instruction::load(Bits64, R7, R2, 0)];
        body.extend(store);
        // Counting waits until the source is stored: what comes from a NIC is not in the store buffer of the CPU either,
        // and no time of ours is left for the program behind to wait for.
        body.extend([Instruction::set(R8, 1), Instruction::atomic_add(R2, 0, R8)]);
        program.push(Instruction::skip_if_greater(R3, R5, body.len() as i16));
        program.extend(body);
        program
    }

    /// Stores entry `R7` of a table.
    fn store_from(&self, table: &Array) -> Vec<Instruction> {
        let source = self.family.source_offset();
        let mut body = vec![
            Instruction::calculate_with(And, R7, TABLE_LENGTH as i32 - 1),
            Instruction::calculate_with(ShiftLeft, R7, self.family.entry_shift()),
        ];
        body.extend(Instruction::map_value(R9, table.as_fd()));
        body.push(Instruction::calculate(Add, R9, R7));
        match self.family {
            Family::V4 => body.extend([
                Instruction::load(Bits32, R1, R9, 0),
                Instruction::store(Bits32, R4, source, R1),
                Instruction::load(Bits16, R1, R9, 4),
                Instruction::store(Bits16, R4, frame::V4_CHECKSUM_OFFSET, R1),
            ]),
            Family::V6 => body.extend([
                Instruction::load(Bits64, R1, R9, 0),
                Instruction::store(Bits64, R4, source, R1),
                Instruction::load(Bits64, R1, R9, 8),
                Instruction::store(Bits64, R4, source + 8, R1),
            ]),
        }
        body
    }

    /// Stores a hash of `R7` that is one to one.
    fn store_fresh(&self) -> Vec<Instruction> {
        let Numbered { bits, before } = if matches!(self.family, Family::V4) { FRESH_V4 } else { FRESH_V6 };
        let source = self.family.source_offset();
        let mut body = Vec::new();
        body.extend(Instruction::set_64(R8, (1 << bits) - 1));
        let fold = [
            Instruction::calculate(And, R7, R8),
            Instruction::copy(R1, R7),
            Instruction::calculate_with(ShiftRight, R1, bits.div_ceil(2) as i32),
            Instruction::calculate(Xor, R7, R1),
        ];
        for factor in FACTORS {
            body.extend(Instruction::set_64(R9, factor));
            body.push(Instruction::calculate(Multiply, R7, R9));
            body.extend(fold);
        }
        body.extend(Instruction::set_64(R9, before));
        body.push(Instruction::calculate(Or, R7, R9));
        let (width, bits) = if matches!(self.family, Family::V4) { (Bits32, 32) } else { (Bits64, 64) };
        body.extend([Instruction::to_big_endian(R7, bits), Instruction::store(width, R4, source, R7)]);
        body
    }

    /// A program that sends every frame out of `interface`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn sender(&self, interface: u32) -> Result<Program> {
        let mut program = self.rewrite();
        program.extend([
            Instruction::set(R1, interface.cast_signed()),
            Instruction::set(R2, 0),
            Instruction::call(Helper::Redirect),
            Instruction::exit(),
        ]);
        Program::load(&program, Kind { frags: false, attach_type: false })
    }
}

impl Scrambler {
    /// Puts `sources` in front of `program`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(sources: &Sources, program: BorrowedFd<'_>) -> Result<Self> {
        let mut last = anyhow!("there is no kind of program");
        // The two programs must agree in their kind, and the kernel does not tell that of a loaded one.
        for kind in Kind::ALL {
            let next = ProgramArray::new()?;
            let mut code = sources.rewrite();
            code.push(Instruction::copy(R1, R6));
            code.extend(Instruction::map(R2, next.as_fd()));
            code.extend([
                Instruction::set(R3, 0),
                Instruction::call(Helper::TailCall),
                Instruction::set(R0, 0),
                Instruction::exit(),
            ]);
            let scrambler = Program::load(&code, kind)?;
            match next.set(program) {
                Ok(()) => return Ok(Self { program: scrambler, _next: next }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Scrambler {
    /// Sources that the next frames have, as the program behind sees them; it must pass them on unchanged.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn next_sources(&self, family: Family, frame: &[u8], count: usize) -> Result<Vec<u128>> {
        (0..count).map(|_| Ok(frame::source_of(family, &bpf::run_once(self.as_fd(), frame)?))).collect()
    }
}

impl AsFd for Scrambler {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

/// A program that does the same with every frame.
///
/// # Errors
/// When the kernel refuses.
pub fn constant(action: u32) -> Result<Program> {
    let register: Register = R0;
    let program = [Instruction::set(register, action.cast_signed()), Instruction::exit()];
    Program::load(&program, Kind { frags: false, attach_type: true })
}
