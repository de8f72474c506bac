//! How certificates and handshakes of this process fare, for metrics and `status`.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;

/// What is known of the files that TLS needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsHealth {
    /// Until when the certificate of this host is good; `None` when none is served.
    pub certificate: Option<Timestamp>,
    /// By when the first revocation list is to be followed by another; `None` when there is none.
    pub client_crl: Option<Timestamp>,
    /// Why what the files say now is not what is served.
    pub why: Option<String>,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeEnd {
    /// With a connection.
    Done,
    /// There is no certificate to be shown.
    NoCertificate,
    /// It took too long.
    TimedOut,
    /// The client's certificate is not good.
    ClientCertificate,
    /// Something else was wrong with it, or the client went away.
    Failed,
}

impl HandshakeEnd {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Done, Self::NoCertificate, Self::TimedOut, Self::ClientCertificate, Self::Failed];

    /// Its name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoCertificate => "no_certificate",
            Self::TimedOut => "timed_out",
            Self::ClientCertificate => "client_certificate",
            Self::Failed => "failed",
        }
    }
}

/// That of this process.
static HEALTH: Mutex<TlsHealth> = Mutex::new(TlsHealth { certificate: None, client_crl: None, why: None });

/// In the order of [`HandshakeEnd::ALL`].
static HANDSHAKES: [AtomicU64; HandshakeEnd::ALL.len()] = [const { AtomicU64::new(0) }; HandshakeEnd::ALL.len()];

/// How the files fare.
pub fn health() -> TlsHealth {
    HEALTH.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What the files say now is served.
pub fn is_served(certificate: Option<Timestamp>, client_crl: Option<Timestamp>) {
    *HEALTH.lock().unwrap_or_else(PoisonError::into_inner) = TlsHealth { certificate, client_crl, why: None };
}

/// What the files say now cannot be served, and what is served stays.
pub fn is_refused(why: String) {
    HEALTH.lock().unwrap_or_else(PoisonError::into_inner).why = Some(why);
}

/// Counts a handshake.
pub fn count(end: HandshakeEnd) {
    let position = HandshakeEnd::ALL.iter().position(|known| *known == end);
    if let Some(count) = position.and_then(|position| HANDSHAKES.get(position)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many handshakes ended so.
pub fn handshakes() -> impl Iterator<Item = (HandshakeEnd, u64)> {
    HandshakeEnd::ALL.into_iter().zip(&HANDSHAKES).map(|(end, count)| (end, count.load(Ordering::Relaxed)))
}
