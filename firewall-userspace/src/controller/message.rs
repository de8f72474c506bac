//! What the controller is asked for.

use std::sync::Arc;

use super::{ReadConfig, SyncBase, SyncKind, SyncOrder, SyncReply, SyncTicket, SyncTurn, reply::Reply, work::Activity};
use crate::{
    control::{
        Caller, Confirm, Confirmed, KeptGeneration, Push, Pushed, Refusal, Reload, Reloaded, Rollback, SetMode, Terms,
        Undo,
    },
    datapath::Explainer,
    policy::Prefix,
    preview::explain::{Answered, Question, Questions},
};

/// One request and where its answer goes.
#[derive(Debug)]
pub enum Message {
    /// See [`Controller::push`](super::Controller::push).
    Push(Caller, Push, Reply<Result<Pushed, Refusal>>),
    /// See [`Controller::sync`](super::Controller::sync): it begins.
    SyncOpen(Caller, (Arc<SyncTicket>, SyncTurn), SyncKind, Reply<Result<SyncBase, Refusal>>),
    /// See [`Controller::sync`](super::Controller::sync): nothing of it happens, and why it was refused.
    SyncClose(Arc<SyncTicket>, Option<Refusal>, Reply<()>),
    /// See [`Controller::sync`](super::Controller::sync): it was compared, and is carried out.
    SyncRun(Arc<SyncTicket>, Box<SyncOrder>, SyncReply),
    /// See [`Controller::undo`](super::Controller::undo).
    Undo(Caller, Undo, Reply<Result<Pushed, Refusal>>),
    /// See [`Controller::explain`](super::Controller::explain) and [`Controller::explain_many`](super::Controller::explain_many). With `true` the controller itself loads what answers, if it is not
    /// loaded.
    Explain(Inquiry, bool, Reply<Result<Explaining, Refusal>>),
    /// See [`Controller::reload`](super::Controller::reload); with what the configuration file says.
    Reload(Caller, Reload, Box<ReadConfig>, Reply<Result<Reloaded, Refusal>>),
    /// See [`Controller::apply`](super::Controller::apply); with what was sent.
    Apply(Caller, Terms, Box<ReadConfig>, Reply<Result<Reloaded, Refusal>>),
    /// See [`Controller::rollback`](super::Controller::rollback).
    Rollback(Caller, Rollback, Reply<Result<Reloaded, Refusal>>),
    /// See [`Controller::set_mode`](super::Controller::set_mode).
    SetMode(Caller, SetMode, Reply<Result<Reloaded, Refusal>>),
    /// See [`Controller::generation`](super::Controller::generation).
    Generation(u64, Reply<Result<KeptGeneration, Refusal>>),
    /// See [`Controller::confirm`](super::Controller::confirm).
    Confirm(Caller, Confirm, Reply<Result<Confirmed, Refusal>>),
    /// The addresses of this host and the broadcast addresses of its subnets, as netlink knows them now. The answer says
    /// whether they are refused as sources.
    OwnAddresses(Vec<Prefix>, Reply<bool>),
    /// Interfaces may have come, gone or changed.
    Interfaces,
    /// See [`Controller::stop`](super::Controller::stop).
    Stop(Reply<()>),
}

impl Message {
    /// The controller begins with it; `false` when whoever asked has given up, and does not want it any more.
    pub fn begin(&self) -> bool {
        match self {
            Self::Push(.., reply) | Self::Undo(.., reply) | Self::SyncRun(.., reply) => reply.begin(),
            Self::SyncOpen(.., reply) => reply.begin(),
            Self::SyncClose(..) => true,
            Self::Explain(.., reply) => reply.begin(),
            Self::Reload(.., reply) | Self::Apply(.., reply) => reply.begin(),
            Self::Rollback(.., reply) | Self::SetMode(.., reply) => reply.begin(),
            Self::Confirm(.., reply) => reply.begin(),
            Self::Generation(.., reply) => reply.begin(),
            Self::OwnAddresses(..) | Self::Interfaces | Self::Stop(_) => true,
        }
    }

    /// Answers a request with a refusal; what is no request is nobody's.
    pub(super) fn refuse(self, refusal: Refusal) {
        match self {
            Self::Push(.., reply) | Self::Undo(.., reply) | Self::SyncRun(.., reply) => drop(reply.send(Err(refusal))),
            Self::SyncOpen(.., reply) => drop(reply.send(Err(refusal))),
            Self::SyncClose(.., reply) => drop(reply.send(())),
            Self::Explain(.., reply) => drop(reply.send(Err(refusal))),
            Self::Reload(.., reply) | Self::Apply(.., reply) => drop(reply.send(Err(refusal))),
            Self::Rollback(.., reply) | Self::SetMode(.., reply) => drop(reply.send(Err(refusal))),
            Self::Confirm(.., reply) => drop(reply.send(Err(refusal))),
            Self::Generation(.., reply) => drop(reply.send(Err(refusal))),
            Self::OwnAddresses(..) | Self::Interfaces | Self::Stop(_) => {}
        }
    }

    /// What the controller does with it.
    pub(super) fn job(&self) -> Activity {
        match self {
            Self::Push(..) | Self::SyncOpen(..) | Self::SyncClose(..) | Self::SyncRun(..) => Activity::Push,
            Self::Undo(..) => Activity::Undo,
            Self::Explain(..) => Activity::Explain,
            Self::Reload(..) => Activity::Reload,
            Self::Apply(..) => Activity::Apply,
            Self::Rollback(..) => Activity::Rollback,
            Self::SetMode(..) => Activity::SetMode,
            Self::Confirm(..) => Activity::Confirm,
            Self::Generation(..) => Activity::Generation,
            Self::OwnAddresses(..) => Activity::OwnAddresses,
            Self::Interfaces => Activity::Interfaces,
            Self::Stop(..) => Activity::Stop,
        }
    }
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// One packet.
    Packet(Question),
    /// Several.
    Packets(Questions),
}

/// What comes of a question.
#[derive(Debug)]
pub enum Explaining {
    /// The answers, in the order of what was asked: exactly one to the question about one packet.
    Explained(Vec<Answered>),
    /// What answers has to be loaded first, which takes a while and needs nobody else.
    NotLoaded(Arc<dyn Explainer>),
}
