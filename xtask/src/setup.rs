//! Brings the machine to where a task works, or says what to do.

use std::{env, ffi::OsStr, process::Command};

use anyhow::{Result, bail};

use crate::{
    ebpf,
    missing::{Install, Missing},
    needs::{self, Scope},
    packages, privilege,
    process::{self, find_program},
};

/// `cargo xtask setup`: installs what is missing, or says that nothing is.
pub fn setup(scope: Scope) -> Result<()> {
    let missing = needs::missing(scope);
    if missing.is_empty() {
        let (compiler, _) = ebpf::compiler();
        let compiler = compiler.map(|compiler| format!("; BPF compiler: {compiler}")).unwrap_or_default();
        println!("setup: all there for `{}`{compiler}", scope.name());
        return Ok(());
    }
    install(scope, &missing)
}

/// For tasks that install what they need: silent when all is there.
pub fn ensure(scope: Scope) -> Result<()> {
    let missing = needs::missing(scope);
    if missing.is_empty() { Ok(()) } else { install(scope, &missing) }
}

/// For tasks that install nothing: an error that names what is missing.
pub fn check(scope: Scope) -> Result<()> {
    let missing = needs::missing(scope);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|missing| missing.name.as_str()).collect();
    bail!("not installed: {}\nhint: `cargo xtask setup --for {}`", names.join(", "), scope.name());
}

fn install(scope: Scope, missing: &[Missing]) -> Result<()> {
    eprintln!("setup: missing for `{}`:", scope.name());
    for Missing { name, why, .. } in missing {
        eprintln!("  {name:<26} {why}");
    }
    let plan = Plan::new(missing);
    if plan.needs_root() && !privilege::can_be_root() {
        return Err(plan.by_hand("installing needs root, and there is no sudo"));
    }
    if !plan.packages.is_empty() && find_program("apt-get").is_none() {
        return Err(plan.by_hand(&format!("there is no apt-get\n{}", ebpf::OTHER_SYSTEMS)));
    }
    plan.carry_out()?;

    let still: Vec<_> = needs::missing(scope).into_iter().map(|missing| missing.name).collect();
    if !still.is_empty() {
        bail!("still missing after installing: {}\nhint: {}", still.join(", "), ebpf::OTHER_SYSTEMS);
    }
    println!("setup: all there for `{}` now", scope.name());
    Ok(())
}

/// What to do, in this order.
struct Plan<'a> {
    packages: Vec<&'a str>,
    services: Vec<&'static str>,
    mount: bool,
    commands: Vec<&'a [String]>,
}

impl<'a> Plan<'a> {
    fn new(missing: &'a [Missing]) -> Self {
        let mut plan = Plan { packages: Vec::new(), services: Vec::new(), mount: false, commands: Vec::new() };
        for Missing { name, install, .. } in missing {
            match install {
                Install::Apt { service } => {
                    plan.packages.push(name);
                    plan.services.extend(*service);
                }
                Install::Command(words) => plan.commands.push(words),
                Install::MountBpffs => plan.mount = true,
            }
        }
        plan
    }

    fn needs_root(&self) -> bool {
        !self.packages.is_empty() || self.mount
    }

    fn carry_out(&self) -> Result<()> {
        if self.needs_root() {
            self.carry_out_as_root()?;
        }
        for words in &self.commands {
            let Some((program, arguments)) = words.split_first() else { continue };
            // In a folder without a rust-toolchain.toml or config of ours.
            process::run_shown(Command::new(program).args(arguments).current_dir(env::temp_dir()))?;
        }
        Ok(())
    }

    fn carry_out_as_root(&self) -> Result<()> {
        if privilege::is_root() {
            return packages::install(&self.packages, &self.services, self.mount);
        }
        let mut arguments: Vec<&OsStr> = vec!["install-as-root".as_ref()];
        for service in &self.services {
            arguments.extend::<[&OsStr; 2]>(["--service".as_ref(), service.as_ref()]);
        }
        if self.mount {
            arguments.push("--mount-bpffs".as_ref());
        }
        arguments.extend(self.packages.iter().map(|package| OsStr::new(*package)));
        privilege::again_as_root("install what is listed above", &arguments)
    }

    /// The same as an error that says what to type.
    fn by_hand(&self, why: &str) -> anyhow::Error {
        let mut lines = vec![format!("cannot set up this machine: {why}")];
        if self.needs_root() {
            lines.push("run as root:".to_owned());
            lines.extend(
                packages::commands(&self.packages, &self.services, self.mount).iter().map(|line| format!("  {line}")),
            );
        }
        if !self.commands.is_empty() {
            lines.push("then, as yourself:".to_owned());
            lines.extend(self.commands.iter().map(|words| format!("  {}", words.join(" "))));
        }
        anyhow::anyhow!(lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_root_the_exact_commands_are_told() {
        let apt = |name: &str, service| Missing {
            name: name.to_owned(),
            why: String::new(),
            install: Install::Apt { service },
        };
        let missing = [
            apt("curl", None),
            apt("nginx-light", Some("nginx")),
            Missing { name: "bpffs".to_owned(), why: String::new(), install: Install::MountBpffs },
            Missing {
                name: "tool".to_owned(),
                why: String::new(),
                install: Install::command("cargo install tool --locked"),
            },
        ];
        let told = Plan::new(&missing).by_hand("no root").to_string();
        let wanted = [
            "cannot set up this machine: no root",
            "run as root:",
            "  apt-get update",
            "  apt-get install --yes --no-install-recommends curl nginx-light",
            "  systemctl disable --now nginx",
            "  mount -t bpf -o mode=700 bpf /sys/fs/bpf",
            "then, as yourself:",
            "  cargo install tool --locked",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
    }
}
