//! The pipeline: one frame in, one judgement out.

use core::ops::ControlFlow::{self, Break, Continue};

use crate::{
    address::Family, classify::classify, decide::decide, essential::pass_essential, frame::Frame, parse::parse,
    source::refuse_impossible, tables::Tables, verdict::Verdict,
};

/// A verdict and what it is accounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What is said about the frame.
    pub verdict: Verdict,
    /// Its address family.
    pub family: Family,
    /// Length of the frame in octets, `None` when no stage had to know it.
    pub frame_length: Option<usize>,
    /// The service it was judged by, 0 for none.
    pub service: u16,
    /// The limit it was charged to or refused by, 0 for none.
    pub limit: u16,
}

/// Judges one frame: the whole contract of the policy, first match settles.
#[inline(always)]
pub fn judge<F: Frame + ?Sized>(frame: &F, tables: &impl Tables) -> Judgement {
    let mut judgement =
        Judgement { verdict: Verdict::Internal, family: Family::Other, frame_length: None, service: 0, limit: 0 };
    judgement.verdict = match settle(frame, tables, &mut judgement) {
        Break(verdict) | Continue(verdict) => verdict,
    };
    judgement
}

#[inline(always)]
fn settle<F: Frame + ?Sized>(
    frame: &F,
    tables: &impl Tables,
    judgement: &mut Judgement,
) -> ControlFlow<Verdict, Verdict> {
    let flow = parse(frame, &mut judgement.family)?;
    judgement.frame_length = Some(flow.frame_length);
    let membership = tables.membership(&flow.source);
    refuse_impossible(&flow, membership)?;
    pass_essential(&flow, membership, tables)?;
    if membership.management {
        return Break(Verdict::Management);
    }
    let service = classify(&flow, membership, tables)?;
    judgement.service = service;
    decide(&flow, membership, service, tables, &mut judgement.limit)
}
