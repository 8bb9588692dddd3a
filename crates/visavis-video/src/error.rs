//! What can go wrong with a source or a sink, and what to do about it.

use std::io;

use visavis_image::codec::CodecError;

use crate::CameraInfo;

/// A source or a sink that does not work.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The path leads nowhere.
    #[error(
        "{path}: no such file or folder; a source is a picture, a folder of pictures, a GIF, an MP4, a camera (camera:0), - or virtual:PATH"
    )]
    NotFound {
        /// As it was given.
        path: String,
    },
    /// The system refused to read.
    #[error("{name}: cannot be read: {source}")]
    Read {
        /// File or stream.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file of 0 bytes.
    #[error("{path}: the file is empty (0 bytes)")]
    Empty {
        /// The file.
        path: String,
    },
    /// Bytes of a format that we do not know.
    #[error("{path}: neither a picture (JPEG, PNG, WebP, BMP, GIF) nor an MP4")]
    UnknownFormat {
        /// The file.
        path: String,
    },
    /// A format that we know and do not read.
    #[error(
        "{path}: is {format}, which is not read; convert it, for instance with `ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p OUT.mp4` (films) or to JPEG (pictures)"
    )]
    UnsupportedFormat {
        /// The file.
        path: String,
        /// Its format.
        format: &'static str,
    },
    /// An MP4 whose pictures are not H.264, or not of the kind that we decode.
    #[error(
        "{path}: its pictures are {codec}; only 8-bit 4:2:0 progressive H.264 is read: convert it with `ffmpeg -i IN -c:v libx264 -pix_fmt yuv420p OUT.mp4`"
    )]
    UnsupportedCodec {
        /// The file.
        path: String,
        /// The code in the file and the name of the codec.
        codec: String,
    },
    /// An MP4 without its index.
    #[error(
        "{path}: the MP4 has no index (moov): the recording was cut off before it was finished; a repair tool may rebuild it"
    )]
    NoIndex {
        /// The file.
        path: String,
    },
    /// An MP4 without pictures.
    #[error("{path}: the MP4 holds no pictures, only sound or other tracks")]
    NoPictureTrack {
        /// The file.
        path: String,
    },
    /// A folder without pictures.
    #[error("{path}: the folder holds no pictures (JPEG, PNG, WebP, BMP, GIF)")]
    NoPictures {
        /// The folder.
        path: String,
    },
    /// A picture that cannot be decoded.
    #[error("{name}: {source}")]
    Picture {
        /// File or stream, with the number of the picture where there are several.
        name: String,
        /// Why.
        source: CodecError,
    },
    /// More pixels than allowed.
    #[error("{name}: {width}x{height} pixels are more than the {most} allowed")]
    TooLarge {
        /// File or stream.
        name: String,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The limit.
        most: u64,
    },
    /// The structure of the file contradicts itself.
    #[error("{name}: damaged: {reason}")]
    Damaged {
        /// File or stream.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// One frame that cannot be decoded; a further read goes on behind it.
    #[error("{name}: frame {frame} cannot be decoded: {reason}")]
    Frame {
        /// File or stream.
        name: String,
        /// Which, from 0, in the order of the file.
        frame: u64,
        /// Why.
        reason: String,
    },
    /// The end is missing.
    #[error("{name}: cut off: it ends at frame {frame}{}", match .of { Some(of) => format!(" of {of}"), None => String::new() })]
    CutShort {
        /// File or stream.
        name: String,
        /// The first frame that is missing, from 0.
        frame: u64,
        /// How many there should be, where the file says.
        of: Option<u64>,
    },
    /// A specification that cannot be meant.
    #[error("source {spec:?}: {reason}")]
    Spec {
        /// As it was given.
        spec: String,
        /// What is wrong.
        reason: String,
    },
    /// No such camera.
    #[error("no camera {device}: {reason}; {}; a file, or virtual:PATH over photos, works without one", match .cameras.as_slice() {
        [] => "the system shows no cameras at all".to_owned(),
        some => format!("there is {}", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    })]
    NoCamera {
        /// As it was asked for.
        device: String,
        /// What the system said.
        reason: String,
        /// Those that exist.
        cameras: Vec<CameraInfo>,
    },
    /// A camera that failed, or was pulled out.
    #[error("camera {device}: {reason}")]
    Camera {
        /// The device.
        device: String,
        /// What the system said.
        reason: String,
    },
    /// A camera that delivers nothing any more.
    #[error(
        "camera {device}: no picture for {seconds} s; is it unplugged, covered by a privacy switch or used by another program?"
    )]
    CameraSilent {
        /// The device.
        device: String,
        /// How long was waited.
        seconds: u64,
    },
    /// This system's cameras are not supported.
    #[error(
        "camera {device}: webcams are read on Linux only; use a file, virtual:PATH, or pipe one in: `ffmpeg … -f mjpeg - | … -`"
    )]
    CamerasUnsupported {
        /// As it was asked for.
        device: String,
    },
    /// A stream that has only one direction.
    #[error("{name}: a stream cannot be rewound")]
    CannotRewind {
        /// The stream.
        name: String,
    },
    /// The system refused to write.
    #[error("{path}: cannot be written: {source}{}", match .source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space, or write elsewhere",
        _ => "",
    })]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A film that cannot be made of these frames.
    #[error("{path}: cannot be encoded: {reason}")]
    Encode {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl VideoError {
    /// The usual mapping of a failed read: a file that is not there has an error of its own.
    pub(crate) fn reading(name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path: name.to_owned() },
            _ => Self::Read { name: name.to_owned(), source },
        }
    }

    /// The usual mapping of a picture that failed.
    pub(crate) fn picture(name: &str) -> impl FnOnce(CodecError) -> Self {
        move |source| match source {
            CodecError::Empty => Self::Empty { path: name.to_owned() },
            CodecError::TooLarge { width, height, most } => {
                Self::TooLarge { name: name.to_owned(), width, height, most }
            }
            source => Self::Picture { name: name.to_owned(), source },
        }
    }
}
