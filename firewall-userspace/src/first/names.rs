//! Names of services: by what is known of a port, or by the program.

use std::collections::BTreeSet;

use crate::policy::Protocol::{self, Tcp, Udp};

/// Longest name of a service (`policy/name.rs`).
const LONGEST: usize = 32;

/// Ports whose service is the same nearly everywhere (IANA; 51820 is WireGuard's own).
const KNOWN: [(Protocol, u16, &str); 38] = [
    (Tcp, 21, "ftp"),
    (Tcp, 22, "ssh"),
    (Tcp, 25, "smtp"),
    (Tcp, 53, "dns"),
    (Udp, 53, "dns"),
    (Udp, 67, "dhcp"),
    (Udp, 69, "tftp"),
    (Tcp, 80, "http"),
    (Tcp, 111, "rpcbind"),
    (Udp, 111, "rpcbind"),
    (Tcp, 110, "pop3"),
    (Udp, 123, "ntp"),
    (Tcp, 143, "imap"),
    (Udp, 161, "snmp"),
    (Tcp, 389, "ldap"),
    (Tcp, 443, "https"),
    (Udp, 443, "quic"),
    (Tcp, 465, "submissions"),
    (Udp, 500, "ipsec"),
    (Udp, 514, "syslog"),
    (Udp, 547, "dhcpv6"),
    (Tcp, 587, "submission"),
    (Tcp, 636, "ldaps"),
    (Tcp, 853, "dns-over-tls"),
    (Tcp, 993, "imaps"),
    (Tcp, 995, "pop3s"),
    (Udp, 1194, "openvpn"),
    (Udp, 1701, "l2tp"),
    (Tcp, 2049, "nfs"),
    (Tcp, 3306, "mysql"),
    (Udp, 4500, "ipsec"),
    (Udp, 4789, "vxlan"),
    (Tcp, 5432, "postgresql"),
    (Tcp, 6379, "redis"),
    (Tcp, 6443, "kubernetes-api"),
    (Tcp, 9100, "node-exporter"),
    (Tcp, 10250, "kubelet"),
    (Udp, 51820, "wireguard"),
];

/// What serves at this port nearly everywhere.
pub fn known(protocol: Protocol, port: u16) -> Option<&'static str> {
    KNOWN.iter().find(|(its, number, _)| (*its, *number) == (protocol, port)).map(|(_, _, name)| *name)
}

/// A name that no service in `taken` has, for one at `ports`, of this program.
pub fn name(protocol: Protocol, ports: &BTreeSet<u16>, program: Option<&str>, taken: &BTreeSet<String>) -> String {
    let mut names: Vec<Option<&str>> = ports.iter().map(|port| known(protocol, *port)).collect();
    names.dedup();
    let one = if let [one] = names[..] { one.map(str::to_owned) } else { None };
    let by_port = || ports.first().map_or_else(|| "service".into(), |port| format!("{protocol}-{port}"));
    let base = one.or_else(|| program.and_then(word)).unwrap_or_else(by_port);
    unique(&base, protocol, taken)
}

/// `base`, or what is made of it by the protocol or a number, so that it is not in `taken`.
pub fn unique(base: &str, protocol: Protocol, taken: &BTreeSet<String>) -> String {
    let with = |end: String| base.get(..base.len().min(LONGEST - end.len())).unwrap_or(base).to_owned() + &end;
    let numbered = (2_u32..).map(|number| with(format!("-{number}")));
    let mut all = [with(String::new()), with(format!("-{protocol}"))].into_iter().chain(numbered);
    all.find(|name| !taken.contains(name)).unwrap_or_default()
}

/// What can be a name in that of a program; `None` when nothing can.
fn word(program: &str) -> Option<String> {
    let fits = |symbol: char| symbol.is_ascii_alphanumeric();
    let mut word: String =
        program.chars().map(|symbol| if fits(symbol) { symbol.to_ascii_lowercase() } else { '-' }).collect();
    while word.contains("--") {
        word = word.replace("--", "-");
    }
    let word = word.trim_matches('-').to_owned();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Name;

    #[test]
    fn a_name_is_what_everybody_calls_the_port_else_the_program_else_the_port() {
        let of = |protocol, ports: &[u16], program: Option<&str>| {
            name(protocol, &ports.iter().copied().collect(), program, &BTreeSet::new())
        };
        assert_eq!(of(Tcp, &[443], Some("nginx")), "https");
        assert_eq!(of(Tcp, &[80, 443], Some("nginx")), "nginx");
        assert_eq!(of(Udp, &[500, 4500], Some("charon")), "ipsec");
        assert_eq!(of(Tcp, &[8080], None), "tcp-8080");
        assert_eq!(of(Tcp, &[8080], Some("\u{1b}[31m\"")), "31m");
        assert_eq!(of(Tcp, &[8080], Some("äöü\n")), "tcp-8080");
        assert_eq!(of(Tcp, &[8080], Some("MyApp_2 (x)")), "myapp-2-x");
    }

    #[test]
    fn names_are_unique_and_of_the_form_that_a_configuration_has() {
        let mut taken = BTreeSet::new();
        for _ in 0..300 {
            let new = unique(&"x".repeat(40), Udp, &taken);
            assert!(Name::parse(&new).is_ok(), "{new}");
            assert!(taken.insert(new));
        }
        let dns = BTreeSet::from(["dns".to_owned()]);
        assert_eq!(unique("dns", Udp, &dns), "dns-udp");
    }
}
