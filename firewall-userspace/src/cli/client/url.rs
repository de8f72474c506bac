//! The URL of a daemon on another host.

use std::{fmt, net::IpAddr};

use hyper::{
    Uri,
    header::{HeaderValue, InvalidHeaderValue},
    http::uri::Scheme,
};

/// Where a daemon listens for HTTPS; for HTTP only at this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonUrl {
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// Name or address of the host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl DaemonUrl {
    /// Reads `https://fw1.example.com:8443`.
    ///
    /// # Errors
    /// Why it is none, without what may be a secret in it; a second line says what to write.
    pub fn read(text: &str) -> Result<Self, String> {
        let form = "hint: write it as https://fw1.example.com:8443";
        // Whoever writes a password into a URL is not shown it again.
        if text.contains('@') {
            return Err(
                "a URL with a user or a password is refused\nhint: `--token-file` names a file with a token".into()
            );
        }
        let uri: Uri = text.parse().map_err(|error| format!("{} is no URL: {error}\n{form}", cited(text)))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(format!("{} begins neither with https:// nor with http://\n{form}", cited(text))),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#') {
            return Err(format!("{} has more than a host and a port\n{form}", cited(text)));
        }
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        // A port that is no number is none to `http`.
        let written = uri.authority().and_then(|authority| authority.as_str().rsplit_once(':'));
        let has_port = written.is_some_and(|(_, port)| !port.ends_with(']'));
        let port = match uri.port_u16() {
            Some(0) | None if has_port => {
                return Err(format!("{} has no port between 1 and 65535\n{form}", cited(text)));
            }
            port => port.unwrap_or(if is_tls { 443 } else { 80 }),
        };
        let url = Self { is_tls, host, port };
        if url.host.is_empty() {
            return Err(format!("{} names no host\n{form}", cited(text)));
        }
        if !is_tls && !url.is_loopback() {
            let why = "is refused: without TLS anybody on the way could read the token and change what is asked for";
            return Err(format!(
                "{} {why}\nhint: write https://; http:// is for 127.0.0.1, [::1] and localhost",
                cited(text)
            ));
        }
        Ok(url)
    }

    /// Its host as an address, when it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it names this host, whatever a resolver says.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|address| address.to_canonical().is_loopback())
    }

    /// Host and port, as they stand in `Host` (RFC 9110 section 7.2): the port that the scheme has anyway is left out.
    pub fn authority(&self) -> String {
        let host = match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The same as the value of a header.
    ///
    /// # Errors
    /// When the host has characters that no header may have.
    pub fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        HeaderValue::from_str(&self.authority())
    }
}

impl fmt::Display for DaemonUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

fn cited(text: &str) -> String {
    format!("`{}`", crate::text::shown::shown(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_perhaps_a_port() {
        for (text, host, port, shown) in [
            ("https://fw1.example.com:8443", "fw1.example.com", 8443, "https://fw1.example.com:8443"),
            ("https://FW1.example.com/", "fw1.example.com", 443, "https://fw1.example.com"),
            ("https://fw1.example.com:443", "fw1.example.com", 443, "https://fw1.example.com"),
            ("https://192.0.2.7:8443", "192.0.2.7", 8443, "https://192.0.2.7:8443"),
            ("https://[2001:db8::7]:8443", "2001:db8::7", 8443, "https://[2001:db8::7]:8443"),
            ("https://[2001:DB8:0::7]", "2001:db8:0::7", 443, "https://[2001:db8::7]"),
            ("http://localhost:8080", "localhost", 8080, "http://localhost:8080"),
            ("http://127.9.9.9", "127.9.9.9", 80, "http://127.9.9.9"),
            ("http://[::1]:1", "::1", 1, "http://[::1]:1"),
        ] {
            let url = DaemonUrl::read(text).unwrap();
            assert_eq!((&*url.host, url.port, &*url.to_string()), (host, port, shown));
        }
    }

    #[test]
    fn what_is_no_url_of_a_daemon_is_refused_with_what_to_write() {
        for text in [
            "",
            "fw1.example.com",
            "fw1.example.com:8443",
            "/run/api.sock",
            "ftp://fw1",
            "https://",
            "https://fw1/v1",
            "https://fw1?a=b",
            "https://fw1#a",
            "https://fw1:0",
            "https://fw1:99999",
            "https://fw1:x",
            "https://fw1:",
            "https://f w1",
            "https://fw1\u{1b}[2J",
            "http://fw1.example.com",
            "http://192.0.2.7:80",
            "http://localhost.example.com",
            "https://bücher.example",
        ] {
            let why = DaemonUrl::read(text).unwrap_err();
            assert!(why.contains("\nhint: ") && !why.contains('\u{1b}'), "{text}: {why}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_shown() {
        for text in ["https://ada:hunter2@fw1", "https://hunter2@fw1:8443/", "http://x:hunter2@localhost"] {
            let why = DaemonUrl::read(text).unwrap_err();
            assert!(!why.contains("hunter2") && why.contains("--token-file"), "{why}");
        }
    }
}
