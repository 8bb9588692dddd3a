//! The address of a stream, with its secrets kept apart.

use percent_encoding::percent_decode_str;
use url::Url;

use super::{CameraCredentials, StreamParams};
use crate::VideoError;
use crate::display_name::{SCHEMES, display_name};

/// The address of a stream.
#[derive(Clone)]
pub(crate) struct Address {
    /// Without user name and password.
    pub(crate) url: Url,
    /// User name and password.
    pub(crate) credentials: Option<(String, String)>,
    /// For messages, logs and JSON: contains no secret.
    pub(crate) name: String,
}

impl Address {
    /// Parses an address. User name and password are those in it, else those of `params` for its host.
    pub(crate) fn parse(spec: &str, params: &StreamParams) -> Result<Self, VideoError> {
        let name = display_name(spec);
        let refused = |reason: &str| VideoError::Spec { spec: name.clone(), reason: reason.to_owned() };
        let scheme = spec.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        if !SCHEMES.contains(&scheme.as_str()) {
            let reason = format!("a stream needs an address that begins with {}://", SCHEMES.join("://, "));
            return Err(refused(&reason));
        }
        let unreadable = "is no address; characters such as @, :, /, # and ? in a user name or a password are \
                          percent-encoded there: %40, %3A, %2F, %23, %3F";
        let mut url = Url::parse(spec).map_err(|_| refused(unreadable))?;
        let Some(host) = url.host_str().filter(|host| !host.is_empty()).map(str::to_owned) else {
            return Err(refused("it has no host"));
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let own = (!url.username().is_empty() || url.password().is_some())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        let given = || {
            let fits = |entry: &&CameraCredentials| entry.is_for(&host, url.port());
            let entry = params.credentials.iter().find(fits)?;
            Some((entry.user.clone(), entry.password.clone()))
        };
        let credentials = own.or_else(given);
        // Both calls succeed for every address with a host.
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| refused(unreadable))?;
        Ok(Self { url, credentials, name })
    }

    pub(crate) fn is_rtsp(&self) -> bool {
        self.url.scheme() == "rtsp"
    }

    /// The address with user name and password. It is secret: it must not be in a log or in an argument of a program.
    pub(crate) fn secret_url(&self) -> String {
        let mut url = self.url.clone();
        if let Some((user, password)) = &self.credentials {
            // Fails only for addresses without a host.
            let _ = url.set_username(user).and_then(|()| url.set_password(Some(password)));
        }
        url.into()
    }
}

impl CameraCredentials {
    fn is_for(&self, host: &str, port: Option<u16>) -> bool {
        let Some(wanted) = &self.host else { return true };
        let with_port = port.map(|port| format!("{host}:{port}"));
        wanted.eq_ignore_ascii_case(host) || with_port.is_some_and(|with_port| wanted.eq_ignore_ascii_case(&with_port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(spec: &str) -> Address {
        Address::parse(spec, &StreamParams::default()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn credentials_are_taken_out() {
        let address = parse("rtsp://admin:p%40ss%3Aw@cam.local:8554/stream1?token=abc&x=1");
        assert_eq!(address.credentials, Some(("admin".into(), "p@ss:w".into())));
        assert_eq!(address.url.as_str(), "rtsp://cam.local:8554/stream1?token=abc&x=1");
        assert_eq!(address.name, "rtsp://cam.local:8554/stream1?…");
        assert_eq!(address.secret_url(), "rtsp://admin:p%40ss%3Aw@cam.local:8554/stream1?token=abc&x=1");
        assert!(address.is_rtsp());
    }

    #[test]
    fn errors_say_no_password() {
        for spec in ["ftp://u:secret@cam/1", "rtsp://u:sec#ret@cam/1", "rtsp://u:secret@/1", "gopher://secret@x"] {
            let Err(error) = Address::parse(spec, &StreamParams::default()) else { panic!("{spec}") };
            assert!(!error.to_string().contains("sec"), "{error}");
        }
    }

    #[test]
    fn credentials_of_a_host() {
        let entry = |host: Option<&str>, user: &str| CameraCredentials {
            host: host.map(str::to_owned),
            user: user.into(),
            password: "secret".into(),
        };
        let credentials = vec![entry(Some("a.local"), "one"), entry(Some("b.local:8554"), "two"), entry(None, "all")];
        assert!(!format!("{credentials:?}").contains("secret"));
        let params = StreamParams { credentials, ..StreamParams::default() };
        for (spec, user) in [
            ("rtsp://A.local/1", "one"),
            ("rtsp://b.local:8554/1", "two"),
            ("rtsp://b.local:555/1", "all"),
            ("rtsp://own:word@a.local/1", "own"),
        ] {
            let address = Address::parse(spec, &params).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(address.credentials.map(|(user, _)| user).as_deref(), Some(user), "{spec}");
        }
    }
}
