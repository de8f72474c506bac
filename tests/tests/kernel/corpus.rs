//! The corpus through the kernel.

use anyhow::Result;
use firewall_tests::{
    cases::standard,
    corpus,
    kernel::{Kernel, difference},
    show::scapy,
};

#[test]
fn frames_of_the_corpus_have_their_actions_and_are_counted_once() -> Result<()> {
    let (policy, own) = standard();
    let kernel = Kernel::load(&policy, &own)?;
    for entry in corpus::entries()? {
        let context = format!("{}: {}\n{}", entry.name, entry.cause, scapy(&entry.frame));
        let before = kernel.snapshot()?;
        assert_eq!(kernel.run(&entry.frame)?, kernel.action_of(entry.verdict, None), "{context}");
        let moved = difference(&before, &kernel.snapshot()?);
        let octets = entry.frame.len() as u64;
        assert!(moved.values().all(|count| *count == [1, octets]), "{moved:?}\n{context}");
        let verdicts: Vec<_> = moved.keys().filter_map(|counter| counter.verdict()).collect();
        assert_eq!(verdicts, [entry.verdict], "{context}");
    }
    Ok(())
}
