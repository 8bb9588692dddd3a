//! The address of a database.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::GalleryError;
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::Wish;

/// The address of a database, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. It is displayed without its password.
#[derive(Clone)]
pub struct Address {
    config: Config,
    tls: MakeRustlsConnect,
    shown: String,
}

/// How the connection is encrypted.
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl Address {
    /// Whether `text` looks like the address of a database.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Parses an address. If it has no password, that of the environment variable `PGPASSWORD` is used. `sslmode` and
    /// `sslrootcert` set the encryption of the connection, as in PostgreSQL's own programs; `verify-full` without
    /// `sslrootcert` trusts the authorities that web browsers trust.
    ///
    /// # Errors
    /// [`GalleryError::Address`] if it is invalid, has no host, or asks for a kind of TLS that is not supported.
    pub fn parse(url: &str) -> Result<Self, GalleryError> {
        let refuse = |reason: &str| GalleryError::Address { reason: reason.to_owned() };
        if !Self::is_meant(url) {
            return Err(refuse("it does not begin with postgres://"));
        }
        let (url, wish) = Wish::taken_from(url).map_err(|reason| refuse(&reason))?;
        // These messages contain nothing of the address, which may have a password.
        let mut config: Config = url.parse().map_err(|error| refuse(&super::failure::words(&error)))?;
        let (mode, tls) = wish.granted().map_err(|reason| refuse(&reason))?;
        config.ssl_mode(mode);
        if config.get_hosts().is_empty() {
            return Err(refuse("it has no host: write postgres://USER@HOST/DATABASE"));
        }
        // An unescaped @ would put a part of the password into the host, which is displayed.
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
            return Err(refuse("write an @ in the password as %40"));
        }
        if config.get_password().is_none()
            && let Ok(password) = std::env::var("PGPASSWORD")
        {
            config.password(password);
        }
        config.application_name("visavis");
        let shown = shown(&config);
        Ok(Self { config, tls, shown })
    }

    /// Connects. Returns the client and the task that transfers its data.
    pub(super) async fn connect(&self) -> Result<(Client, Connection<Socket, Stream>), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// The address as the path of a gallery in errors.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(&self.shown)
    }
}

fn shown(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let name = match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(folder) => encoded(folder),
            };
            // A single port applies to all hosts.
            match config.get_ports().get(at).or(config.get_ports().first()) {
                Some(port) if *port != 5432 => format!("{name}:{port}"),
                _ => name,
            }
        })
        .collect();
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

#[cfg_attr(not(unix), allow(dead_code))]
fn encoded(folder: &Path) -> String {
    folder.to_string_lossy().replace('/', "%2F")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://ada:secret@db.example/faces", "postgres://ada@db.example/faces"),
            ("postgresql://ada:secret@db:5433/faces", "postgres://ada@db:5433/faces"),
            ("postgres://db/faces?user=ada&password=secret", "postgres://ada@db/faces"),
            ("postgres://ada:secret@%2Fvar%2Frun/faces", "postgres://ada@%2Fvar%2Frun/faces"),
            ("postgres://ada:se%40cret@db/faces", "postgres://ada@db/faces"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?}").contains("cret"));
            assert!(address.config.get_password().is_some_and(|password| password.starts_with(b"se")));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_address() {
        for (url, said) in [
            ("people.gallery", "begin with postgres://"),
            ("postgres://ada:sec@ret@db/faces", "%40"),
            ("postgres://ada:secret@db/faces?sslmode=verify-ca", "verify-full"),
            ("postgres://ada:secret@db/faces?sslmode=verify-full&sslrootcert=nowhere.pem", "nowhere.pem"),
            ("postgres://ada:secret@db:port/faces", "port"),
            ("postgres://ada:secret@db/faces?secrets=1", "option"),
            ("postgres:///faces?user=ada", "host"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(matches!(error, GalleryError::Address { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(said) && !text.contains("secret@") && !text.contains("ret@"), "{url}: {text}");
        }
    }
}
