//! The kernel's own filter of sockets by their other end: bytecode of `sock_diag`.
//!
//! An instruction is a code, how far to go on when it holds, and how far when it does not (include/uapi/linux/inet_diag.h, `struct
//! inet_diag_bc_op`). A socket passes when the end of the code is reached exactly, and not when it is passed over
//! (net/ipv4/inet_diag.c `inet_diag_bc_run`).

use netlink_packet_core::DefaultNla;

use super::raw::{encoded, family_and_octets};
use crate::policy::Prefix;

// include/uapi/linux/inet_diag.h
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_BC_JMP: u8 = 1;
const INET_DIAG_BC_D_COND: u8 = 8;

/// Octets of an instruction, and of `struct inet_diag_hostcond` before its address.
const INSTRUCTION: u8 = 4;
const CONDITION: u8 = 8;

/// Prefixes that are asked for by one filter: the kernel compares each of them with every socket.
pub const MOST: usize = 64;

/// A filter for sockets of IPv4, or of IPv6, whose other end is in `sources`: `None` when none can be, and an empty one when it can be
/// anywhere, or there are more sources than [`MOST`]. IPv4 may come to sockets of IPv6.
pub fn of(is_ipv4: bool, sources: &[Prefix]) -> Option<Vec<u8>> {
    let fitting = sources.iter().filter(|source| !is_ipv4 || source.address().is_ipv4());
    let conditions: Vec<Vec<u8>> = fitting.take(MOST + 1).map(|source| condition(*source)).collect();
    if conditions.len() > MOST {
        return Some(Vec::new());
    }
    // What holds jumps to the end; what does not goes on behind that jump, and the last one behind the end.
    let (last, before) = conditions.split_last()?;
    let mut code = last.clone();
    for condition in before.iter().rev() {
        let to_end = u16::try_from(code.len()).ok()?.checked_add(INSTRUCTION.into())?;
        let jump = instruction(INET_DIAG_BC_JMP, INSTRUCTION, to_end);
        code = [condition.as_slice(), &jump, &code].concat();
    }
    Some(code)
}

/// The attribute of a request that carries `filter`.
pub fn attribute(filter: &[u8]) -> Vec<u8> {
    encoded(&[DefaultNla::new(INET_DIAG_REQ_BYTECODE, filter.to_vec())])
}

/// Whether the other end is in `source`, at any port.
fn condition(source: Prefix) -> Vec<u8> {
    let (family, address) = family_and_octets(source.address());
    let length = INSTRUCTION + CONDITION + if source.address().is_ipv4() { 4 } else { 16 };
    let any_port = (-1_i32).to_ne_bytes();
    [
        &instruction(INET_DIAG_BC_D_COND, length, u16::from(length + INSTRUCTION)),
        &[family, source.length(), 0, 0][..],
        &any_port,
        &address,
    ]
    .concat()
}

fn instruction(code: u8, yes: u8, no: u16) -> [u8; 4] {
    let [low, high] = no.to_ne_bytes();
    [code, yes, low, high]
}
