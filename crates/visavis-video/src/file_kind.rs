//! What a file is, by its first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::VideoError;

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// JPEG, PNG, WebP or BMP.
    Still,
    Gif,
    Mp4,
    /// Known, and not read.
    Unsupported(&'static str),
    Unknown,
}

/// Bytes that [`FileKind::of`] wants to see.
const HEAD: usize = 16;

impl FileKind {
    /// Looks into a file.
    pub(crate) fn of_file(path: &Path) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(VideoError::reading(&name))?;
        let mut head = Vec::with_capacity(HEAD);
        file.take(HEAD as u64).read_to_end(&mut head).map_err(VideoError::reading(&name))?;
        if head.is_empty() { Err(VideoError::Empty { path: name }) } else { Ok(Self::of(&head)) }
    }

    /// Judges by the signatures that the formats' own specifications give.
    pub(crate) fn of(head: &[u8]) -> Self {
        let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        if at(0, b"\xFF\xD8\xFF") || at(0, b"\x89PNG\r\n\x1A\n") || (at(0, b"RIFF") && at(8, b"WEBP")) || at(0, b"BM") {
            return Self::Still;
        }
        if at(0, b"GIF87a") || at(0, b"GIF89a") {
            return Self::Gif;
        }
        if at(4, b"ftyp") {
            // The same box format carries still pictures.
            return match head.get(8..12) {
                Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1") => Self::Unsupported("a HEIF picture"),
                Some(b"avif" | b"avis") => Self::Unsupported("an AVIF picture"),
                _ => Self::Mp4,
            };
        }
        if [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"].iter().any(|kind| at(4, *kind)) {
            return Self::Mp4; // QuickTime from before ftyp
        }
        if at(0, b"\x1A\x45\xDF\xA3") {
            Self::Unsupported("Matroska or WebM")
        } else if at(0, b"RIFF") && at(8, b"AVI ") {
            Self::Unsupported("AVI")
        } else if at(0, b"FLV\x01") {
            Self::Unsupported("Flash video")
        } else if at(0, b"OggS") {
            Self::Unsupported("Ogg")
        } else if at(0, b"\x00\x00\x01\xBA") || at(0, b"\x00\x00\x01\xB3") {
            Self::Unsupported("an MPEG programme stream")
        } else if at(0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11") {
            Self::Unsupported("Windows Media (ASF)")
        } else if at(0, b"II*\0") || at(0, b"MM\0*") {
            Self::Unsupported("TIFF")
        } else if at(0, b"\x00\x00\x00\x01\x67") || at(0, b"\x00\x00\x00\x01\x27") {
            Self::Unsupported("a bare H.264 stream")
        } else if at(0, b"\x47") && head.len() == HEAD && at(1, b"\x40") {
            Self::Unsupported("an MPEG transport stream")
        } else {
            Self::Unknown
        }
    }

    /// Whether a folder of pictures takes it in.
    pub(crate) fn is_picture(self) -> bool {
        matches!(self, Self::Still | Self::Gif)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        let table: [(&[u8], FileKind); 10] = [
            (b"\xFF\xD8\xFF\xE0", FileKind::Still),
            (b"RIFF\0\0\0\0WEBPVP8 ", FileKind::Still),
            (b"RIFF\0\0\0\0AVI LIST", FileKind::Unsupported("AVI")),
            (b"GIF89a", FileKind::Gif),
            (b"\0\0\0\x20ftypisom\0\0\0\0", FileKind::Mp4),
            (b"\0\0\0\x20ftypheic\0\0\0\0", FileKind::Unsupported("a HEIF picture")),
            (b"\0\0\0\x08wide\0\0\0\0mdat", FileKind::Mp4),
            (b"\x1A\x45\xDF\xA3", FileKind::Unsupported("Matroska or WebM")),
            (b"hello, world", FileKind::Unknown),
            (b"", FileKind::Unknown),
        ];
        for (head, kind) in table {
            assert_eq!(FileKind::of(head), kind, "{head:?}");
        }
    }
}
