//! Who may ask: the token, the names of this machine, the pages of this program only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::WebError;
use crate::problem::Problem;

/// The cookie that holds the token.
const COOKIE: &str = "visavis_token";

/// What a request must bring.
pub(crate) struct Guard {
    /// Asked for unless only this machine can connect.
    pub(crate) token: Option<String>,
}

impl Guard {
    /// The guard of a server on `address`: off the loopback there is always a token.
    pub(crate) fn new(address: SocketAddr, token: Option<String>) -> Result<Self, WebError> {
        let token = match token {
            Some(token) => Some(token),
            None if address.ip().is_loopback() => None,
            None => Some(random_token()?),
        };
        Ok(Self { token })
    }

    fn fits(&self, offered: &str) -> bool {
        // Comparing takes as long wherever the first wrong letter is; only the length shows.
        self.token.as_ref().is_some_and(|token| bool::from(token.as_bytes().ct_eq(offered.as_bytes())))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer "));
        let cookies = text(header::COOKIE)
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        self.token.is_none() || bearer.chain(cookies).any(|offered| self.fits(offered))
    }

    /// Why a request may not come in.
    fn refusal(&self, request: &Request) -> Option<Problem> {
        let headers = request.headers();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(Authority::as_str)).unwrap_or_default();
        if !is_ours(host) {
            // A name that somebody else's page made point here (DNS rebinding).
            let detail = "visavis answers to localhost and to addresses only, not to other names of this machine";
            return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        if let Some(origin) = headers.get(header::ORIGIN) {
            let same = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")))
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host));
            if !same {
                return Some(Problem::new(StatusCode::FORBIDDEN, "visavis answers to its own page only"));
            }
        }
        if !self.knows(headers) {
            let detail = "open the link that visavis printed when it started, or send its token as a bearer token";
            return Some(Problem::new(StatusCode::UNAUTHORIZED, detail));
        }
        None
    }

    /// The token out of the link, turned into a cookie, so that it stands in no history.
    fn admitted_by_link(&self, request: &Request) -> Option<Response> {
        let query = request.uri().query().filter(|_| request.method() == Method::GET && request.uri().path() == "/")?;
        let offered = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        if !self.fits(offered) {
            return None;
        }
        let cookie = format!("{COOKIE}={offered}; Path=/; HttpOnly; SameSite=Strict");
        Some(
            (StatusCode::SEE_OTHER, [(header::LOCATION, "/".to_owned()), (header::SET_COOKIE, cookie)]).into_response(),
        )
    }
}

/// Whether `host` is an address or this machine's own name for itself, with or without a port.
fn is_ours(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn random_token() -> Result<String, WebError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| WebError::System(format!("no random token: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Lets a request in, or not; says to browsers what pages of ours may do.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = match guard.refusal(&request) {
        None => next.run(request).await,
        Some(refusal) if refusal.is_unauthorized() => {
            guard.admitted_by_link(&request).unwrap_or_else(|| refusal.into_response())
        }
        Some(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    // The viewer of the API writes styles into its elements.
    let csp = if path.starts_with(crate::api::VIEWER) { VIEWER_CSP } else { PAGE_CSP };
    set(header::CONTENT_SECURITY_POLICY, csp);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()");
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

const PAGE_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                        media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";
const VIEWER_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                          img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_ours() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7"] {
            assert!(is_ours(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "a b"]
        {
            assert!(!is_ours(host), "{host}");
        }
    }

    #[test]
    fn the_token_is_wanted_off_the_loopback_only() {
        let guard = |address: &str| Guard::new(address.parse().unwrap(), None).unwrap();
        assert!(guard("127.0.0.1:80").token.is_none() && guard("[::1]:80").token.is_none());
        let guard = guard("0.0.0.0:80");
        let token = guard.token.clone().unwrap();
        assert_eq!(token.len(), 32);
        let with = |name: header::HeaderName, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            guard.knows(&headers)
        };
        assert!(with(header::AUTHORIZATION, format!("Bearer {token}")));
        assert!(with(header::COOKIE, format!("a=b; {COOKIE}={token}")));
        assert!(!with(header::AUTHORIZATION, format!("Bearer {}", &token[1..])));
        assert!(!with(header::COOKIE, format!("other={token}")));
        assert!(!guard.knows(&HeaderMap::new()));
    }
}
