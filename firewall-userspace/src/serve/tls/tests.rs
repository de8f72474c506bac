//! Certificates, keys and lists that are good, foreign, revoked, broken and exchanged.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, HandshakeKind, ServerConnection,
    pki_types::{ServerName, UnixTime},
};

use super::{
    PresentedCertificate, ServedTls,
    authority::{Authority, Issued, TlsFolder},
    watch::{Looked, Looker},
};
use crate::policy::{CertificateName, HttpsSettings, KeyPlace};

/// A time at which nothing of a test is fresh any more.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn taken(looker: &mut Looker, settings: &HttpsSettings) -> Arc<ServedTls> {
    match looker.look(settings, later()) {
        Looked::Taken(served) => served,
        other => panic!("{other:?}"),
    }
}

/// A handshake in memory, and what the client has shown; or what the server says.
fn handshake(
    served: &ServedTls,
    client: &Arc<ClientConfig>,
) -> Result<(HandshakeKind, Option<PresentedCertificate>), Error> {
    let name = ServerName::try_from("api.example").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(&served.config)).unwrap();
    for _ in 0..8 {
        let mut octets = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut octets).unwrap();
        }
        let mut rest = &octets[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut octets = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut octets).unwrap();
        }
        let mut rest = &octets[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!server.is_handshaking() && !client.is_handshaking());
    let shown = server.peer_certificates().and_then(|chain| PresentedCertificate::of(chain.first()?));
    Ok((server.handshake_kind().unwrap(), shown))
}

