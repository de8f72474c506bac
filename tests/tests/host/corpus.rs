//! The corpus on the host.

use anyhow::Result;
use firewall_common::judge;
use firewall_tests::{cases::standard, corpus, model::Model, show::scapy, spec};

#[test]
fn frames_of_the_corpus_have_their_verdicts() -> Result<()> {
    let (policy, own) = standard();
    let model = Model::new(&policy, &own);
    let entries = corpus::entries()?;
    for entry in &entries {
        let context = format!("{}: {}\n{}", entry.name, entry.cause, scapy(&entry.frame));
        assert_eq!(judge(entry.frame.as_slice(), &model).verdict, entry.verdict, "{context}");
        assert_eq!(spec::judge(&policy, &own, &entry.frame).verdict, entry.verdict, "{context}");
    }
    assert!(!entries.is_empty(), "the corpus is there");
    Ok(())
}
