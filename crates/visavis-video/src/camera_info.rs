//! A webcam before it is opened.

use std::fmt;

/// A camera of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraInfo {
    /// What to open, such as `/dev/video0`.
    pub path: String,
    /// The name given by the manufacturer.
    pub name: String,
}

impl fmt::Display for CameraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() { f.write_str(&self.path) } else { write!(f, "{} ({})", self.path, self.name) }
    }
}
