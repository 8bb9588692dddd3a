//! The page and its API: see a running pipeline and steer it, from a browser or a program.
//!
//! [`Listener`] takes a port, [`Listener::serve`] serves a running pipeline on it until the [`Server`] is dropped. A thread of
//! its own makes one message of each scene, JSON and JPEG, for all clients; the rest is HTTP and WebSocket on a small tokio
//! runtime, the only one of the program. Nothing here knows how a face is analysed.

mod api;
mod desk;
mod encode;
mod enrol;
mod guard;
mod page;
mod problem;
mod record;
mod scene;
mod server;
mod status;
mod undo;

pub use desk::Parts;
pub use record::{BeginRecord, Record};
pub use server::{Listener, Server, openapi_json};

use std::io;
use std::net::SocketAddr;

/// What keeps the page from being served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address cannot be listened on.
    #[error(
        "the page cannot be served on {address}: {source}; name another address with --listen, or do without: --no-page"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's own words.
        source: io::Error,
    },
    /// No thread, or no randomness, to be had.
    #[error("the page cannot be served: {0}")]
    System(String),
}
