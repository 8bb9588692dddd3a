//! The access settings of a server: token, host names, base path, frames, encryption.

use axum::http::uri::Authority;

use crate::WebError;
use crate::tls::Tls;

/// The access settings of a server.
#[derive(Clone, Default)]
pub struct Access {
    /// The token that clients must send. `None`: no token on a loopback address, else a new random one.
    pub token: Option<String>,
    /// Host names under which the page is reached, besides `localhost` and addresses. See [`host_name`].
    pub hosts: Vec<String>,
    /// The path of the page as a browser sees it, without a slash at its end; empty for the root. See [`base_path`].
    pub base_path: String,
    /// Origins of pages that may show the page in a frame. See [`frame_origin`].
    pub frames: Vec<String>,
    /// Certificate and key; `None` without encryption.
    pub tls: Option<Tls>,
}

fn refused(setting: &str, reason: &str) -> WebError {
    WebError::Setting { setting: setting.to_owned(), reason: reason.to_owned() }
}

/// The host in `text`: a name, or an address such as `https://faces.example/cameras`.
///
/// # Errors
/// [`WebError::Setting`] if the text is not of this form.
pub fn host_name(text: &str) -> Result<String, WebError> {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let authority: Authority = host.parse().map_err(|_| refused(text, "is not a host name such as faces.example"))?;
    if authority.host().is_empty() || host.contains(['@', '*']) {
        return Err(refused(text, "is not a host name such as faces.example"));
    }
    Ok(authority.host().to_ascii_lowercase())
}

/// A path such as `/cameras/door`, with a slash before it and none behind; empty for `/`.
///
/// # Errors
/// [`WebError::Setting`] for other characters than letters, digits, `-`, `_`, `.`, `~` and `/`.
pub fn base_path(text: &str) -> Result<String, WebError> {
    let path = text.trim_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    if !path.bytes().all(plain) || path.split('/').any(|part| part == "." || part == "..") || path.contains("//") {
        return Err(refused(text, "is not a path of letters, digits, -, _, . and ~ such as /cameras/door"));
    }
    Ok(if path.is_empty() { String::new() } else { format!("/{path}") })
}

/// An origin such as `https://home.example:8123`: scheme, host and port, without a path.
///
/// # Errors
/// [`WebError::Setting`] if the text is not of this form.
pub fn frame_origin(text: &str) -> Result<String, WebError> {
    let wrong = || refused(text, "is not the origin of a page such as https://home.example:8123");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let authority: Authority = host.parse().map_err(|_| wrong())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    if !matches!(scheme, "http" | "https") || authority.host().is_empty() || !host.bytes().all(plain) {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{}", host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_paths_and_origins() {
        for (text, host) in
            [("faces.example", "faces.example"), ("https://Faces.example:8443/x", "faces.example"), ("cam:80", "cam")]
        {
            assert_eq!(host_name(text).unwrap(), host, "{text}");
        }
        for bad in ["", "a b", "https://", "*", "*.example", "u@x"] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
        for (text, path) in [("/", ""), ("", ""), ("cams", "/cams"), ("/a/b/", "/a/b")] {
            assert_eq!(base_path(text).unwrap(), path, "{text}");
        }
        for bad in ["/a b", "/a/../b", "/{x}", "/a?b", "/a//b", "/%2e"] {
            assert!(base_path(bad).is_err(), "{bad}");
        }
        assert_eq!(frame_origin("https://Home.example:8123/").unwrap(), "https://home.example:8123");
        for bad in ["home.example", "https://a; script-src *", "ftp://a", "https://a/b", "https://a 'self'", "https://"]
        {
            assert!(frame_origin(bad).is_err(), "{bad}");
        }
    }
}
