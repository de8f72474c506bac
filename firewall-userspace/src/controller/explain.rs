//! What would become of a packet now.

use std::{cell::Cell, net::IpAddr};

use firewall_common::{Action, Verdict, abi};
use jiff::Timestamp;

use super::State;
use crate::{
    control::Refusal,
    policy::{Mode, compile},
    preview::{
        explain::{self, Explained, Question},
        model::HostModel,
    },
    text::problem::Problem,
};

/// Shortest frame that the kernel runs a program on: an Ethernet header.
const SHORTEST_FRAME: usize = 14;

/// Longest frame: 64 KiB of IP packet behind an Ethernet header with two tags.
const LONGEST_FRAME: usize = (1 << 16) + 22;

impl State {
    /// Asks the live program, on the live tables, without side effects.
    pub(super) fn explain(&mut self, question: &Question) -> Result<Explained, Refusal> {
        let (frame, destination) = self.frame(question)?;
        let fail = |error: crate::datapath::DatapathError| Refusal::Datapath { message: error.to_string() };
        let (action, explanation) = self.live.explain(&self.pins, &frame).map_err(fail)?;
        let Some(verdict) = Verdict::ALL.iter().copied().find(|verdict| verdict.index() == explanation.verdict) else {
            let message = format!("the program gave the unknown verdict {}", explanation.verdict);
            return Err(Refusal::Datapath { message });
        };
        let service = self.policy.services.iter().find(|service| {
            explanation.service != 0 && u32::from(self.ids.services.of(&service.name)) == explanation.service
        });
        let limit =
            self.policy.limits.iter().find(|limit| {
                explanation.limit != 0 && u32::from(self.ids.limits.of(&limit.name)) == explanation.limit
            });
        let source = self.source_of(&frame);
        let now = Timestamp::now();
        let entries = source.map_or_else(Vec::new, |source| {
            explain::matching(&self.policy, &self.runtime, self.loaded, source, service, verdict)
        });
        let mut notes = Vec::new();
        // Stages before the lists do not look a source up, so an empty answer proves nothing.
        let in_tables = entries.iter().fold(0, |all, one| {
            all | self.policy.lists.iter().position(|list| *list.name == *one.entry.list).map_or(0, compile::bit)
        });
        if service.is_some() && in_tables != explanation.lists {
            notes.push(format!(
                "the kernel has the source in {}, its entries are in {}: somebody else changed the tables, or an entry \
                 ended this moment",
                self.names_of(explanation.lists),
                self.names_of(in_tables)
            ));
        }
        if self.policy.mode == Mode::Observe {
            notes.push("the host observes: nothing is dropped".into());
        } else if let Some(service) = service.filter(|service| service.mode == Mode::Observe) {
            notes.push(format!("the service `{}` observes: it drops nothing", service.name));
        }
        Ok(Explained {
            schema: "portcullis.explain/v1".into(),
            generation: self.number,
            source,
            destination,
            action: if action == XDP_PASS { Action::Pass } else { Action::Drop }.label().into(),
            verdict: verdict.action().label().into(),
            reason: verdict.label().into(),
            meaning: verdict.doc().into(),
            service: service.map(|service| service.name.to_string()),
            own: explanation.flags & abi::OWN != 0,
            management: explanation.flags & abi::MANAGEMENT != 0,
            limit: limit.and_then(|limit| explain::limit_state(limit, &explanation, now)),
            entries,
            notes,
        })
    }

    /// Names of the lists of a membership.
    fn names_of(&self, lists: u64) -> String {
        let names = self.policy.lists.iter().enumerate().filter(|(index, _)| lists & compile::bit(*index) != 0);
        let names: Vec<String> = names.map(|(_, list)| format!("`{}`", list.name)).collect();
        if names.is_empty() { "no list".into() } else { names.join(", ") }
    }

    /// The frame of the question, and where it goes if that is known.
    fn frame(&self, question: &Question) -> Result<(Vec<u8>, Option<IpAddr>), Refusal> {
        let wrong = |pointer: &str, detail: String| Refusal::Invalid(vec![Problem { pointer: pointer.into(), detail }]);
        let Some(digits) = &question.frame else {
            let own = self.own.iter().copied();
            let packet = explain::packet(question, &self.policy, own).map_err(Refusal::Invalid)?;
            let frame = packet.frame();
            let frame = frame.ok_or_else(|| wrong("/destination", "it is of another family".into()))?;
            return Ok((frame, Some(packet.destination)));
        };
        if (Question { frame: None, ..question.clone() }) != Question::default() {
            return Err(wrong("/frame", "a frame says everything itself; nothing else may be given".into()));
        }
        let frame = explain::from_hex(digits).map_err(|error| wrong("/frame", error.to_string()))?;
        if !(SHORTEST_FRAME..=LONGEST_FRAME).contains(&frame.len()) {
            let length = frame.len();
            let detail = format!("it has {length} octets; frames have {SHORTEST_FRAME} to {LONGEST_FRAME}");
            return Err(wrong("/frame", detail));
        }
        Ok((frame, None))
    }

    /// The source of a frame, as far as the stages read it.
    fn source_of(&self, frame: &[u8]) -> Option<IpAddr> {
        let source = Cell::new(None);
        HostModel::new(&self.policy).judge_frame(frame, |address| {
            source.set(Some(address));
            self.members.lookup(address)
        });
        source.get()
    }
}

/// `XDP_PASS` of linux/bpf.h.
const XDP_PASS: u32 = 2;
