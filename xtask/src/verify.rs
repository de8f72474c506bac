//! `cargo xtask verify`: what the program costs the kernel's verifier, against what docs/limits.md promises.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

use crate::{
    build::{self, Profile},
    needs::Scope,
    privilege, process, setup,
    tree::Tree,
};

/// Section of the program that judges frames.
const SECTION: &str = "xdp.frags";

/// Rows of docs/limits.md with the bounds.
const INSTRUCTIONS: &str = "Instructions that the verifier goes through";
const STACK: &str = "Octets of stack";

/// Loads every variant of the program and prints its sizes.
///
/// # Errors
/// When a variant is refused, or is larger than promised.
pub fn verify(tree: &Tree) -> Result<()> {
    setup::ensure(Scope::Test)?;
    let built = build::build(tree, Profile::Debug)?;
    let stack = stack_of(&built.object)?;
    let mut cargo = tree.cargo();
    cargo.args(["build", "--package", "firewall-tests", "--bin", "verify"]);
    process::run(&mut cargo)?;
    let program = tree.target.join("debug").join("verify");
    let said = process::output(&mut privilege::as_root(program)?)?;
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [variants, least, most, smallest, largest] = numbers[..] else {
        bail!("the measuring program said `{said}`");
    };
    println!("variants                  {variants}");
    println!("verified instructions     {least} to {most}");
    println!("octets of machine code    {smallest} to {largest}");
    println!("octets of stack           {stack}");
    let limits = tree.root.join("docs/limits.md");
    let text = fs::read_to_string(&limits).with_context(|| format!("cannot read {}", limits.display()))?;
    for (row, found) in [(INSTRUCTIONS, most), (STACK, stack)] {
        let bound = bound(&text, row).with_context(|| format!("{} has no row `{row}`", limits.display()))?;
        if found > bound {
            bail!("{found} is more than docs/limits.md promises ({row}: {bound})");
        }
    }
    Ok(())
}

/// The number in a row of a table.
fn bound(text: &str, row: &str) -> Option<u64> {
    let cells = text.lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(row))?;
    let number = cells
        .chars()
        .skip_while(|cell| !cell.is_ascii_digit())
        .take_while(|cell| cell.is_ascii_digit() || *cell == ',');
    let digits: String = number.filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Octets below the frame pointer that the program uses: the farthest that an instruction reaches from `r10`, by its own
/// offset or by that of a copy of `r10` made right before.
fn stack_of(path: &Path) -> Result<u64> {
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let object = object::File::parse(file.as_slice()).with_context(|| format!("{} is no object", path.display()))?;
    let section = object.section_by_name(SECTION).with_context(|| format!("{} has no {SECTION}", path.display()))?;
    Ok(deepest(section.data().context("cannot read the program")?))
}

/// The same for instructions of eight octets (RFC 9669 section 3): code, registers, offset, number.
fn deepest(program: &[u8]) -> u64 {
    const FRAME: u8 = 10;
    const LOAD: u8 = 1;
    const COPY: u8 = 0xbf; // 64-bit move of a register
    const ADD: u8 = 0x07; // 64-bit addition of a number
    let mut deepest = 0;
    let mut copied = None;
    for instruction in program.chunks_exact(8) {
        let &[code, registers, low, high, a, b, c, d] = instruction else { continue };
        let (to, from) = (registers & 15, registers >> 4);
        let (offset, number) = (i16::from_le_bytes([low, high]), i32::from_le_bytes([a, b, c, d]));
        let is_memory = matches!(code & 7, LOAD..=3) && code != 0x18;
        let base = if code & 7 == LOAD { from } else { to };
        let reached = match copied {
            _ if is_memory && base == FRAME => i32::from(offset),
            Some(register) if code == ADD && to == register => number,
            _ => 0,
        };
        deepest = deepest.min(reached);
        copied = (code == COPY && from == FRAME).then_some(to);
    }
    u64::from(deepest.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_octet_is_found_in_loads_stores_and_copies() {
        // *(u64 *)(r10 - 16) = r1
        let store = [0x7b, 0x1a, 0xf0, 0xff, 0, 0, 0, 0];
        // r2 = r10; r2 += -24
        let copy = [0xbf, 0xa2, 0, 0, 0, 0, 0, 0, 0x07, 0x02, 0, 0, 0xe8, 0xff, 0xff, 0xff];
        // r3 += -4096: no frame pointer
        let other = [0x07, 0x03, 0, 0, 0, 0xf0, 0xff, 0xff];
        assert_eq!(deepest(&store), 16);
        assert_eq!(deepest(&[&store[..], &copy, &other].concat()), 24);
        assert_eq!(deepest(&other), 0);
    }

    #[test]
    fn a_bound_is_the_number_of_its_row() {
        assert_eq!(bound("| Octets of stack | 512 |\n", STACK), Some(512));
        assert_eq!(bound("| Instructions that the verifier goes through | 1,000,000 |", INSTRUCTIONS), Some(1_000_000));
    }
}
