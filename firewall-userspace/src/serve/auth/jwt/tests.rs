//! Tokens that are good, and everything that is wrong with others.

use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use serde_json::json;

use super::*;
use crate::policy::{KeySource, Role, Scope};

const NOW: i64 = 1_800_000_000;

/// A key of 2048 bits that is used nowhere else (`openssl genpkey`).
const RSA_KEY: &str = "\
    MIIEpAIBAAKCAQEAlhQ2AkeNA7Vt49d/rxxi6ocCORAJWy1xhfr3GEAF3Hz1jOQOy9eQWaofdazR2z0wm5QMiPsQibNv0MqPNkY0oGQwt0YJJ86ASEF9w6qY \
    9oFb7ZF/uhUEUdEAgtXJ3LzFvsP2ICnVA9BiMJ1x9gCnffyn8tWZYFqyorZohp3YX0txwGrNhFDP9AcReb8KtO0WeepsRWlAqTVcIzFecCwr5N2L5t6X0B2A \
    1Q3phRijOE9XB0VKLGge6tS/O33qftU8kfHvifjw7GK2eb0ygz0hQNbEE+QFLzsCFb6/9pw9OvRaSYjm5baCBwfemnyKr5BhGI6pNs1E+HlZWuhODVp+DwID \
    AQABAoIBABMlhvJpgHMNrXRY5OBJRdFX4g+3nQn11TrblrSQTm8fvg/4dG7LFI5r5tGTd755ov7mN2cuaKC4tLY1cWniMQqZXaG0HKzoanNNb6cL17HzNPAt \
    FNd/oOpzOJZ4geVYa/33cCoQTC3NYwmCvKw+zx+CoUaYu5WQXKPnk5RBBP67Jkb8AZP27AbYgwaNrziwfv94dbC6v128DXoY4fwI6BLHQQPMkDov3Qd5LWNm \
    wi6uXbY4qAUWcsDyj5PbiIA5Ih0gpQzimyUG693ucD1rVdSDR4aCkRWwoqpjvBQ7atPwtSfT9NYGpST078XWsruXy7ZmEOA0sj4zyWTs1h9RPBkCgYEAxc0J \
    sV0xbjjH16ZFQvsrDRrSBhkGmc/094w60NGOwebPVAf8n7z34qTBF1HK+uhQMDzjFGDbH/BoSjKdqLd3q/8QQDPnd+omrmw1tUfgrC26aTOymNOsPwAsQohY \
    F5Hm7p5puuTML8uwrkATq+DzI+pyp3jddGspl6bl+4Ag2lsCgYEAwjycGCSJC8MhSPrrx3ge8Tbwzf6RIKI3sNr8be6fvNr09uWZ3K3T+5hN5aAV+baU/FXm \
    cYI8camU408kR6o6X7rBClFVOu0LaassfHiE3avsb6Q1ejB0ojriPIVWVSNyu9dsT06cJbmT2iOG81+q8lfJqmj75SlHzuiS3sdrcV0CgYEAwLyIzFWFm+Qh \
    /mSaqqi5C1zt91kdUHUNOsVebikz1IbF0RizNSdZ13M4XzOo+JGzyT0a+7lg6x9DT8FAVKzpJCQ2PokU64iyRlVUhB7UspEgSfBA/5+KAB14AyB9zgGyJyMe \
    3SiiOZRdxXzUbi+UW5PQQpWIHC9raMUM5eK0oG8CgYEAse4Zw9f8HuVCYXtSb6hvF+KPVvTC91UClSUVppK4i6U8T8vmVYx7KvfLK/WpC9agxkLeVc7LFggV \
    1uDRyEB9NuJ6Ibx9yfwJv2PJ3b/9Xp82eNLBFky7Gz27r1spydYuLTrbAg9t5PUKJwLyhZF2pIecullvnu5g1H6ixCeEGhUCgYBM4BaEdxeiVwruTqqy68vl \
    99SCYcoCxMWvcHtOHAqy+BQy4E7S6FDbEys1uDQzaXhDIFOqSpsdPi8EZsb9aOvMPWWye9P8a5UxEqfpbfymM2wRvh1kPJpOMGY8aJ9rVpv/PbuZdIk5jdue \
    z0UYLQJ3fITA/r9urDajcUENue50xQ==";

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn settings() -> JwtSettings {
    JwtSettings {
        issuer: "https://issuer.example".into(),
        audience: "portcullis".into(),
        algorithms: vec![
            JwtAlgorithm::Rs256,
            JwtAlgorithm::Ps256,
            JwtAlgorithm::Es256,
            JwtAlgorithm::Es384,
            JwtAlgorithm::EdDsa,
        ],
        keys: KeySource::File("/nonexistent".into()),
        refresh: std::time::Duration::from_secs(300),
        keep: std::time::Duration::from_secs(3600),
        claim: "realm_access.roles".into(),
        roles: [
            ("ops".to_owned(), Grant::whole(Role::Operator)),
            (
                "partner".to_owned(),
                Grant {
                    role: Role::Operator,
                    scope: Scope { lists: Some(["partners".to_owned()].into()), ..Scope::default() },
                },
            ),
            ("look".to_owned(), Grant::whole(Role::Viewer)),
        ]
        .into(),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "portcullis", "sub": "deploy", "exp": NOW + 300, "iat": NOW - 1,
        "realm_access": { "roles": ["look", "ops", "unheard-of"] },
    })
}

