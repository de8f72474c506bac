//! Where entries come from.

use serde::{Deserialize, Serialize};

/// A source of entries. A change of one layer never touches another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The configuration and its list files.
    Config,
    /// Pushes by hand.
    Runtime,
    /// Lists that others publish.
    Feed,
    /// What the hosts of a fleet share.
    Fleet,
    /// Sources that something has found to misbehave.
    Ban,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 5] = [Self::Config, Self::Runtime, Self::Feed, Self::Fleet, Self::Ban];

    /// Those that people and bans have: one of them can take out what another has put in.
    pub const OF_PEOPLE: [Self; 2] = [Self::Runtime, Self::Ban];

    /// Its name, also the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Runtime => "runtime",
            Self::Feed => "feed",
            Self::Fleet => "fleet",
            Self::Ban => "ban",
        }
    }
}
