//! What the configuration leaves open.

use crate::{
    doctor::Check,
    policy::{ApiReach, Mode, Policy, Role},
};

/// What of `policy` leaves something open, or that nothing does.
pub(super) fn checks(policy: &Policy) -> Vec<Check> {
    let mut found = Vec::new();
    found.extend(reach(policy));
    found.extend(modes(policy));
    found.extend(lists(policy));
    found.extend(management(policy));
    found.extend(roles(policy));
    found
}

/// From where the API can be reached.
fn reach(policy: &Policy) -> Vec<Check> {
    let of = |(address, reach): (std::net::SocketAddr, ApiReach)| {
        let subject = format!("https://{address}");
        let fix =
            format!("let a service cover TCP port {}, with `allow` for those who administer this host", address.port());
        match reach {
            ApiReach::Host => Check::ok(&subject, "reach", "this host alone"),
            ApiReach::Lists { service, lists } => {
                Check::ok(&subject, "reach", format!("`management` and {}, by service `{service}`", lists.join(", ")))
            }
            ApiReach::Observed { service } => {
                Check::fail(&subject, "reach", format!("everybody: the service `{service}` only observes"), fix)
            }
            ApiReach::Everywhere { service: Some(service) } => {
                Check::fail(&subject, "reach", format!("everybody who is not denied, by service `{service}`"), fix)
            }
            ApiReach::Everywhere { service: None } => {
                Check::fail(&subject, "reach", "everybody: no service covers the port", fix)
            }
        }
    };
    let checks: Vec<Check> = policy.api_reach().into_iter().map(of).collect();
    if checks.is_empty() {
        return vec![Check::ok("api", "reach", "the Unix socket alone")];
    }
    checks
}

/// What only observes.
fn modes(policy: &Policy) -> Vec<Check> {
    if policy.mode == Mode::Observe {
        let found = "the policy only observes: nothing is dropped";
        return vec![Check::fail("policy", "mode", found, "portcullis mode enforce")];
    }
    let observing = policy.services.iter().filter(|service| service.mode == Mode::Observe);
    let check = |service: &crate::policy::Service| {
        let fix = format!("remove `mode` from [services.{}], and reload", service.name);
        Check::warn(&format!("service {}", service.name), "mode", "it only observes: nothing of it is dropped", fix)
    };
    let checks: Vec<Check> = observing.map(check).collect();
    if checks.is_empty() { vec![Check::ok("policy", "mode", "drops are dropped")] } else { checks }
}

/// Services that admit everybody, or nobody.
fn lists(policy: &Policy) -> Vec<Check> {
    let mut found = Vec::new();
    for service in &policy.services {
        let subject = format!("service {}", service.name);
        let Some(allow) = &service.allow else { continue };
        let lists = || allow.iter().filter_map(|list| policy.lists.get(*list));
        if lists().all(|list| list.entries.is_empty()) {
            let what = "every list that it allows is empty in the configuration: only what is pushed is admitted";
            found.push(Check::note(&subject, "lists", what));
        }
        if let Some(all) = lists().find(|list| list.entries.iter().any(|entry| entry.length() == 0)) {
            let fix = format!("remove the entry, or `allow` from [services.{}]", service.name);
            found.push(Check::warn(&subject, "lists", format!("the list `{}` admits everybody", all.name), fix));
        }
    }
    found
}

fn management(policy: &Policy) -> Option<Check> {
    let all = policy.management.iter().find(|prefix| prefix.length() == 0)?;
    let found = format!("`{all}` is every source of its family: nothing is dropped of it");
    Some(Check::fail("policy", "management", found, "name the addresses from which you administer this host"))
}

/// Operators who may change everything.
fn roles(policy: &Policy) -> Vec<Check> {
    let api = &policy.api;
    let local = api.roles.users.iter().map(|(user, grant)| (format!("user {user}"), grant));
    let groups = api.roles.groups.iter().map(|(group, grant)| (format!("group {group}"), grant));
    let jwt = api.jwt.iter().flat_map(|jwt| &jwt.roles).map(|(value, grant)| (format!("jwt {value}"), grant));
    let signers = api.signers.iter().map(|(name, signer)| (format!("signer {name}"), &signer.grant));
    let certificates = api.certificates.iter().map(|(name, grant)| (format!("certificate {name}"), grant));
    let remote = jwt
        .chain(signers)
        .chain(certificates)
        .filter(|(_, grant)| grant.role == Role::Admin || grant.role == Role::Operator && grant.scope.is_everything());
    let local = local.chain(groups).filter(|(_, grant)| grant.role == Role::Admin);
    let check = |(subject, grant): (String, &crate::policy::Grant)| {
        let may = if grant.role == Role::Admin { "the policy, and who may do what" } else { "every list" };
        Check::note(&subject, "roles", format!("may change {may}: is that meant?"))
    };
    remote.chain(local).map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, doctor::Level};

    fn told(text: &str) -> Vec<(Level, String, String)> {
        let policy = config::load_text("x.toml".as_ref(), text, "".as_ref()).unwrap().policy;
        checks(&policy).into_iter().map(|one| (one.level, one.subject, one.found)).collect()
    }

    const HTTPS: &str = "[api]\nlisten = [\"192.0.2.10:8443\"]\ncertificate = \"/c\"\nkey = \"/k\"\n";
    const BASE: &str = "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"198.51.100.1\"]\n[lists.a]\nentries = [\"192.0.2.0/24\"]\n";

    #[test]
    fn a_tight_policy_has_nothing_but_good_lines() {
        let text = format!(
            "{BASE}[services.api]\nprotocol = \"tcp\"\nports = [8443]\nallow = [\"a\"]\n{HTTPS}[api.roles]\nalice = \"operator\"\n"
        );
        let told = told(&text);
        assert!(told.iter().all(|(level, ..)| *level == Level::Ok), "{told:?}");
        assert!(told.iter().any(|(_, _, found)| found == "`management` and a, by service `api`"), "{told:?}");
    }

    #[test]
    fn what_is_left_open_is_found() {
        let open = format!("{BASE}[services.s]\nprotocol = \"tcp\"\nports = [443]\nmode = \"observe\"\n{HTTPS}");
        let found = told(&format!("{open}[api.roles]\nalice = \"admin\"\n"));
        let has = |subject: &str, part: &str| {
            found.iter().any(|(level, about, what)| *level != Level::Ok && about == subject && what.contains(part))
        };
        assert!(has("https://192.0.2.10:8443", "no service covers the port"), "{found:?}");
        assert!(has("service s", "only observes") && has("user alice", "who may do what"), "{found:?}");
        let wide = open.replace("198.51.100.1", "0.0.0.0/0");
        assert!(
            told(&wide).iter().any(|(level, about, what)| *level == Level::Fail
                && about == "policy"
                && what.contains("every source"))
        );
    }
}
