//! How sources are opened.

use std::time::Duration;

use visavis_image::codec;

use crate::network::StreamParams;

/// The format of raw RGB pictures on standard input or a named pipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawFormat {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures per second.
    pub frame_rate: f64,
}

/// How to open a source.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Maximum number of pixels. Larger pictures are refused before they are decoded, but JPEG photos of up to four times as
    /// many are shrunk while they are decoded. Default: 50 million.
    pub max_pixels: u64,
    /// Whether ffmpeg decodes films on the GPU, if it can. Default: no.
    pub hardware_decoding: bool,
    /// The format of raw RGB pictures on standard input or a named pipe; `None` (default): JPEG pictures one after the other.
    pub raw: Option<RawFormat>,
    /// The requested picture size of a camera, which uses its nearest size. Default: 1280×720, in which faces across a room
    /// are large enough and every webcam delivers 30 pictures per second.
    pub camera_size: (u32, u32),
    /// The requested rate of a camera, or the rate of the JPEG pictures of a pipe or a film. `None` (default): the default of
    /// the camera; the time of arrival for a pipe; 25 for a film.
    pub frame_rate: Option<f64>,
    /// Duration of each picture of a folder. Default: 1 s.
    pub still_interval: Duration,
    /// Parameters of `virtual:PATH`.
    pub virtual_camera: VirtualCameraParams,
    /// Parameters of network streams.
    pub stream: StreamParams,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            max_pixels: codec::MAX_PIXELS,
            hardware_decoding: false,
            raw: None,
            camera_size: (1280, 720),
            frame_rate: None,
            still_interval: Duration::from_secs(1),
            virtual_camera: VirtualCameraParams::default(),
            stream: StreamParams::default(),
        }
    }
}

/// Parameters of a virtual camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VirtualCameraParams {
    /// Width in pixels. Default: 1280.
    pub width: u32,
    /// Height in pixels. Default: 720.
    pub height: u32,
    /// Pictures per second. Default: 30.
    pub frame_rate: f64,
    /// Seconds per photo. Default: 4.
    pub seconds_per_photo: f64,
    /// Largest zoom, 1 to 4. Default: 1.3, which keeps more than three quarters of the photo in view.
    pub zoom: f32,
    /// Number of passes through the photos; `None` (default): without end.
    pub loops: Option<u32>,
}

impl Default for VirtualCameraParams {
    fn default() -> Self {
        Self { width: 1280, height: 720, frame_rate: 30.0, seconds_per_photo: 4.0, zoom: 1.3, loops: None }
    }
}
