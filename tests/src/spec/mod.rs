//! The contract a second time, as plain code over slices, written from docs/policy.md ("Order of judgement" to
//! "Fragments") and not from `firewall-common`; limits and caps, which have state, are left out. Two readings that agree on
//! a million odd frames are worth more than one.
//!
//! - In: a policy, the addresses of a host, and the octets of a frame.
//! - Out: the verdict, the family and the service; `frame.rs` reads the octets, `packet.rs` judges what was read.
//! - Owner: the test that compares; nothing is kept between two frames.

mod essential;
mod frame;
mod headers;
mod ipv4;
mod ipv6;
mod looped;
mod packet;
mod service;
mod source;

use firewall_common::{Family, Verdict};
use firewall_userspace::policy::{Policy, Prefix};

use self::{
    frame::read_frame,
    looped::{looped, no_stack_takes},
    packet::judge_packet,
};

/// What the contract says about a frame, when no limit and no cap is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The verdict.
    pub verdict: Verdict,
    /// The family of the frame.
    pub family: Family,
    /// The service it was judged by.
    pub service: Option<String>,
}

/// Judges `frame` by `policy` on a host with the addresses `own`.
pub fn judge(policy: &Policy, own: &[Prefix], frame: &[u8]) -> Reading {
    let mut family = Family::Other;
    let mut service = None;
    let verdict = match read_frame(frame, &mut family) {
        Ok(packet) => judge_packet(policy, own, &packet, &mut service),
        Err(verdict) => match looped(own, frame) {
            Some(came_back) if no_stack_takes(verdict) => {
                family = came_back;
                Verdict::Looped
            }
            _ => verdict,
        },
    };
    Reading { verdict, family, service }
}
