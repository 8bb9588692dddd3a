//! Access control of requests: the token, the host names, the origin.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::WebError;
use crate::access::Access;
use crate::audit::Authentication;
use crate::problem::Problem;

/// Path of the API's viewer.
pub(crate) const VIEWER: &str = "/api/v1/docs";

/// Decides which requests are served.
pub(crate) struct Guard {
    /// The token that requests must contain. `None`: only this machine can connect.
    pub(crate) token: Option<String>,
    /// Name of the cookie that holds the token. Browsers separate cookies by host name only, so port and base path are part of the
    /// name: two programs on one host do not overwrite each other's cookie.
    cookie: String,
    /// Path that the cookie is sent to.
    cookie_path: String,
    /// Allowed host names besides addresses and `localhost`.
    hosts: Vec<String>,
    /// Whether pages of other sites may show the page in a frame. The cookie must be sent there too.
    framed: bool,
    encrypted: bool,
    page_policy: HeaderValue,
    viewer_policy: HeaderValue,
}

impl Guard {
    /// The guard of a server on `address`. There is always a token unless it is a loopback address.
    pub(crate) fn new(address: SocketAddr, access: &Access) -> Result<Self, WebError> {
        let Access { token, hosts, base_path, frames, tls } = access;
        let token = match token {
            Some(token) => Some(token.clone()),
            None if address.ip().is_loopback() => None,
            None => Some(random_token()?),
        };
        let ancestors = if frames.is_empty() { "'none'".to_owned() } else { frames.join(" ") };
        let policy = |rules: &str| {
            let policy = format!("{rules}; frame-ancestors {ancestors}");
            HeaderValue::from_str(&policy).map_err(|_| WebError::Setting {
                setting: ancestors.clone(),
                reason: "is not valid in an HTTP header".to_owned(),
            })
        };
        let suffix: String = base_path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        Ok(Self {
            token,
            cookie: format!("visavis_{}{suffix}", address.port()),
            cookie_path: format!("{base_path}/"),
            hosts: hosts.clone(),
            framed: !frames.is_empty(),
            encrypted: tls.is_some(),
            page_policy: policy(PAGE_POLICY)?,
            viewer_policy: policy(VIEWER_POLICY)?,
        })
    }