fn with(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

fn without(member: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    claims
}

/// An issuer with a key of each kind.
struct FakeIssuer {
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

fn encoded(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

impl FakeIssuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| {
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
        };
        Self {
            ed25519: Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap(),
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            rsa: RsaKeyPair::from_der(&STANDARD.decode(RSA_KEY.replace(char::is_whitespace, "")).unwrap()).unwrap(),
        }
    }

    fn public(&self) -> RsaPublicKeyComponents<Vec<u8>> {
        RsaPublicKeyComponents::from(self.rsa.public())
    }

    fn document(&self) -> Value {
        let point = |kind: &str, key: &EcdsaKeyPair| {
            let (x, y) = key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
            json!({"kty": "EC", "crv": kind, "kid": kind, "x": encoded(x), "y": encoded(y), "use": "sig"})
        };
        let RsaPublicKeyComponents { n: modulus, e: exponent } = self.public();
        json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encoded(self.ed25519.public_key())},
            point("P-256", &self.p256),
            point("P-384", &self.p384),
            {"kty": "RSA", "kid": "rsa", "n": encoded(modulus), "e": encoded(exponent), "key_ops": ["verify"]},
        ]})
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(self.document().to_string().as_bytes()).unwrap()
    }

    /// The only key.
    fn one_key(&self) -> KeySet {
        let document = json!({"keys": [self.document()["keys"][0]]});
        KeySet::parse(document.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
            signature
        };
        let algorithm = serde_json::from_str::<Value>(header).unwrap()["alg"].as_str().unwrap_or_default().to_owned();
        let signature = match &*algorithm {
            "ES256" => self.p256.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "HS256" => {
                // What a confused verifier would take for the secret: the public key.
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.public().n);
                ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
            }
            "none" => Vec::new(),
            _ => self.ed25519.sign(message.as_bytes()).as_ref().to_vec(),
        };
        format!("{message}.{}", encoded(signature))
    }

    fn answer(&self, header: &Value, claims: &Value) -> Result<String, AuthFailure> {
        verify(&self.sign(header, claims), &self.keys(), &settings(), now()).map(|holder| holder.subject)
    }
}

fn ed() -> Value {
    json!({"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"})
}

#[test]
fn a_token_of_every_algorithm_is_taken_with_the_most_of_its_roles() {
    let issuer = FakeIssuer::new();
    for (algorithm, key) in
        [("EdDSA", "ed"), ("Ed25519", "ed"), ("ES256", "P-256"), ("ES384", "P-384"), ("RS256", "rsa"), ("PS256", "rsa")]
    {
        let text = issuer.sign(&json!({"alg": algorithm, "kid": key}), &claims());
        let holder = verify(&text, &issuer.keys(), &settings(), now()).unwrap();
        assert_eq!(
            (holder.subject.as_str(), holder.grant),
            ("deploy", Some(Grant::whole(Role::Operator))),
            "{algorithm}"
        );
    }
}

#[test]
fn an_algorithm_goes_with_its_key_and_with_the_configuration_or_not_at_all() {
    let issuer = FakeIssuer::new();
    for (algorithm, key) in [
        ("none", "ed"),
        ("HS256", "rsa"),
        ("ES256", "rsa"),
        ("RS256", "P-256"),
        ("EdDSA", "P-256"),
        ("ES256", "P-384"),
        ("x", "ed"),
        ("NONE", "ed"),
    ] {
        let header = json!({"alg": algorithm, "kid": key});
        assert_eq!(issuer.answer(&header, &claims()), Err(AuthFailure::Algorithm), "{algorithm} {key}");
    }
    let only_rsa = JwtSettings { algorithms: vec![JwtAlgorithm::Rs256], ..settings() };
    for (algorithm, key) in [("EdDSA", "ed"), ("PS256", "rsa")] {
        let text = issuer.sign(&json!({"alg": algorithm, "kid": key}), &claims());
        assert_eq!(verify(&text, &issuer.keys(), &only_rsa, now()), Err(AuthFailure::Algorithm), "{algorithm}");
    }
    // A key that its issuer uses with one algorithm only.
    let mut document = issuer.document();
    document["keys"][3]["alg"] = "PS256".into();
    let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
    let text = issuer.sign(&json!({"alg": "RS256", "kid": "rsa"}), &claims());
    assert_eq!(verify(&text, &keys, &settings(), now()), Err(AuthFailure::Algorithm));
}

