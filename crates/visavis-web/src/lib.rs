//! The page and its API: watch and control a running pipeline from a browser or a program.
//!
//! [`Listener`] listens on a port; [`Listener::serve`] serves a running pipeline on it until the [`Server`] is dropped. A thread
//! encodes each scene once for all clients, as JSON and JPEG. Everything else is HTTP and WebSocket on a small tokio runtime.
//! Nothing here knows how a face is analysed.

mod access;
mod api;
mod app_state;
mod audit;
mod encode;
mod enrol;
mod guard;
mod metrics;
mod notice;
mod notice_params;
mod output_counts;
mod page;
mod photo_analyzer;
mod problem;
mod record;
mod request_body;
mod scene;
mod server;
mod status;
mod tls;
mod undo_log;

pub use access::{Access, base_path, frame_origin, host_name};
pub use app_state::ServerConfig;
pub use audit::{Audit, AuditRecord};
pub use notice::{Language, notice_invitation};
pub use notice_params::NoticeParams;
pub use output_counts::OutputCounts;
pub use record::{BeginRecord, Record};
pub use server::{Camera, Listener, Server, openapi_json, own_names};
pub use tls::Tls;

use std::io;
use std::net::SocketAddr;

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The server cannot listen on the address.
    #[error("the page cannot be served on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// A setting is not valid.
    #[error("`{setting}` {reason}")]
    Setting {
        /// The setting as it was given.
        setting: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate or its key cannot be used.
    #[error("{path}: cannot be used for encrypted connections: {reason}")]
    Certificate {
        /// The file.
        path: String,
        /// The error message.
        reason: String,
    },
    /// The system did not start a thread or deliver random numbers.
    #[error("the page cannot be served: {0}")]
    System(String),
}
