//! One policy after another on the protected interface, while frames flow that both refuse.

use std::time::Duration;

use anyhow::{Result, ensure};
use firewall_common::{Family, Verdict};
use firewall_userspace::{
    datapath::{Attachments, LoadOptions},
    policy::Policy,
};

use super::{
    PROTECTED,
    report::StepFacts,
    traffic::{Capture, Stream, attached, judged, wait_for},
};
use crate::{
    draft::{Draft, ServiceDraft},
    kernel::{Kernel, verdict_counter},
    packet::Packet,
    running::wait_until,
};

const SWAPS: usize = 6;

/// How long both frames of the stream may take.
const STREAM_LIMIT: Duration = Duration::from_secs(5);

const FRIEND: &str = "203.0.113.7";
const FOE: &str = "198.18.0.66";

/// Every frame is judged by one policy or the other, and nothing passes that both refuse.
pub(super) fn check() -> Result<StepFacts> {
    // Both admit the friend and refuse the foe, for different reasons.
    let (denies, does_not_allow) = (policy(&["foes"]), policy(&[]));
    let frames = [FRIEND, FOE].map(|source| Packet::v4(source, "192.0.2.10").udp(40_000, 53).build());
    let options = LoadOptions { interfaces: vec![Attachments::index_of(PROTECTED)?], ..LoadOptions::default() };
    let mut kernel = attached(Kernel::load_changed(&denies, &[], &options, |_| {})?)?;
    let mut capture = Capture::start()?;

    let stream = Stream::start(frames.to_vec())?;
    let swapped = [&does_not_allow, &denies].into_iter().cycle().take(SWAPS).try_for_each(|policy| {
        kernel.replace(policy, &[])?;
        let before = judged(&kernel.snapshot()?);
        let has_judged_both = || Ok((judged(&kernel.snapshot()?) > before + 2).then_some(()));
        wait_until("frames after a swap", STREAM_LIMIT, has_judged_both)
    });
    let sent = stream.finish()?;
    swapped?;

    let counted = wait_for(&kernel, sent)?;
    let of = |verdict| counted.get(&verdict_counter(0, Family::Ipv4, verdict)).map_or(0, |[packets, _]| *packets);
    let (accepted, denied, not_allowed) = (of(Verdict::Accepted), of(Verdict::Denied), of(Verdict::NotAllowed));
    ensure!(accepted + denied + not_allowed == sent, "{sent} frames were sent, counted were {counted:?}");
    ensure!(denied > 0 && not_allowed > 0, "only one policy judged the foe: {counted:?}");
    let arrived = capture.count(&frames.each_ref().map(Vec::as_slice))?;
    ensure!(arrived == [accepted, 0], "{arrived:?} frames of friend and foe passed, of {accepted} and none");
    Ok(vec![("swaps", SWAPS.to_string()), ("swap_frames", sent.to_string())])
}

fn policy(deny: &'static [&'static str]) -> Policy {
    Draft::new()
        .list("friends", &["203.0.113.0/24"])
        .list("foes", &["198.18.0.64/26"])
        .service(ServiceDraft::udp("dns", &[53]).allow(&["friends"]).deny(deny))
        .policy()
}
