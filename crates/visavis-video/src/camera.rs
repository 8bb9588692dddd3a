//! Webcams.

use crate::camera_info::CameraInfo;
#[cfg(target_os = "linux")]
use crate::reopen::Reopening;
use crate::{OpenOptions, Source, VideoError};

#[cfg(any(target_os = "linux", test))]
mod pixels;
#[cfg(target_os = "linux")]
mod v4l2;

/// The cameras that can be opened, in the order of their numbers. Empty if there are none, and on systems other than Linux.
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
        let reason = "the camera is missing: write camera:0 or camera:/dev/video0".into();
        return Err(VideoError::Spec { spec: "camera:".into(), reason });
    }
    #[cfg(target_os = "linux")]
    {
        let (path, options) = (device_path(device), options.clone());
        let again = Box::new(move || Ok(Box::new(v4l2::Webcam::open(&path, &options)?) as Box<dyn Source>));
        Ok(Box::new(Reopening::new(again)?))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = options;
        Err(VideoError::CamerasUnsupported { device: crate::display_name(&device_path(device)) })
    }
}

fn device_path(device: &str) -> String {
    if device.bytes().all(|byte| byte.is_ascii_digit()) { format!("/dev/video{device}") } else { device.to_owned() }
}

/// Converts a buffer of a webcam with the pixel format of this index; for [`crate::fuzzing`]. Returns whether it was a picture.
#[cfg(target_os = "linux")]
#[must_use]
pub fn unpack(format: usize, size: (u32, u32), stride: usize, buffer: &[u8], max_pixels: u64) -> bool {
    let (_, coding) = pixels::CODINGS[format % pixels::CODINGS.len()];
    pixels::Unpacker::new(coding, size, stride, max_pixels).unpack(buffer).is_ok()
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
