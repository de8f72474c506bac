//! `--trace-packets`: what the kernel program logs of every packet, on the daemon's log. For debugging only.

use std::collections::BTreeMap;

use firewall_common::{Action, Verdict, abi};
use tokio::io::{Interest, unix::AsyncFd};

use super::{LoadedPolicy, attach::name_of, traced::Ends};
use crate::policy::compile::Identities;

/// Forwards what `generation`, whose services are named by `ids`, logs until it is gone. Must be called inside a tokio runtime.
pub(super) fn follow(generation: &mut LoadedPolicy, ids: &Identities) {
    let forward = Forward { services: ids.services.iter().map(|(name, id)| (id, name.to_string())).collect() };
    let logger = match aya_log::EbpfLogger::init_with_logger(&mut generation.ebpf, forward) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!(%error, "cannot trace packets");
            return;
        }
    };
    // SAFETY: the descriptor is that of the ring buffer inside `logger`, which the result owns and never replaces.
    let mut logger = match unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) } {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!(%error, "cannot trace packets");
            return;
        }
    };
    tracing::warn!("tracing every packet: slow, for debugging only");
    tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
}

/// Hands records of the kernel program to `tracing`.
struct Forward {
    /// Names of services by identifier.
    services: BTreeMap<u16, String>,
}

impl log::Log for Forward {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let record = record.args().to_string();
        match told(&record, &self.services, name_of) {
            Some(line) => tracing::info!(target: "packet", "{line}"),
            None => tracing::info!(target: "packet", "{record}"),
        }
    }

    fn flush(&self) {}
}

/// A record of the program in words: `eth0: 203.0.113.7:51000 -> 192.0.2.10:443 tcp, service api: drop (denied)`; `None` when it is
/// none. `interface` is the name of the one with an index. The record has what firewall-ebpf/src/trace.rs writes: interface, action,
/// verdict, service, length of the frame, and its beginning.
fn told(
    record: &str,
    services: &BTreeMap<u16, String>,
    interface: impl FnOnce(u32) -> Option<String>,
) -> Option<String> {
    let mut parts = record.split(' ');
    let mut number = || parts.next()?.parse::<u32>().ok();
    let (index, action, verdict, service, length) = (number()?, number()?, number()?, number()?, number()?);
    let begin = octets(parts.next()?)?;
    let begin = begin.get(..usize::try_from(length).ok()?).unwrap_or(&begin);
    let verdict = Verdict::ALL.iter().find(|one| one.index() == verdict)?;
    let interface = interface(index).unwrap_or_else(|| format!("interface {index}"));
    let service = match u16::try_from(service).ok()? {
        0 => "no service".to_owned(),
        id => services.get(&id).map_or_else(|| format!("service {id}"), |name| format!("service {name}")),
    };
    let label = verdict.action().label();
    // Where nothing is dropped, the verdict is only counted.
    let but = if action == abi::XDP_PASS && verdict.action() == Action::Drop { ", but it passes" } else { "" };
    Some(format!("{interface}: {}, {service}: {label} ({}){but}", Ends::of(begin), verdict.label()))
}

/// The octets that hexadecimal digits spell.
fn octets(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.chars().map(|one| one.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record about a TCP packet from 203.0.113.7:51000 to 192.0.2.10:443.
    fn record(index: u32, action: u32, verdict: Verdict, service: u16) -> String {
        let mut frame = vec![2u8; 12];
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 203, 0, 113, 7, 192, 0, 2, 10]);
        frame.extend([0xc7, 0x38, 1, 0xbb]);
        let length = frame.len() + 16;
        frame.resize(96, 0);
        let digits: String = frame.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("{index} {action} {} {service} {length} {digits}", verdict.index())
    }

    #[test]
    fn a_record_is_told_with_names_and_addresses() {
        let services = BTreeMap::from([(3, "api".to_owned())]);
        let told = |record: &str| told(record, &services, |index| (index == 2).then(|| "eth0".to_owned()));
        let packet = "203.0.113.7:51000 -> 192.0.2.10:443 tcp";
        for (record, wanted) in [
            (record(2, 1, Verdict::Denied, 3), format!("eth0: {packet}, service api: drop (denied)")),
            (record(2, 2, Verdict::Denied, 3), format!("eth0: {packet}, service api: drop (denied), but it passes")),
            (record(2, 2, Verdict::NoService, 0), format!("eth0: {packet}, no service: pass (no_service)")),
            (record(9, 2, Verdict::Accepted, 4), format!("interface 9: {packet}, service 4: pass (accepted)")),
        ] {
            assert_eq!(told(&record), Some(wanted));
        }
        for strange in ["", "1 2 3", "1 2 99 0 60 00", "1 2 3 0 60 0g", "1 2 3 0 60 000"] {
            assert_eq!(told(strange), None, "{strange}");
        }
    }
}
