//! One filtered device: its link, held as long as it is to be filtered.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::net::if_::{if_indextoname, if_nametoindex};

use crate::{
    datapath::{
        DatapathError, ForeignProgram, fitness, foreign,
        link::{Link, LinkFacts},
        object,
    },
    policy::{AttachMode, Interface},
};

/// The program that is in force, held.
#[derive(Debug)]
pub(super) struct Program {
    descriptor: OwnedFd,
    /// Its identifier.
    pub(super) id: u32,
}

impl Program {
    /// Holds the program that is loaded as `program`.
    pub(super) fn hold(program: BorrowedFd<'_>) -> Result<Self, DatapathError> {
        let fail = |error: std::io::Error| DatapathError::Load {
            cause: format!("the loaded program cannot be held: {error}"),
            errno: error.raw_os_error(),
        };
        let descriptor = program.try_clone_to_owned().map_err(fail)?;
        let id = object::info(descriptor.as_fd()).map_err(fail)?.id;
        Ok(Self { descriptor, id })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Programs of others that were in the way, by index of the device. To describe them takes a look at every process, so they are
/// described anew only when others are there, or after a while.
#[derive(Debug, Default)]
pub(super) struct Occupants(BTreeMap<u32, (Instant, Vec<ForeignProgram>)>);

/// For so long it is not looked again who holds the same programs.
const KEPT: Duration = Duration::from_secs(30);

impl Occupants {
    /// What is on the device now.
    fn on(&mut self, ifindex: u32) -> Vec<ForeignProgram> {
        self.on_at(ifindex, &foreign::ids_on(ifindex), Instant::now(), || foreign::programs_on(ifindex))
    }

    fn on_at(
        &mut self,
        ifindex: u32,
        ids: &[u32],
        now: Instant,
        describe: impl FnOnce() -> Vec<ForeignProgram>,
    ) -> Vec<ForeignProgram> {
        if let Some((since, kept)) = self.0.get(&ifindex)
            && now.duration_since(*since) < KEPT
            && kept.iter().map(|program| &program.id).eq(ids)
        {
            return kept.clone();
        }
        let programs = describe();
        self.0.retain(|_, (since, _)| now.duration_since(*since) < KEPT);
        self.0.insert(ifindex, (now, programs.clone()));
        programs
    }
}

/// A device that is filtered. It is what it is by its index, whatever it is called.
#[derive(Debug)]
pub(super) struct Filtered {
    /// Its link.
    pub(super) link: Link,
    /// Identifier of the link.
    pub(super) id: u32,
    /// Native or generic.
    pub(super) mode: AttachMode,
    /// The configured name that it is filtered by.
    pub(super) origin: String,
    /// Where the link was last pinned.
    pub(super) pin: Option<PathBuf>,
    /// Whether it is pinned where it should be.
    pub(super) is_pinned: bool,
}

impl Filtered {
    /// Attaches `program` to the device `ifindex`, which the configuration knows as `interface`: the one way to a new link.
    ///
    /// # Errors
    /// When the kernel refuses, or another program is there.
    pub(super) fn attach(
        program: &Program,
        interface: &Interface,
        ifindex: u32,
        occupants: &mut Occupants,
    ) -> Result<Self, DatapathError> {
        let Interface { name, mode, .. } = interface;
        fitness::require(name, ifindex)?;
        let (link, mode) = match mode {
            AttachMode::Auto => match create(program, name, ifindex, AttachMode::Native, occupants) {
                Ok(link) => (link, AttachMode::Native),
                Err(DatapathError::Attach { errno: Some(libc::EOPNOTSUPP), .. }) => {
                    (create(program, name, ifindex, AttachMode::Generic, occupants)?, AttachMode::Generic)
                }
                Err(error) => return Err(error),
            },
            mode => (create(program, name, ifindex, *mode, occupants)?, *mode),
        };
        let facts = link.facts().map_err(|error| DatapathError::attach(name, mode, &error))?;
        Ok(Self { link, id: facts.id, mode, origin: name.clone(), pin: None, is_pinned: false })
    }

    /// What its link tells, as long as it is that of the device `ifindex`.
    pub(super) fn facts(&self, ifindex: u32) -> Option<LinkFacts> {
        self.link.facts().ok().filter(|facts| facts.ifindex == ifindex)
    }
}

fn create(
    program: &Program,
    interface: &str,
    ifindex: u32,
    mode: AttachMode,
    occupants: &mut Occupants,
) -> Result<Link, DatapathError> {
    Link::create(program.as_fd(), ifindex, mode).map_err(|error| {
        let programs = match error.raw_os_error() {
            Some(libc::EBUSY | libc::EEXIST) => occupants.on(ifindex),
            _ => Vec::new(),
        };
        if programs.is_empty() {
            return fitness::explained(DatapathError::attach(interface, mode, &error), ifindex);
        }
        DatapathError::Foreign { interface: interface.to_owned(), mode, programs }
    })
}

/// Index of an interface of this namespace.
pub(super) fn index_of(interface: &str) -> Option<u32> {
    if_nametoindex(interface).ok()
}

/// Name of an interface of this namespace.
pub(in crate::datapath) fn name_of(ifindex: u32) -> Option<String> {
    // One that is in another namespace has none here.
    if_indextoname(ifindex).ok()?.into_string().ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::Origin;

    #[test]
    fn the_same_programs_in_the_way_are_described_once_in_a_while() {
        let mut occupants = Occupants::default();
        let (start, mut described) = (Instant::now(), 0);
        let mut ask = |id, after| {
            let program = || ForeignProgram {
                id,
                origin: Origin::Others,
                name: "x".into(),
                tag: String::new(),
                is_generic: false,
                links: vec![],
                pins: vec![],
                holders: vec![],
            };
            let found = occupants.on_at(2, &[id], start + after, || {
                described += 1;
                vec![program()]
            });
            assert_eq!(found, [program()]);
            described
        };
        let second = Duration::from_secs(1);
        assert_eq!([ask(7, second), ask(7, 2 * second), ask(8, 3 * second), ask(8, 4 * second)], [1, 1, 2, 2]);
        assert_eq!(ask(8, 3 * second + KEPT), 3, "whoever holds them may be another by then");
    }
}
