//! Who is at the other end of the socket, and what they may do.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{extract::Request, middleware::Next, response::Response};
use nix::unistd::{Uid, User, geteuid};
use tokio::{task, time};

use crate::{
    control::Caller,
    controller::Controller,
    host::group,
    policy::{Grant, LocalRoles, Role},
};

/// The user at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Number of the user; `None` when the kernel did not tell.
    pub uid: Option<u32>,
    /// What it may do; `None`: nothing.
    pub grant: Option<Arc<Grant>>,
}

impl Peer {
    /// Its role.
    pub fn role(&self) -> Option<Role> {
        self.grant.as_ref().map(|grant| grant.role)
    }
}

/// Who may use the API by the socket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    table: Arc<ArcSwap<PeerTable>>,
    /// The group of the socket.
    viewers: Option<u32>,
}

/// Users and groups with what they may do. Root and the user of the daemon are among the users.
#[derive(Debug, Default)]
struct PeerTable {
    users: HashMap<u32, Arc<Grant>>,
    groups: Vec<(u32, Arc<Grant>)>,
}

/// How long a directory service may take to say the name of a user.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names that are remembered; all are forgotten when there are so many.
const NAMES: usize = 1024;

/// Names of users that were looked up. Names do not move between numbers while a daemon runs.
static KNOWN: Mutex<BTreeMap<u32, Arc<str>>> = Mutex::new(BTreeMap::new());

impl Peers {
    /// Those whom `roles` names; members of the group `viewers` may look.
    pub async fn of(roles: LocalRoles, viewers: Option<u32>) -> Self {
        let peers = Self { table: Arc::default(), viewers };
        peers.take(roles).await;
        peers
    }

    /// Looks up whom `roles` names, and holds to it from now on; a directory service behind that may be slow.
    async fn take(&self, roles: LocalRoles) {
        // An empty table, which permits nobody, is left when the look-up panics in the C library.
        let table = task::spawn_blocking(move || PeerTable::of(&roles)).await.unwrap_or_default();
        self.table.store(Arc::new(table));
    }

    /// Holds to what the policy in force says, whenever there is another one.
    pub async fn follow(self, controller: Controller, mut held: LocalRoles) {
        let mut changes = controller.changes();
        while changes.changed().await.is_ok() {
            let wanted = changes.borrow_and_update().api().map(|api| api.roles.clone());
            if let Some(wanted) = wanted.filter(|wanted| *wanted != held) {
                held = wanted.clone();
                self.take(wanted).await;
            }
        }
    }

    /// The peer with `uid`, which is `None` when the kernel did not tell; `is_in` says whether it is in a group.
    pub fn peer(&self, uid: Option<u32>, is_in: impl Fn(u32) -> bool) -> Peer {
        let table = self.table.load();
        let by_user = uid.and_then(|uid| table.users.get(&uid)).cloned();
        let grant = by_user.or_else(|| {
            uid?;
            let groups = table.groups.iter().filter(|(group, _)| is_in(*group)).map(|(_, grant)| grant);
            // Of several with the same role, the one that is not narrowed.
            let most = groups.max_by_key(|grant| (grant.role, grant.scope.is_everything())).cloned();
            most.or_else(|| self.viewers.is_some_and(is_in).then(|| Arc::new(Grant::whole(Role::Viewer))))
        });
        Peer { uid, grant }
    }
}

impl PeerTable {
    fn of(roles: &LocalRoles) -> Self {
        let mut table = Self::default();
        for (user, grant) in &roles.users {
            match user_number(user) {
                Ok(uid) => drop(table.users.insert(uid, Arc::new(grant.clone()))),
                Err(why) => tracing::warn!("`[api.roles]` names the user `{user}`, who has no role now: {why}"),
            }
        }
        for (name, grant) in &roles.groups {
            match group::number(name) {
                Ok(number) => table.groups.push((number, Arc::new(grant.clone()))),
                Err(why) => tracing::warn!("`[api.roles]` names the group `{name}`, which has no role now: {why}"),
            }
        }
        let all = Arc::new(Grant::whole(Role::Admin));
        for uid in [Uid::from_raw(0), geteuid()] {
            table.users.insert(uid.as_raw(), Arc::clone(&all));
            name(uid.as_raw());
        }
        table
    }
}

/// The number of the user that `wanted` names, or is.
fn user_number(wanted: &str) -> Result<u32, String> {
    // The largest number is no user: setresuid(2) takes it for "no change".
    if wanted.bytes().all(|octet| octet.is_ascii_digit())
        && let Ok(number) = wanted.parse()
        && number != u32::MAX
    {
        return Ok(number);
    }
    match User::from_name(wanted) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("there is no such user (`getent passwd` lists them)".into()),
        Err(errno) => Err(format!("the users of this host cannot be read: {}", errno.desc())),
    }
}

