//! What a daemon says of itself.

use super::LiveFacts;
use crate::{
    control::{LandlockForce, Status},
    doctor::Check,
};

/// What of it is weaker than it could be, or that nothing is.
pub(super) fn checks(live: &LiveFacts) -> Vec<Check> {
    let status = match &live.status {
        Ok(status) => status,
        Err(why) => return vec![Check::note("daemon", "status", format!("it cannot be asked: {why}"))],
    };
    let mut found: Vec<Check> = status
        .conditions
        .iter()
        .map(|condition| Check::warn("daemon", "condition", condition.message.clone(), "portcullis status"))
        .collect();
    found.extend(mode(status));
    found.extend(sandbox(status));
    found.extend(status.pin_failure.iter().map(|why| {
        Check::warn("daemon", "pins", format!("the filter ends with the daemon: {why}"), "mount -t bpf bpf /sys/fs/bpf")
    }));
    if found.is_empty() {
        found.push(Check::ok("daemon", "status", "it is confined, and nothing is amiss"));
    }
    found
}

fn mode(status: &Status) -> Option<Check> {
    let found = "it only observes: nothing is dropped";
    (status.mode == "observe").then(|| Check::fail("daemon", "mode", found, "portcullis mode enforce"))
}

fn sandbox(status: &Status) -> Vec<Check> {
    let Some(sandbox) = &status.sandbox else {
        let found = "it runs without a sandbox: whoever takes it over has all its rights";
        return vec![Check::warn("daemon", "sandbox", found, "start it without `--no-sandbox`")];
    };
    let why = sandbox.why.clone().unwrap_or_else(|| "less than could be".into());
    let is_whole = sandbox.landlock.state == LandlockForce::Full && sandbox.seccomp && sandbox.no_new_privileges;
    (!is_whole)
        .then(|| Check::warn("daemon", "sandbox", format!("it is confined in part: {why}"), "portcullis doctor"))
        .into_iter()
        .collect()
}
