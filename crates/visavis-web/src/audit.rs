//! Who changed what, for the audit log.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::connect_info::Connected;
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use serde_json::{Value, json};

use crate::tls::TlsListener;

/// A change that a client of the API made. Contains no picture and no embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRecord {
    /// Who asked, and from where: an object.
    pub who: Value,
    /// What was done, such as `person_renamed`.
    pub action: &'static str,
    /// To what: an object.
    pub details: Value,
}

/// Writes a record. Called after the change was made; must not fail.
pub type Audit = Arc<dyn Fn(&AuditRecord) + Send + Sync>;

/// The longest value of a header that is recorded.
const MAX_HEADER: usize = 200;

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, tokio::net::TcpListener>> for PeerAddress {
    fn connect_info(stream: IncomingStream<'_, tokio::net::TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for PeerAddress {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// The sender of a request, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Client(Value);

impl Client {
    /// The client as it is recorded.
    pub(crate) fn to_json(&self) -> Value {
        self.0.clone()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.chars().take(MAX_HEADER).collect::<String>())
        };
        let address = parts.extensions.get::<axum::extract::ConnectInfo<PeerAddress>>();
        let authentication = parts.extensions.get::<Authentication>().map_or("none", |Authentication(kind)| kind);
        let mut who = json!({
            "via": "api",
            "authentication": authentication,
            "address": address.map(|address| address.0.0.ip().to_string()),
        });
        // A proxy tells the address of its client. Anybody can send this header, so it proves nothing.
        if let (Some(who), Some(forwarded)) = (who.as_object_mut(), header("x-forwarded-for")) {
            who.insert("forwarded_for".into(), forwarded.into());
        }
        Ok(Self(who))
    }
}

/// How a request was authenticated: `token`, or `none` where no token is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Authentication(pub(crate) &'static str);