#[test]
fn a_key_is_named_unless_there_is_only_one() {
    let issuer = FakeIssuer::new();
    let text = issuer.sign(&json!({"alg": "EdDSA"}), &claims());
    assert_eq!(verify(&text, &issuer.keys(), &settings(), now()), Err(AuthFailure::Key));
    assert!(verify(&text, &issuer.one_key(), &settings(), now()).is_ok());
    let other = issuer.sign(&json!({"alg": "EdDSA", "kid": "other"}), &claims());
    for keys in [issuer.keys(), issuer.one_key()] {
        assert_eq!(verify(&other, &keys, &settings(), now()), Err(AuthFailure::Key));
        assert!(!parse(&other, &settings().algorithms).unwrap().is_known_to(&keys));
    }
    let stranger = FakeIssuer::new();
    assert_eq!(verify(&stranger.sign(&ed(), &claims()), &issuer.keys(), &settings(), now()), Err(AuthFailure::Wrong));
}

#[test]
fn claims_have_to_be_there_and_right() {
    let issuer = FakeIssuer::new();
    let cases = [
        (claims(), Ok("deploy")),
        (with("iss", "https://issuer.example/".into()), Err(AuthFailure::Issuer)),
        (without("iss"), Err(AuthFailure::Malformed)),
        (with("aud", "other".into()), Err(AuthFailure::Audience)),
        (with("aud", json!(["other", "portcullis"])), Ok("deploy")),
        (with("aud", json!(["other"])), Err(AuthFailure::Audience)),
        (with("aud", json!([])), Err(AuthFailure::Audience)),
        (with("aud", json!(7)), Err(AuthFailure::Malformed)),
        (without("aud"), Err(AuthFailure::Malformed)),
        (with("exp", json!(NOW - 59)), Ok("deploy")),
        (with("exp", json!(NOW - 60)), Err(AuthFailure::Expired)),
        (with("exp", json!(f64::from(1_000_000) + 0.5)), Err(AuthFailure::Expired)),
        (with("exp", json!("soon")), Err(AuthFailure::Malformed)),
        (with("exp", Value::Null), Err(AuthFailure::Malformed)),
        (without("exp"), Err(AuthFailure::Malformed)),
        (with("nbf", json!(NOW + 60)), Ok("deploy")),
        (with("nbf", json!(NOW + 61)), Err(AuthFailure::NotYetValid)),
        (with("iat", json!(NOW + 61)), Err(AuthFailure::NotYetValid)),
        (without("iat"), Ok("deploy")),
        (without("sub"), Err(AuthFailure::Malformed)),
        (with("sub", "".into()), Err(AuthFailure::Malformed)),
        (with("sub", "a\nb".into()), Err(AuthFailure::Malformed)),
        (with("sub", "ä".into()), Err(AuthFailure::Malformed)),
        (with("sub", " x".into()), Err(AuthFailure::Malformed)),
        (with("sub", "x".repeat(129).into()), Err(AuthFailure::Malformed)),
    ];
    for (claims, wanted) in cases {
        assert_eq!(issuer.answer(&ed(), &claims), wanted.map(str::to_owned), "{claims}");
    }
}

