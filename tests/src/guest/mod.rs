//! What runs in the virtual machines of `cargo xtask kernels`: variants of the program, in the driver of a virtual network
//! card, on the kernel the machine was booted with.
//!
//! `eth1` and `eth0` are on one hub: frames sent out of `eth1` come in on `eth0`, where the program is.
//!
//! - In: the command line of the kernel, which says how many variants are asked for.
//! - Out: a report on the console, line by line, which `cargo xtask kernels` reads.
//! - Owner: this program is the first process of the machine, and switches it off.

mod facts;
mod machine;
mod report;
mod swaps;
mod table;
mod traffic;
mod variants;

use std::process::{self, ExitCode};

use anyhow::Result;

use self::{facts::Facts, machine::Machine, report::Report};

/// The interface that is protected.
const PROTECTED: &str = "eth0";
/// The interface that frames are sent from.
const SENDER: &str = "eth1";

/// Runs every check, reports, and switches the machine off.
pub fn run() -> ExitCode {
    if process::id() != 1 {
        eprintln!(
            "error: this program is the first process of a virtual machine\nhint: `cargo xtask kernels` boots one"
        );
        return ExitCode::FAILURE;
    }
    let mut report = Report::default();
    if let Err(error) = machine::prepare().and_then(|machine| check(&mut report, &machine)) {
        report.fail("machine", &error);
    }
    report.end();
    machine::power_off()
}

fn check(report: &mut Report, machine: &Machine) -> Result<()> {
    report.fact("release", &machine.release);
    let variants = if machine.wants_all { Facts::all() } else { Facts::few() };
    report.step("variants", || variants::check(&variants));
    // On a kernel that is too old there is nothing else to see.
    if !report.is_refused() {
        report.step("table", table::check);
        report.step("swaps", swaps::check);
    }
    Ok(())
}
