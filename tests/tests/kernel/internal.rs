//! What must never happen, made to happen.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use firewall_common::{Family, Verdict};
use firewall_tests::{
    draft::{Draft, ServiceDraft},
    kernel::{Kernel, action, difference, verdict_counter},
    packet::Packet,
};
use firewall_userspace::datapath::LoadOptions;

#[test]
fn a_service_without_a_record_is_an_internal_error_and_aborts() -> Result<()> {
    let policy = Draft::new().service(ServiceDraft::tcp("web", &[80])).policy();
    let kernel = Kernel::load_changed(&policy, &[], &LoadOptions::default(), |compiled| {
        // One behind the last identifier, so that no record can be there.
        if let Some(row) = compiled.ports.first_mut() {
            row.services[80] = 257;
        }
    })?;
    let frame = Packet::v4("198.18.0.1", "192.0.2.10").tcp(1, 80).build();
    let before = kernel.snapshot()?;
    assert_eq!(kernel.run(&frame)?, action::ABORTED);
    let moved = difference(&before, &kernel.snapshot()?);
    let count = moved.get(&verdict_counter(0, Family::Ipv4, Verdict::Internal)).context("the verdict is counted")?;
    assert_eq!(*count, [1, frame.len() as u64]);
    let others: BTreeMap<_, _> = moved.iter().filter(|(_, count)| count[0] != 1).collect();
    assert!(others.is_empty(), "{others:?}");
    Ok(())
}
