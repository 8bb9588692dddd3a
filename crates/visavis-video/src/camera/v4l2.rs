//! Webcams of Linux (Video4Linux 2).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linuxvideo::format::{PixFormat, PixelFormat};
use linuxvideo::stream::ReadStream;
use linuxvideo::{CapabilityFlags, Device, Fract, VideoCaptureDevice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::pixels::{CODINGS, Coding, Unpacker};
use crate::camera_info::CameraInfo;
use crate::{OpenOptions, Pace, Shot, Source, SourceInfo, VideoError, display_name};

/// A camera that sends nothing for this long has failed. The slowest cameras need two seconds to start.
const PATIENCE: Duration = Duration::from_secs(5);
/// Number of consecutive damaged pictures (a loose plug, a full USB bus) after which the camera has failed.
const MOST_SPOILT: u32 = 30;

pub(super) fn cameras() -> Vec<CameraInfo> {
    let Ok(entries) = fs::read_dir("/sys/class/video4linux") else { return Vec::new() };
    let mut found: Vec<(u32, CameraInfo)> = entries
        .flatten()
        .filter_map(|entry| {
            let node = entry.file_name().into_string().ok()?;
            let number = node.strip_prefix("video")?.parse().ok()?;
            let path = format!("/dev/{node}");
            // A webcam has several device nodes; only those that deliver pictures are listed. A node that cannot be queried
            // (permissions, in use) is listed too: opening it reports why.
            let films = Device::open(&path).and_then(|device| device.capabilities());
            if films.is_ok_and(|films| !films.device_capabilities().contains(CapabilityFlags::VIDEO_CAPTURE)) {
                return None;
            }
            let name = fs::read(entry.path().join("name")).unwrap_or_default();
            Some((number, CameraInfo { path, name: String::from_utf8_lossy(&name).trim().to_owned() }))
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, camera)| camera).collect()
}

/// A webcam.
pub(super) struct Webcam {
    info: SourceInfo,
    stream: ReadStream,
    unpacker: Unpacker,
    started: Option<Instant>,
    failed: bool,
}

impl Webcam {
    pub(super) fn open(path: &str, options: &OpenOptions) -> Result<Self, VideoError> {
        let missing = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "it does not exist".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "no permission; your user must belong to the group that owns it, usually `video`".to_owned()
                }
                _ => match error.raw_os_error() {
                    Some(ENOTTY) => "it is not a camera".to_owned(),
                    _ => error.to_string(),
                },
            };
            // It may be an address with a password.
            VideoError::NoCamera { device: display_name(path), reason, cameras: cameras() }
        };
        let failed = |error: io::Error| VideoError::Camera { device: path.to_owned(), reason: explain(&error) };
        let device = resolve(path).and_then(Device::open).map_err(missing)?;
        let abilities = device.capabilities().map_err(missing)?.device_capabilities();
        if !abilities.contains(CapabilityFlags::VIDEO_CAPTURE | CapabilityFlags::STREAMING) {
            return Err(missing(io::Error::other("it delivers no pictures")));
        }
        let (device, coding) = negotiate(device, path, options.camera_size)?;
        let (width, height) = (device.format().width(), device.format().height());
        if width == 0 || height == 0 {
            return Err(failed(io::Error::other("it offers a picture size of 0 pixels")));
        }
        if u64::from(width) * u64::from(height) > options.max_pixels {
            return Err(VideoError::TooLarge { name: path.to_owned(), width, height, most: options.max_pixels });
        }
        // A thousandth of a frame per second is finer than any camera. Many cameras do not support setting the rate, which
        // is no error.
        let wish = options.frame_rate.unwrap_or(30.0).clamp(0.01, 1000.0);
        let frame_rate = match device.set_frame_interval(Fract::new(1000, (wish * 1000.0) as u32)) {
            Ok(interval) if interval.numerator() > 0 => {
                Some(f64::from(interval.denominator()) / f64::from(interval.numerator()))
            }
            Ok(_) => None,
            Err(error) => {
                log::debug!("{path}: the frame rate could not be set: {error}");
                None
            }
        };
        let stride = device.format().bytes_per_line() as usize;
        let stream = device.into_stream().map_err(failed)?;
        log::info!("{path}: {width}x{height}, {coding:?}, {frame_rate:?} frames per second");
        Ok(Self {
            info: SourceInfo { name: path.to_owned(), width, height, frame_rate, frames: None, pace: Pace::Own },
            stream,
            unpacker: Unpacker::new(coding, (width, height), stride, options.max_pixels),
            started: None,
            failed: false,
        })
    }

    /// Waits until a picture is there.
    fn wait(&self) -> Result<(), VideoError> {
        let until = Instant::now() + PATIENCE;
        let device = || self.info.name.clone();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(VideoError::CameraSilent { device: device(), seconds: PATIENCE.as_secs() }),
                Ok(_) if fds[0].revents().contains(PollFlags::IN) => return Ok(()),
                Ok(_) => {
                    return Err(VideoError::Camera {
                        device: device(),
                        reason: "it was disconnected: check whether it was unplugged".into(),
                    });
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(VideoError::Camera { device: device(), reason: explain(&error.into()) }),
            }
        }
    }

    /// The next picture that is not damaged.
    fn shoot(&mut self) -> Result<Shot, VideoError> {
        let mut reason = String::new();
        for _ in 0..MOST_SPOILT {
            self.wait()?;
            let at = self.started.get_or_insert_with(Instant::now).elapsed();
            let unpacker = &mut self.unpacker;
            let taken = self.stream.dequeue(|buffer| {
                if buffer.is_error() {
                    return Ok(Err("the driver marked it as damaged".to_owned()));
                }
                Ok(unpacker.unpack(&buffer))
            });
            match taken {
                Ok(Ok(picture)) => return Ok(Shot::new(picture, at)),
                Ok(Err(spoilt)) => {
                    log::debug!("{}: a picture is damaged: {spoilt}", self.info.name);
                    reason = spoilt;
                }
                Err(error) => {
                    return Err(VideoError::Camera { device: self.info.name.clone(), reason: explain(&error) });
                }
            }
        }
        let reason = format!("{MOST_SPOILT} consecutive pictures were damaged; the last one: {reason}");
        Err(VideoError::Camera { device: self.info.name.clone(), reason })
    }
}

