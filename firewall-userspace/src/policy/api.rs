//! `[api]`: where the API is served, and whom it takes for what.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use super::{Grant, Mode, Policy, Protocol, Role, Service};

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// The Unix socket.
    pub socket: ApiSocket,
    /// `[api.roles]`: what users of this host may do.
    pub roles: LocalRoles,
    /// Where it is served over TCP; `None`: nowhere.
    pub https: Option<HttpsSettings>,
    /// What a caller over TCP has to show, all of it; empty: any one of them.
    pub require: Vec<CredentialKind>,
    /// `[api.certificates]`: what whoever shows a certificate of this name may do.
    pub certificates: BTreeMap<CertificateName, Grant>,
    /// `[api.jwt]`.
    pub jwt: Option<JwtSettings>,
    /// `[api.signers]`, by key identifier.
    pub signers: BTreeMap<String, Signer>,
}

/// The Unix socket by which the command line asks the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSocket {
    /// An absolute path.
    pub path: PathBuf,
    /// Name or number of the group whose members may look; `None` for the group of the daemon.
    pub group: Option<String>,
    /// Who may connect.
    pub mode: SocketMode,
}

/// Who may connect to the socket of the API; root may anyhow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocketMode {
    /// 0660: its user and its group.
    #[default]
    Group,
    /// 0600: its user.
    User,
}

impl SocketMode {
    /// The permissions, as chmod(2) takes them.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Group => 0o660,
            Self::User => 0o600,
        }
    }
}

/// What users of this host may do, by name or number. Root is [`Role::Admin`] whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalRoles {
    /// By user.
    pub users: BTreeMap<String, Grant>,
    /// By group, supplementary ones too.
    pub groups: BTreeMap<String, Grant>,
}

/// Where the API is served over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsSettings {
    /// Addresses; one may come later than the daemon.
    pub listen: Vec<SocketAddr>,
    /// The certificate with its chain, in PEM.
    pub certificate: KeyPlace,
    /// Its key, in PEM.
    pub key: KeyPlace,
    /// Names that clients may use as host, besides the addresses.
    pub hosts: Vec<String>,
    /// Where plain HTTP is served that only redirects.
    pub redirect: Option<SocketAddr>,
    /// Certificates of those who sign certificates of clients, in PEM; `None`: clients show none.
    pub client_ca: Option<PathBuf>,
    /// Their revocation lists, in PEM.
    pub client_crl: Vec<PathBuf>,
    /// Origins whose pages may use it (CORS).
    pub origins: Vec<String>,
}

/// Where a certificate or a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a file; an absolute path.
    File(PathBuf),
    /// In a credential that systemd passes (systemd.exec(5), `LoadCredential=`), by name.
    Credential(String),
}

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialKind {
    /// A client certificate.
    Certificate,
    /// A token of this daemon.
    Token,
    /// An access token of an issuer (RFC 9068).
    Jwt,
    /// A signature of the request (RFC 9421).
    Signature,
}

impl CredentialKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Certificate, Self::Token, Self::Jwt, Self::Signature];

    /// Its name in configurations, metrics and the audit.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Jwt => "jwt",
            Self::Signature => "signature",
        }
    }
}

/// A subject alternative name of a certificate (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateName {
    /// `dns:NAME`, in lower case.
    Dns(String),
    /// `uri:URI`.
    Uri(String),
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
        }
    }
}

/// `[api.jwt]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// `iss`, as it has to be.
    pub issuer: String,
    /// What has to be in `aud`.
    pub audience: String,
    /// What may be in `alg`.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Where the keys are (RFC 7517).
    pub keys: KeySource,
    /// How often they are read again.
    pub refresh: Duration,
    /// How long they count after the last time that they could be read.
    pub keep: Duration,
    /// The claim that names roles: a string, or an array of strings.
    pub claim: String,
    /// What whoever has this in the claim may do; the most of those that match.
    pub roles: BTreeMap<String, Grant>,
}

/// How an access token is signed (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// Its name (RFC 7518 section 3.1).
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file; an absolute path.
    File(PathBuf),
    /// At an HTTPS address, or an HTTP one on loopback.
    Url(String),
}

/// Somebody who signs requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The public key, in PEM (Ed25519 or P-256); an absolute path.
    pub key: PathBuf,
    /// What may be asked.
    pub grant: Grant,
}

impl ApiSettings {
    /// What counts where nothing is written: a socket at `path`, for root and the user of the daemon.
    pub fn at_socket(path: PathBuf) -> Self {
        Self {
            socket: ApiSocket { path, group: None, mode: SocketMode::default() },
            roles: LocalRoles::default(),
            https: None,
            require: Vec::new(),
            certificates: BTreeMap::new(),
            jwt: None,
            signers: BTreeMap::new(),
        }
    }
}

/// From where an address of the API can be reached, by what the policy says. What it does not filter (other interfaces, what stands
/// before the host) is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiReach {
    /// From this host.
    Host,
    /// From these lists, and from `management`.
    Lists {
        /// The service that says so.
        service: String,
        /// Their names.
        lists: Vec<String>,
    },
    /// From everywhere: by this service, which only observes, or because the policy does.
    Observed {
        /// The service.
        service: String,
    },
    /// From everywhere.
    Everywhere {
        /// The service that covers the port and admits everybody; `None`: there is none.
        service: Option<String>,
    },
}

impl Policy {
    /// From where each address at which the API is served over HTTPS can be reached.
    pub fn api_reach(&self) -> Vec<(SocketAddr, ApiReach)> {
        let listen = self.api.https.iter().flat_map(|https| &https.listen);
        listen.map(|address| (*address, self.reach(*address))).collect()
    }

    fn reach(&self, address: SocketAddr) -> ApiReach {
        if address.ip().is_loopback() {
            return ApiReach::Host;
        }
        let covers = |service: &&Service| {
            service.protocol == Protocol::Tcp
                && service.ports.iter().any(|ports| ports.contains(&address.port()))
                // An address that is every address is covered where no address is named.
                && (service.addresses.is_empty() || service.addresses.contains(&address.ip()))
        };
        let Some(service) = self.services.iter().find(covers) else { return ApiReach::Everywhere { service: None } };
        let name = service.name.to_string();
        match &service.allow {
            None => ApiReach::Everywhere { service: Some(name) },
            Some(_) if self.mode == Mode::Observe || service.mode == Mode::Observe => {
                ApiReach::Observed { service: name }
            }
            Some(lists) => {
                let lists = lists.iter().filter_map(|list| self.lists.get(*list)).map(|list| list.name.to_string());
                ApiReach::Lists { service: name, lists: lists.collect() }
            }
        }
    }
}

impl LocalRoles {
    /// Whether somebody has `role`.
    pub fn has(&self, role: Role) -> bool {
        self.users.values().chain(self.groups.values()).any(|grant| grant.role == role)
    }
}
