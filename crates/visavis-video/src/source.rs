//! The trait of all sources.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use visavis_image::Picture;
use visavis_image::codec::Decoded;

use crate::display_name::is_address;
use crate::error::VideoError;

/// One picture of a source.
#[derive(Debug)]
pub struct Shot {
    /// The pixels, upright.
    pub picture: Picture,
    /// Time since the start of the source, on its own clock.
    pub at: Duration,
    /// Whether the picture is unrelated to the one before it, such as the next photo of a folder.
    pub cut: bool,
    /// Pixels of the source per pixel of the picture: above 1 if a large photo was shrunk.
    pub shrunk: f32,
}

impl Shot {
    /// A picture that continues the one before it, in the size of the source.
    #[must_use]
    pub fn new(picture: Picture, at: Duration) -> Self {
        Self { picture, at, cut: false, shrunk: 1.0 }
    }

    /// A photo that is unrelated to the one before it.
    pub(crate) fn photo(photo: Decoded, at: Duration) -> Self {
        Self { picture: photo.picture, at, cut: true, shrunk: photo.shrunk }
    }
}

/// Makes a waiting read return [`VideoError::Interrupted`]. It may be called from any thread.
pub type Interrupter = Arc<dyn Fn() + Send + Sync>;

/// Valid frame rates; within them no time overflows.
pub const FRAME_RATES: RangeInclusive<f64> = 0.001..=1000.0;

/// What determines the pace of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A camera or a live stream: a read waits until the next picture is there.
    Own,
    /// A recording: a read returns at once, and the reader waits until [`Shot::at`].
    Timeline,
}

/// What is known about a source before its first picture.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceInfo {
    /// Path, device or stream, for messages.
    pub name: String,
    /// Width of the first picture in pixels; those of a folder may differ. 0 if it is known only from the first picture.
    pub width: u32,
    /// Height likewise.
    pub height: u32,
    /// Pictures per second, if they come regularly.
    pub frame_rate: Option<f64>,
    /// Total number of pictures, if known.
    pub frames: Option<u64>,
    /// What determines the pace.
    pub pace: Pace,
}

impl SourceInfo {
    /// Whether the picture is mirrored by default: that of a camera in front of its viewer is, since people expect a mirror;
    /// those of films and network cameras are not.
    #[must_use]
    pub fn is_mirrored_by_default(&self) -> bool {
        // The name of a network camera is its address.
        self.pace == Pace::Own && !is_address(&self.name)
    }
}

/// The source that plays, for a source that can be switched.
#[derive(Debug, Clone, PartialEq)]
pub struct Playing {
    /// Changes when another source starts to play.
    pub turn: u64,
    /// The source.
    pub info: SourceInfo,
    /// Whether it is the first source.
    pub first: bool,
    /// Whether its pictures are mirrored by the source itself.
    pub mirrored: bool,
    /// Why the previous source ended, if it failed.
    pub failure: Option<String>,
}

impl Playing {
    /// For a source that cannot be switched.
    #[must_use]
    pub fn only(info: SourceInfo) -> Self {
        Self { turn: 0, info, first: true, mirrored: false, failure: None }
    }
}

/// A sequence of pictures.
pub trait Source: Send {
    /// What is known before the first picture.
    fn info(&self) -> &SourceInfo;

    /// The next picture; `None` at the end.
    ///
    /// # Errors
    /// [`VideoError`]. After the error of one picture, a further read continues after it if possible, else it returns
    /// `None`. So a caller that reads on after every error reaches the end.
    fn read(&mut self) -> Result<Option<Shot>, VideoError>;

    /// Starts again from the first picture, with the clock at 0. A camera just continues.
    ///
    /// # Errors
    /// [`VideoError::CannotRewind`] for a stream, [`VideoError::Read`] for a file that does not exist any more.
    fn rewind(&mut self) -> Result<(), VideoError>;

    /// The source that plays. Only a source that can be switched (see [`crate::switched`]) overrides the default.
    fn playing(&self) -> Playing {
        Playing::only(self.info().clone())
    }

    /// A function that interrupts a read that waits for a pipe, a network or another program. `None` (the default) if no
    /// read waits for long.
    fn interrupter(&self) -> Option<Interrupter> {
        None
    }
}
