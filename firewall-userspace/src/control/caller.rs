//! Who asks for a change.

/// Who asks for a change, and by which way. It comes from the connection, or from the daemon itself; never from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// A user, `SIGHUP` or `daemon`.
    pub name: String,
    /// The way.
    pub way: Way,
}

/// The way by which a change is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The Unix socket of the API.
    Socket,
    /// A signal.
    Signal,
    /// The daemon itself: a start, an end of time.
    Daemon,
}

impl Caller {
    /// The daemon itself.
    pub fn daemon() -> Self {
        Self { name: "daemon".into(), way: Way::Daemon }
    }
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Daemon, Self::Signal, Self::Socket];

    /// What makes somebody who comes by it load the configuration; the daemon itself does so at its start.
    pub const fn trigger(self) -> &'static str {
        match self {
            Self::Daemon => "start",
            Self::Signal => "signal",
            Self::Socket => "api",
        }
    }

    /// Its name in the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Signal => "signal",
            Self::Daemon => "daemon",
        }
    }
}
