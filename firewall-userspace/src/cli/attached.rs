//! What filters, as data.
//!
//! In: a pinned link, or a program on an interface. Out: its form in JSON, the same for every command that tells it.

use serde_json::{Value, json};

use crate::{
    datapath::{ForeignProgram, PinnedLink},
    policy::attach_label,
};

/// A pinned link: its interface, with the index where another device has the name, and the mode.
pub fn link(PinnedLink { interface, index, mode }: &PinnedLink) -> Value {
    let mut told = json!({ "interface": interface, "mode": attach_label(*mode) });
    if let Some(index) = index {
        told["index"] = (*index).into();
    }
    told
}

/// A program on an interface: whose it is, who holds it, where it is pinned, and what to do about it.
pub fn program(interface: &str, program: &ForeignProgram) -> Value {
    let holders = program.holders.iter().map(|holder| json!({ "pid": holder.process, "name": holder.name }));
    json!({
        "interface": interface,
        "program": program.id,
        "ours": program.origin.is_ours(),
        "held_by": holders.collect::<Vec<_>>(),
        "pins": program.pins,
        "hint": program.way_on(interface),
    })
}
