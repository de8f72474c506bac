//! Whom a client certificate is of: its chain was verified when the connection began.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::failures::AuthFailure;
use crate::{
    policy::{CertificateName, Grant},
    serve::https::PresentedCertificate,
};

/// The name of `shown` that counts, and what it may do: of those in `known` the one that may do the most, and of several alike the first
/// in the certificate.
///
/// # Errors
/// [`AuthFailure::Expired`] when the connection has outlived it; [`AuthFailure::Role`] when none of its names is known.
pub fn identify<'a>(
    shown: &PresentedCertificate,
    known: &'a BTreeMap<CertificateName, Grant>,
    now: Timestamp,
) -> Result<(String, &'a Grant), AuthFailure> {
    if shown.not_after <= now {
        return Err(AuthFailure::Expired);
    }
    let found = shown.names.iter().filter_map(|name| known.get_key_value(name));
    // `max_by_key` takes the last of several alike.
    let most = found.rev().max_by_key(|(_, grant)| (grant.role, grant.scope.is_everything()));
    let (name, grant) = most.ok_or(AuthFailure::Role)?;
    let name = match name {
        CertificateName::Dns(name) | CertificateName::Uri(name) => name,
    };
    Ok((format!("cert:{name}"), grant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Role;

    #[test]
    fn of_several_names_the_one_that_may_do_the_most_counts() {
        let (dns, uri) =
            (|name: &str| CertificateName::Dns(name.into()), |name: &str| CertificateName::Uri(name.into()));
        let known: BTreeMap<_, _> = [
            (dns("a.example"), Grant::whole(Role::Viewer)),
            (uri("spiffe://x/b"), Grant::whole(Role::Operator)),
            (dns("c.example"), Grant::whole(Role::Operator)),
        ]
        .into();
        let end = Timestamp::from_second(100).unwrap();
        let told = |names: &[CertificateName], now| {
            let shown = PresentedCertificate { names: names.to_vec(), not_after: end, fingerprint: [0; 32] };
            identify(&shown, &known, Timestamp::from_second(now).unwrap()).map(|(name, grant)| (name, grant.role))
        };
        let (a, b, c) = (dns("a.example"), uri("spiffe://x/b"), dns("c.example"));
        assert_eq!(told(&[a.clone(), b.clone(), c.clone()], 0), Ok(("cert:spiffe://x/b".into(), Role::Operator)));
        assert_eq!(told(&[c, b], 0), Ok(("cert:c.example".into(), Role::Operator)));
        assert_eq!(told(&[uri("a.example")], 0), Err(AuthFailure::Role), "a name of another kind");
        assert_eq!(told(&[], 0), Err(AuthFailure::Role));
        assert_eq!(told(&[a], 100), Err(AuthFailure::Expired));
    }
}
