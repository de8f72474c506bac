//! What can be known of a configuration that cannot be used: where its daemon keeps things, and where it is asked.
//!
//! In: texts with any mistakes. Out: the settings that can be read of it, and defaults for the others. Nobody owns it: a start
//! that finds no usable file looks at it once.

use std::{cell::OnceCell, net::SocketAddr, path::Path};

use super::{
    bundle::{Bundle, Files, FilesFrom},
    document::TomlTable,
    include,
    reader::Reader,
    sections::{api, log, settings, state},
    source::Source,
};
use crate::{
    logging::LogSettings,
    policy::{ApiSettings, Mode, StateFolder},
};

/// The settings that a daemon needs before it has a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basics {
    /// `[admin] listen`.
    pub admin_listen: SocketAddr,
    /// `[api]`.
    pub api: ApiSettings,
    /// `[state]`.
    pub state: StateFolder,
    /// `[policy] mode`.
    pub mode: Mode,
    /// `[log]`.
    pub log: LogSettings,
}

impl Basics {
    /// What `bundle` says of them, as far as it can be read.
    pub fn of(bundle: &Bundle) -> Self {
        Self::with_state_in(bundle, state::DEFAULT_DIRECTORY.as_ref())
    }

    /// The same; the state is in `directory` where `bundle` does not say.
    pub fn with_state_in(bundle: &Bundle, directory: &Path) -> Self {
        let name = Path::new(&bundle.name);
        let main = Source::new(name, &bundle.config, name.parent().unwrap_or(Path::new("")));
        let (included, mut reader) = (OnceCell::new(), Reader::default());
        let mut files = Files::new(name, FilesFrom::Bundle(bundle));
        let document = include::document(&mut reader, &main, &included, &mut files);
        let document = TomlTable::document(&document);
        let otherwise = StateFolder { directory: directory.to_owned(), ..state::default() };
        Self {
            admin_listen: settings::admin_listen(&mut reader, &document).unwrap_or(settings::DEFAULT_LISTEN),
            api: api::readable_api(&mut reader, &document).0,
            state: state::readable(&mut reader, &document, otherwise).0,
            mode: settings::general(&mut reader, &document).map_or(Mode::Enforce, |general| general.mode),
            log: log::readable(&mut reader, &document).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::BundledFile,
        logging::{LogFormat, LogLevel},
    };

    #[test]
    fn what_can_be_read_is_read_and_the_rest_has_its_default() {
        let of = |text: &str| Basics::of(&Bundle { config: text.into(), ..Bundle::default() });
        let none = of("");
        assert_eq!(none.state.directory, Path::new("/var/lib/portcullis"));
        assert_eq!((none.admin_listen.to_string(), none.mode), ("127.0.0.1:9191".into(), Mode::Enforce));
        assert_eq!(none.api.socket.path, Path::new("/run/portcullis/api.sock"));
        let text = "[[interface]]\nnane = 7\n[policy]\nmode = \"observe\"\n[services.x\n[admin]\nlisten = \"127.0.0.1:1\"\n\
                    [state]\ndirectory = \"/srv/x\"\n[api]\nsocket = 3\n[log]\nformat = \"json\"\nlevel = \"loud\"\n";
        let some = of(text);
        assert_eq!(some.state.directory, Path::new("/srv/x"));
        assert_eq!((some.log.format, some.log.level), (LogFormat::Json, LogLevel::Info));
        assert_eq!((some.admin_listen.to_string(), some.mode), ("127.0.0.1:1".into(), Mode::Observe));
        assert_eq!(some.api.socket.path, none.api.socket.path);
        assert_eq!(of("\0\u{1}[[["), none);
    }

    #[test]
    fn what_stands_in_an_included_file_counts_although_another_one_is_broken() {
        let file =
            |name: &str, text: &str| BundledFile { path: format!("/etc/p/conf.d/{name}.toml"), text: text.into() };
        let included =
            vec![file("a", "[lists\n[policy]\nmode = \"observe\"\n"), file("b", "[state]\ndirectory = \"/srv/x\"\n")];
        let config = "include = [\"conf.d/*.toml\", \"gone.toml\"]\n[policy]\nfragments = 7\n".into();
        let name = "/etc/p/portcullis.toml".into();
        let some = Basics::of(&Bundle { name, config, included, files: Vec::new() });
        assert_eq!(some.state.directory, Path::new("/srv/x"));
    }
}
