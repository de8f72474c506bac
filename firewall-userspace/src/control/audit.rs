//! What the audit log says, for readers.

use serde::{Deserialize, Serialize};

use crate::state::audit::{AuditPage, AuditRecord};

/// Lines of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct AuditList {
    /// `portcullis.audit/v1`.
    pub schema: String,
    /// The newest first.
    pub records: Vec<AuditRecord>,
    /// What `before` has to be for older ones; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl AuditList {
    /// Lines that are told without a `limit`.
    pub const TOLD: usize = 100;

    /// Lines that are told at most.
    pub const MOST: usize = 1000;

    /// These lines, of which older ones may be at `next`.
    pub fn new(records: Vec<AuditRecord>, next: Option<u64>) -> Self {
        Self { schema: "portcullis.audit/v1".into(), records, next }
    }
}

impl From<AuditPage> for AuditList {
    fn from(AuditPage { records, next }: AuditPage) -> Self {
        Self::new(records, next)
    }
}
