//! Sources and sinks of frames: photos, folders, films, webcams, network cameras, pipes, a virtual camera.
//!
//! [`open`] opens the [`Source`] that a user describes. A source returns [`Shot`]s one after the other, each with its time
//! on the clock of the source. [`Mp4Writer`] writes films. The type of a file follows from its contents, never from its
//! name.
//!
//! JPEG, PNG, WebP, BMP, GIF and MP4 with H.264 are decoded by this crate, everything else by an installed [`Ffmpeg`]. RTSP
//! is implemented with one thread per camera, which runs its own async runtime; nothing else in this crate is async.
//!
//! No source waits for the time of a picture: a source that plays a file ([`Pace::Timeline`]) is as fast as it is read.

mod camera;
mod camera_info;
mod display_name;
mod error;
mod ffmpeg;
mod file_kind;
#[doc(hidden)]
pub mod fuzzing;
mod gif;
mod h264;
mod mjpeg;
mod mp4;
mod network;
mod open;
mod options;
mod pipe;
mod pushed;
#[cfg(any(target_os = "linux", test))]
mod reopen;
mod rtsp;
mod source;
mod standby;
mod still;
mod stream;
mod switch;
mod virtual_camera;
mod yuv;

pub use camera::cameras;
pub use camera_info::CameraInfo;
pub use display_name::display_name;
pub use error::VideoError;
pub use ffmpeg::Ffmpeg;
pub use file_kind::FileKind;
pub use mp4::Mp4Writer;
pub use network::{CameraCredentials, StreamParams, Transport};
pub use open::{open, open_path, path_of};
pub use options::{OpenOptions, RawFormat, VirtualCameraParams};
pub use pushed::{Pusher, pushed};
pub use source::{FRAME_RATES, Interrupter, Pace, Playing, Shot, Source, SourceInfo};
pub use standby::standby;
pub use still::{FolderContents, load as load_photo};
pub use switch::{SourceSwitch, switched};
