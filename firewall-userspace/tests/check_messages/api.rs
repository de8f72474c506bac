//! `[api]`: HTTPS, roles, certificates, tokens of an issuer, signers.

use super::check_more;

/// An API over HTTPS that only this host reaches.
const HTTPS: &str = "[api]\nlisten = [\"127.0.0.1:8443\"]\ncertificate = \"/c.pem\"\nkey = \"credential:api.key\"\n";

#[test]
fn all_of_it_without_a_mistake() {
    let text = format!(
        "{HTTPS}hosts = [\"fw1.example.com\"]\nredirect = \"127.0.0.1:8080\"\nclient_ca = \"/ca.pem\"\nclient_crl = [\"/crl.pem\"]\n\
         origins = [\"https://ops.example.com\", \"http://localhost:3000\"]\nrequire = [\"certificate\", \"token\"]\n\
         [api.roles]\nalice = \"admin\"\n\"%netops\" = {{ role = \"operator\", lists = [\"a\"], prefixes = [\"192.0.2.0/24\"], \
         max_ttl = \"1d\", min_length_v4 = 28, min_length_v6 = 64, layers = [\"runtime\"], verbs = [\"allow\"] }}\n\
         [api.certificates]\n\"dns:a.example\" = \"viewer\"\n\"uri:spiffe://example/ci\" = {{ role = \"operator\" }}\n\
         [api.jwt]\nissuer = \"https://id.example\"\naudience = \"p\"\nkeys = \"https://id.example/keys\"\nroles = {{ ops = \"operator\" }}\n\
         [api.signers.partner]\npublic_key = \"/p.pem\"\nrole = \"operator\"\nlists = [\"a\"]\n"
    );
    check_more(&text, &[]);
}

#[test]
fn https_needs_an_address_a_certificate_and_a_key() {
    check_more(
        "[api]\nlisten = [\"127.0.0.1:8443\"]\n",
        &["14:1 api.certificate: this key is required", "14:1 api.key: this key is required"],
    );
    check_more(
        "[api]\nkey = \"/k.pem\"\n",
        &["15:7 api.key: this means nothing where the API is not served over HTTPS"],
    );
    let wrong =
        "[api]\nlisten = [\"localhost:8443\", \"127.0.0.1:0\"]\ncertificate = \"c.pem\"\nkey = \"credential:../k\"\n";
    check_more(
        wrong,
        &[
            "15:11 api.listen[0]: `localhost:8443` is not an address with a port",
            "15:29 api.listen[1]: `127.0.0.1:0` is not an address with a port",
            "16:15 api.certificate: `c.pem` is not the absolute path of a file",
            "17:7 api.key: `../k` is not the name of a credential",
        ],
    );
    check_more(
        &format!("{HTTPS}redirect = \"127.0.0.1:8443\"\n"),
        &["18:12 api.redirect: HTTPS is served at this address"],
    );
    check_more(
        &format!("{HTTPS}hosts = [\"fw1:8443\", \"-x\"]\n"),
        &[
            "18:10 api.hosts[0]: `fw1:8443` is not the name of a host",
            "18:22 api.hosts[1]: `-x` is not the name of a host",
        ],
    );
}

#[test]
fn an_origin_is_one_page_and_never_a_pattern() {
    for (origin, why) in [
        ("*", "a pattern would let pages in that nobody has named"),
        ("https://*.example.com", "a pattern would let pages in that nobody has named"),
        ("https://ops.example.com/", "it has no host, or a path"),
        ("https://Ops.example.com", "browsers write it in lower case"),
        ("https://ops.example.com:443", "browsers leave the port 443 out"),
        ("http://ops.example.com", "anybody on the way could change such a page"),
        ("null", "it has no scheme"),
        ("file://x", "its scheme is not `https`"),
        ("https://a@b", "it is more than a host and a port"),
    ] {
        let text = format!("{HTTPS}origins = [\"{origin}\"]\n");
        check_more(&text, &[&*format!("18:12 api.origins[0]: `{origin}` is not an origin: {why}")]);
    }
}

#[test]
fn what_is_asked_of_clients_has_to_be_possible() {
    check_more(
        &format!("{HTTPS}require = [\"certificate\"]\n"),
        &["18:11 api.require: no certificate of a client is asked for without `client_ca`"],
    );
    check_more(
        &format!("{HTTPS}require = [\"token\", \"jwt\"]\n"),
        &["18:11 api.require: a request has one `Authorization` header: it cannot show both a token and a JWT"],
    );
    check_more(
        &format!("{HTTPS}client_crl = [\"/crl.pem\"]\n"),
        &["18:14 api.client_crl: a revocation list means nothing without `client_ca`"],
    );
    check_more(
        &format!("{HTTPS}[api.certificates]\n\"dns:a\" = \"viewer\"\n"),
        &["18:1 api.certificates: no certificate of a client is asked for without `client_ca`"],
    );
}

