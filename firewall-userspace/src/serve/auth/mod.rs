//! Who a request over the network is of: tokens, access tokens of an issuer, signatures, client certificates.
//!
//! In: requests with what their connection says of the peer. Out: the same with a [`Caller`], or a refusal that says as little as helps.
//! The [`Authenticator`] owns keys, nonces and counts; tokens are the [`TokenStore`]'s, settings the policy's.
//!
//! ```text
//! form -> certificate -> token -> (source slowed?) -> access token -> signature -> body -> quota of the identity -> Caller
//! ```

mod body;
mod certificate;
mod credentials;
pub mod failures;
mod follow;
pub mod jwt;
mod quotas;
mod refusal;
mod setup;
pub mod signature;
mod sources;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::Response,
};
use jiff::Timestamp;
use tokio::{sync::OwnedSemaphorePermit, task, time};

use self::{
    body::BodyRoom,
    credentials::ShownCredentials,
    failures::AuthFailure,
    quotas::Quotas,
    refusal::NotAdmitted,
    setup::AuthSetup,
    signature::{ContentDigest, Nonces, SignedParts},
    sources::FailingSources,
};
use super::https::NetworkPeer;
use crate::{
    control::{Caller, Way},
    logging,
    policy::{ApiSettings, CredentialKind, Grant},
    state::{
        audit::{AuditEvent, AuditHandle, AuditWhat, Unrecorded},
        tokens::{PresentedToken, TokenRefusal, TokenStore},
    },
    text::shown::cut,
};

/// Says who requests over the network are of.
#[derive(Debug)]
pub struct Authenticator {
    tokens: Arc<TokenStore>,
    setup: ArcSwap<AuthSetup>,
    nonces: Nonces,
    sources: FailingSources,
    quotas: Quotas,
    bodies: BodyRoom,
    clock: fn() -> Timestamp,
    audit: AuditHandle,
    /// Signatures from before it, in seconds since 1970, may have been used with another daemon.
    begin: i64,
}

/// How long files of keys may take; until then keys of before go on.
const FILES: Duration = Duration::from_secs(10);

/// Most characters of a path in the log.
const MOST_OF_PATH: usize = 200;

/// A credential that counts.
#[derive(Debug)]
struct Proof {
    kind: CredentialKind,
    name: String,
    grant: Grant,
}

impl Authenticator {
    /// One that knows `tokens` and takes what `settings` say, but for the keys of signers, which were not read yet.
    pub fn new(tokens: Arc<TokenStore>, settings: ApiSettings) -> Self {
        Self::at(tokens, settings, Timestamp::now)
    }

    /// The same by another clock.
    fn at(tokens: Arc<TokenStore>, settings: ApiSettings, clock: fn() -> Timestamp) -> Self {
        Self {
            tokens,
            setup: ArcSwap::from_pointee(AuthSetup::carried(settings, None)),
            nonces: Nonces::default(),
            sources: FailingSources::default(),
            quotas: Quotas::default(),
            bodies: BodyRoom::default(),
            clock,
            audit: Arc::new(Unrecorded),
            begin: clock().as_second(),
        }
    }

    /// The same; whoever does not get in is recorded in `audit`.
    #[must_use]
    pub fn recorded_in(self, audit: AuditHandle) -> Self {
        Self { audit, ..self }
    }

    /// Takes what `settings` say from now on, and reads the keys of signers again.
    pub async fn take(&self, settings: ApiSettings) {
        // What is not taken any more is not taken now, whatever becomes of files.
        let setup = Arc::new(AuthSetup::carried(settings, Some(&self.setup())));
        self.setup.store(Arc::clone(&setup));
        let read = task::spawn_blocking(move || setup.with_keys());
        if let Ok(Ok(setup)) = time::timeout(FILES, read).await {
            self.setup.store(Arc::new(setup));
        }
    }

    /// What credentials are checked against now.
    fn setup(&self) -> Arc<AuthSetup> {
        self.setup.load_full()
    }

