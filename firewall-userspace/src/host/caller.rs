//! The SSH connection that a command is typed into, also where `sudo` took it out of the environment.

use std::{env, fs, path::Path, process};

use super::connections::{Connection, of_ssh};

const VARIABLE: &str = "SSH_CONNECTION";

/// Most processes above this one that are asked.
const MOST_ANCESTORS: usize = 64;

/// The connection that the environment of this process tells of, or that of a process above it; `None` when none does, or when
/// this user may not see it.
pub fn ssh_connection() -> Option<Connection> {
    let own = env::var(VARIABLE).ok().and_then(|text| of_ssh(&text));
    own.or_else(|| of_ancestors(Path::new("/proc"), process::id()))
}

fn of_ancestors(proc: &Path, process: u32) -> Option<Connection> {
    let mut process = process;
    for _ in 0..MOST_ANCESTORS {
        let folder = proc.join(process.to_string());
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        let told = environment.split(|octet| *octet == 0).find_map(|variable| {
            let value = std::str::from_utf8(variable).ok()?.strip_prefix(VARIABLE)?.strip_prefix('=')?;
            of_ssh(value)
        });
        if told.is_some() {
            return told;
        }
        process = parent(&fs::read(folder.join("stat")).ok()?)?;
    }
    None
}

/// The parent that `/proc/PID/stat` names: behind the name in parentheses, which may have any character, stand state and parent
/// (proc_pid_stat(5)). `None` for the first process.
fn parent(stat: &[u8]) -> Option<u32> {
    let end = stat.iter().rposition(|octet| *octet == b')')?;
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    rest.split_whitespace().nth(1)?.parse().ok().filter(|parent| *parent != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::TestFolder;

    #[test]
    fn the_nearest_process_above_that_tells_is_taken_whatever_it_is_called() {
        let proc = TestFolder::new("caller");
        let process = |number: u32, parent: u32, environment: &[u8]| {
            let folder = proc.path().join(number.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{number} (a) S 1 (b) S {parent} 3 4")).unwrap();
            fs::write(folder.join("environ"), environment).unwrap();
        };
        process(40, 30, b"PATH=/bin\0SSH_CONNECTION=nonsense\0");
        process(30, 20, b"\xff=\xff\0SSH_CONNECTION=203.0.113.7 50412 192.0.2.10 22\0");
        process(20, 1, b"SSH_CONNECTION=203.0.113.8 50412 192.0.2.10 22\0");
        process(50, 51, b"");
        process(51, 50, b"");
        process(60, 0, b"");
        let of = |process| of_ancestors(proc.path(), process).map(|one| one.source.ip().to_string());
        assert_eq!(of(40).as_deref(), Some("203.0.113.7"));
        assert_eq!(of(20).as_deref(), Some("203.0.113.8"));
        assert_eq!(of(50), None, "a circle ends");
        assert_eq!((of(60), of(99)), (None, None));
    }
}
