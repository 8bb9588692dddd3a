//! Webcams.

use std::fmt;

use crate::{OpenOptions, Source, VideoError};

#[cfg(target_os = "linux")]
mod v4l2;

/// A camera of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraInfo {
    /// What to open, such as `/dev/video0`.
    pub path: String,
    /// What the maker calls it.
    pub name: String,
}

impl fmt::Display for CameraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() { f.write_str(&self.path) } else { write!(f, "{} ({})", self.path, self.name) }
    }
}

/// The cameras that can be opened, in the order of their numbers. Empty where there are none, and on systems other than
/// Linux.
#[must_use]
pub fn cameras() -> Vec<CameraInfo> {
    #[cfg(target_os = "linux")]
    return v4l2::cameras();
    #[cfg(not(target_os = "linux"))]
    Vec::new()
}

/// Opens a camera by number or path.
pub(crate) fn open(device: &str, options: &OpenOptions) -> Result<Box<dyn Source>, VideoError> {
    if device.is_empty() {
        let reason = "names no camera; say camera:0, or camera:/dev/video0".into();
        return Err(VideoError::Spec { spec: "camera:".into(), reason });
    }
    #[cfg(target_os = "linux")]
    return Ok(Box::new(v4l2::Webcam::open(&device_path(device), options)?));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = options;
        Err(VideoError::CamerasUnsupported { device: device_path(device) })
    }
}

fn device_path(device: &str) -> String {
    if device.bytes().all(|byte| byte.is_ascii_digit()) { format!("/dev/video{device}") } else { device.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_devices() {
        assert_eq!(device_path("2"), "/dev/video2");
        assert_eq!(device_path("/dev/v4l/by-id/cam"), "/dev/v4l/by-id/cam");
    }

    #[test]
    fn a_missing_camera_is_named_with_a_way_out() {
        let error = open("9999", &OpenOptions::default()).err().unwrap().to_string();
        assert!(error.contains("/dev/video9999"), "{error}");
        assert!(error.contains("virtual:"), "{error}");
        assert!(matches!(open("", &OpenOptions::default()), Err(VideoError::Spec { .. })));
    }
}
