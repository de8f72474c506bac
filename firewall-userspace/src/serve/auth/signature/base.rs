//! The signature base of a request (RFC 9421 section 2.5): what a signer has signed, derived from what came.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, FieldType as _, InnerList, List, ListEntry};

use crate::serve::auth::failures::AuthFailure;

/// Most components that a signature covers.
const MOST_COMPONENTS: usize = 32;

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct SignedParts<'a> {
    /// The method as it came.
    pub method: &'a str,
    /// Host and port as the client wrote them.
    pub authority: &'a str,
    /// Whether the connection is encrypted: which port goes without saying.
    pub is_tls: bool,
    /// The path as it came.
    pub path: &'a str,
    /// The query without its question mark; `None` when there is none.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// The components that have to be covered. `content-digest` too, when there is a body.
const REQUIRED: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// The names of the components of `covered`, in their order.
///
/// # Errors
/// [`AuthFailure::Uncovered`] when one is missing that has to be there; [`AuthFailure::Malformed`] when one comes twice, has parameters
/// (none is taken), or there are too many.
pub fn components(covered: &InnerList) -> Result<Vec<&str>, AuthFailure> {
    let name = |item: &'_ sfv::Item| item.params.is_empty().then_some(());
    if covered.items.len() > MOST_COMPONENTS || covered.items.iter().any(|item| name(item).is_none()) {
        return Err(AuthFailure::Malformed);
    }
    let names = covered.items.iter().map(|item| match &item.bare_item {
        BareItem::String(name) => Ok(name.as_str()),
        _ => Err(AuthFailure::Malformed),
    });
    let names = names.collect::<Result<Vec<&str>, AuthFailure>>()?;
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    if unique.len() < names.len() {
        return Err(AuthFailure::Malformed);
    }
    if REQUIRED.iter().all(|required| unique.contains(required)) { Ok(names) } else { Err(AuthFailure::Uncovered) }
}

/// What was signed, when `names` of `parts` were covered as `covered` says.
///
/// # Errors
/// [`AuthFailure::Malformed`] when a component is none of a request, or not there.
pub fn base(covered: &InnerList, names: &[&str], parts: &SignedParts<'_>) -> Result<String, AuthFailure> {
    let mut base = String::new();
    for name in names {
        let value = parts.component(name).ok_or(AuthFailure::Malformed)?;
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    let covered: List = vec![ListEntry::InnerList(covered.clone())];
    let covered = covered.serialize().ok_or(AuthFailure::Malformed)?;
    base.push_str(&format!("\"@signature-params\": {covered}"));
    Ok(base)
}

impl SignedParts<'_> {
    /// The value of a component (RFC 9421 sections 2.1 and 2.2).
    fn component(&self, name: &str) -> Option<String> {
        let path = if self.path.is_empty() { "/" } else { self.path };
        let scheme = if self.is_tls { "https" } else { "http" };
        let query = self.query.map(|query| format!("?{query}"));
        match name {
            "@method" => Some(self.method.to_owned()),
            "@authority" => Some(self.normal_authority()),
            "@scheme" => Some(scheme.to_owned()),
            "@path" => Some(path.to_owned()),
            "@query" => Some(query.unwrap_or_else(|| "?".to_owned())),
            "@request-target" => Some(format!("{path}{}", query.unwrap_or_default())),
            "@target-uri" => Some(format!("{scheme}://{}{path}{}", self.normal_authority(), query.unwrap_or_default())),
            _ if name.starts_with('@') => None,
            _ => field(self.headers, name),
        }
    }

    /// In lower case, without the port that goes without saying (RFC 9421 section 2.2.3, RFC 9110 section 4.2.3).
    fn normal_authority(&self) -> String {
        let authority = self.authority.to_ascii_lowercase();
        let default = if self.is_tls { ":443" } else { ":80" };
        authority.strip_suffix(default).or_else(|| authority.strip_suffix(':')).unwrap_or(&authority).to_owned()
    }
}

/// All values of a field (RFC 9421 section 2.1); `None` when it is not there, or its name is not in lower case.
pub fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let is_lower = !name.bytes().any(|octet| octet.is_ascii_uppercase());
    let name = is_lower.then(|| HeaderName::from_bytes(name.as_bytes()).ok()).flatten()?;
    let values = headers.get_all(name).iter().map(text).collect::<Option<Vec<&str>>>()?;
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

/// Without blanks around it; octets beyond ASCII are in no field that anybody signs.
fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(|text| text.trim_matches([' ', '\t']))
}
