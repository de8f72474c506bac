//! Requests about tokens, and their answers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    policy::{Grant, Role, Scope},
    state::tokens::{TokenRecord, TokenText},
};

/// `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Its name, as of a list.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// What narrows the role of an operator.
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
    /// How long it counts, such as `90d`, or `never` when it has no end; [`Self::TTL`] when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

impl CreateToken {
    /// How long a token counts when nobody says.
    pub const TTL: &str = "90d";

    /// The `ttl` of a token without an end.
    pub const NEVER: &str = "never";
}

/// `POST /v1/tokens/{name}/rotate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateToken {
    /// How long the secret before still counts, such as `1h`, at most `7d`; `0s`: not at all; [`Self::OVERLAP`] when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

impl RotateToken {
    /// How long a secret counts after it was replaced when nobody says.
    pub const OVERLAP: &str = "1h";

    /// The `overlap` that ends the secret before at once.
    pub const NONE: &str = "0s";
}

/// The tokens that there are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Tokens {
    /// `portcullis.tokens/v1`.
    pub schema: String,
    /// By name.
    pub tokens: Vec<TokenView>,
}

impl Tokens {
    /// The form of this document.
    pub const SCHEMA: &str = "portcullis.tokens/v1";
}

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct TokenView {
    /// Its name; what its holder pushes belongs to `token:NAME`.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// What narrows that.
    #[serde(default, skip_serializing_if = "Scope::is_everything")]
    pub scope: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// Who has made it.
    pub created_by: String,
    /// When its secret was made.
    pub issued: Timestamp,
    /// When its secret ends; `None`: never.
    pub expires: Option<Timestamp>,
    /// Whether that is over.
    pub expired: bool,
    /// When it was used last, within a minute or so of a restart; `None`: never.
    pub last_used: Option<Timestamp>,
    /// Until when the secret before this one counts; `None`: it does not.
    pub overlaps_until: Option<Timestamp>,
}

impl TokenView {
    /// `record` as it is seen at `now`.
    pub fn of(record: TokenRecord, now: Timestamp) -> Self {
        let (expires, overlaps_until) = (record.expires(), record.overlaps_until(now));
        let Grant { role, scope } = record.grant;
        Self {
            name: record.name.to_string(),
            role,
            scope,
            created: record.created,
            created_by: record.created_by,
            issued: record.issued,
            expires,
            expired: expires.is_some_and(|expires| expires <= now),
            last_used: record.last_used,
            overlaps_until,
        }
    }
}

/// A token with its secret, which nobody is told again.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
pub struct IssuedToken {
    /// `portcullis.token/v1`.
    pub schema: String,
    /// What its holder shows, as `Authorization: Bearer TOKEN`.
    pub token: TokenText,
    /// All that there is to say about it besides.
    #[serde(flatten)]
    pub about: TokenView,
}

impl IssuedToken {
    /// The form of this document.
    pub const SCHEMA: &str = "portcullis.token/v1";
}

/// A token that counts no more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct RevokedTokenView {
    /// `portcullis.revoked_token/v1`.
    pub schema: String,
    /// What there was to say about it.
    #[serde(flatten)]
    pub about: TokenView,
}

impl RevokedTokenView {
    /// The form of this document.
    pub const SCHEMA: &str = "portcullis.revoked_token/v1";
}
