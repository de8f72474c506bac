//! The pipeline: one frame in, one judgement out.
//!
//! - In: a [`Frame`], and the [`Tables`] for whatever a verdict depends on besides the bytes.
//! - Out: a [`Judgement`], or the same packed into a number, [`Settled`]. The first stage that knows the answer settles it.
//! - Owner: nobody. The stages stand here, one a file, and nothing is kept from one frame to the next.

mod classify;
mod decide;
mod essential;
mod looped;
mod source;

use core::ops::ControlFlow::{self, Break, Continue};

use self::{
    classify::{host_default, judge_fragment, service_of},
    decide::decide,
    essential::pass_essential,
    source::refuse_impossible,
};
use crate::{
    abi::{MAX_VERDICTS, counter_index},
    address::Family,
    flow::{Flow, Fragment},
    frame::Frame,
    parse::{parse, plain_v4, plain_v6},
    tables::Tables,
    verdict::Verdict,
    verifier::opaque,
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

/// A judgement as the packet program hands it on. One number, because each way to a verdict sets all that there is to set.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// 16 bits each, lowest first: [`counter`](Self::counter), service, limit.
    pub bits: u64,
    /// See [`Judgement::frame_length`].
    pub frame_length: Option<usize>,
}

/// Judges one frame.
pub fn judge<F: Frame + ?Sized>(frame: &F, tables: &impl Tables) -> Judgement {
    settle(frame, tables).judgement()
}

/// Judges one frame: the whole contract of the policy, first match settles.
///
/// Plain packets have a pipeline of their own for each family, from which the compiler removes what they cannot be.
#[inline(always)]
pub fn settle<F: Frame + ?Sized>(frame: &F, tables: &impl Tables) -> Settled {
    if let Some(flow) = plain_v4(frame) {
        return settle_flow::<true>(&flow, tables);
    }
    if let Some(flow) = plain_v6(frame) {
        return settle_flow::<true>(&flow, tables);
    }
    let mut family = Family::Other;
    match parse(frame, &mut family) {
        Continue(flow) => settle_flow::<false>(&flow, tables),
        Break(verdict) => {
            let (verdict, family, frame_length) = looped::recognise(frame, verdict, family, tables);
            Settled { bits: opaque(Settled::pack(family, verdict, 0, 0)), frame_length }
        }
    }
}

/// `PLAIN`: the packet is one of those that [`plain_v4`] and [`plain_v6`] read, of which none is essential.
#[inline(always)]
fn settle_flow<const PLAIN: bool>(flow: &Flow, tables: &impl Tables) -> Settled {
    let bits = match settle_in_order::<PLAIN>(flow, tables) {
        Break(bits) | Continue(bits) => bits,
    };
    Settled { bits: opaque(bits), frame_length: Some(flow.frame_length) }
}

#[inline(always)]
fn settle_in_order<const PLAIN: bool>(flow: &Flow, tables: &impl Tables) -> ControlFlow<u64, u64> {
    let family = flow.source.family;
    let without_service = |verdict| Settled::pack(family, verdict, 0, 0);
    let membership = tables.membership(&flow.source);
    refuse_impossible(flow, membership).map_break(without_service)?;
    if !PLAIN {
        pass_essential(flow, membership, tables).map_break(without_service)?;
    }
    if membership.management {
        return Break(without_service(Verdict::Management));
    }
    if matches!(flow.fragment, Fragment::Later) {
        return Break(without_service(judge_fragment(flow, membership, tables)));
    }
    let service = service_of(flow, tables);
    if service == 0 {
        return Break(without_service(host_default(tables)));
    }
    let mut limit = 0;
    let verdict = match decide(flow, membership, service, tables, &mut limit) {
        Break(verdict) | Continue(verdict) => verdict,
    };
    Continue(Settled::pack(family, verdict, service, limit))
}

impl Settled {
    #[inline(always)]
    fn pack(family: Family, verdict: Verdict, service: u16, limit: u16) -> u64 {
        u64::from(counter_index(0, family, verdict)) | u64::from(service) << 16 | u64::from(limit) << 32
    }

    /// Where the counter of its family and verdict is for the first interface, see [`counter_index`].
    #[inline(always)]
    pub fn counter(&self) -> u32 {
        self.bits as u32 & 0xffff
    }

    /// Number of the verdict.
    #[inline(always)]
    pub fn verdict(&self) -> u32 {
        self.counter() % MAX_VERDICTS
    }

    /// Number of the family.
    #[inline(always)]
    pub fn family(&self) -> u32 {
        self.counter() / MAX_VERDICTS
    }

    /// See [`Judgement::service`].
    #[inline(always)]
    pub fn service(&self) -> u16 {
        (self.bits >> 16) as u16
    }

    /// See [`Judgement::limit`].
    #[inline(always)]
    pub fn limit(&self) -> u16 {
        (self.bits >> 32) as u16
    }

    /// Its parts.
    pub fn judgement(&self) -> Judgement {
        let family = Family::ALL.into_iter().find(|family| *family as u32 == self.family());
        let verdict = Verdict::ALL.iter().find(|verdict| verdict.index() == self.verdict());
        Judgement {
            verdict: verdict.copied().unwrap_or(Verdict::Internal),
            family: family.unwrap_or(Family::Other),
            frame_length: self.frame_length,
            service: self.service(),
            limit: self.limit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::nearly_plain;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn no_plain_packet_is_essential(frame in nearly_plain()) {
            if let Some(flow) = plain_v4(frame.as_slice()).or_else(|| plain_v6(frame.as_slice())) {
                prop_assert_eq!(essential::essential(&flow), None);
            }
        }
    }

    #[test]
    fn a_judgement_has_the_parts_that_were_packed() {
        for family in Family::ALL {
            for verdict in Verdict::ALL {
                let settled = Settled { bits: Settled::pack(family, *verdict, 0xabcd, 0xfedc), frame_length: Some(60) };
                let parts =
                    Judgement { verdict: *verdict, family, frame_length: Some(60), service: 0xabcd, limit: 0xfedc };
                assert_eq!(settled.judgement(), parts);
            }
        }
    }
}
