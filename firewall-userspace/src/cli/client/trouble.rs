//! Why a daemon on another host cannot be reached, in words: each with what to do about it.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::url::DaemonUrl;
use crate::text::shown::{escaped, few};

/// Why it cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

/// Most names of a certificate that are told.
const NAMES: usize = 5;

impl Trouble {
    /// This.
    pub fn new(why: &str, hint: &str) -> Self {
        Self { why: escaped(why).into_owned(), hint: escaped(hint).into_owned() }
    }

    /// Nothing answers within a time.
    pub fn silent(limit: Duration) -> Self {
        let hint =
            "is the port open for this host? A firewall on the way, Portcullis itself too, drops without an answer";
        Self::new(&format!("no connection within {} s", limit.as_secs()), hint)
    }

    /// There is a connection, and no TLS within a time.
    pub fn mute(limit: Duration) -> Self {
        let hint = "is it the port of HTTPS (`listen` in [api])? The daemon may also have too many connections";
        Self::new(&format!("there is a connection, and no TLS within {} s", limit.as_secs()), hint)
    }

    /// Nobody knows its address.
    pub fn of_name(host: &str, error: &io::Error) -> Self {
        let why = error.to_string();
        let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
        Self::new(
            &format!("the address of `{host}` is not found: {why}"),
            &format!("is the name right? `getent hosts {host}` asks the same"),
        )
    }

    /// None of its addresses takes a connection.
    pub fn of_tcp(failed: &[(SocketAddr, io::Error)]) -> Self {
        let one = |(address, error): &(SocketAddr, io::Error)| format!("{address}: {error}");
        let all = failed.iter().map(one).collect::<Vec<_>>().join("; ");
        let is_refused = failed.iter().any(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused);
        match failed {
            [] => Self::new("its name has no address of this host", "http:// is for this host; write https://"),
            _ if is_refused => Self::new(&all, "does the daemon run, and is this the port of `listen` in its [api]?"),
            _ => Self::new(&all, "is there a way from this host to that one? `ip route get ADDRESS` shows it"),
        }
    }

    /// TLS did not come about.
    pub fn of_tls(error: &io::Error, url: &DaemonUrl) -> Self {
        let Some(tls) = tls_of(error) else {
            let hint = "does HTTPS stand behind this port, and does the daemon still run?";
            return Self::new(&format!("the connection ended before TLS was there: {error}"), hint);
        };
        match tls {
            rustls::Error::InvalidCertificate(why) => of_certificate(why, url),
            rustls::Error::AlertReceived(alert) => of_alert(*alert),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Self::new("what answers there does not speak TLS", "is it the port of HTTPS (`listen` in [api])?")
            }
            tls => Self::new(
                &format!("no TLS with it: {tls}"),
                "the daemon has TLS 1.2 and 1.3; is it the daemon that answers there?",
            ),
        }
    }

    /// The server has refused the certificate of the caller, or that there is none. With TLS 1.3 the client learns it only when it has
    /// sent its request, of which the server has read nothing then (RFC 8446 section 4.4.2.4).
    pub fn of_refused_certificate(error: &(dyn Error + 'static)) -> Option<Self> {
        match tls_of(error)? {
            rustls::Error::AlertReceived(alert) if is_about_certificate(*alert) => Some(of_alert(*alert)),
            _ => None,
        }
    }
}

/// The error of TLS in it, or in what has caused it.
fn tls_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // An I/O error hands out the source of what is in it, and not what is in it.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

const fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

