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
    /// Number of the user, when the kernel says who it is.
    pub uid: Option<u32>,
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
        Self { name: name.into(), way, grant: Arc::clone(&EVERYTHING), shown: Vec::new(), from: None, uid: None }
    }

    /// The user `name` of this host, who has this number and may do what `grant` says.
    pub fn user(name: &str, uid: u32, grant: Arc<Grant>) -> Self {
        Self { grant, uid: Some(uid), ..Self::local(name) }
    }

    /// Whether nobody keeps it from a change that cannot be recorded: root on this host, who could change everything by other ways,
    /// a signal, which only root and the user of the daemon send, and the daemon itself.
    pub fn may_go_unrecorded(&self) -> bool {
        match self.way {
            Way::Socket => self.uid == Some(0),
            Way::Signal | Way::Daemon => true,
            Way::Network => false,
        }
    }

    /// What it has shown, or else its way: `token`, `certificate+signature`, `socket`.
    pub fn method(&self) -> String {
        match &*self.shown {
            [] => self.way.label().to_owned(),
            shown => shown.iter().map(|kind| kind.label()).collect::<Vec<_>>().join("+"),
        }
    }

    /// Where it comes from: its address, or `uid:NUMBER`.
    pub fn peer(&self) -> Option<String> {
        let address = self.from.map(|address| address.to_string());
        address.or_else(|| self.uid.map(|uid| format!("uid:{uid}")))
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