    /// Whether `host`, with or without a port, is an address, `localhost`, or an allowed name.
    fn is_own_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok() || self.is_allowed(name)
    }

    fn is_allowed(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    /// Whether an origin is that of the page: the host of the request, or an allowed name, since a proxy may use another host name
    /// than the browser.
    fn is_own_page(&self, origin: &HeaderValue, host: &str) -> bool {
        let origin = origin.to_str().ok();
        let site = origin.and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
        let Some(site) = site else { return false };
        let name = site.parse::<Authority>().ok();
        site.eq_ignore_ascii_case(host) || name.is_some_and(|name| self.is_allowed(name.host()))
    }

    /// Whether the browser has an encrypted connection, to this server or to a proxy before it.
    fn is_encrypted(&self, headers: &HeaderMap) -> bool {
        let forwarded = headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok());
        self.encrypted || forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
    }

    fn is_token(&self, offered: &str) -> bool {
        // In constant time, so that the duration reveals only the length.
        self.token.as_ref().is_some_and(|token| bool::from(token.as_bytes().ct_eq(offered.as_bytes())))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).filter_map(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        let cookies = text(header::COOKIE)
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(self.cookie.as_str())?.strip_prefix('='));
        self.token.is_none() || bearer.chain(cookies).any(|offered| self.is_token(offered))
    }

    /// Why a request is refused; `None` if it is served. `open`: whether it is served without a token.
    fn refusal(&self, request: &Request, open: bool) -> Option<Problem> {
        let headers = request.headers();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(Authority::as_str)).unwrap_or_default();
        if !self.is_own_host(host) {
            // Against DNS rebinding: a page of another site whose host name was made to point here.
            let detail =
                "visavis answers only to localhost, to addresses, and to host names that were allowed at the start";
            return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        if headers.get(header::ORIGIN).is_some_and(|origin| !self.is_own_page(origin, host)) {
            let detail = "visavis answers only to its own page; the host name of a proxy must be allowed at the start";
            return Some(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        if !open && !self.has_token(headers) {
            let detail = "open the link that visavis printed when it started, or send its token as a bearer token";
            return Some(Problem::new(StatusCode::UNAUTHORIZED, detail));
        }
        None
    }

    /// For a link with a valid token: a redirect that sets the cookie, so that the token is not in the browser's history.
    fn redirect_with_cookie(&self, request: &Request) -> Option<Response> {
        let query = request.uri().query().filter(|_| request.method() == Method::GET && request.uri().path() == "/")?;
        let offered = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        if !self.is_token(offered) {
            return None;
        }
        // Lax, so that the cookie is sent when a link in a mail or a chat is followed; requests that change something must come from
        // the page anyway. In a frame of another site only a cookie with SameSite=None is sent, and only if encrypted.
        let site = match (self.is_encrypted(request.headers()), self.framed) {
            (true, true) => "SameSite=None; Secure; Partitioned",
            (true, false) => "SameSite=Lax; Secure",
            (false, _) => "SameSite=Lax",
        };
        let cookie = format!("{}={offered}; Path={}; HttpOnly; {site}", self.cookie, self.cookie_path);
        // Relative, since a proxy may serve the page under another path.
        Some(
            (StatusCode::SEE_OTHER, [(header::LOCATION, "./".to_owned()), (header::SET_COOKIE, cookie)])
                .into_response(),
        )
    }
}

fn random_token() -> Result<String, WebError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| WebError::System(format!("no random token: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Serves or refuses a request, and adds the security headers.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Authentication(if guard.token.is_some() { "token" } else { "none" }));
    let path = request.uri().path().to_owned();
    let refusal = guard.refusal(&request, false);
    // The token is removed from the link also if the browser has the cookie already.
    let redirect = match &refusal {
        None => guard.redirect_with_cookie(&request),
        Some(refusal) if refusal.is_unauthorized() => guard.redirect_with_cookie(&request),
        Some(_) => None,
    };
    let mut response = match (redirect, refusal) {
        (Some(redirect), _) => redirect,
        (None, Some(refusal)) => refusal.into_response(),
        (None, None) => next.run(request).await,
    };
    // The viewer of the API needs inline styles.
    let policy = if path.starts_with(VIEWER) { &guard.viewer_policy } else { &guard.page_policy };
    secure(&mut response, policy);
    response
}

/// As [`check`], for requests that need no token.
pub(crate) async fn check_host(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(&request, true) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    secure(&mut response, &guard.page_policy);
    response
}

/// Adds the security headers.
fn secure(response: &mut Response, policy: &HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    let mut set = |name, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(header::HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()");
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Content security policy of the page; `frame-ancestors` is added.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                           media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
                           form-action 'none'";
const VIEWER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                             img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, access: &Access) -> Guard {
        Guard::new(address.parse().unwrap(), access).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn only_addresses_localhost_and_allowed_names_are_accepted() {
        let access = Access { hosts: vec!["faces.example".into()], ..Access::default() };
        let (plain, named) = (guard("127.0.0.1:80", &Access::default()), guard("127.0.0.1:80", &access));
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "192.168.1.7"] {
            assert!(plain.is_own_host(host) && named.is_own_host(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "a b"]
        {
            assert!(!plain.is_own_host(host) && !named.is_own_host(host), "{host}");
        }
        assert!(!plain.is_own_host("faces.example") && named.is_own_host("Faces.Example:443"));
    }

    #[test]
    fn the_page_is_accepted_behind_a_proxy() {
        let named = guard("127.0.0.1:80", &Access { hosts: vec!["faces.example".into()], ..Access::default() });
        let own = |origin: &str, host: &str| named.is_own_page(&HeaderValue::from_str(origin).unwrap(), host);
        assert!(own("https://faces.example", "faces.example"));
        // The proxy asked under the address.
        assert!(own("https://faces.example:8443", "127.0.0.1:80") && own("http://127.0.0.1:80", "127.0.0.1:80"));
        for origin in ["https://evil.example", "null", "http://127.0.0.1:81", "file://faces.example"] {
            assert!(!own(origin, "127.0.0.1:80"), "{origin}");
        }
    }

    #[test]
    fn the_token_is_required_except_on_loopback_addresses() {
        let open = |address: &str| guard(address, &Access::default()).token.is_none();
        assert!(open("127.0.0.1:80") && open("[::1]:80"));
        let access = Access { base_path: "/cams/door".into(), ..Access::default() };
        let guard = guard("0.0.0.0:81", &access);
        let token = guard.token.clone().unwrap();
        assert_eq!((token.len(), guard.cookie.as_str()), (32, "visavis_81_cams_door"));
        let with = |name: header::HeaderName, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            guard.has_token(&headers)
        };
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert!(with(header::AUTHORIZATION, format!("{scheme} {token}")), "{scheme}");
        }
        assert!(!with(header::AUTHORIZATION, format!("Basic {token}")));
        assert!(!with(header::AUTHORIZATION, token.clone()));
        assert!(with(header::COOKIE, format!("a=b; {}={token}", guard.cookie)));
        assert!(!with(header::AUTHORIZATION, format!("Bearer {}", &token[1..])));
        assert!(!with(header::COOKIE, format!("visavis_80={token}")));
        assert!(!guard.has_token(&HeaderMap::new()));
    }

    #[test]
    fn the_cookie_has_its_path_and_site_attributes() {
        let cookie = |access: Access, proto: Option<&str>| {
            let access = Access { token: Some("0123456789abcdef".into()), ..access };
            let mut request = Request::builder().uri("/?token=0123456789abcdef");
            if let Some(proto) = proto {
                request = request.header("x-forwarded-proto", proto);
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = guard("127.0.0.1:82", &access).redirect_with_cookie(&request).unwrap();
            assert_eq!(answer.headers()[header::LOCATION], "./");
            answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned()
        };
        let framed = || Access { frames: vec!["https://home.example".into()], ..Access::default() };
        let plain = cookie(Access::default(), None);
        assert_eq!(plain, "visavis_82=0123456789abcdef; Path=/; HttpOnly; SameSite=Lax");
        let based = cookie(Access { base_path: "/cam".into(), ..Access::default() }, Some("https"));
        assert_eq!(based, "visavis_82_cam=0123456789abcdef; Path=/cam/; HttpOnly; SameSite=Lax; Secure");
        assert!(cookie(framed(), Some("https")).ends_with("SameSite=None; Secure; Partitioned"));
        assert!(cookie(framed(), None).ends_with("SameSite=Lax"), "without encryption a browser would refuse it");
    }
}
