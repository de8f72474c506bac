//! The first process of the virtual machines of `cargo xtask kernels`.

use std::process::ExitCode;

fn main() -> ExitCode {
    firewall_tests::guest::run()
}
