//! What the audit log counts.

use super::family::Family;
use crate::state::audit::AuditView;

/// The families of the log as it stands.
pub fn families(view: &AuditView) -> prometheus::Result<[Family; 3]> {
    let help = "Lines of the audit log since this daemon started, by whether what they tell was done or refused.";
    let mut records = Family::counter("portcullis_audit_records_total", help, &["result"])?;
    records.push(&["ok"], view.done as f64);
    records.push(&["refused"], view.refused as f64);
    let help = "Attempts to write the audit log that failed; the log of the daemon says why.";
    let errors = Family::counter("portcullis_audit_write_errors_total", help, &[])?.with(view.write_errors as f64);
    let help =
        "1 while changes are refused because they cannot be recorded in the audit log; `portcullis status` says why.";
    let is_refusing = f64::from(u8::from(view.refusing.is_some()));
    let refusing = Family::gauge("portcullis_audit_refusing", help, &[])?.with(is_refusing);
    Ok([records, errors, refusing])
}