#[test]
fn roles_and_what_narrows_them() {
    check_more(
        "[api.roles]\nalice = \"root\"\n",
        &["15:9 api.roles.alice: `root` is not known; expected \"viewer\", \"operator\" or \"admin\""],
    );
    check_more(
        "[api.roles]\n\"a:b\" = \"viewer\"\n",
        &["15:9 api.roles.\"a:b\": `a:b` is not the name of a user, nor `%` and that of a group"],
    );
    check_more(
        "[api.roles]\nroot = \"viewer\"\n",
        &["15:8 api.roles.root: root is admin whatever is written: nobody is to lock themselves out"],
    );
    check_more(
        "[api.roles]\na = { role = \"admin\", lists = [\"a\"] }\n",
        &["15:31 api.roles.a.lists: only an operator can be narrowed: `admin` changes no entries alone"],
    );
    check_more(
        "[api.roles]\na = { lists = [] }\n",
        &["15:5 api.roles.a.role: this key is required", "15:15 api.roles.a.lists: nothing would be allowed"],
    );
    let narrow = "a = { role = \"operator\", min_length_v4 = 33, verbs = [\"ban\"], layers = [\"config\"], max_ttl = \"1ms\", prefixes = [\"x\"] }\n";
    check_more(
        &format!("[api.roles]\n{narrow}"),
        &[
            "15:42 api.roles.a.min_length_v4: 33 is no length of a prefix; expected a length from 0 to 32",
            "15:55 api.roles.a.verbs[0]: `ban` is not known; expected \"allow\", \"deny\" or \"remove\"",
            "15:73 api.roles.a.layers[0]: `config` is not known; expected \"runtime\", \"feed\", \"fleet\" or \"ban\"",
            "15:94 api.roles.a.max_ttl: no entry ends within less than a second",
            "15:113 api.roles.a.prefixes[0]: `x` is not a prefix; write an address (`192.0.2.1`, `2001:db8::1`) or a prefix (`192.0.2.0/24`, `2001:db8::/32`)",
        ],
    );
    check_more(
        &format!("{HTTPS}client_ca = \"/ca.pem\"\n[api.certificates]\n\"cn:a\" = \"viewer\"\n"),
        &["20:10 api.certificates.\"cn:a\": `cn:a` is not a name that a certificate may have"],
    );
}

#[test]
fn tokens_of_an_issuer() {
    let jwt = |more: &str| format!("{HTTPS}[api.jwt]\nissuer = \"i\"\naudience = \"p\"\n{more}");
    check_more(
        &jwt("keys = \"http://id.example/keys\"\nroles = { a = \"viewer\" }\n"),
        &["21:8 api.jwt.keys: `http://id.example/keys` is neither an absolute path nor an HTTPS address"],
    );
    check_more(&jwt("keys = \"/k\"\n"), &["18:1 api.jwt.roles: nobody could do anything with such a token"]);
    check_more(
        &jwt("keys = \"/k\"\nroles = { a = \"viewer\" }\nalgorithms = [\"none\", \"HS256\"]\n"),
        &[
            "23:15 api.jwt.algorithms[0]: `none` is not known; expected \"RS256\", \"PS256\", \"ES256\", \"ES384\" or \"EdDSA\"",
            "23:23 api.jwt.algorithms[1]: `HS256` is not known; expected \"RS256\", \"PS256\", \"ES256\", \"ES384\" or \"EdDSA\"",
        ],
    );
    check_more(
        &jwt("keys = \"/k\"\nroles = { a = \"viewer\" }\nrefresh = \"1s\"\n"),
        &["23:11 api.jwt.refresh: it has to be from \"1m\" to \"30d\""],
    );
    check_more(
        &jwt("keys = \"/k\"\nroles = { a = \"viewer\" }\nrefresh = \"2h\"\nkeep = \"1h\"\n"),
        &["24:8 api.jwt.keep: keys would end before they are read again: `keep` is shorter than `refresh`"],
    );
    check_more(
        &format!("{HTTPS}[api.signers.p]\nrole = \"operator\"\npublic_key = \"p.pem\"\n"),
        &["20:14 api.signers.p.public_key: `p.pem` is not the absolute path of a file"],
    );
}

#[test]
fn an_api_that_everybody_reaches_is_told() {
    let at = |address: &str| HTTPS.replace("127.0.0.1:8443", address);
    check_more(
        &at("192.0.2.10:8443"),
        &[
            "14:1 (warning) api.listen: the API at 192.0.2.10:8443 can be reached from everywhere: no service covers this port",
        ],
    );
    check_more(&at("192.0.2.10:443"), &[]);
    check_more(&at("[::]:443"), &[]);
    let open = "[services.open]\nprotocol = \"tcp\"\nports = [8443]\n";
    check_more(
        &format!("{}{open}", at("0.0.0.0:8443")),
        &[
            "14:1 (warning) api.listen: the API at 0.0.0.0:8443 can be reached from everywhere: the service `open` admits everybody who is not denied",
        ],
    );
    let observed = "[services.o]\nprotocol = \"tcp\"\nports = [8443]\nallow = [\"a\"]\nmode = \"observe\"\n";
    check_more(
        &format!("{}{observed}", at("0.0.0.0:8443")),
        &[
            "14:1 (warning) api.listen: the API at 0.0.0.0:8443 can be reached from everywhere: the service `o` only observes",
        ],
    );
}