#[test]
fn a_header_that_says_more_than_is_understood_is_refused() {
    let issuer = FakeIssuer::new();
    for (member, value, is_taken) in [
        ("typ", json!("JWT"), true),
        ("typ", json!("application/at+jwt"), true),
        ("typ", json!("AT+JWT"), true),
        ("typ", json!("secevent+jwt"), false),
        ("typ", json!(7), false),
        ("crit", json!(["exp"]), false),
        ("crit", json!([]), false),
        ("x5u", json!("https://evil.example"), true),
        ("jwk", json!({"kty": "OKP"}), true),
    ] {
        let mut header = ed();
        header[member] = value;
        assert_eq!(issuer.answer(&header, &claims()).is_ok(), is_taken, "{header}");
    }
    // What a parser takes for the last one, another one takes for the first.
    for (header, claims) in [
        (r#"{"alg":"EdDSA","alg":"none","kid":"ed"}"#.to_owned(), claims().to_string()),
        (ed().to_string(), claims().to_string().replacen('{', r#"{"aud":"other","#, 1)),
    ] {
        let text = issuer.sign_text(&header, &claims);
        assert_eq!(verify(&text, &issuer.keys(), &settings(), now()), Err(AuthFailure::Malformed), "{header} {claims}");
    }
}

#[test]
fn roles_are_found_where_the_configuration_says() {
    let issuer = FakeIssuer::new();
    let role_by = |claim: &str, claims: Value| {
        let settings = JwtSettings { claim: claim.into(), ..settings() };
        let grant = verify(&issuer.sign(&ed(), &claims), &issuer.keys(), &settings, now()).unwrap().grant;
        grant.map(|grant| (grant.role, grant.scope.is_everything()))
    };
    assert_eq!(role_by("realm_access.roles", claims()), Some((Role::Operator, true)));
    assert_eq!(role_by("scope", with("scope", "openid look".into())), Some((Role::Viewer, true)));
    assert_eq!(role_by("groups", with("groups", json!(["partner", 7, null]))), Some((Role::Operator, false)));
    assert_eq!(
        role_by("https://x.example/roles", with("https://x.example/roles", "ops".into())),
        Some((Role::Operator, true))
    );
    for none in ["realm_access", "realm_access.roles.0", "sub", "iss", "", "nothing.at.all"] {
        assert_eq!(role_by(none, claims()), None, "{none}");
    }
}

#[test]
fn what_is_too_long_or_has_not_three_parts_is_malformed() {
    let issuer = FakeIssuer::new();
    let good = issuer.sign(&ed(), &claims());
    let long = issuer.sign(&ed(), &with("padding", "x".repeat(MOST_OCTETS).into()));
    for text in [long.as_str(), "", ".", "..", "a.b", "a.b.c.d", &format!("{good}="), &format!("{good}."), &good[1..]] {
        assert_eq!(verify(text, &issuer.keys(), &settings(), now()), Err(AuthFailure::Malformed), "{text}");
    }
    assert!(is_jws(&good) && !is_jws("pcl_abc") && !is_jws("a.b.c.d"));
}

#[test]
fn no_changed_octet_of_a_good_token_is_overlooked() {
    let issuer = FakeIssuer::new();
    let (keys, settings) = (issuer.keys(), settings());
    for header in [ed(), json!({"alg": "ES256", "kid": "P-256"}), json!({"alg": "RS256", "kid": "rsa"})] {
        let good = issuer.sign(&header, &claims());
        assert!(verify(&good, &keys, &settings, now()).is_ok());
        for place in 0..good.len() {
            for other in [b'A', b'B', b'-', b'.', b'=', b'~'] {
                let mut changed = good.clone().into_bytes();
                if changed[place] == other {
                    continue;
                }
                changed[place] = other;
                let changed = String::from_utf8(changed).unwrap();
                assert!(verify(&changed, &keys, &settings, now()).is_err(), "{place} {other}");
            }
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_counted_and_others_are() {
    let issuer = FakeIssuer::new();
    let mut document = issuer.document();
    let good = document["keys"].as_array().unwrap().len();
    let strange = [
        json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}),
        json!({"kty": "NEW", "kid": "n"}),
        json!({"kty": "RSA", "kid": "weak", "n": encoded([0xff; 128]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "long", "n": encoded([0xff; 2048]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "enc", "use": "enc", "n": encoded([0xff; 256]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "ops", "key_ops": ["encrypt"], "n": encoded([0xff; 256]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "alg", "alg": "RS1", "n": encoded([0xff; 256]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "hs", "alg": "ES256", "n": encoded([0xff; 256]), "e": "AQAB"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
        json!({"kty": "OKP", "crv": "Ed25519"}),
        json!({"kid": 7}),
        json!(7),
    ];
    let count = strange.len();
    document["keys"].as_array_mut().unwrap().extend(strange);
    let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
    assert_eq!((keys.len(), keys.ignored), (good, count));
    assert!(verify(&issuer.sign(&ed(), &claims()), &keys, &settings(), now()).is_ok());
    let many = json!({"keys": vec![document["keys"][0].clone(); keys::MOST_KEYS + 5]});
    let many = KeySet::parse(many.to_string().as_bytes()).unwrap();
    assert_eq!((many.len(), many.ignored), (keys::MOST_KEYS, 5));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct"}]}"#,
        &" ".repeat(keys::MOST_OCTETS + 1),
    ] {
        assert!(KeySet::parse(bad.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_is_shown_is_refused_without_a_panic(text in "[A-Za-z0-9._=-]{0,200}", header in ".{0,40}", claims in ".{0,40}") {
        let issuer_keys = KeySet::parse(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": encoded([1; 32])}]}).to_string().as_bytes()).unwrap();
        prop_assert!(verify(&text, &issuer_keys, &settings(), now()).is_err());
        let formed = format!("{}.{}.{}", encoded(header), encoded(claims), encoded([0; 64]));
        prop_assert!(verify(&formed, &issuer_keys, &settings(), now()).is_err());
    }

    #[test]
    fn whatever_document_there_is_gives_keys_or_words(document in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(KeySet::parse(&document).is_err());
    }
}
