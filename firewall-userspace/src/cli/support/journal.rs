//! The last lines of the daemon in the journal, from a program that is given a time.

use std::{
    env,
    io::{self, Read as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::MOST;

/// How long journalctl may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many lines.
const LINES: &str = "1000";

/// The last lines of a unit.
///
/// # Errors
/// When there is no journalctl, or it says nothing in time.
pub fn read(unit: &str) -> Result<String, String> {
    let failed = |error: io::Error| format!("cannot run journalctl: {error}");
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet", "--output=short-iso-precise", "--lines", LINES, "--unit", unit]);
    // What else is in the environment is nobody's business.
    command.env_clear().env("LC_ALL", "C.UTF-8").envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let stdout = child.stdout.take();
    let (send, received) = mpsc::channel();
    // Ends when the program does, which is ended below.
    thread::spawn(move || {
        let mut octets = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MOST as u64 + 1).read_to_end(&mut octets));
        let _ = send.send(read.map(|_| octets));
    });
    let read = received.recv_timeout(PATIENCE);
    // It has ended, or is late, or has said too much.
    let _ = child.kill();
    let _ = child.wait();
    match read {
        Ok(Ok(octets)) if octets.is_empty() => Err(format!("journalctl has no line of {unit} that this user may read")),
        Ok(Ok(octets)) => Ok(String::from_utf8_lossy(&octets).into_owned()),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(format!("journalctl did not end within {} s", PATIENCE.as_secs())),
    }
}
