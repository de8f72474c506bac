//! How the daemon is confined.

use serde::{Deserialize, Serialize};

/// How the daemon is confined, since before it read anything that others send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct SandboxStatus {
    /// What it may do with files and ports.
    pub landlock: LandlockView,
    /// Whether system calls that it never makes are refused.
    pub seccomp: bool,
    /// Whether nothing that it executes would get more rights.
    pub no_new_privileges: bool,
    /// The user that it runs as; `None` when the kernel does not tell.
    pub user: Option<u32>,
    /// Its effective capabilities.
    pub capabilities: Vec<String>,
    /// Why it is confined less than it could be; `None` when all is in force.
    #[serde(default)]
    pub why: Option<String>,
}

/// Most capabilities that are told by name in a line: the daemon needs three.
const MOST_NAMES: usize = 5;

impl SandboxStatus {
    /// The capabilities, in few words.
    pub fn powers(&self) -> String {
        match self.capabilities.as_slice() {
            [] => "no capabilities".to_owned(),
            some if some.len() <= MOST_NAMES => some.join(", "),
            many => format!("{} capabilities", many.len()),
        }
    }
}

/// What Landlock (landlock(7)) holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct LandlockView {
    /// How much of it is in force.
    pub state: LandlockForce,
    /// Version of what the kernel offers; 0 when it has none.
    pub abi: u32,
}

/// How much of Landlock is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LandlockForce {
    /// Nothing.
    #[default]
    None,
    /// What this kernel knows, which is not all.
    Partial,
    /// Everything.
    Full,
}
