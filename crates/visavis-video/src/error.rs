//! The errors of sources and sinks.

use std::io;

use visavis_image::codec::CodecError;

use crate::camera_info::CameraInfo;
use crate::display_name::display_name;

/// The errors of sources and sinks.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The path does not exist.
    #[error(
        "{path}: no such file or folder; a source is a picture, a folder of pictures, a film, a camera (camera:0), an address (rtsp://…, http://…), - or virtual:PATH"
    )]
    NotFound {
        /// As it was given.
        path: String,
    },
    /// The system could not read the file or stream.
    #[error("{name} cannot be read: {source}")]
    Read {
        /// File or stream.
        name: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is empty.
    #[error("{path}: the file is empty (0 bytes)")]
    Empty {
        /// The file.
        path: String,
    },
    /// The format is unknown.
    #[error("{path}: the contents are neither a picture nor a film of a known format")]
    UnknownFormat {
        /// The file.
        path: String,
    },
    /// Reading the format needs ffmpeg, which is not installed.
    #[error(
        "{path}: {format} needs ffmpeg and ffprobe, which are not installed: install them (`apt-get install ffmpeg`, `brew install ffmpeg`, `winget install ffmpeg`), or convert the file to MP4 with H.264 (films) or to JPEG (pictures)"
    )]
    NoFfmpeg {
        /// The file.
        path: String,
        /// Its format.
        format: String,
    },
    /// ffmpeg could not decode a file completely.
    #[error("{name} cannot be decoded by ffmpeg: {reason}")]
    Ffmpeg {
        /// The file.
        name: String,
        /// The message of ffmpeg.
        reason: String,
    },
    /// A film was decoded to its end, but parts of it are missing.
    #[error("{name} is damaged: {frames} frames were decoded, parts of it could not be: {reason}{}", match .count { 0 | 1 => String::new(), count => format!(" (and {} more messages)", count - 1) })]
    PartlyDecoded {
        /// The file.
        name: String,
        /// Number of decoded frames.
        frames: u64,
        /// Number of messages about the damage.
        count: u64,
        /// The first message.
        reason: String,
    },
    /// A waiting read was interrupted.
    #[error("{name}: interrupted")]
    Interrupted {
        /// File or stream.
        name: String,
    },
    /// The file is metadata that macOS writes beside a file.
    #[error("{path}: this is metadata that macOS writes beside a file (AppleDouble): give the path of the file itself")]
    AppleDouble {
        /// The file.
        path: String,
    },
    /// The pictures of an MP4 are not H.264, or of a kind that needs ffmpeg.
    #[error(
        "{path}: its pictures are {codec}, which needs ffmpeg: without it only 8-bit 4:2:0 progressive H.264 is read"
    )]
    UnsupportedCodec {
        /// The file.
        path: String,
        /// The code and the name of the codec.
        codec: String,
    },
    /// An MP4 has no index.
    #[error(
        "{path}: the MP4 has no index (moov), because the recording was not finished: a repair tool may rebuild it"
    )]
    NoIndex {
        /// The file.
        path: String,
    },
    /// A film file has no pictures.
    #[error("{path}: the file has no video track, only sound or other tracks")]
    NoPictureTrack {
        /// The file.
        path: String,
    },
    /// A film was given instead of a photo.
    #[error("{path} is a film, but a photo is needed")]
    NoPicture {
        /// The file.
        path: String,
    },
    /// A folder contains no pictures.
    #[error("{path}: the folder contains no pictures")]
    NoPictures {
        /// The folder.
        path: String,
    },
    /// A picture cannot be decoded.
    #[error("{name}: {source}")]
    Picture {
        /// File or stream, with the number of the picture if there are several.
        name: String,
        /// Why.
        source: CodecError,
    },
    /// The picture has more pixels than allowed.
    #[error("{name}: {width}x{height} pixels are more than the {most} allowed")]
    TooLarge {
        /// File or stream.
        name: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Maximum number of pixels.
        most: u64,
    },
    /// The structure of the file is invalid.
    #[error("{name} is damaged: {reason}")]
    Damaged {
        /// File or stream.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A frame cannot be decoded. The next read continues after it.
    #[error("{name}: frame {frame} cannot be decoded: {reason}")]
    Frame {
        /// File or stream.
        name: String,
        /// Number of the frame, from 0, in the order of the file.
        frame: u64,
        /// Why.
        reason: String,
    },
    /// The file is truncated.
    #[error("{name} is cut off at frame {frame}{}", match .of { Some(of) => format!(" of {of}"), None => String::new() })]
    CutShort {
        /// File or stream.
        name: String,
        /// The first frame that is missing, from 0.
        frame: u64,
        /// Number of frames that the file should have, if known.
        of: Option<u64>,
    },
    /// The description of the source is invalid.
    #[error("source {spec:?}: {reason}")]
    Spec {
        /// As it was given.
        spec: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such camera.
    #[error("no camera {device}: {reason}; {}; without a camera, use a file or virtual:PATH (photos)", match .cameras.as_slice() {
        [] => "no cameras were found".to_owned(),
        some => format!("found: {}", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    })]
    NoCamera {
        /// The requested camera.
        device: String,
        /// The error of the system.
        reason: String,
        /// The existing cameras.
        cameras: Vec<CameraInfo>,
    },
    /// A camera failed or was unplugged.
    #[error("camera {device}: {reason}")]
    Camera {
        /// The device.
        device: String,
        /// The error of the system.
        reason: String,
    },
    /// A camera does not deliver pictures any more.
    #[error(
        "camera {device}: no picture for {seconds} s: check whether it is unplugged, switched off by a privacy switch or used by another program"
    )]
    CameraSilent {
        /// The device.
        device: String,
        /// How long the program waited, in seconds.
        seconds: u64,
    },
    /// Cameras are not supported on this system.
    #[error(
        "camera {device}: webcams are supported on Linux only: use a file, virtual:PATH, or a pipe: `ffmpeg … -f mjpeg - | … -`"
    )]
    CamerasUnsupported {
        /// The requested camera.
        device: String,
    },
    /// A network stream cannot be opened, or failed.
    #[error("{name}: {reason}")]
    Stream {
        /// The address without its secrets.
        name: String,
        /// What happened, and whether it is opened again.
        reason: String,
    },
    /// A stream needs a user name and password, or refused those that were given.
    #[error("{name}: {}: put them into the address (SCHEME://USER:PASSWORD@HOST/…), or into the environment or a file, where other users of this machine cannot see them", match .given {
        true => "the camera refuses the given user name and password",
        false => "the camera asks for a user name and a password",
    })]
    StreamDenied {
        /// The address without its secrets.
        name: String,
        /// Whether a user name and password were given.
        given: bool,
    },
    /// Reading the stream needs ffmpeg, which is not installed.
    #[error(
        "{name}: {format} needs ffmpeg and ffprobe, which are not installed: install them (`apt-get install ffmpeg`, `brew install ffmpeg`, `winget install ffmpeg`), or use an rtsp:// address with H.264 (8 bits, 4:2:0, progressive)"
    )]
    StreamNeedsFfmpeg {
        /// The address without its secrets.
        name: String,
        /// The format of the stream.
        format: String,
    },
    /// A stream cannot be rewound.
    #[error("{name}: a stream cannot be rewound")]
    CannotRewind {
        /// The stream.
        name: String,
    },
    /// The system could not write the file.
    #[error("{path} cannot be written: {source}{}", match .source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": free some space, or write to another disk",
        _ => "",
    })]
    Write {
        /// The file.
        path: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The frames cannot be encoded as a film.
    #[error("{path} cannot be encoded: {reason}")]
    Encode {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl VideoError {
    /// Converts a failed read; a missing file has its own error. What is no file may be an address with a password.
    pub(crate) fn reading(name: &str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path: display_name(name) },
            _ => Self::Read { name: display_name(name), source },
        }
    }

    /// Converts the failure of a picture.
    pub(crate) fn picture(name: &str) -> impl FnOnce(CodecError) -> Self {
        move |source| match source {
            CodecError::Empty => Self::Empty { path: name.to_owned() },
            CodecError::TooLarge { width, height, most } => {
                Self::TooLarge { name: name.to_owned(), width, height, most }
            }
            CodecError::Decode(reason) => {
                Self::Picture { name: name.to_owned(), source: CodecError::Decode(reason.trim_end().to_owned()) }
            }
            source => Self::Picture { name: name.to_owned(), source },
        }
    }
}
