//! `cargo xtask ci`: everything that must hold before a change lands.

use anyhow::Result;

use crate::{
    build::{self, Profile},
    demo, ebpf, house, kernels,
    needs::Scope,
    process::run_shown,
    service, setup, test,
    tree::Tree,
};

/// Cheap checks first; then `cargo xtask test`, the demo, and other kernels.
pub fn ci(tree: &Tree) -> Result<()> {
    setup::check(Scope::Ci)?;
    run_shown(tree.cargo().args(["fmt", "--all", "--check"]))?;
    house::house(&tree.root, false)?;
    ebpf::clippy(tree)?;
    ebpf::build(tree)?;
    run_shown(tree.cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"]))?;
    run_shown(tree.cargo().args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-Dwarnings"))?;
    // Advisories need a database from the network: a separate step, not part of what must pass.
    run_shown(tree.cargo().args(["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    test::test(tree, &test::Selection::default())?;
    // With the crates that the tests have just built.
    service::service(tree, &service::Trial::default())?;
    // What a newcomer runs first must not rot; with the binary the tests have just used.
    demo::demo(tree, Some(build::build(tree, Profile::Debug)?.portcullis))?;
    kernels::kernels(tree, &kernels::Choice::default())
}
