//! Running other programs: what was run is shown, how it failed is told.

use std::{
    env,
    ffi::OsStr,
    io::{ErrorKind, Write as _, stderr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};

/// Runs a program with our input and output. An error names the command line and how it ended.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_run(command))?;
    if !status.success() {
        bail!("`{}` failed: {status}", show(command));
    }
    Ok(())
}

/// As [`run`], after printing the command line.
pub fn run_shown(command: &mut Command) -> Result<()> {
    eprintln!("  $ {}", show(command));
    run(command)
}

/// What a program writes on standard output, trimmed. An error carries what it wrote on standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_run(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("`{}` failed: {}: {}", show(command), output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command line as one would type it.
pub fn show(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Tells of something that goes wrong while cleaning up. Unlike `eprintln!` it cannot panic.
pub fn warn(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(stderr(), "warning: {text}");
}

/// Path of a program, also when its folder is not on the PATH of an ordinary user (`nginx` is in `/usr/sbin`).
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .chain(cargo_home().map(|home| home.join("bin")))
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

/// Where cargo keeps what it fetched, and puts the programs that it installs.
pub fn cargo_home() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("neither CARGO_HOME nor HOME is set")
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

fn cannot_run(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    match find_program(&program) {
        Some(_) => format!("cannot run `{}`", show(command)),
        None => format!("cannot run `{program}`: {}", ErrorKind::NotFound),
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_command_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'two words'", "", "plain-1.0"]);
        assert_eq!(show(&command), r"sh -c 'echo '\''two words'\''' '' plain-1.0");
    }

    #[test]
    fn failing_program_is_named_with_its_last_words() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("broken"), "{error}");
    }
}