fn refused(served: &ServedTls, client: ClientConfig) -> CertificateError {
    match handshake(served, &Arc::new(client)) {
        Err(Error::InvalidCertificate(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A host with a certificate, an authority for clients, and so many lists of it that revoke nobody.
fn host(lists: usize) -> (TlsFolder, Authority, Authority, HttpsSettings) {
    let (folder, own, clients) = (TlsFolder::make(), Authority::new("own"), Authority::new("clients"));
    folder.serve(&own.server(&["api.example"]));
    folder.write("clients.pem", &clients.pem());
    for number in 0..lists {
        folder.write(&format!("crl{number}.pem"), &clients.revoke(&[]));
    }
    let settings = folder.settings_with_clients(lists);
    (folder, own, clients, settings)
}

#[test]
fn both_versions_shake_hands_and_the_names_of_a_client_are_known() {
    let (_folder, own, clients, settings) = host(1);
    let served = taken(&mut Looker::new(None), &settings);
    let issued = clients.client(&["Deploy.Example", "*.wild.example", "spiffe://example/ci"]);
    for is_old in [false, true] {
        let config = Arc::new(own.client_config(Some(&issued), is_old));
        let (kind, shown) = handshake(&served, &config).unwrap();
        assert_eq!(kind, HandshakeKind::Full);
        let shown = shown.unwrap();
        let names = [CertificateName::Dns("deploy.example".into()), CertificateName::Uri("spiffe://example/ci".into())];
        assert_eq!((&shown.names[..], &*shown.not_after.to_string()), (&names[..], "2090-12-31T00:00:00Z"));
        let (_, shown) = handshake(&served, &Arc::new(own.client_config(None, is_old))).unwrap();
        assert_eq!(shown, None, "who shows nothing is let in to show something else");
    }
    assert_eq!(served.not_after.unwrap().to_string(), "2091-12-31T00:00:00Z");
    assert_eq!(served.next_update.unwrap().to_string(), "2026-01-02T00:00:00Z", "whose time is over, and it counts");
}

#[test]
fn a_client_of_another_authority_and_one_whose_time_is_over_are_refused() {
    let (_folder, own, clients, settings) = host(0);
    let served = taken(&mut Looker::new(None), &settings);
    let foreign = Authority::new("clients").client(&["a.example"]);
    assert!(handshake(&served, &Arc::new(own.client_config(Some(&foreign), false))).is_err());
    let over = clients.issue_until(&["a.example"], ExtendedKeyUsagePurpose::ClientAuth, 2020);
    let why = refused(&served, own.client_config(Some(&over), false));
    assert!(matches!(why, CertificateError::Expired | CertificateError::ExpiredContext { .. }), "{why:?}");
    let server = clients.server(&["a.example"]);
    assert!(handshake(&served, &Arc::new(own.client_config(Some(&server), true))).is_err(), "of a server");
}

#[test]
fn every_list_of_an_authority_counts_in_one_file_or_in_several() {
    let (folder, own, clients, settings) = host(2);
    let (good, bad) = (clients.client(&["a.example"]), clients.client(&["b.example"]));
    folder.write("crl1.pem", &clients.revoke(&[bad.serial]));
    let served = taken(&mut Looker::new(None), &settings);
    assert!(handshake(&served, &Arc::new(own.client_config(Some(&good), false))).is_ok());
    for is_old in [false, true] {
        assert_eq!(refused(&served, own.client_config(Some(&bad), is_old)), CertificateError::Revoked);
    }
    let all = [clients.revoke(&[]), clients.revoke(&[9999]), clients.revoke(&[bad.serial])].concat();
    folder.write("crl0.pem", &all);
    folder.write("crl1.pem", &clients.revoke(&[]));
    let served = taken(&mut Looker::new(None), &settings);
    assert_eq!(refused(&served, own.client_config(Some(&bad), false)), CertificateError::Revoked);
    assert!(handshake(&served, &Arc::new(own.client_config(Some(&good), false))).is_ok());
}

#[test]
fn everybody_in_a_chain_needs_a_list_and_may_be_on_it() {
    let (folder, own, clients, settings) = host(2);
    let (middle, serial) = clients.below("middle");
    let mut issued = middle.client(&["a.example"]);
    issued.chain += &clients.pem();
    let config = || own.client_config(Some(&issued), false);
    let served = taken(&mut Looker::new(None), &settings);
    assert_eq!(refused(&served, config()), CertificateError::UnknownRevocationStatus, "there is none of the middle");
    folder.write("crl1.pem", &middle.revoke(&[]));
    let served = taken(&mut Looker::new(None), &settings);
    assert!(handshake(&served, &Arc::new(config())).is_ok());
    folder.write("crl0.pem", &clients.revoke(&[serial]));
    let served = taken(&mut Looker::new(None), &settings);
    assert_eq!(refused(&served, config()), CertificateError::Revoked);
}

#[test]
fn a_list_that_a_namesake_has_signed_neither_revokes_nor_covers() {
    let (folder, own, clients, settings) = host(1);
    let namesake = Authority::new("clients");
    let issued = clients.client(&["a.example"]);
    // Both keys of an authority that has a new one are believed.
    folder.write("clients.pem", &(clients.pem() + &namesake.pem()));
    folder.write("crl0.pem", &namesake.revoke(&[issued.serial]));
    let config = || own.client_config(Some(&issued), false);
    let served = taken(&mut Looker::new(None), &settings);
    assert_eq!(refused(&served, config()), CertificateError::UnknownRevocationStatus);
    folder.write("crl0.pem", &(namesake.revoke(&[issued.serial]) + &clients.revoke(&[])));
    let served = taken(&mut Looker::new(None), &settings);
    assert!(handshake(&served, &Arc::new(config())).is_ok());
}

#[test]
fn no_session_goes_on_under_other_lists_and_who_was_believed_is_not_believed_for_ever() {
    let (folder, own, clients, settings) = host(1);
    let issued = clients.client(&["a.example"]);
    for is_old in [false, true] {
        folder.write("crl0.pem", &clients.revoke(&[]));
        let mut looker = Looker::new(None);
        let before = taken(&mut looker, &settings);
        let config = Arc::new(own.client_config(Some(&issued), is_old));
        assert_eq!(handshake(&before, &config).unwrap().0, HandshakeKind::Full);
        let (kind, shown) = handshake(&before, &config).unwrap();
        assert_eq!((kind, shown.is_some()), (HandshakeKind::Resumed, true), "{is_old}");
        folder.exchange("crl0.pem", &clients.revoke(&[7_777_777]));
        let after = taken(&mut looker, &settings);
        assert_ne!(before.trust, after.trust);
        assert_eq!(handshake(&after, &config).unwrap().0, HandshakeKind::Full, "{is_old}");
        folder.exchange("crl0.pem", &clients.revoke(&[issued.serial]));
        let last = taken(&mut looker, &settings);
        assert!(handshake(&last, &config).is_err());
        let (chain, now) = (issued.certificates(), UnixTime::now());
        assert!(after.believes(&chain, now) && !last.believes(&chain, now));
        assert!(last.believes(&[], now), "who has shown nothing has lost nothing");
    }
}

#[test]
fn a_certificate_is_taken_after_a_rename_a_link_that_leads_elsewhere_and_a_change_in_place() {
    let folder = TlsFolder::make();
    let own = Authority::new("own");
    let issue = || own.server(&["api.example"]);
    for folder_of in ["..1", "..2"] {
        fs::create_dir(folder.path(folder_of)).unwrap();
        let issued = issue();
        folder.write(&format!("{folder_of}/server.pem"), &issued.chain);
        folder.write(&format!("{folder_of}/server.key"), &issued.key);
    }
    symlink("..1", folder.path("..data")).unwrap();
    symlink("..data/server.pem", folder.path("server.pem")).unwrap();
    symlink("..data/server.key", folder.path("server.key")).unwrap();
    let settings = folder.settings();
    let mut looker = Looker::new(None);
    let first = taken(&mut looker, &settings);
    assert!(matches!(looker.look(&settings, later()), Looked::Unchanged));
    // As Kubernetes does.
    symlink("..2", folder.path("..new")).unwrap();
    fs::rename(folder.path("..new"), folder.path("..data")).unwrap();
    let second = taken(&mut looker, &settings);
    assert_eq!(first.trust, second.trust);
    // As certbot does: from one that is there before and after.
    fs::remove_file(folder.path("server.pem")).unwrap();
    fs::remove_file(folder.path("server.key")).unwrap();
    assert!(matches!(looker.look(&settings, later()), Looked::Refused { is_news: false, .. }));
    folder.serve(&issue());
    taken(&mut looker, &settings);
    let issued = issue();
    folder.exchange("server.key", &issued.key);
    folder.exchange("server.pem", &issued.chain);
    taken(&mut looker, &settings);
    folder.serve(&issue());
    taken(&mut looker, &settings);
    assert!(matches!(looker.look(&settings, later()), Looked::Unchanged));
}

#[test]
fn what_was_changed_just_now_is_read_again_because_a_clock_may_stand() {
    let folder = TlsFolder::make();
    folder.serve(&Authority::new("own").server(&["api.example"]));
    let (settings, mut looker) = (folder.settings(), Looker::new(None));
    assert!(matches!(looker.look(&settings, SystemTime::now()), Looked::Taken(_)));
    let print = format!("{looker:?}");
    assert!(print.contains("is_fresh: true"), "{print}");
    assert!(matches!(looker.look(&settings, later()), Looked::Unchanged), "it is read, and is the same");
    assert!(format!("{looker:?}").contains("is_fresh: false"));
}

#[test]
fn half_a_pair_is_told_when_it_stays_so_and_changes_nothing() {
    let folder = TlsFolder::make();
    let own = Authority::new("own");
    let (first, second) = (own.server(&["api.example"]), own.server(&["api.example"]));
    folder.serve(&first);
    let (settings, mut looker) = (folder.settings(), Looker::new(None));
    taken(&mut looker, &settings);
    folder.exchange("server.pem", &second.chain);
    let told = |looker: &mut Looker| match looker.look(&settings, later()) {
        Looked::Refused { error, is_news } => (error.to_string(), is_news),
        other => panic!("{other:?}"),
    };
    let news: Vec<bool> = (0..5).map(|_| told(&mut looker).1).collect();
    assert_eq!(news, [false, false, true, false, false]);
    let words = told(&mut looker).0;
    assert!(words.contains("is not the key of the certificate") && words.contains("\nhint: "), "{words}");
    folder.exchange("server.pem", &first.chain);
    assert!(matches!(looker.look(&settings, later()), Looked::Recovered));
    folder.exchange("server.pem", &second.chain);
    assert!(!told(&mut looker).1);
    folder.exchange("server.key", &second.key);
    taken(&mut looker, &settings);
}

#[test]
fn whatever_cannot_be_used_is_told_at_once_where_nothing_is_served_and_names_its_file() {
    let own = Authority::new("own");
    let issued = own.server(&["api.example"]);
    let broken = |name: &str, text: &str| {
        let folder = TlsFolder::make();
        folder.serve(&issued);
        folder.write("clients.pem", &own.pem());
        folder.write("crl0.pem", &own.revoke(&[]));
        folder.write(name, text);
        match Looker::new(None).look(&folder.settings_with_clients(1), later()) {
            Looked::Refused { error, is_news: true } => error.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    };
    let pem = |kind: &str, text: &str| format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
    let junk = pem("CERTIFICATE", "AAAA");
    for (name, text, why) in [
        ("server.pem", "", "it is empty"),
        ("server.pem", "nonsense", "there is no certificate in it"),
        ("server.pem", &junk, "certificate"),
        ("server.pem", &pem("CERTIFICATE", "%%%"), "it is no PEM"),
        ("server.key", "nonsense", "there is nothing of that kind in it"),
        ("server.key", &pem("PRIVATE KEY", "AAAA"), "key"),
        ("server.key", &own.client(&["a.example"]).key, "it is not the key of the certificate"),
        ("clients.pem", &issued.key, "there is no certificate in it"),
        ("clients.pem", &junk, "client CA"),
        ("crl0.pem", &own.pem(), "there is no revocation list in it"),
        ("crl0.pem", &pem("X509 CRL", "AAAA"), "revocation list"),
    ] {
        let words = broken(name, text);
        assert!(words.contains(name) && words.contains(why), "{name}: {words}");
        assert!(!words.contains("AAAA") && !words.contains("nonsense"), "{words}");
    }
}

#[test]
fn a_key_comes_from_a_credential_of_systemd_and_is_never_shown() {
    let folder = TlsFolder::make();
    let issued: Issued = Authority::new("own").server(&["api.example"]);
    folder.serve(&issued);
    let settings = HttpsSettings { key: KeyPlace::Credential("server.key".into()), ..folder.settings() };
    let mut looker = Looker::new(Some(folder.folder().into()));
    let served = taken(&mut looker, &settings);
    let shown = format!("{served:?} {looker:?}");
    assert!(!shown.contains("PRIVATE") && shown.len() < 4000, "{shown}");
    assert!(matches!(Looker::new(None).look(&settings, later()), Looked::Refused { is_news: true, .. }));
}
