//! What a run came to, as JSON.

use serde::{Deserialize, Serialize};

use crate::{
    effort::Effort, kept::Kept, load::Load, machine::Machine, memory::Memory, packets::Measured, push::Pushes,
    readers::Readers, sizes::Sizes, wire::Wire,
};

/// Name and version of the form of [`Results`].
pub const SCHEMA: &str = "portcullis.bench/v1";

/// A whole run, or the parts of it that were asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where it was measured.
    pub machine: Machine,
    /// How much was run.
    pub effort: Effort,
    /// Frame by frame.
    pub packets: Vec<Measured>,
    /// End to end.
    pub wire: Option<Wire>,
    /// From file to enforcing.
    pub load: Vec<Load>,
    /// Pushed entries over a restart.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// Of maps.
    pub memory: Vec<Memory>,
    /// Changes of one prefix.
    pub pushes: Option<Pushes>,
    /// Readers beside work.
    #[serde(default)]
    pub readers: Option<Readers>,
    /// Sizes of the control plane.
    #[serde(default)]
    pub sizes: Option<Sizes>,
}