fn of_alert(alert: AlertDescription) -> Trouble {
    let own = "it is the certificate of `--client-cert`: is it of the authority that the daemon names as `client_ca`?";
    match alert {
        AlertDescription::CertificateRequired => Trouble::new(
            "it asks for a client certificate, and none was shown",
            "`--client-cert` and `--client-key` name one",
        ),
        AlertDescription::CertificateExpired => Trouble::new(
            "it refuses the client certificate: its time is over",
            "renew the certificate of `--client-cert`",
        ),
        AlertDescription::CertificateRevoked => {
            Trouble::new("it refuses the client certificate: it is revoked", "show another one by `--client-cert`")
        }
        AlertDescription::UnknownCA => {
            Trouble::new("it refuses the client certificate: it does not know its authority", own)
        }
        alert if is_about_certificate(alert) => {
            Trouble::new(&format!("it refuses the client certificate ({alert:?})"), own)
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => Trouble::new(
            &format!("it and this command have no form of TLS in common ({alert:?})"),
            "this command speaks TLS 1.2 and 1.3; is it the daemon that answers there?",
        ),
        AlertDescription::UnrecognisedName => {
            Trouble::new("it does not know this name", "`--url` has the name that stands in its certificate")
        }
        alert => Trouble::new(&format!("it ends TLS ({alert:?})"), "its log says why"),
    }
}

/// The certificate of the server is not good.
fn of_certificate(why: &CertificateError, url: &DaemonUrl) -> Trouble {
    let host = &url.host;
    match why {
        CertificateError::UnknownIssuer => Trouble::new(
            "its certificate is of an authority that this host does not trust",
            "`--ca PEM` names the certificate of the authority of the daemon",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let until = match why {
                CertificateError::ExpiredContext { not_after, .. } => format!(" since {}", time(not_after.as_secs())),
                _ => String::new(),
            };
            Trouble::new(
                &format!("the time of its certificate is over{until}"),
                "renew it at the daemon; is the clock of this host right?",
            )
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            let from = match why {
                CertificateError::NotValidYetContext { not_before, .. } => {
                    format!(" before {}", time(not_before.as_secs()))
                }
                _ => " yet".to_owned(),
            };
            Trouble::new(&format!("its certificate is not valid{from}"), "is the clock of this host right?")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match why {
                CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    format!(", and is for {}", few(presented, NAMES))
                }
                _ => String::new(),
            };
            Trouble::new(
                &format!("its certificate is not for `{host}`{names}"),
                "`--url` has a name that stands in the certificate of the daemon",
            )
        }
        CertificateError::Revoked => {
            Trouble::new("its certificate is revoked", "renew it at the daemon, after a look at why it was revoked")
        }
        why => Trouble::new(
            &format!("its certificate cannot be used: {why}"),
            "look at it with `openssl s_client -connect HOST:PORT`",
        ),
    }
}

/// Seconds since 1970 as a time.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> DaemonUrl {
        DaemonUrl::read("https://fw1.example.com:8443").unwrap()
    }

    #[test]
    fn every_trouble_of_tls_has_words_and_what_to_do() {
        for (error, words) in [
            (CertificateError::UnknownIssuer.into(), "does not trust"),
            (CertificateError::Expired.into(), "is over"),
            (CertificateError::NotValidYet.into(), "not valid yet"),
            (CertificateError::NotValidForName.into(), "not for `fw1.example.com`"),
            (CertificateError::BadEncoding.into(), "cannot be used"),
            (CertificateError::Revoked.into(), "revoked"),
            (rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS"),
            (rustls::Error::AlertReceived(AlertDescription::ProtocolVersion), "in common"),
            (rustls::Error::AlertReceived(AlertDescription::InternalError), "ends TLS"),
        ] {
            let trouble = Trouble::of_tls(&io::Error::new(io::ErrorKind::InvalidData, error), &url());
            assert!(trouble.why.contains(words) && !trouble.hint.is_empty(), "{trouble:?}");
        }
        let gone = Trouble::of_tls(&io::ErrorKind::UnexpectedEof.into(), &url());
        assert!(gone.why.starts_with("the connection ended before TLS was there: "), "{gone:?}");
    }

    #[test]
    fn what_a_certificate_says_reaches_the_terminal_without_its_escapes() {
        let presented = vec!["DnsName(\"\u{1b}[2J\")".to_owned(); 9];
        let expected = rustls::pki_types::ServerName::try_from("fw1.example.com").unwrap();
        let error = CertificateError::NotValidForNameContext { expected, presented };
        let trouble = Trouble::of_tls(&io::Error::other(rustls::Error::from(error)), &url());
        assert!(!trouble.why.contains('\u{1b}') && trouble.why.contains("and 4 more"), "{trouble:?}");
    }

    #[test]
    fn only_a_refused_certificate_says_that_nothing_was_read() {
        let of = |alert| {
            let error = io::Error::other(rustls::Error::AlertReceived(alert));
            // As hyper wraps it.
            Trouble::of_refused_certificate(&io::Error::other(error)).map(|trouble| trouble.why)
        };
        assert!(of(AlertDescription::CertificateRequired).is_some_and(|why| why.contains("none was shown")));
        assert!(of(AlertDescription::UnknownCA).is_some_and(|why| why.contains("authority")));
        assert_eq!(of(AlertDescription::InternalError), None);
        assert_eq!(Trouble::of_refused_certificate(&io::Error::other("x")), None);
    }
}
