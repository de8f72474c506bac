//! The settings of `[api]`, key by key.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    policy::{ApiSettings, Grant, HttpsSettings, JwtSettings, KeyPlace, KeySource, LocalRoles, Signer},
    text::duration,
};

/// What `api` says, by key path.
pub(super) fn settings(api: &ApiSettings) -> Vec<(String, Value)> {
    // Every field is named, so that a new one cannot be forgotten here.
    let ApiSettings { socket, roles, https, require, certificates, jwt, signers } = api;
    let LocalRoles { users, groups } = roles;
    let mut settings = vec![
        ("api.socket".to_owned(), path(&socket.path)),
        ("api.mode".into(), format!("{:04o}", socket.mode.bits()).into()),
    ];
    settings.extend(socket.group.as_ref().map(|group| ("api.group".into(), group.as_str().into())));
    settings.extend(users.iter().map(|(user, of)| (format!("api.roles.{user}"), grant(of))));
    settings.extend(groups.iter().map(|(group, of)| (format!("api.roles.%{group}"), grant(of))));
    settings.extend(https.iter().flat_map(of_https));
    if !require.is_empty() {
        settings.push(("api.require".into(), require.iter().map(|kind| kind.label()).collect()));
    }
    settings.extend(certificates.iter().map(|(name, of)| (format!("api.certificates.{name}"), grant(of))));
    settings.extend(jwt.iter().flat_map(of_jwt));
    for (name, Signer { key, grant: of }) in signers {
        settings.push((format!("api.signers.{name}"), grant(of)));
        settings.push((format!("api.signers.{name}.public_key"), path(key)));
    }
    settings
}

fn of_https(https: &HttpsSettings) -> Vec<(String, Value)> {
    let HttpsSettings { listen, certificate, key, hosts, redirect, client_ca, client_crl, origins } = https;
    let mut settings = vec![
        ("api.listen".to_owned(), listen.iter().map(ToString::to_string).collect()),
        ("api.certificate".into(), key_place(certificate)),
        ("api.key".into(), key_place(key)),
    ];
    settings.extend(redirect.map(|address| ("api.redirect".into(), address.to_string().into())));
    settings.extend(client_ca.as_ref().map(|file| ("api.client_ca".into(), path(file))));
    for (key, texts) in [("api.hosts", hosts), ("api.origins", origins)] {
        settings.extend((!texts.is_empty()).then(|| (key.into(), json!(texts))));
    }
    let lists = || client_crl.iter().map(|file| path(file)).collect();
    settings.extend((!client_crl.is_empty()).then(|| ("api.client_crl".into(), lists())));
    settings
}

fn of_jwt(jwt: &JwtSettings) -> Vec<(String, Value)> {
    let JwtSettings { issuer, audience, algorithms, keys, refresh, keep, claim, roles } = jwt;
    let keys = match keys {
        KeySource::File(file) => path(file),
        KeySource::Url(url) => url.as_str().into(),
    };
    let mut settings = vec![
        ("api.jwt.issuer".to_owned(), issuer.as_str().into()),
        ("api.jwt.audience".into(), audience.as_str().into()),
        ("api.jwt.algorithms".into(), algorithms.iter().map(|algorithm| algorithm.label()).collect()),
        ("api.jwt.keys".into(), keys),
        ("api.jwt.refresh".into(), duration::show(*refresh).into()),
        ("api.jwt.keep".into(), duration::show(*keep).into()),
        ("api.jwt.claim".into(), claim.as_str().into()),
    ];
    settings.extend(roles.iter().map(|(value, of)| (format!("api.jwt.roles.{value}"), grant(of))));
    settings
}

fn key_place(place: &KeyPlace) -> Value {
    match place {
        KeyPlace::File(file) => path(file),
        KeyPlace::Credential(name) => format!("credential:{name}").into(),
    }
}

/// The role alone, or with what narrows it.
fn grant(grant: &Grant) -> Value {
    match grant.scope.is_everything() {
        true => grant.role.label().into(),
        false => json!(grant),
    }
}

fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}
