//! The one table of verdicts.

/// What the kernel does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// The frame goes on into the stack.
    Pass,
    /// The frame ends here.
    Drop,
}

impl Action {
    /// Value of the metric label `verdict`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

macro_rules! verdicts {
    ($($variant:ident = $index:literal, $action:ident, $label:literal, $doc:literal;)+) => {
        /// Everything that can be said about a frame. The number is the index of its counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Verdict {
            $(#[doc = $doc] $variant = $index,)+
        }

        impl Verdict {
            /// Every verdict, in the order of the counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// What enforcing this verdict does.
            #[inline(always)]
            pub const fn action(self) -> Action {
                match self { $(Self::$variant => Action::$action,)+ }
            }

            /// Value of the metric label `reason`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// One sentence for people.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }
        }

        const _: () = {
            let mut expected = 0;
            $(assert!($index == expected, "the numbers of verdicts have no gaps"); expected += 1;)+
        };
    };
}

verdicts! {
    NotIp = 0, Pass, "not_ip", "Neither IPv4 nor IPv6, such as ARP and LLDP.";
    Truncated = 1, Drop, "truncated", "The frame ends inside its link header or its IP header.";
    VlanDepth = 2, Drop, "vlan_depth", "More than two VLAN tags.";
    BadIpHeader = 3, Drop, "bad_ip_header", "IP version or IPv4 header length that no sender writes.";
    BadIpLength = 4, Drop, "bad_ip_length", "IP total or payload length beyond the frame or shorter than the header.";
    BadExtensionChain = 5, Drop, "bad_extension_chain", "IPv6 extension headers (or IPv4 AH) out of form, repeated, too many, or a jumbogram.";
    BadFragment = 6, Drop, "bad_fragment", "Fragment of a size that is no multiple of 8 with more to come, or ending beyond 65,535.";
    TinyFragment = 7, Drop, "tiny_fragment", "First fragment without its whole L4 header, or TCP at offset 1 (RFC 1858, 3128, 7112).";
    BadTransportHeader = 8, Drop, "bad_transport_header", "TCP data offset, UDP length or ICMP size that cannot be.";
    BadTcpFlags = 9, Drop, "bad_tcp_flags", "TCP flags that no stack sends: none, SYN+FIN, SYN+RST, FIN without ACK.";
    ImpossibleSource = 10, Drop, "impossible_source", "Source that no packet from outside can have: unspecified, loopback, multicast, broadcast, mapped, or our own.";
    Essential = 11, Pass, "essential", "Neighbour discovery, MLD, ICMP errors and DHCP replies within their caps.";
    EssentialLimited = 12, Drop, "essential_limited", "Essential traffic over its cap for the whole host.";
    Management = 13, Pass, "management", "Source in a management prefix.";
    NoService = 14, Pass, "no_service", "Belongs to no service, and `host_default` is pass.";
    HostDefault = 15, Drop, "host_default", "Belongs to no service and to no local socket, and `host_default` is drop.";
    Fragment = 16, Drop, "fragment", "Non-first fragment of a protocol that has a service, and `fragments` is drop.";
    FragmentAdmitted = 17, Pass, "fragment_admitted", "Non-first fragment whose source the lists of a possible service admit.";
    Denied = 18, Drop, "denied", "Source in a `deny` list of the service.";
    NotAllowed = 19, Drop, "not_allowed", "Source in none of the `allow` lists of the service.";
    OverPackets = 20, Drop, "over_packets", "Source over its packet rate.";
    OverBytes = 21, Drop, "over_bytes", "Source over its byte rate.";
    OverConnections = 22, Drop, "over_connections", "Source over its rate of new TCP connections.";
    Accepted = 23, Pass, "accepted", "Admitted to the service, within its limit.";
    Internal = 24, Drop, "internal", "A table of the program is missing: a bug worth a report.";
    Looped = 25, Pass, "looped", "Sent by this host and handed back to it without an Ethernet header: multicast and broadcast, in generic mode.";
}

impl Verdict {
    /// Bit n: the verdict with the number n drops.
    pub const DROPS: u32 = {
        let (mut drops, mut index) = (0, 0);
        while index < Self::ALL.len() {
            if matches!(Self::ALL[index].action(), Action::Drop) {
                drops |= 1 << index;
            }
            index += 1;
        }
        drops
    };

    /// Index of its counters.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_words_for_metrics() {
        for (position, verdict) in Verdict::ALL.iter().enumerate() {
            assert!(verdict.label().bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_'), "{verdict:?}");
            assert!(Verdict::ALL[..position].iter().all(|other| other.label() != verdict.label()), "{verdict:?}");
        }
    }

    #[test]
    fn docs_are_sentences() {
        for verdict in Verdict::ALL {
            assert!(verdict.doc().ends_with('.') && verdict.doc().starts_with(char::is_uppercase), "{verdict:?}");
        }
    }

    #[test]
    fn the_order_of_all_is_that_of_the_counters() {
        for (verdict, index) in Verdict::ALL.iter().zip(0..) {
            assert_eq!(verdict.index(), index);
        }
    }
}
