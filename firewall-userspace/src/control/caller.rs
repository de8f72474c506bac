//! Who asks for a change.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use crate::policy::{CredentialKind, Grant, Role};

/// Who asks for a change, and by which way. It comes from the connection and from what the caller shows, or from the daemon itself; never
/// from the body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is: the owner of what it pushes. A user of this host has their name alone; others begin with what they have shown, as
    /// `token:NAME`. Also `SIGHUP` and `daemon`.
    pub name: String,
    /// The way.
    pub way: Way,
    /// What it may do.
    pub grant: Arc<Grant>,
    /// What it has shown; empty where the kernel says who it is.
    pub shown: Vec<CredentialKind>,
    /// Its address, when it comes over a network.
    pub from: Option<IpAddr>,
}

/// The way by which a change is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The Unix socket of the API.
    Socket,
    /// HTTPS, or HTTP on loopback.
    Network,
    /// A signal.
    Signal,
    /// The daemon itself: a start, an end of time.
    Daemon,
}

static EVERYTHING: LazyLock<Arc<Grant>> = LazyLock::new(|| Arc::new(Grant::whole(Role::Admin)));

impl Caller {
    /// The daemon itself.
    pub fn daemon() -> Self {
        Self::of("daemon", Way::Daemon)
    }

    /// Whoever sent the signal `name`.
    pub fn signal(name: &str) -> Self {
        Self::of(name, Way::Signal)
    }

    /// The user `name` of this host, who may do everything.
    pub fn local(name: &str) -> Self {
        Self::of(name, Way::Socket)
    }

    fn of(name: &str, way: Way) -> Self {
        Self { name: name.into(), way, grant: Arc::clone(&EVERYTHING), shown: Vec::new(), from: None }
    }

    /// Whether it may do what takes `role`.
    pub fn has(&self, role: Role) -> bool {
        self.grant.role >= role
    }
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Daemon, Self::Signal, Self::Socket, Self::Network];

    /// What makes somebody who comes by it load the configuration; the daemon itself does so at its start.
    pub const fn trigger(self) -> &'static str {
        match self {
            Self::Daemon => "start",
            Self::Signal => "signal",
            Self::Socket | Self::Network => "api",
        }
    }

    /// Its name in the log and in the audit.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Network => "network",
            Self::Signal => "signal",
            Self::Daemon => "daemon",
        }
    }
}