    /// `request` with its caller, and what has to be held until it is answered.
    async fn admit(
        &self,
        setup: &AuthSetup,
        mut request: Request,
    ) -> Result<(Request, Option<OwnedSemaphorePermit>), NotAdmitted> {
        let failed = NotAdmitted::Failed;
        let peer = request.extensions().get::<NetworkPeer>().cloned().ok_or(failed(AuthFailure::None))?;
        let from = peer.from.ip().to_canonical();
        let now = (self.clock)();
        let shown = ShownCredentials::of(request.headers()).map_err(failed)?;
        let bearer = shown.bearer_kind().map_err(failed)?;
        let kinds = kinds(setup, &peer, bearer, shown.has_signature).map_err(failed)?;
        let mut proofs = Vec::new();
        if let Some(certificate) = &peer.certificate {
            match certificate::identify(certificate, &setup.settings.certificates, now) {
                Ok((name, grant)) => {
                    proofs.push(Proof { kind: CredentialKind::Certificate, name, grant: grant.clone() });
                }
                // One that is shown because of the connection, and not because of who it is of.
                Err(AuthFailure::Role) if bearer.is_some() || shown.has_signature => {}
                Err(reason) => return Err(failed(reason)),
            }
        }
        if let (Some(CredentialKind::Token), Some(text)) = (bearer, shown.bearer) {
            proofs.push(self.token(text, now).map_err(failed)?);
        }
        if proofs.is_empty()
            && let Some(wait) = self.sources.wait(from, Instant::now())
        {
            return Err(NotAdmitted::Slowed(wait));
        }
        if let (Some(CredentialKind::Jwt), Some(text)) = (bearer, shown.bearer) {
            proofs.push(jwt(setup, text, now).await.map_err(failed)?);
        }
        let mut room = None;
        if shown.has_signature {
            let (proof, checked, held) = self.signature(setup, request, &peer, now).await?;
            proofs.push(proof);
            (request, room) = (checked, Some(held));
        }
        let is_shown = |required: &CredentialKind| proofs.iter().any(|proof| proof.kind == *required);
        if !setup.settings.require.iter().all(is_shown) {
            return Err(failed(AuthFailure::Role));
        }
        let caller = caller(proofs, kinds, from).ok_or(failed(AuthFailure::None))?;
        self.quotas.take(&caller.name).map_err(NotAdmitted::Limited)?;
        request.extensions_mut().insert(caller);
        Ok((request, room))
    }

    fn token(&self, text: &str, now: Timestamp) -> Result<Proof, AuthFailure> {
        let shown = PresentedToken::parse(text).ok_or(AuthFailure::Malformed)?;
        match self.tokens.verify(&shown, now) {
            Ok(token) => Ok(Proof {
                kind: CredentialKind::Token,
                name: format!("token:{}", token.name()),
                grant: token.grant().clone(),
            }),
            Err(TokenRefusal::Unknown) => Err(AuthFailure::Unknown),
            Err(TokenRefusal::Wrong) => Err(AuthFailure::Wrong),
            Err(TokenRefusal::Expired) => Err(AuthFailure::Expired),
            Err(TokenRefusal::Revoked) => Err(AuthFailure::Revoked),
        }
    }

    /// Who has signed `request`, and the request with its body in memory.
    async fn signature(
        &self,
        setup: &AuthSetup,
        request: Request,
        peer: &NetworkPeer,
        now: Timestamp,
    ) -> Result<(Proof, Request, OwnedSemaphorePermit), NotAdmitted> {
        let failed = NotAdmitted::Failed;
        let now = now.as_second();
        let parts = SignedParts {
            method: request.method().as_str(),
            authority: authority(&request).ok_or(failed(AuthFailure::Malformed))?,
            is_tls: peer.is_tls,
            path: request.uri().path(),
            query: request.uri().query(),
            headers: request.headers(),
        };
        let verified = signature::verify(&parts, |id| setup.key(id), self.begin, now).map_err(failed)?;
        let digest = ContentDigest::of(request.headers()).map_err(failed)?;
        if !verified.covers_body && digest.as_ref().is_some_and(|digest| !digest.is_of(b"")) {
            return Err(failed(AuthFailure::Digest));
        }
        let digest = digest.filter(|_| verified.covers_body);
        let signer = setup.settings.signers.get(&verified.key).ok_or(failed(AuthFailure::Unknown))?;
        // Only who has the key spends a nonce.
        self.nonces.spend(&verified.key, &verified.nonce, verified.end, now).map_err(failed)?;
        let (head, body) = request.into_parts();
        let checked = self.bodies.read(body, digest).await?;
        let proof = Proof {
            kind: CredentialKind::Signature,
            name: format!("signature:{}", verified.key),
            grant: signer.grant.clone(),
        };
        Ok((proof, Request::from_parts(head, Body::from(checked.octets)), checked.room))
    }

