//! promtool, where it is installed.

use std::{
    env,
    io::{ErrorKind, Write},
    process::{Command, Stdio},
};

/// What promtool says with these arguments, and whether it is content; `None` where there is none, unless this is CI.
pub fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = match command.spawn() {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound && env::var_os("PORTCULLIS_CI").is_none() => {
            eprintln!("SKIPPED: there is no promtool; `cargo xtask setup` installs it");
            return None;
        }
        Err(error) => panic!("cannot run promtool: {error}"),
    };
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), words))
}
