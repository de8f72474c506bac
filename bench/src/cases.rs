//! What is measured frame by frame: a policy, the frames it is given, and how all of them must be judged.

use std::fmt;

use firewall_common::Verdict;
use serde::{Deserialize, Serialize};

use crate::frame::{Family, Segment};

/// One case; its name is what `--only` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Family of list and frames.
    pub family: Family,
    /// Policy and frames.
    pub situation: Situation,
    /// Prefixes in the list, each with one source; 0 where no list is used.
    pub prefixes: usize,
}

/// A policy, and the frames it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Situation {
    /// The service allows a list. SYNs of random sources outside of it: dropped.
    Unlisted,
    /// The service allows a list. ACKs of random sources inside of it: passed.
    Listed,
    /// The service allows a list and limits packets and connections. ACKs of listed sources, charged as packets: passed.
    LimitedAck,
    /// The same with SYNs, charged as packets and as connections: passed.
    LimitedSyn,
    /// The service allows a list and limits packets. SYNs of listed sources far over their rate: dropped.
    Over,
    /// The service is public and limits packets and connections. SYNs of sources that were never seen before.
    Flood,
}

/// Lengths of lists.
pub const SIZES: [usize; 4] = [1, 1_000, 100_000, 1_000_000];

impl Situation {
    const fn name(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Listed => "listed",
            Self::LimitedAck => "limited-ack",
            Self::LimitedSyn => "limited-syn",
            Self::Over => "over",
            Self::Flood => "flood",
        }
    }

    const fn sizes(self) -> &'static [usize] {
        match self {
            Self::Unlisted | Self::Listed => &SIZES,
            Self::LimitedAck | Self::LimitedSyn => &[1_000, 1_000_000],
            Self::Over => &[1_000],
            Self::Flood => &[0],
        }
    }

    const ALL: [Self; 6] = [Self::Unlisted, Self::Listed, Self::LimitedAck, Self::LimitedSyn, Self::Over, Self::Flood];
}

impl Case {
    /// Every case.
    pub fn all() -> Vec<Self> {
        let of = |family| {
            let each = Situation::ALL.into_iter();
            each.flat_map(move |situation| {
                situation.sizes().iter().map(move |size| Self { family, situation, prefixes: *size })
            })
        };
        Family::ALL.into_iter().flat_map(of).collect()
    }

    /// The policy, as an operator writes it. Its list, if any, is in the file `list.txt`.
    pub fn policy(self) -> String {
        let list = "[lists.members]\nfile = \"list.txt\"\n";
        // So fast that all sources together stay below it; what is charged, and how, does not depend on the rate.
        let fast = "[limits.standard]\npackets = { rate = 1000000, burst = 1000000 }\n\
            connections = { rate = 1000000, burst = 1000000 }\n";
        let slow = "[limits.standard]\npackets = { rate = 10, per = \"1h\", burst = 20 }\n";
        let usual = "[limits.standard]\npackets = { rate = 2000, burst = 4000 }\n\
            connections = { rate = 50, burst = 100 }\n";
        let service = "[services.api]\nprotocol = \"tcp\"\nports = [443]\n";
        let (allow, limited) = ("allow = [\"members\"]\n", "limit = \"standard\"\n");
        let parts: &[&str] = match self.situation {
            Situation::Unlisted | Situation::Listed => &[list, service, allow],
            Situation::LimitedAck | Situation::LimitedSyn => &[list, fast, service, allow, limited],
            Situation::Over => &[list, slow, service, allow, limited],
            Situation::Flood => &[usual, service, limited],
        };
        format!("[[interface]]\nname = \"eth0\"\n{}", parts.concat())
    }

    /// What the TCP packets are of.
    pub fn segment(self) -> Segment {
        match self.situation {
            Situation::Listed | Situation::LimitedAck => Segment::Ack,
            Situation::Unlisted | Situation::LimitedSyn | Situation::Over | Situation::Flood => Segment::Syn,
        }
    }

    /// How frames must be judged, each as one of these.
    pub fn verdicts(self) -> &'static [Verdict] {
        match self.situation {
            Situation::Unlisted => &[Verdict::NotAllowed],
            Situation::Listed | Situation::LimitedAck | Situation::LimitedSyn => &[Verdict::Accepted],
            Situation::Over => &[Verdict::OverPackets],
            // Without a bucket of their own most share one.
            Situation::Flood => &[Verdict::Accepted, Verdict::OverPackets, Verdict::OverConnections],
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.family.name(), self.situation.name())?;
        match self.prefixes {
            0 => Ok(()),
            count => write!(f, "/{}", short(count)),
        }
    }
}

/// `1k` for 1,000 and `1M` for 1,000,000.
pub fn short(count: usize) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}
