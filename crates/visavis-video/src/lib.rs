//! Sources and sinks of frames: pictures, folders, GIF, MP4, webcams, standard input, a virtual camera.
//!
//! [`open`] turns what a user types into a [`Source`]; a source hands out [`Shot`]s one after the other, each with its
//! time on the source's own clock. [`Mp4Writer`] goes the other way. What a file is, its first bytes say, never its name.
//!
//! Nothing in here keeps pace: a source that plays from a file ([`Pace::Timeline`]) is as fast as it is read.

mod camera;
mod error;
mod file_kind;
mod gif;
mod h264;
mod mjpeg;
mod mp4;
mod pushed;
mod source;
mod standby;
mod still;
mod stream;
mod switch;
mod virtual_camera;
mod yuv;

pub use camera::{CameraInfo, cameras};
pub use error::VideoError;
pub use mp4::Mp4Writer;
pub use pushed::{Pusher, pushed};
pub use source::{OpenOptions, Pace, RawFormat, Shot, Source, SourceInfo, open};
pub use standby::standby;
pub use switch::{Playing, SourceSwitch, switched};
pub use virtual_camera::VirtualCameraParams;
