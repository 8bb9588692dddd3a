//! Addresses and texts that contain them, without their secrets.

use url::Url;

/// Supported schemes of streams.
pub(crate) const SCHEMES: [&str; 10] = ["rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "rtp", "tcp"];
/// Words in a path or query that announce a secret.
const SECRETS: [&str; 7] = ["pass", "pwd", "token", "secret", "auth", "key=", "user="];

/// Whether `spec` looks like an address and not like a path.
pub(crate) fn is_address(spec: &str) -> bool {
    let scheme = spec.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.len() > 1 && scheme.bytes().all(is_of_scheme)
}

fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)
}

/// An address for display: without user name, password, query, and parts of the path that contain a secret. In another text the
/// same is removed from the first address, which may have one slash instead of two. Anything else is returned unchanged.
#[must_use]
pub fn display_name(spec: &str) -> String {
    if !is_address(spec) {
        return address_within(spec).unwrap_or_else(|| spec.to_owned());
    }
    let (scheme, rest) = spec.split_once("://").unwrap_or(("", spec));
    let parsed = Url::parse(spec).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()));
    let (host, path, has_query) = match &parsed {
        Some(url) => {
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            (format!("{}{port}", url.host_str().unwrap_or_default()), url.path(), url.query().is_some())
        }
        // Cannot be parsed: everything before an @ may be a password.
        None => {
            let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
            (rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned(), "", false)
        }
    };
    let is_secret = |part: &str| {
        let part = part.to_ascii_lowercase();
        SECRETS.iter().any(|word| part.contains(word))
    };
    let path: Vec<&str> = path.split('/').map(|part| if is_secret(part) { "…" } else { part }).collect();
    format!("{}://{host}{}{}", scheme.to_ascii_lowercase(), path.join("/"), if has_query { "?…" } else { "" })
}

/// A text with the address in it as [`display_name`] shows it; `None` if it contains none.
fn address_within(text: &str) -> Option<String> {
    let (start, colon) = text.match_indices(":/").find_map(|(colon, _)| {
        let length = text[..colon].bytes().rev().take_while(|&byte| is_of_scheme(byte)).count();
        let scheme = &text[colon - length..colon];
        // With one slash it may be a path: `virtual:/photos`.
        let known = || SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme));
        let is_scheme = if text[colon..].starts_with("://") { length > 1 } else { known() };
        is_scheme.then_some((colon - length, colon))
    })?;
    let rest = text[colon + 1..].trim_start_matches('/');
    let shown = display_name(&format!("{}://{rest}", &text[start..colon]));
    let (_, shown) = shown.split_once("://")?;
    Some(format!("{}{shown}", &text[..text.len() - rest.len()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_secret() {
        for (spec, name) in [
            ("rtsp://10.0.0.7/user=admin_password=tlJwpbo6_channel=1.sdp", "rtsp://10.0.0.7/…"),
            ("HTTP://u:p@cam/video.mjpg", "http://cam/video.mjpg"),
            ("rtsp://u:p/w@cam/1", "rtsp://cam"),
            ("rtsp://u:p#w@cam/1", "rtsp://cam"),
            ("https://cam/live/api_key=5/1.m3u8", "https://cam/live/…/1.m3u8"),
            ("film.mp4", "film.mp4"),
            ("C:/film.mp4", "C:/film.mp4"),
            (" rtsp://u:secret@cam/x", " rtsp://cam/x"),
            ("rtsp:/u:secret@cam/x?a=b", "rtsp:/cam/x?…"),
            ("virtual:rtsp://u:p/w@cam/1", "virtual:rtsp://cam"),
            ("camera:gopher://u:secret@cam/1", "camera:gopher://cam/1"),
            ("out/HTTP:///u:secret@cam/1", "out/HTTP:///cam/1"),
            ("virtual:/photos/a@b.jpg", "virtual:/photos/a@b.jpg"),
            ("virtual:C:/photos/a@b.jpg", "virtual:C:/photos/a@b.jpg"),
        ] {
            assert_eq!(display_name(spec), name, "{spec}");
        }
    }
}
