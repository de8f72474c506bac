//! The journal of systemd, by its own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): an event is a datagram of fields.

use std::{
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::Level;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that is full is waited for; then the line goes to standard error.
const PATIENCE: Duration = Duration::from_secs(1);

/// Most octets of the name of a field (journal-fields(7)).
const MOST_OF_NAME: usize = 64;

/// The way to the journal.
#[derive(Debug)]
pub(super) struct JournalSocket {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl JournalSocket {
    /// The journal of this host.
    pub(super) fn of_host() -> Self {
        Self::at(Path::new(SOCKET))
    }

    /// A journal that listens at `path`.
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: None }
    }

    /// Sends one event; whether the journal has taken it. It has not when it is not there, is full, or the event is too long.
    pub(super) fn send(&mut self, datagram: &[u8]) -> bool {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound();
            self.socket = socket.and_then(|socket| socket.set_write_timeout(Some(PATIENCE)).map(|()| socket)).ok();
        }
        // Not connected: a journal that was started anew is found again.
        self.socket.as_ref().is_some_and(|socket| socket.send_to(datagram, &self.path).is_ok())
    }
}

/// Adds a field; a value of several lines has its length before it.
pub(super) fn push(octets: &mut Vec<u8>, name: &str, value: &str) {
    octets.extend(name.as_bytes());
    if value.contains('\n') {
        octets.push(b'\n');
        octets.extend((value.len() as u64).to_le_bytes());
    } else {
        octets.push(b'=');
    }
    octets.extend(value.as_bytes());
    octets.push(b'\n');
}

/// The name of one of our fields in the journal.
pub(super) fn name(field: &str) -> String {
    let sign = |symbol: char| if symbol.is_ascii_alphanumeric() { symbol.to_ascii_uppercase() } else { '_' };
    "PORTCULLIS_".chars().chain(field.chars().map(sign)).take(MOST_OF_NAME).collect()
}

/// The priority of a level, as syslog(3) has them.
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_those_that_the_journal_takes() {
        assert_eq!(name("owner"), "PORTCULLIS_OWNER");
        assert_eq!(name("r#type.of\n=ä"), "PORTCULLIS_R_TYPE_OF___");
        assert_eq!(name(&"x".repeat(100)).len(), MOST_OF_NAME);
    }

    #[test]
    fn a_value_of_one_line_is_written_plainly_and_others_with_their_length() {
        let mut octets = Vec::new();
        push(&mut octets, "A", "x=y");
        push(&mut octets, "B", "1\n2");
        push(&mut octets, "C", "");
        assert_eq!(octets, b"A=x=y\nB\n\x03\0\0\0\0\0\0\x001\n2\nC=\n");
    }
}