    /// Counts and tells why a request was refused; a source that may be guessing is slowed down.
    fn note(&self, refused: NotAdmitted, from: Option<IpAddr>, method: &str, path: &str) -> NotAdmitted {
        let mut refused = refused;
        if let (NotAdmitted::Failed(reason), Some(from)) = (&refused, from)
            && reason.slows()
        {
            let now = Instant::now();
            let wait = self.sources.wait(from, now);
            self.sources.note(from, now);
            if let Some(wait) = wait {
                refused = NotAdmitted::Slowed(wait);
            }
        }
        let Some(reason) = refused.reason() else { return refused };
        reason.count();
        self.audit.note_failure(AuditEvent {
            at: (self.clock)(),
            who: "unknown".into(),
            method: Way::Network.label().into(),
            peer: from.map(|from| from.to_string()),
            what: AuditWhat::FailedAuthentication,
            summary: format!("{method} {path}"),
            before: None,
            after: None,
            result: reason.label().into(),
        });
        if logging::admits("requests that do not show who they are of") {
            let from = from.map(|from| from.to_string()).unwrap_or_default();
            tracing::warn!(
                reason = reason.label(),
                from,
                method,
                path,
                "refused a request: it does not show who it is of"
            );
        }
        refused
    }
}

/// Passes requests on with their [`Caller`] that show who they are of. Requests carry a [`NetworkPeer`] in their extensions.
pub async fn authenticate(State(authenticator): State<Arc<Authenticator>>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<NetworkPeer>().map(|peer| peer.from.ip().to_canonical());
    let (method, path) = (request.method().clone(), cut(request.uri().path(), MOST_OF_PATH));
    let setup = authenticator.setup();
    match authenticator.admit(&setup, request).await {
        Ok((request, room)) => {
            let answer = next.run(request).await;
            drop(room);
            answer
        }
        Err(refused) => authenticator.note(refused, from, method.as_str(), &path).answer(&setup.settings),
    }
}

/// What is shown, in the order in which it counts.
///
/// # Errors
/// When that is not what `require` asks for, or it contradicts itself.
fn kinds(
    setup: &AuthSetup,
    peer: &NetworkPeer,
    bearer: Option<CredentialKind>,
    has_signature: bool,
) -> Result<Vec<CredentialKind>, AuthFailure> {
    let required = &setup.settings.require;
    let certificate = peer.certificate.is_some().then_some(CredentialKind::Certificate);
    let signature = has_signature.then_some(CredentialKind::Signature);
    if let (Some(bearer), Some(signature)) = (bearer, signature)
        && !(required.contains(&bearer) && required.contains(&signature))
    {
        return Err(AuthFailure::Contradictory);
    }
    let kinds: Vec<CredentialKind> = [certificate, bearer, signature].into_iter().flatten().collect();
    if kinds.is_empty() {
        Err(AuthFailure::None)
    } else if required.iter().all(|required| kinds.contains(required)) {
        Ok(kinds)
    } else {
        Err(AuthFailure::Incomplete)
    }
}

async fn jwt(setup: &AuthSetup, text: &str, now: Timestamp) -> Result<Proof, AuthFailure> {
    let issuer = setup.issuer.as_ref().ok_or(AuthFailure::Unknown)?;
    let holder = issuer.verify(text, now).await?;
    let grant = holder.grant.ok_or(AuthFailure::Role)?;
    Ok(Proof { kind: CredentialKind::Jwt, name: format!("jwt:{}", holder.subject), grant })
}

/// The host that `request` is for, as the check of the host sees it.
fn authority(request: &Request) -> Option<&str> {
    let target = request.uri().authority().map(|authority| authority.as_str());
    target.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// Whoever all of `proofs` are of: the last one says the name, and all of them have to admit what it does. `None` without any.
fn caller(proofs: Vec<Proof>, shown: Vec<CredentialKind>, from: IpAddr) -> Option<Caller> {
    let shown = shown.into_iter().filter(|kind| proofs.iter().any(|proof| proof.kind == *kind)).collect();
    let grants = proofs.iter().map(|proof| &proof.grant).cloned();
    let grant = grants.reduce(|one, other| one.intersect(&other))?;
    let name = proofs.into_iter().next_back()?.name;
    Some(Caller { name, way: Way::Network, grant: Arc::new(grant), shown, from: Some(from), uid: None })
}

#[cfg(test)]
mod tests;