impl Source for Webcam {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        if self.failed {
            return Ok(None);
        }
        let shot = self.shoot();
        self.failed = shot.is_err();
        shot.map(Some)
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        Ok(())
    }
}

const ENODEV: i32 = 19;
const EBUSY: i32 = 16;
const ENOTTY: i32 = 25;

fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(ENODEV) => "it was disconnected: check whether it was unplugged".to_owned(),
        Some(EBUSY) => "another program is using it".to_owned(),
        _ => error.to_string(),
    }
}

/// Follows links such as those in `/dev/v4l/by-id`, and refuses a file that is not a device before it is opened for writing.
fn resolve(path: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::FileTypeExt;
    let path = Path::new(path).canonicalize()?;
    if path.metadata()?.file_type().is_char_device() { Ok(path) } else { Err(io::Error::other("it is not a device")) }
}

/// The first of our formats that the camera supports. The driver may choose another format than the requested one, which is
/// accepted if it is one of ours.
fn negotiate(device: Device, path: &str, size: (u32, u32)) -> Result<(VideoCaptureDevice, Coding), VideoError> {
    let mut device = Some(device);
    let mut offered: Vec<String> = Vec::new();
    for (wish, _) in CODINGS {
        let fresh = match device.take() {
            Some(device) => Ok(device),
            None => resolve(path).and_then(Device::open),
        };
        let wish = PixFormat::new(size.0, size.1, PixelFormat::from_fourcc(wish));
        let answer = match fresh.and_then(|device| device.video_capture(wish)) {
            Ok(taken) => match coding(taken.format()) {
                Some(coding) => return Ok((taken, coding)),
                None => taken.format().pixel_format().to_string(),
            },
            Err(error) => explain(&error),
        };
        if !offered.contains(&answer) {
            offered.push(answer);
        }
    }
    let ours = CODINGS.map(|(name, _)| String::from_utf8_lossy(&name).into_owned()).join(", ");
    let reason = format!("it offers none of the formats {ours}, but: {}", offered.join(", "));
    Err(VideoError::Camera { device: path.to_owned(), reason })
}

fn coding(format: &PixFormat) -> Option<Coding> {
    CODINGS
        .into_iter()
        .find(|(name, _)| PixelFormat::from_fourcc(*name) == format.pixel_format())
        .map(|(_, coding)| coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_camera() {
        let error = Webcam::open("/dev/null", &OpenOptions::default()).err().unwrap();
        assert!(matches!(&error, VideoError::NoCamera { .. }), "{error}");
        let folder = Webcam::open("/", &OpenOptions::default()).err().unwrap().to_string();
        assert!(folder.contains("it is not a device"), "{folder}");
    }

    #[test]
    fn formats_that_we_take() {
        let format = |code: [u8; 4]| coding(&PixFormat::new(639, 480, PixelFormat::from_fourcc(code)));
        assert_eq!(format(*b"MJPG"), Some(Coding::Jpeg));
        assert_eq!(format(*b"NV12"), Some(Coding::Pairs { swapped: false }));
        assert_eq!(format(*b"BA81"), None, "a Bayer pattern");
    }
}
