//! Network streams: their addresses, credentials, and the newest picture of each.
//!
//! RTSP is implemented here (`rtsp`); every other protocol by an installed ffmpeg (`ffmpeg::stream`).

mod address;
mod newest;
mod pause;
mod source;

use std::fmt;
use std::time::Duration;

pub(crate) use address::Address;
pub(crate) use newest::Newest;
pub(crate) use pause::Pause;
pub(crate) use source::NetworkSource;

/// Pictures that are older than this when they are decoded are not shown, since newer ones follow.
pub(crate) const OLD: Duration = Duration::from_secs(1);

/// The transport of the pictures of an RTSP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// TCP, or UDP if the camera refuses TCP.
    #[default]
    Any,
    /// The TCP connection of the RTSP session: no packet is lost.
    Tcp,
    /// UDP. After a lost packet nothing is shown until the next key frame.
    Udp,
}

/// A user name and a password for cameras. They are never printed, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct CameraCredentials {
    /// The host, with `:PORT` for a certain port; `None`: every host.
    pub host: Option<String>,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for CameraCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CameraCredentials").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Parameters of network streams.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamParams {
    /// The transport of an RTSP stream. Default: TCP, or UDP if the camera refuses TCP.
    pub transport: Transport,
    /// A stream without a picture for this long is reopened. Default: 10 s, longer than the pauses of cameras that save
    /// bandwidth, and short enough for a camera that was restarted.
    pub silent_after: Duration,
    /// Credentials for addresses without credentials. The first match is used.
    pub credentials: Vec<CameraCredentials>,
}

impl Default for StreamParams {
    fn default() -> Self {
        Self { transport: Transport::Any, silent_after: Duration::from_secs(10), credentials: Vec::new() }
    }
}
