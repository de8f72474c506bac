//! Where the program is attached, and how it is replaced without a gap.
//!
//! In: the program in force, the interfaces of the policy, what devices there are. Out: links, how each interface stands, what became
//! of it by itself. [`Attachments`] holds a descriptor of every link: a pin is only what outlives the daemon. It is shared between
//! the controller, which switches programs, and a thread that brings interfaces in line while the controller is busy; nobody holds its
//! lock while a program is loaded.

mod device;
mod follow;
mod pinning;
mod state;
mod switch;

use std::{
    collections::BTreeMap,
    os::fd::BorrowedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

pub(super) use self::device::name_of;
pub use self::state::{Attached, AttachmentState, Presence, Unwilling};
use self::{
    device::{Filtered, Occupants, Program, index_of},
    pinning::Pinning,
    state::InterfaceChange,
};
use super::{DatapathError, PinFolder};
use crate::policy::{AttachMode, Interface};

/// The devices on which a program of ours is attached. Links are pinned: they outlive this value.
#[derive(Debug, Default)]
pub struct Attachments {
    inner: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// The program in force; `None` before the first.
    program: Option<Program>,
    /// Interfaces of the policy in force.
    wanted: BTreeMap<String, AttachMode>,
    /// What is filtered, by index.
    devices: BTreeMap<u32, Filtered>,
    /// How each interface stands, as it was told last.
    told: BTreeMap<String, AttachmentState>,
    pinning: Pinning,
    /// What was put right and is not counted yet.
    news: News,
    /// When what refuses was last tried, and whether it is to be tried again.
    tried: Option<Instant>,
    owes_retry: bool,
    occupants: Occupants,
}

/// What was put right since it was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Links that somebody else had taken away or given another program.
    pub(super) links: u64,
    /// Pins that somebody else had removed.
    pub(super) pins: u64,
}

impl Attachments {
    /// Names of the interfaces of the policy in force.
    pub fn interfaces(&self) -> Vec<String> {
        self.lock().wanted.keys().cloned().collect()
    }

    /// How an interface of the policy in force is to be attached; `None` for one that is not in it.
    pub(super) fn configured(&self, interface: &str) -> Option<AttachMode> {
        self.lock().wanted.get(interface).copied()
    }

    /// How each interface stands, by the name that it has or is to have.
    pub(super) fn report(&self) -> Vec<AttachmentState> {
        self.lock().told.values().cloned().collect()
    }

    /// Why pins cannot be kept now; `None` when all are there.
    pub(super) fn pin_failure(&self) -> Option<String> {
        self.lock().pinning.failure().map(str::to_owned)
    }

    /// Index of the device that an interface of the policy is, whatever it is called now; 0 while there is none.
    pub(super) fn index_for(&self, interface: &str) -> u32 {
        let inner = self.lock();
        let renamed = || inner.devices.iter().find(|(_, device)| device.origin == interface).map(|(index, _)| *index);
        index_of(interface).or_else(renamed).unwrap_or(0)
    }

    /// What was put right since the last call.
    pub(super) fn take_news(&self) -> News {
        std::mem::take(&mut self.lock().news)
    }

    /// Makes `program`, which is loaded, that of exactly `wanted`: new interfaces are attached, those that stay are swapped by one link
    /// update each, the others are detached. All of it, or nothing. An interface that is not there is waited for, and so is one
    /// that refuses, unless it is new: what can be filtered does not wait for the others.
    ///
    /// The first call takes the links that a daemon before this one left, whatever their interfaces are called now. They come last:
    /// until all else is attached they filter on as they are, and no failure removes them. Every interface that refuses is waited
    /// for then, as long as there is another one.
    ///
    /// # Errors
    /// When a new interface refuses; in the first call, when all of them do, or another daemon filters one of them.
    pub fn switch(&self, program: BorrowedFd<'_>, wanted: &[Interface], pins: &PinFolder) -> Result<(), DatapathError> {
        let program = Program::hold(program)?;
        self.lock().switch(program, wanted, pins, &Unwilling::IsWaitedFor)
    }

    /// The first [`switch`](Self::switch), with what becomes of an interface that refuses.
    ///
    /// # Errors
    /// As for that; also when one of several refuses, if that is asked for.
    pub(super) fn begin(
        &self,
        program: BorrowedFd<'_>,
        wanted: &[Interface],
        pins: &PinFolder,
        unwilling: &Unwilling,
    ) -> Result<(), DatapathError> {
        let program = Program::hold(program)?;
        self.lock().switch(program, wanted, pins, unwilling)
    }

    /// Brings devices, names and pins in line: each interface of the policy that is there gets the program in force, and what is
    /// filtered stays so under any name. What refused is tried again when `retries`. Whether there is something to tell.
    pub(super) fn follow(&self, pins: &PinFolder, retries: bool) -> bool {
        self.lock().follow(pins, retries)
    }

    /// Index of an interface.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn index_of(interface: &str) -> Result<u32, DatapathError> {
        index_of(interface).ok_or_else(|| DatapathError::NoInterface { interface: interface.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
