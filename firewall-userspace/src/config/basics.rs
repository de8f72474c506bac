//! What can be known of a configuration that cannot be used: where its daemon keeps things, and where it is asked.
//!
//! In: a text with any mistakes. Out: the settings that can be read of it, and defaults for the others. Nobody owns it: a start
//! that finds no usable file looks at it once.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    document::TomlTable,
    reader::Reader,
    sections::{settings, state},
    source::Source,
};
use crate::policy::{Mode, StateFolder};

/// The settings that a daemon needs before it has a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basics {
    /// `[admin] listen`.
    pub admin_listen: SocketAddr,
    /// `[api] socket`.
    pub api_socket: PathBuf,
    /// `[state]`.
    pub state: StateFolder,
    /// `[policy] mode`.
    pub mode: Mode,
}

impl Basics {
    /// What `text` says of them, as far as it can be read.
    pub fn of(text: &str) -> Self {
        Self::with_state_in(text, state::DEFAULT_DIRECTORY.as_ref())
    }

    /// The same; the state is in `directory` where `text` does not say.
    pub fn with_state_in(text: &str, directory: &Path) -> Self {
        let source = Source::new("".as_ref(), text);
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        let (mut reader, document) = (Reader::new(&source, &errors), TomlTable::document(document.get_ref()));
        let otherwise = StateFolder { directory: directory.to_owned(), ..state::default() };
        Self {
            admin_listen: settings::admin_listen(&mut reader, &document).unwrap_or(settings::DEFAULT_LISTEN),
            api_socket: settings::api_socket(&mut reader, &document).unwrap_or(settings::DEFAULT_SOCKET.into()),
            state: state::readable(&mut reader, &document, otherwise).0,
            mode: settings::general(&mut reader, &document).map_or(Mode::Enforce, |general| general.mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_read_and_the_rest_has_its_default() {
        let none = Basics::of("");
        assert_eq!(none.state.directory, PathBuf::from("/var/lib/portcullis"));
        assert_eq!((none.admin_listen.to_string(), none.mode), ("127.0.0.1:9191".into(), Mode::Enforce));
        assert_eq!(none.api_socket, PathBuf::from("/run/portcullis/api.sock"));
        let text = "[[interface]]\nnane = 7\n[policy]\nmode = \"observe\"\n[services.x\n[admin]\nlisten = \"127.0.0.1:1\"\n\
                    [state]\ndirectory = \"/srv/x\"\n[api]\nsocket = 3\n";
        let some = Basics::of(text);
        assert_eq!(some.state.directory, PathBuf::from("/srv/x"));
        assert_eq!((some.admin_listen.to_string(), some.mode), ("127.0.0.1:1".into(), Mode::Observe));
        assert_eq!(some.api_socket, none.api_socket);
        assert_eq!(Basics::of("\0\u{1}[[["), none);
    }
}
