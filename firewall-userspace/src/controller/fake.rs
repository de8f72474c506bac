//! A controller that has settings and nothing else, for tests of what stands before one.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::{ConfigFile, Controller, Counters, Message, Readings};
use crate::{
    clock::Now,
    control::{EntriesQuery, Generations, Page, Pushes, Refusal, Status, Undo},
    datapath::FrameCounters,
    policy::ApiSettings,
    preview::{diff::PolicyDocument, explain::Membership},
};

/// A handle on one that has `settings`, and what it is asked.
pub fn controller(settings: Option<ApiSettings>) -> (Controller, mpsc::Receiver<Message>) {
    let (messages, questions) = mpsc::channel(1);
    let (_, readings) = watch::channel(Arc::new(OnlySettings(settings)) as Arc<dyn Readings>);
    (Controller::new(messages, readings, Arc::default(), ConfigFile::new("/nonexistent".into())), questions)
}

/// Settings, and nothing else.
#[derive(Debug)]
struct OnlySettings(Option<ApiSettings>);

impl Readings for OnlySettings {
    fn api(&self) -> Option<&ApiSettings> {
        self.0.as_ref()
    }

    fn status(&self, _: Now) -> Status {
        unreachable!("nobody asks for the status")
    }

    fn entries(&self, _: &EntriesQuery) -> Result<Page, Refusal> {
        Err(Refusal::Stopping)
    }

    fn membership(&self, _: IpAddr) -> Result<Membership, Refusal> {
        Err(Refusal::Stopping)
    }

    fn frames(&self) -> Result<FrameCounters, Refusal> {
        Err(Refusal::Stopping)
    }

    fn document(&self) -> PolicyDocument {
        unreachable!("nobody asks for the policy")
    }

    fn history(&self, _: Now) -> Generations {
        unreachable!("nobody asks for the history")
    }

    fn is_undone_as_sync(&self, _: &Undo) -> bool {
        false
    }

    fn pushes(&self, _: usize) -> Pushes {
        unreachable!("nobody asks for the pushes")
    }

    fn counters(&self) -> Result<Counters, Refusal> {
        Err(Refusal::Stopping)
    }
}
