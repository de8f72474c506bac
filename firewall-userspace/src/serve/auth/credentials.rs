//! What a request shows: the form only.

use axum::http::{HeaderMap, header};

use super::{failures::AuthFailure, jwt, signature};
use crate::{policy::CredentialKind, state::tokens::PREFIX};

/// What stands in the headers of a request.
#[derive(Debug, Default)]
pub struct ShownCredentials<'a> {
    /// What stands behind `Bearer`.
    pub bearer: Option<&'a str>,
    /// Whether there is a signature.
    pub has_signature: bool,
}

impl<'a> ShownCredentials<'a> {
    /// What `headers` show.
    ///
    /// # Errors
    /// [`AuthFailure::Contradictory`] for more than one `Authorization`; [`AuthFailure::Malformed`] for one of another scheme than `Bearer`
    /// (RFC 6750 section 2.1).
    pub fn of(headers: &'a HeaderMap) -> Result<Self, AuthFailure> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let bearer = match (fields.next(), fields.next()) {
            (None, _) => None,
            (Some(_), Some(_)) => return Err(AuthFailure::Contradictory),
            (Some(field), None) => {
                let text = field.to_str().map_err(|_| AuthFailure::Malformed)?;
                let (scheme, rest) = text.split_once(' ').ok_or(AuthFailure::Malformed)?;
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(AuthFailure::Malformed);
                }
                Some(rest.trim_matches(' '))
            }
        };
        Ok(Self { bearer, has_signature: signature::is_shown(headers) })
    }

    /// Of which kind the bearer token is; `None` when there is none.
    ///
    /// # Errors
    /// [`AuthFailure::Malformed`] when it is of no kind.
    pub fn bearer_kind(&self) -> Result<Option<CredentialKind>, AuthFailure> {
        match self.bearer {
            None => Ok(None),
            Some(text) if text.starts_with(PREFIX) => Ok(Some(CredentialKind::Token)),
            Some(text) if jwt::is_jws(text) => Ok(Some(CredentialKind::Jwt)),
            Some(_) => Err(AuthFailure::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn kind(values: &[&str]) -> Result<Option<CredentialKind>, AuthFailure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_str(value).unwrap());
        }
        ShownCredentials::of(&headers)?.bearer_kind()
    }

    #[test]
    fn a_bearer_token_says_by_its_form_what_it_is() {
        assert_eq!(kind(&[]), Ok(None));
        assert_eq!(kind(&["Bearer pcl_x"]), Ok(Some(CredentialKind::Token)));
        assert_eq!(kind(&["bEARER  a.b.c "]), Ok(Some(CredentialKind::Jwt)));
        for bad in ["Basic cm9vdDpyb290", "Bearer", "Bearer x", "pcl_x", "", "Bearer ", "Bearer a.b", "Digest a.b.c"] {
            assert_eq!(kind(&[bad]), Err(AuthFailure::Malformed), "{bad}");
        }
        assert_eq!(kind(&["Bearer pcl_x", "Bearer pcl_x"]), Err(AuthFailure::Contradictory));
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_field_is_read_or_refused(octets in prop::collection::vec(32..=255_u8, 0..100)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&octets) {
                headers.insert("authorization", value);
            }
            let _ = ShownCredentials::of(&headers).and_then(|shown| shown.bearer_kind());
        }
    }
}
