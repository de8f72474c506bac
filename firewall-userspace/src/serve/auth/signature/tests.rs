//! The vectors of RFC 9421, and everything that can be wrong with a signature.

use axum::http::HeaderValue;
use base64::{
    Engine as _,
    alphabet::STANDARD as STANDARD_ALPHABET,
    engine::general_purpose::{GeneralPurpose, PAD, STANDARD, URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use sfv::FieldType as _;

use super::{base::field, *};

const NOW: i64 = 1_800_000_000;

/// `test-key-ed25519` of RFC 9421 appendix B.1.4.
fn key_of_the_rfc() -> SignerKey {
    let octets = URL_SAFE_NO_PAD.decode("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs").unwrap();
    SignerKey::Ed25519(octets.try_into().unwrap())
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn inner(text: &str) -> InnerList {
    match Parser::new(&format!("s={text}")).parse::<Dictionary>().unwrap().get("s").unwrap() {
        ListEntry::InnerList(list) => list.clone(),
        ListEntry::Item(_) => panic!("{text}"),
    }
}

#[test]
fn the_base_and_the_signature_are_those_of_rfc_9421_b_2_6() {
    let headers = headers(&[
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]);
    let parts = SignedParts {
        method: "POST",
        authority: "example.com",
        is_tls: true,
        path: "/foo",
        query: Some("param=Value&Pet=dog"),
        headers: &headers,
    };
    let covered = inner(
        "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
    );
    let names = ["date", "@method", "@path", "@authority", "content-type", "content-length"];
    let base = base::base(&covered, &names, &parts).unwrap();
    assert_eq!(
        base,
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@method\": POST\n\"@path\": /foo\n\"@authority\": example.com\n\
         \"content-type\": application/json\n\"content-length\": 18\n\"@signature-params\": (\"date\" \"@method\" \"@path\" \
         \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\""
    );
    let signature = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    assert!(key_of_the_rfc().verifies(base.as_bytes(), &STANDARD.decode(signature).unwrap()));
    assert_eq!(base::components(&covered), Err(AuthFailure::Uncovered), "it does not cover the query");
}

#[test]
fn the_signature_is_that_of_rfc_9421_b_2_4() {
    let coordinate = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
    let point = [
        vec![4],
        coordinate("qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA"),
        coordinate("Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0"),
    ];
    let key = SignerKey::P256(point.concat().try_into().unwrap());
    // A response: its base is written out, because a daemon takes none.
    let base = "\"@status\": 200\n\"content-type\": application/json\n\"content-digest\": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:\n\
                \"content-length\": 23\n\"@signature-params\": (\"@status\" \"content-type\" \"content-digest\" \"content-length\");created=1618884473;keyid=\"test-key-ecc-p256\"";
    let signature = STANDARD
        .decode("wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==")
        .unwrap();
    assert!(key.verifies(base.as_bytes(), &signature));
    assert!(!key.verifies(base.replace("200", "201").as_bytes(), &signature));
    let digest = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:";
    let digest = ContentDigest::of(&headers(&[("content-digest", digest)])).unwrap().unwrap();
    assert!(digest.is_of(br#"{"message": "good dog"}"#) && !digest.is_of(b""));
}

#[test]
fn components_are_derived_as_rfc_9421_2_2_says() {
    let fields = headers(&[("x-one", "  a  "), ("x-one", "b"), ("x-empty", "")]);
    let parts = SignedParts {
        method: "GET",
        authority: "EXAMPLE.com:443",
        is_tls: true,
        path: "",
        query: None,
        headers: &fields,
    };
    let value = |name: &str, parts: &SignedParts<'_>| {
        let covered = InnerList::default();
        base::base(&covered, &[name], parts).ok().map(|base| base.lines().next().unwrap().to_owned())
    };
    for (name, wanted) in [
        ("@method", "GET"),
        ("@authority", "example.com"),
        ("@scheme", "https"),
        ("@path", "/"),
        ("@query", "?"),
        ("@request-target", "/"),
        ("@target-uri", "https://example.com/"),
        ("x-one", "a, b"),
        ("x-empty", ""),
    ] {
        assert_eq!(value(name, &parts), Some(format!("\"{name}\": {wanted}")));
    }
    for none in ["@status", "@query-param", "@unheard-of", "x-none", "X-One", "x one", ""] {
        assert_eq!(value(none, &parts), None, "{none}");
    }
    let plain = SignedParts { is_tls: false, query: Some(""), authority: "[::1]:80", ..parts };
    assert_eq!(value("@authority", &plain), Some("\"@authority\": [::1]".into()));
    assert_eq!(value("@query", &plain), Some("\"@query\": ?".into()));
    assert_eq!(value("@request-target", &plain), Some("\"@request-target\": /?".into()));
    let other = SignedParts { authority: "[::1]:8443", ..parts };
    assert_eq!(value("@authority", &other), Some("\"@authority\": [::1]:8443".into()));
}

/// Somebody who signs.
struct FakeSigner {
    ed25519: Ed25519KeyPair,
    p256: EcdsaKeyPair,
    keys: [(&'static str, SignerKey); 2],
}

/// What a request says besides its signature.
#[derive(Clone)]
struct Asked {
    covered: &'static str,
    parameters: String,
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    digest: Option<String>,
}

const ALL: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;

fn asked() -> Asked {
    Asked {
        covered: ALL,
        parameters: format!(r#";created={NOW};nonce="0123456789abcdef";keyid="ed""#),
        method: "POST",
        path: "/v1/entries",
        query: None,
        digest: Some("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:".into()),
    }
}

fn parts<'a>(asked: &'a Asked, headers: &'a HeaderMap) -> SignedParts<'a> {
    SignedParts {
        method: asked.method,
        authority: "api.example",
        is_tls: true,
        path: asked.path,
        query: asked.query,
        headers,
    }
}

impl FakeSigner {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ed25519 = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let keys = [
            ("ed", SignerKey::Ed25519(ed25519.public_key().as_ref().try_into().unwrap())),
            ("p256", SignerKey::P256(p256.public_key().as_ref().try_into().unwrap())),
        ];
        Self { ed25519, p256, keys }
    }

    /// The headers of a signed request.
    fn signed(&self, asked: &Asked) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(digest) = &asked.digest {
            headers.insert("content-digest", digest.parse().unwrap());
        }
        let covered = inner(&format!("{}{}", asked.covered, asked.parameters));
        let names: Vec<&str> = covered.items.iter().map(|item| item.bare_item.as_string().unwrap().as_str()).collect();
        let base = base::base(&covered, &names, &parts(asked, &headers)).unwrap();
        let octets = match covered.params.get("keyid").and_then(|key| key.as_string()).map(|key| key.as_str()) {
            Some("p256") => self.p256.sign(&SystemRandom::new(), base.as_bytes()).unwrap().as_ref().to_vec(),
            _ => self.ed25519.sign(base.as_bytes()).as_ref().to_vec(),
        };
        let input: sfv::List = vec![ListEntry::InnerList(covered)];
        headers.insert("signature-input", format!("sig={}", input.serialize().unwrap()).parse().unwrap());
        headers.insert("signature", format!("sig=:{}:", STANDARD.encode(octets)).parse().unwrap());
        headers
    }

    fn key(&self, id: &str) -> Option<&SignerKey> {
        self.keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key)
    }

    fn verify(&self, asked: &Asked, headers: &HeaderMap) -> Result<VerifiedSignature, AuthFailure> {
        verify(&parts(asked, headers), |id| self.key(id), NOW - 1000, NOW)
    }

    /// What comes of a request that is signed as it is.
    fn answer(&self, asked: &Asked) -> Result<String, AuthFailure> {
        self.verify(asked, &self.signed(asked)).map(|verified| verified.key)
    }
}

fn with_parameters(parameters: &str) -> Asked {
    Asked { parameters: parameters.into(), ..asked() }
}

#[test]
fn a_good_signature_says_whose_it_is() {
    let signer = FakeSigner::new();
    let verified = signer.verify(&asked(), &signer.signed(&asked())).unwrap();
    let (key, nonce) = ("ed".to_owned(), "0123456789abcdef".to_owned());
    assert_eq!(verified, VerifiedSignature { key, nonce, end: NOW + 61, covers_body: true });
    let by_p256 = format!(r#";created={NOW};keyid="p256";nonce="0123456789abcdef";alg="ecdsa-p256-sha256";tag="x""#);
    assert_eq!(signer.answer(&with_parameters(&by_p256)), Ok("p256".into()));
    let without_body = Asked { covered: r#"("@query" "@path" "@authority" "@method")"#, digest: None, ..asked() };
    assert!(!signer.verify(&without_body, &signer.signed(&without_body)).unwrap().covers_body);
}

#[test]
fn everything_that_has_to_be_covered_is() {
    let signer = FakeSigner::new();
    for missing in ["@method", "@authority", "@path", "@query"] {
        let covered: &'static str = Box::leak(ALL.replace(&format!("\"{missing}\" "), "").into_boxed_str());
        assert_eq!(signer.answer(&Asked { covered, ..asked() }), Err(AuthFailure::Uncovered), "{missing}");
    }
    for covered in [
        r#"("@method" "@authority" "@path" "@query" "@method")"#,
        r#"("@method" "@authority" "@path" "@query" "x-missing")"#,
        r#"("@method";req "@authority" "@path" "@query")"#,
        r#"("@method" "@authority" "@path" "@query" "content-digest";sf)"#,
        r#"("@method" "@authority" "@path" "@query" method)"#,
    ] {
        let mut headers = signer.signed(&asked());
        let input = format!("sig={covered}{}", asked().parameters);
        headers.insert("signature-input", input.parse().unwrap());
        assert_eq!(signer.verify(&asked(), &headers), Err(AuthFailure::Malformed), "{covered}");
    }
}

#[test]
fn whatever_is_changed_after_signing_is_refused() {
    let signer = FakeSigner::new();
    let headers = signer.signed(&asked());
    for changed in [
        Asked { method: "PUT", ..asked() },
        Asked { path: "/v1/mode", ..asked() },
        Asked { query: Some("dry_run=false"), ..asked() },
    ] {
        assert_eq!(signer.verify(&changed, &headers), Err(AuthFailure::Wrong));
    }
    // `?` and nothing are one query (RFC 9421 section 2.2.7).
    assert!(signer.verify(&Asked { query: Some(""), ..asked() }, &headers).is_ok());
    let unchanged = asked();
    let at_another = SignedParts { authority: "other.example", ..parts(&unchanged, &headers) };
    assert_eq!(verify(&at_another, |id| signer.key(id), 0, NOW), Err(AuthFailure::Wrong));
    let mut other_digest = headers.clone();
    other_digest.insert("content-digest", HeaderValue::from_static("sha-256=:AAAA:"));
    assert_eq!(signer.verify(&asked(), &other_digest), Err(AuthFailure::Wrong));
    let mut twice = headers.clone();
    twice.append("content-digest", HeaderValue::from_static("sha-256=:AAAA:"));
    assert_eq!(signer.verify(&asked(), &twice), Err(AuthFailure::Wrong));
    assert_eq!(FakeSigner::new().verify(&asked(), &headers), Err(AuthFailure::Wrong));
}

#[test]
fn times_are_kept_to() {
    let signer = FakeSigner::new();
    for (created, wanted) in [
        (NOW - 60, Ok(())),
        (NOW - 61, Err(AuthFailure::Stale)),
        (NOW + 30, Ok(())),
        (NOW + 31, Err(AuthFailure::NotYetValid)),
        (-1, Err(AuthFailure::Stale)),
    ] {
        let asked = with_parameters(&format!(r#";created={created};nonce="0123456789abcdef";keyid="ed""#));
        assert_eq!(signer.answer(&asked).map(drop), wanted, "{created}");
    }
    for (expires, wanted) in [(NOW + 1, Ok(())), (NOW, Err(AuthFailure::Expired))] {
        let asked =
            with_parameters(&format!(r#";created={NOW};expires={expires};nonce="0123456789abcdef";keyid="ed""#));
        assert_eq!(signer.answer(&asked).map(drop), wanted, "{expires}");
    }
    let headers = signer.signed(&asked());
    let asked = asked();
    let since = |begin| verify(&parts(&asked, &headers), |id| signer.key(id), begin, NOW).map(drop);
    assert_eq!((since(NOW), since(NOW + 1)), (Ok(()), Err(AuthFailure::Stale)), "its nonce may be spent");
}

#[test]
fn parameters_have_to_be_there_and_right() {
    let signer = FakeSigner::new();
    let nonce = r#"nonce="0123456789abcdef""#;
    for (parameters, wanted) in [
        (format!(r#";{nonce};keyid="ed""#), AuthFailure::Malformed),
        (format!(r#";created={NOW};keyid="ed""#), AuthFailure::Malformed),
        (format!(r#";created={NOW};{nonce}"#), AuthFailure::Malformed),
        (format!(r#";created={NOW};{nonce};keyid="nobody""#), AuthFailure::Unknown),
        (format!(r#";created={NOW};{nonce};keyid=ed"#), AuthFailure::Malformed),
        (format!(r#";created="{NOW}";{nonce};keyid="ed""#), AuthFailure::Malformed),
        (format!(r#";created={NOW}.5;{nonce};keyid="ed""#), AuthFailure::Malformed),
        (format!(r#";created={NOW};nonce="short";keyid="ed""#), AuthFailure::Malformed),
        (format!(r#";created={NOW};nonce="{}";keyid="ed""#, "x".repeat(129)), AuthFailure::Malformed),
        (format!(r#";created={NOW};{nonce};keyid="ed";alg="ecdsa-p256-sha256""#), AuthFailure::Algorithm),
        (format!(r#";created={NOW};{nonce};keyid="ed";alg="hmac-sha256""#), AuthFailure::Algorithm),
        (format!(r#";created={NOW};{nonce};keyid="p256";alg="ed25519""#), AuthFailure::Algorithm),
        (format!(r#";created={NOW};{nonce};keyid="ed";alg=ed25519"#), AuthFailure::Malformed),
        (format!(r#";created={NOW};{nonce};keyid="ed";surprise"#), AuthFailure::Malformed),
    ] {
        assert_eq!(signer.answer(&with_parameters(&parameters)), Err(wanted), "{parameters}");
    }
}

#[test]
fn of_several_signatures_only_one_may_be_by_a_key_that_is_known() {
    let signer = FakeSigner::new();
    let good = signer.signed(&asked());
    let add = |input: &str, signature: &str| {
        let mut headers = good.clone();
        headers.append("signature-input", input.parse().unwrap());
        headers.append("signature", signature.parse().unwrap());
        signer.verify(&asked(), &headers).map(|verified| verified.key)
    };
    let other = format!(r#"other=("@method");created={NOW};keyid="proxy""#);
    assert_eq!(add(&other, "other=:AAAA:"), Ok("ed".into()));
    let same = format!("other={ALL}{}", asked().parameters);
    assert_eq!(add(&same, "other=:AAAA:"), Err(AuthFailure::Contradictory));
    assert_eq!(add(&same, "unused=:AAAA:"), Err(AuthFailure::Malformed));
    assert_eq!(add(&same, "other=7"), Err(AuthFailure::Malformed));
    assert_eq!(add("other=7", "other=:AAAA:"), Err(AuthFailure::Malformed));
    assert_eq!(
        add("a=();keyid=\"x\", b=();keyid=\"x\", c=();keyid=\"x\", d=();keyid=\"x\"", "a=:AAAA:"),
        Err(AuthFailure::Malformed)
    );
    for half in ["signature", "signature-input"] {
        let mut headers = good.clone();
        headers.remove(half);
        assert!(is_shown(&headers));
        assert_eq!(signer.verify(&asked(), &headers), Err(AuthFailure::Malformed), "{half}");
    }
    assert!(!is_shown(&HeaderMap::new()));
}

/// The signature that a field has: the last bits before a padding say nothing (RFC 9651 section 4.2.7 lets them be anything).
fn octets_of(field: &[u8]) -> Option<Vec<u8>> {
    let lenient = GeneralPurpose::new(&STANDARD_ALPHABET, PAD.with_decode_allow_trailing_bits(true));
    let text = field.strip_prefix(b"sig=:")?.strip_suffix(b":")?;
    lenient.decode(text).ok()
}

#[test]
fn no_changed_octet_of_a_good_signature_is_overlooked() {
    let signer = FakeSigner::new();
    let by_p256 = with_parameters(&format!(r#";created={NOW};keyid="p256";nonce="0123456789abcdef""#));
    for asked in [asked(), by_p256] {
        let good = signer.signed(&asked);
        let wanted = signer.verify(&asked, &good).unwrap();
        for name in ["signature", "signature-input", "content-digest"] {
            let text = good[name].to_str().unwrap().to_owned();
            for place in 0..text.len() {
                for other in [b'A', b'0', b'"', b'=', b'~'] {
                    let mut changed = text.clone().into_bytes();
                    if changed[place] == other {
                        continue;
                    }
                    changed[place] = other;
                    let mut headers = good.clone();
                    headers.insert(name, HeaderValue::from_bytes(&changed).unwrap());
                    if name == "signature"
                        && octets_of(&changed).is_some_and(|same| octets_of(text.as_bytes()) == Some(same))
                    {
                        continue;
                    }
                    assert!(signer.verify(&asked, &headers) != Ok(wanted.clone()), "{name} {place} {other}");
                }
            }
        }
    }
}

#[test]
fn a_digest_is_checked_by_every_algorithm_that_is_known() {
    let digest = |text: &str| ContentDigest::of(&headers(&[("content-digest", text)]));
    let (sha256, sha512) = (
        "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:",
        "sha-512=:3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==:",
    );
    let is_abc = |text: &str| digest(text).unwrap().unwrap().is_of(b"abc");
    assert!(is_abc(sha256) && is_abc(sha512) && is_abc(&format!("{sha256}, {sha512}, md5=:AAAA:")));
    assert!(!is_abc("sha-256=:AAAA:") && !is_abc(&format!("{sha256}, sha-512=:AAAA:")));
    for bad in ["", "md5=:AAAA:", "sha-256=7", "sha-256=(1)", "sha-256", ",", "sha-256=:*:"] {
        assert_eq!(digest(bad).unwrap_err(), AuthFailure::Digest, "{bad}");
    }
    assert!(ContentDigest::of(&HeaderMap::new()).unwrap().is_none());
}

#[test]
fn keys_are_read_as_openssl_writes_them() {
    let ed25519 = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";
    assert_eq!(SignerKey::parse(ed25519.as_bytes()), Ok(key_of_the_rfc()));
    let p256 = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\nw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n-----END PUBLIC KEY-----\n";
    assert_eq!(SignerKey::parse(p256.as_bytes()).unwrap().algorithm(), "ecdsa-p256-sha256");
    for bad in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(SignerKey::parse(bad.as_bytes()).unwrap_err().contains("\nhint: "));
    }
    for place in 0..ed25519.len() {
        // Whatever stands there, it is read as a key or refused.
        let mut changed = ed25519.as_bytes().to_vec();
        changed[place] ^= 4;
        let _ = SignerKey::parse(&changed);
    }
}

proptest! {
    #[test]
    fn whatever_headers_there_are_nobody_has_signed(
        input in "[ -~]{0,120}", signature in "[ -~]{0,60}", digest in "[ -~]{0,60}", covered in "[ -~]{0,40}",
    ) {
        let keys = [("ed", key_of_the_rfc())];
        for input in [input, format!("s=({covered});created={NOW};nonce=\"0123456789abcdef\";keyid=\"ed\"")] {
            let headers = headers(&[("signature-input", &input), ("signature", &signature), ("content-digest", &digest)]);
            let asked = asked();
            let key_of = |id: &str| keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key);
            prop_assert!(verify(&parts(&asked, &headers), key_of, 0, NOW).is_err());
            let _ = ContentDigest::of(&headers);
            let _ = field(&headers, &covered);
        }
    }
}
