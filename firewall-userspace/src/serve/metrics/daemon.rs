//! What the daemon knows about itself.

use firewall_common::abi::ABI_VERSION;

use super::family::Family;
use crate::{
    control::{Condition, InterfaceStatus, LandlockForce, PendingChange, SandboxStatus, Status},
    controller::{Activity, Doing},
    logging, made,
    policy::{Mode, mode_label},
    serve::{
        auth::failures,
        http::{requests, room},
        tls::health,
    },
};

/// The families of `status`, which is `None` when the controller did not answer, and those that need no controller.
pub fn families(
    status: Option<&Status>,
    doing: Option<Doing>,
    scrape_errors: [(&str, u64); 2],
) -> prometheus::Result<Vec<Family>> {
    let mut families = vec![build_info()?, http_requests()?, cut_connections()?, auth_failures()?, jobs(doing)?];
    families.extend(process()?);
    families.extend(certificates()?);
    let help = "Questions of scrapes that were not answered; what was asked for is missing in that scrape, and the log says why.";
    let mut unanswered = Family::counter("portcullis_scrape_errors_total", help, &["collector"])?;
    scrape_errors.into_iter().for_each(|(collector, count)| unanswered.push(&[collector], count as f64));
    families.push(unanswered);
    if let Some(status) = status {
        families.extend(interfaces(status)?);
        families.extend(policy(status)?);
        families.push(reloads(status)?);
        families.extend(conditions(status)?);
        families.extend(confirmations(status)?);
        families.push(clock(status)?);
        families.extend(status.sandbox.as_ref().map(sandbox).transpose()?);
    }
    Ok(families)
}

fn build_info() -> prometheus::Result<Family> {
    let help = "Always 1; version of the daemon, revision of its sources, its compiler, and the version of what it shares with the \
                program in the kernel.";
    let mut family = Family::gauge("portcullis_build_info", help, &["version", "revision", "rustc", "abi"])?;
    family.push(&[made::VERSION, made::REVISION, made::RUSTC, &ABI_VERSION.to_string()], 1.0);
    Ok(family)
}

fn sandbox(sandbox: &SandboxStatus) -> prometheus::Result<Family> {
    let help = "1 for a part of the sandbox that is in force, as far as the kernel has it; 0: see `portcullis status`.";
    let mut family = Family::gauge("portcullis_sandbox", help, &["part"])?;
    for (part, is_in_force) in [
        ("landlock", sandbox.landlock.state != LandlockForce::None),
        ("seccomp", sandbox.seccomp),
        ("no_new_privileges", sandbox.no_new_privileges),
    ] {
        family.push(&[part], f64::from(u8::from(is_in_force)));
    }
    Ok(family)
}

fn http_requests() -> prometheus::Result<Family> {
    let labels = ["listener", "route", "method", "code"];
    let mut family = Family::counter("portcullis_http_requests_total", "Requests answered.", &labels)?;
    for (key, count) in requests::counts() {
        family.push(&[key.listener, &key.route, key.method, &key.code.to_string()], count as f64);
    }
    Ok(family)
}

fn cut_connections() -> prometheus::Result<Family> {
    let help = "Connections that were cut although they might have gone on, because others needed their room.";
    let mut family = Family::counter("portcullis_http_connections_cut_total", help, &["listener"])?;
    for listener in ["admin", "api", "https", "redirect"] {
        family.push(&[listener], room::cuts(listener) as f64);
    }
    Ok(family)
}

fn auth_failures() -> prometheus::Result<Family> {
    let help = "Requests over the network that were refused because they do not show who they are of; the log has where they come from.";
    let mut family = Family::counter("portcullis_api_auth_failures_total", help, &["reason"])?;
    for (reason, count) in failures::counts() {
        family.push(&[reason.label()], count as f64);
    }
    Ok(family)
}

fn jobs(doing: Option<Doing>) -> prometheus::Result<Family> {
    let help = "For how long the controller has been at this job; 0 for all others. Above 600 s `/livez` fails: look at the log.";
    let mut family = Family::gauge("portcullis_controller_job_seconds", help, &["job"])?;
    for job in Activity::ALL {
        let age = doing.filter(|doing| doing.job == job).map_or(0.0, |doing| doing.age.as_secs_f64());
        family.push(&[job.label()], age);
    }
    Ok(family)
}

fn process() -> prometheus::Result<[Family; 2]> {
    let help = "Lines of the log that are lost, because standard error could not be written.";
    let lost = Family::counter("portcullis_log_lines_lost_total", help, &[])?.with(logging::lost() as f64);
    let help = "Threads and tasks that panicked; each is a bug worth a report, and the log has its words.";
    let panics = Family::counter("portcullis_panics_total", help, &[])?.with(logging::panics() as f64);
    Ok([lost, panics])
}

fn certificates() -> prometheus::Result<[Family; 3]> {
    let health = health::health();
    let help = "When the time of the certificate of the API is over, and by when the first of the revocation lists of clients is to be \
                followed by another, in seconds since 1970; 0 where there is none. Renew it before.";
    let mut expiry = Family::gauge("portcullis_api_certificate_expiry_timestamp_seconds", help, &["what"])?;
    for (what, at) in [("certificate", health.certificate), ("client_crl", health.client_crl)] {
        expiry.push(&[what], at.map_or(0.0, |at| at.as_second() as f64));
    }
    let help = "1 when the API is served by what the files of its certificates say now, 0 when those cannot be used and the ones before \
                go on: see the log.";
    let reloaded = Family::gauge("portcullis_api_certificate_last_reload_successful", help, &[])?
        .with(f64::from(u8::from(health.why.is_none())));
    let help = "Handshakes of TLS by how they ended.";
    let mut handshakes = Family::counter("portcullis_api_tls_handshakes_total", help, &["result"])?;
    health::handshakes().for_each(|(end, count)| handshakes.push(&[end.label()], count as f64));
    Ok([expiry, reloaded, handshakes])
}

