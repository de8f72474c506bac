//! A daemon whose callers have keys, and requests of them.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    middleware,
    routing::any,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    control::Caller,
    policy::{
        ApiSettings, CertificateName, CredentialKind, Grant, JwtAlgorithm, JwtSettings, KeySource, Name, Role, Scope,
        Signer,
    },
    serve::{
        auth::{AuthFailure, Authenticator, authenticate},
        https::{NetworkPeer, PresentedCertificate},
    },
    state::{
        fake::FakeDisk,
        tokens::{TokenOrder, TokenStore, TokenText},
    },
};

pub const NOW: i64 = 1_800_000_000;

pub fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// A daemon whose callers have keys, in a folder that goes away.
pub struct World {
    pub folder: PathBuf,
    pub key: Ed25519KeyPair,
    pub tokens: Arc<TokenStore>,
    pub authenticator: Arc<Authenticator>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub fn operator() -> Grant {
    let scope = Scope { lists: Some(["partners".to_owned()].into()), ..Scope::default() };
    Grant { role: Role::Operator, scope }
}

impl World {
    pub fn new(require: &[CredentialKind]) -> Self {
        let number =
            TokenText::of(crate::state::tokens::TokenId::random().unwrap(), &[0; 32].into()).reveal()[4..15].to_owned();
        let folder = std::env::temp_dir().join(format!("portcullis-auth-{number}"));
        fs::create_dir(&folder).unwrap();
        let random = SystemRandom::new();
        let key = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            path
        };
        let x = URL_SAFE_NO_PAD.encode(key.public_key());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
        let der =
            [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], key.public_key().as_ref()]
                .concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        let mut settings = ApiSettings::at_socket("/nonexistent".into());
        settings.require = require.to_vec();
        settings.jwt = Some(JwtSettings {
            issuer: "https://issuer.example".into(),
            audience: "portcullis".into(),
            algorithms: vec![JwtAlgorithm::EdDsa],
            keys: KeySource::File(write("jwks.json", &set.to_string())),
            refresh: Duration::from_secs(300),
            keep: Duration::from_secs(3600),
            claim: "roles".into(),
            roles: [("ops".to_owned(), Grant::whole(Role::Operator))].into(),
        });
        settings.signers.insert("partner".into(), Signer { key: write("partner.pem", &pem), grant: operator() });
        settings.signers.insert("gone".into(), Signer { key: folder.join("gone.pem"), grant: operator() });
        settings.certificates.insert(CertificateName::Dns("admin.example".into()), Grant::whole(Role::Admin));
        settings.certificates.insert(CertificateName::Dns("look.example".into()), Grant::whole(Role::Viewer));
        let tokens = Arc::new(TokenStore::open(FakeDisk::default()));
        let authenticator = Arc::new(Authenticator::at(Arc::clone(&tokens), settings, now));
        authenticator.setup.store(Arc::new(authenticator.setup().with_keys()));
        Self { folder, key, tokens, authenticator }
    }

    pub fn token(&self, name: &str, ttl: Option<Duration>, made: i64) -> String {
        let made = Timestamp::from_second(made).unwrap();
        let order = TokenOrder { name: Name::parse(name).unwrap(), grant: operator(), ttl, by: "root".into() };
        self.tokens.create(order, made).unwrap().0.reveal().to_owned()
    }

    pub fn jwt(&self, change: impl Fn(&mut Value, &mut Value)) -> String {
        let mut header = json!({"alg": "EdDSA", "kid": "k", "typ": "at+jwt"});
        let mut claims = json!({
            "iss": "https://issuer.example", "aud": "portcullis", "sub": "deploy", "exp": NOW + 300, "roles": ["ops"],
        });
        change(&mut header, &mut claims);
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// A request that is signed over `body`, and has it.
    pub fn signed(&self, body: &str, parameters: &str) -> Request {
        let digest_field = format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, body.as_bytes())));
        let params = format!(r#"("@method" "@authority" "@path" "@query" "content-digest"){parameters}"#);
        // Written out, so that it does not agree with a mistake of ours.
        let base = format!(
            "\"@method\": POST\n\"@authority\": api.example\n\"@path\": /v1/x\n\"@query\": ?a=b\n\"content-digest\": {digest_field}\n\
             \"@signature-params\": {params}"
        );
        let signature = STANDARD.encode(self.key.sign(base.as_bytes()));
        let request = Request::builder().method("POST").uri("/v1/x?a=b").header("host", "API.example:443");
        let request = request.header("content-digest", digest_field).header("signature-input", format!("sig={params}"));
        let request = request.header("signature", format!("sig=:{signature}:"));
        from(request.body(Body::from(body.to_owned())).unwrap(), "192.0.2.7", &[])
    }

    pub fn parameters(nonce: &str) -> String {
        format!(r#";created={NOW};nonce="{nonce}";keyid="partner""#)
    }

    pub async fn admit(&self, request: Request) -> Result<Caller, AuthFailure> {
        let setup = self.authenticator.setup();
        match self.authenticator.admit(&setup, request).await {
            Ok((request, _)) => Ok(request.extensions().get::<Caller>().unwrap().clone()),
            Err(refused) => Err(refused.reason().unwrap()),
        }
    }

    pub async fn reason(&self, request: Request) -> &'static str {
        match self.admit(request).await {
            Ok(_) => "ok",
            Err(reason) => reason.label(),
        }
    }

    /// What a client sees: the status, a header and the problem.
    pub async fn answer(&self, request: Request) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
        let echo = |Extension(caller): Extension<Caller>, body: Bytes| async move {
            format!("{} {}", caller.name, body.len())
        };
        let router = Router::new().route("/v1/x", any(echo));
        let authenticator = Arc::clone(&self.authenticator);
        let router = router.layer(middleware::from_fn_with_state(authenticator, authenticate));
        let response = router.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }
}

/// `request` over a connection from `source` that has shown a certificate with `names`.
pub fn from(mut request: Request, source: &str, names: &[&str]) -> Request {
    let names: Vec<_> = names.iter().map(|name| CertificateName::Dns((*name).to_owned())).collect();
    let certificate =
        PresentedCertificate { names, not_after: Timestamp::from_second(NOW + 10).unwrap(), fingerprint: [0; 32] };
    let certificate = (!certificate.names.is_empty()).then(|| Arc::new(certificate));
    let from = SocketAddr::new(source.parse().unwrap(), 4711);
    request.extensions_mut().insert(NetworkPeer { from, certificate, is_tls: true });
    request
}

pub fn bearer(text: &str) -> Request {
    let request =
        Request::builder().uri("/v1/x").header("host", "api.example").header("authorization", format!("Bearer {text}"));
    from(request.body(Body::empty()).unwrap(), "192.0.2.7", &[])
}

pub fn bare() -> Request {
    Request::builder().uri("/v1/x").header("host", "api.example").body(Body::empty()).unwrap()
}
