//! The address of an MQTT broker.

use std::fmt;

use anyhow::{Result, bail};
use percent_encoding::percent_decode_str;
use url::Url;

/// The prefix of topics if the address has no path.
const DEFAULT_PREFIX: &str = "visavis";

/// The address of a broker as it was given. It may contain a password, so it is never shown.
#[derive(Clone)]
pub(crate) struct BrokerUrl(String);

impl From<String> for BrokerUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mqtt://…")
    }
}

/// The parts of `mqtt://[USER[:PASSWORD]@]HOST[:PORT][/PREFIX]`.
pub(super) struct Broker {
    /// Whether the connection is encrypted: `mqtts://`.
    pub(super) encrypted: bool,
    pub(super) host: String,
    /// 1883, or 8883 for an encrypted connection, if none was given.
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// The first levels of all topics, without a slash at the end.
    pub(super) prefix: String,
}

impl Broker {
    /// Reads an address.
    ///
    /// # Errors
    /// If it has another form. The error does not repeat the address, which may contain a password.
    pub(super) fn parse(BrokerUrl(text): &BrokerUrl) -> Result<Self> {
        let form =
            "--mqtt needs an address such as mqtt://ada@broker.local/visavis or mqtts://broker.local:8883/visavis";
        let Ok(url) = Url::parse(text) else { bail!("the address of the MQTT broker cannot be read: {form}") };
        let encrypted = match url.scheme() {
            "mqtt" => false,
            "mqtts" => true,
            _ => bail!("the address of the MQTT broker must begin with mqtt:// or mqtts://: {form}"),
        };
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            bail!("the address of the MQTT broker has no host: {form}")
        };
        if url.query().is_some() || url.fragment().is_some() {
            bail!(
                "the address of the MQTT broker must have no `?` and no `#`; write them as %3F and %23 in a password"
            );
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned);
        let (Ok(user), Ok(password), Ok(path)) =
            (decoded(url.username()), decoded(url.password().unwrap_or_default()), decoded(url.path()))
        else {
            bail!("the address of the MQTT broker contains bytes that are not UTF-8")
        };
        let prefix = match path.trim_matches('/') {
            "" => DEFAULT_PREFIX,
            path => path,
        };
        check_topic(prefix)?;
        Ok(Self {
            encrypted,
            host: percent_decode_str(host).decode_utf8_lossy().into_owned(),
            port: url.port().unwrap_or(if encrypted { 8883 } else { 1883 }),
            user: Some(user).filter(|user| !user.is_empty()),
            password: Some(password).filter(|password| !password.is_empty()),
            prefix: prefix.to_owned(),
        })
    }
}

/// Host and port, without the user and the password.
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Checks the first levels of topics.
///
/// # Errors
/// If the text contains a wildcard, an empty level or a control character, or begins with `$`.
pub(super) fn check_topic(text: &str) -> Result<()> {
    let wrong = |c: char| c == '+' || c == '#' || c.is_control();
    if text.is_empty() || text.contains(wrong) || text.split('/').any(str::is_empty) || text.starts_with('$') {
        bail!("`{text}` is no beginning of MQTT topics: it must have no +, no #, no empty level and no $ at its start");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Broker> {
        Broker::parse(&BrokerUrl(text.to_owned()))
    }

    #[test]
    fn addresses_have_defaults() {
        let broker = parse("mqtt://broker.local").unwrap();
        assert_eq!((broker.encrypted, broker.port, broker.prefix.as_str()), (false, 1883, "visavis"));
        assert!(broker.user.is_none() && broker.password.is_none());
        let broker = parse("mqtts://ada:l%40ve%2F@10.0.0.7:8884/home/faces/").unwrap();
        assert_eq!((broker.encrypted, broker.port, broker.prefix.as_str()), (true, 8884, "home/faces"));
        assert_eq!((broker.user.as_deref(), broker.password.as_deref()), (Some("ada"), Some("l@ve/")));
        assert_eq!(broker.to_string(), "10.0.0.7:8884");
        assert_eq!(parse("mqtts://broker_1").unwrap().to_string(), "broker_1:8883");
    }

    #[test]
    fn faults_are_named_without_the_password() {
        for bad in [
            "broker.local",
            "http://ada:secret@broker",
            "mqtt://",
            "mqtt://ada:secret@",
            "mqtt://ada:secret@broker:many/x",
            "mqtt://ada:secret@broker/a/%23",
            "mqtt://ada:secret@broker/a//b",
            "mqtt://ada:secret@broker/$SYS",
            "mqtt://ada:secret@broker/a?b",
            "mqtt://ada:secret@broker/%ff",
        ] {
            let Err(error) = parse(bad) else { panic!("{bad}") };
            assert!(!format!("{error:#}").contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", BrokerUrl("mqtt://ada:secret@broker".into())).contains("secret"));
    }
}