fn interfaces(status: &Status) -> prometheus::Result<[Family; 3]> {
    let help = "1 for an interface that is filtered, 0 when it is gone or refuses; the mode is the one it got.";
    let mut attached = Family::gauge("portcullis_interface_attached", help, &["interface", "mode"])?;
    let help =
        "How often the program was attached again, because the interface was made anew or somebody had detached it.";
    let mut again = Family::counter("portcullis_interface_reattachments_total", help, &["interface"])?;
    let help = "Of an interface that is filtered: 1 when it stays so without the daemon, 0 when it is open then; `status` says why.";
    let mut pinned = Family::gauge("portcullis_interface_pinned", help, &["interface"])?;
    for InterfaceStatus { name, mode, state, pinned: is_pinned, reattachments, .. } in &status.interfaces {
        let is_filtered = matches!(state.as_str(), "attached" | "renamed");
        attached.push(&[name, mode], f64::from(u8::from(is_filtered)));
        again.push(&[name], *reattachments as f64);
        if is_filtered {
            pinned.push(&[name], f64::from(u8::from(*is_pinned)));
        }
    }
    Ok([attached, again, pinned])
}

fn policy(status: &Status) -> prometheus::Result<[Family; 7]> {
    let is_enforcing = status.mode == mode_label(Mode::Enforce);
    let help = "1 when drops are carried out, 0 when they are only counted.";
    let enforcing = Family::gauge("portcullis_enforcing", help, &[])?.with(f64::from(u8::from(is_enforcing)));
    let help = "1 when drops of the service are carried out, 0 when they are only counted, by it or by the whole host.";
    let mut services = Family::gauge("portcullis_service_enforcing", help, &["service"])?;
    for service in &status.services {
        let enforces = is_enforcing && service.mode == mode_label(Mode::Enforce);
        services.push(&[&service.name], f64::from(u8::from(enforces)));
    }
    let help = "Revision of the lists; grows when entries are added, refreshed, removed or end, and when the policy changes; the name is that of before.";
    let revision = Family::gauge("portcullis_config_generation", help, &[])?.with(status.generation as f64);
    let help = "1 when the last attempt to load the configuration succeeded, else 0.";
    let successful = Family::gauge("portcullis_config_last_reload_successful", help, &[])?
        .with(f64::from(u8::from(status.reload.successful)));
    let help = "When the live configuration was loaded, in seconds since 1970; 0 when none is live.";
    let last_success = Family::gauge("portcullis_config_last_reload_success_timestamp_seconds", help, &[])?
        .with(status.reload.last_success.unwrap_or_default().as_millisecond() as f64 / 1e3);
    let help = "Generation of the policy: the revision that it made.";
    let generation = Family::gauge("portcullis_policy_generation", help, &[])?.with(status.policy_generation as f64);
    let help = "For how long something has been under way that these metrics do not show yet; 0 when nothing is.";
    let age = Family::gauge("portcullis_status_age_seconds", help, &[])?.with(status.age_ms as f64 / 1e3);
    Ok([enforcing, services, revision, generation, age, successful, last_success])
}

fn reloads(status: &Status) -> prometheus::Result<Family> {
    let help = "Attempts to load the configuration: by the start of the daemon, by a signal, or over the API, as `portcullis reload` does.";
    let mut family = Family::counter("portcullis_config_reloads_total", help, &["trigger", "result"])?;
    for (trigger, attempts) in status.reload.triggers.triggers() {
        family.push(&[trigger, "success"], attempts.successes as f64);
        family.push(&[trigger, "failure"], attempts.failures as f64);
    }
    Ok(family)
}

fn conditions(status: &Status) -> prometheus::Result<[Family; 2]> {
    let help = "1 when all that the policy asks for is enforced, as /readyz says, else 0.";
    let ready = Family::gauge("portcullis_ready", help, &[])?.with(f64::from(u8::from(status.is_ready())));
    let help = "1 while something is not as it should be; `portcullis status` has the words.";
    let mut conditions = Family::gauge("portcullis_condition", help, &["code"])?;
    for code in Condition::ALL {
        let is_so = status.conditions.iter().any(|condition| condition.code == code);
        conditions.push(&[code], f64::from(u8::from(is_so)));
    }
    Ok([ready, conditions])
}

fn clock(status: &Status) -> prometheus::Result<Family> {
    let help = "1 while ends of entries are in doubt, because the clock has not been synchronised since boot or since it was set: \
                see what keeps it (NTP).";
    Ok(Family::gauge("portcullis_clock_in_doubt", help, &[])?.with(f64::from(u8::from(status.clock.in_doubt))))
}

fn confirmations(status: &Status) -> prometheus::Result<[Family; 2]> {
    let help = "1 while a change waits for a confirmation and is undone without one.";
    let mut pending = Family::gauge("portcullis_confirmation_pending", help, &["change"])?;
    for change in PendingChange::ALL {
        let is_pending = status.pending.as_ref().is_some_and(|pending| pending.change == change);
        pending.push(&[change.label()], f64::from(u8::from(is_pending)));
    }
    let help = "Changes that were undone because nobody confirmed them in time.";
    let undone =
        Family::counter("portcullis_automatic_rollbacks_total", help, &[])?.with(status.automatic_rollbacks as f64);
    Ok([pending, undone])
}
