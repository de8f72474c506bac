//! The pipeline: one frame in, one judgement out.

use core::ops::ControlFlow::{self, Break, Continue};

use crate::{
    address::Family,
    classify::classify,
    decide::decide,
    essential::pass_essential,
    frame::Frame,
    parse::{self, Flow},
    source::refuse_impossible,
    tables::Tables,
    verdict::Verdict,
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
///
/// Plain packets have a pipeline of their own for each family, from which the compiler removes what they cannot be.
#[inline(always)]
pub fn judge<F: Frame + ?Sized>(frame: &F, tables: &impl Tables) -> Judgement {
    if let Some(flow) = parse::plain_v4(frame) {
        return judge_flow(&flow, tables);
    }
    if let Some(flow) = parse::plain_v6(frame) {
        return judge_flow(&flow, tables);
    }
    let mut family = Family::Other;
    match parse::parse(frame, &mut family) {
        Continue(flow) => judge_flow(&flow, tables),
        Break(verdict) => Judgement { verdict, family, frame_length: None, service: 0, limit: 0 },
    }
}

#[inline(always)]
fn judge_flow(flow: &Flow, tables: &impl Tables) -> Judgement {
    let (mut service, mut limit) = (0, 0);
    let verdict = match settle(flow, tables, &mut service, &mut limit) {
        Break(verdict) | Continue(verdict) => verdict,
    };
    Judgement { verdict, family: flow.source.family, frame_length: Some(flow.frame_length), service, limit }
}

#[inline(always)]
fn settle(flow: &Flow, tables: &impl Tables, judged_by: &mut u16, charged: &mut u16) -> ControlFlow<Verdict, Verdict> {
    let membership = tables.membership(&flow.source);
    refuse_impossible(flow, membership)?;
    pass_essential(flow, membership, tables)?;
    if membership.management {
        return Break(Verdict::Management);
    }
    let service = classify(flow, membership, tables)?;
    *judged_by = service;
    decide(flow, membership, service, tables, charged)
}