/// Says who asks, for whoever may do something: the [`Caller`] of the request.
pub async fn introduce(mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    if let Some(Peer { uid: Some(uid), grant: Some(grant) }) = peer {
        let name = name_in_time(uid).await;
        request.extensions_mut().insert(Caller::user(&name, uid, grant));
    }
    next.run(request).await
}

/// The name of the user, or `uid:NUMBER` when there is none, or nobody says so in time.
async fn name_in_time(uid: u32) -> Arc<str> {
    if let Some(known) = known(uid) {
        return known;
    }
    let looked = time::timeout(PATIENCE, task::spawn_blocking(move || name(uid))).await;
    looked.ok().and_then(Result::ok).unwrap_or_else(|| format!("uid:{uid}").into())
}

fn known(uid: u32) -> Option<Arc<str>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&uid).cloned()
}

/// The same, however long it takes.
fn name(uid: u32) -> Arc<str> {
    let name: Arc<str> = match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name.into(),
        // Next time there may be one.
        Ok(None) | Err(_) => return format!("uid:{uid}").into(),
    };
    let mut names = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if names.len() >= NAMES {
        names.clear();
    }
    names.insert(uid, Arc::clone(&name));
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Scope;

    fn roles(users: &[(&str, Role)], groups: &[(&str, Role)]) -> LocalRoles {
        let grants =
            |of: &[(&str, Role)]| of.iter().map(|(name, role)| ((*name).into(), Grant::whole(*role))).collect();
        LocalRoles { users: grants(users), groups: grants(groups) }
    }

    #[tokio::test]
    async fn only_root_and_the_user_of_the_daemon_may_do_anything_that_nobody_has_named() {
        let peers = Peers::of(LocalRoles::default(), Some(7)).await;
        let own = geteuid().as_raw();
        for uid in [0, own] {
            assert_eq!(peers.peer(Some(uid), |_| false).role(), Some(Role::Admin), "{uid}");
        }
        let other = own + 1;
        assert_eq!(peers.peer(Some(other), |_| false), Peer { uid: Some(other), grant: None });
        assert_eq!(peers.peer(Some(other), |group| group == 7).role(), Some(Role::Viewer));
        assert_eq!(peers.peer(None, |_| true).role(), None);
        let peers = Peers::of(LocalRoles::default(), None).await;
        assert_eq!(peers.peer(Some(other), |_| true).role(), None, "without a group");
    }

    #[tokio::test]
    async fn a_user_has_its_own_role_and_not_that_of_its_groups() {
        let own = geteuid().as_raw();
        let (one, two) = (own + 1, own + 2);
        let named = [(&*one.to_string(), Role::Viewer), ("0", Role::Viewer), ("no-such-user-here", Role::Admin)];
        let peers = Peers::of(roles(&named, &[("60001", Role::Admin), ("60002", Role::Operator)]), Some(60_003)).await;
        let in_all = |_| true;
        assert_eq!(peers.peer(Some(one), in_all).role(), Some(Role::Viewer));
        assert_eq!(peers.peer(Some(0), in_all).role(), Some(Role::Admin), "root, whatever is written");
        assert_eq!(peers.peer(Some(two), in_all).role(), Some(Role::Admin), "the most of its groups");
        assert_eq!(peers.peer(Some(two), |group| group != 60_001).role(), Some(Role::Operator));
        assert_eq!(peers.peer(Some(two), |group| group == 60_003).role(), Some(Role::Viewer));
        assert_eq!(peers.peer(Some(two), |_| false).role(), None);
    }

    #[tokio::test]
    async fn of_two_groups_with_one_role_the_one_that_is_not_narrowed_counts() {
        let narrow =
            Grant { role: Role::Operator, scope: Scope { lists: Some(["a".into()].into()), ..Scope::default() } };
        let mut both = roles(&[], &[("60001", Role::Operator)]);
        both.groups.insert("60000".into(), narrow.clone());
        both.groups.insert("60002".into(), narrow.clone());
        let peers = Peers::of(both, None).await;
        let uid = Some(geteuid().as_raw() + 1);
        assert_eq!(peers.peer(uid, |_| true).grant.as_deref(), Some(&Grant::whole(Role::Operator)));
        assert_eq!(peers.peer(uid, |group| group == 60_002).grant.as_deref(), Some(&narrow));
    }

    #[tokio::test]
    async fn the_owner_of_what_root_pushes_is_root() {
        assert_eq!(&*name_in_time(0).await, "root");
        assert_eq!(&*name_in_time(3_999_999_999).await, "uid:3999999999");
    }
}
