//! Recognises the type of a file by its first bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::{VideoError, mjpeg};

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// JPEG, PNG, WebP or BMP.
    Still,
    /// GIF, animated or not.
    Gif,
    /// MP4 or QuickTime, with any codec.
    Mp4,
    /// A picture of a format that only ffmpeg reads; with its name.
    OtherStill(&'static str),
    /// A film of another format, with its name. Only ffmpeg reads them, except JPEG pictures one after the other.
    OtherFilm(&'static str),
    /// Metadata that macOS writes beside a file: `._NAME`.
    AppleDouble,
    /// None of these.
    Unknown,
}

/// Number of bytes that [`FileKind::of`] needs: three packets of a transport stream.
const HEAD: usize = 3 * 192;

/// Signatures of pictures that only ffmpeg reads.
const STILLS: [(&[u8], &str); 10] = [
    (b"\xFF\x0A", "JPEG XL"),
    (b"\0\0\0\x0CJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0CjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xFFO\xFFQ", "JPEG 2000"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"8BPS", "a Photoshop document"),
    (b"qoif", "QOI"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
];

/// Signatures of films that only ffmpeg reads.
const FILMS: [(&[u8], &str); 20] = [
    (b"\x1A\x45\xDF\xA3", "Matroska or WebM"),
    (b"FLV\x01", "Flash video"),
    (b"OggS", "Ogg"),
    (b"\0\0\x01\xBA", "an MPEG programme stream"),
    (b"\0\0\x01\xB3", "a bare MPEG video stream"),
    (b"\0\0\x01\xB0", "a bare MPEG-4 video stream"),
    (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "Windows Media (ASF)"),
    (b"\x06\x0E\x2B\x34", "MXF"),
    (b".RMF", "RealMedia"),
    (b"DKIF", "IVF"),
    (b"YUV4MPEG2", "bare YUV (Y4M)"),
    (b"nut/multimedia container\0", "NUT"),
    (b"\x1F\x07\0", "DV"),
    (b"BIK", "Bink"),
    (b"\x12\0\x0A", "a bare AV1 stream"),
    // Access unit delimiters and parameter sets, with the two header bytes that are common in H.264.
    (b"\0\0\0\x01\x09", "a bare H.264 stream"),
    (b"\0\0\0\x01\x67", "a bare H.264 stream"),
    (b"\0\0\0\x01\x27", "a bare H.264 stream"),
    (b"\0\0\0\x01\x46\x01", "a bare H.265 stream"),
    (b"\0\0\0\x01\x40\x01", "a bare H.265 stream"),
];

impl FileKind {
    /// Recognises a file.
    ///
    /// # Errors
    /// [`VideoError`] if the file cannot be read or is empty.
    pub fn of_file(path: &Path) -> Result<Self, VideoError> {
        let name = path.display().to_string();
        let found = path.metadata().map_err(VideoError::reading(&name))?;
        if !found.is_file() && !found.is_dir() {
            // Opening a named pipe waits for its writer.
            let source = io::Error::other("it is not a regular file");
            return Err(VideoError::Read { name, source });
        }
        let mut file = File::open(path).map_err(VideoError::reading(&name))?;
        let mut head = Vec::with_capacity(HEAD);
        (&mut file).take(HEAD as u64).read_to_end(&mut head).map_err(VideoError::reading(&name))?;
        if head.is_empty() {
            return Err(VideoError::Empty { path: name });
        }
        if mjpeg::may_be_film(&head) && mjpeg::is_film(head.as_slice().chain(file), found.len()) {
            return Ok(Self::OtherFilm(mjpeg::FILM));
        }
        Ok(Self::of(&head))
    }

    /// Recognises the first bytes by the signatures in the specifications of the formats.
    pub(crate) fn of(head: &[u8]) -> Self {
        let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        if at(0, b"\xFF\xD8\xFF") || at(0, b"\x89PNG\r\n\x1A\n") || (at(0, b"RIFF") && at(8, b"WEBP")) || is_bmp(head) {
            return Self::Still;
        }
        if at(0, b"GIF87a") || at(0, b"GIF89a") {
            return Self::Gif;
        }
        if at(0, b"\0\x05\x16\x07") {
            return Self::AppleDouble;
        }
        if at(4, b"ftyp") {
            return Self::of_brands(head);
        }
        if [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"].iter().any(|kind| at(4, *kind)) {
            return Self::Mp4; // QuickTime from before ftyp
        }
        if at(0, b"RIFF") && at(8, b"AVI ") {
            return Self::OtherFilm("AVI");
        }
        if is_transport_stream(head) {
            return Self::OtherFilm("an MPEG transport stream");
        }
        if is_netpbm(head) {
            return Self::OtherStill("Netpbm (PGM, PPM)");
        }
        if is_icon(head) {
            return Self::OtherStill("an icon (ICO)");
        }
        if is_pcx(head) {
            return Self::OtherStill("PCX");
        }
        // Storage, bytes per channel, dimensions.
        if matches!(head, [0x01, 0xDA, 0 | 1, 1 | 2, 0, 1..=3, ..]) {
            return Self::OtherStill("SGI");
        }
        let named = |table: &[(&[u8], &'static str)]| {
            table.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
        };
        match (named(&STILLS), named(&FILMS)) {
            (Some(name), _) => Self::OtherStill(name),
            (None, Some(name)) => Self::OtherFilm(name),
            (None, None) => Self::Unknown,
        }
    }

    /// The box format of MP4 is also used for still pictures. The brands in the first box distinguish them.
    fn of_brands(head: &[u8]) -> Self {
        let end = head.get(..4).map_or(0, |size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize);
        let body = head.get(8..end.min(head.len())).unwrap_or_default();
        let (major, others) = (body.get(..4).unwrap_or_default(), body.get(8..).unwrap_or_default());
        let has = |brand: &[u8]| major == brand || others.chunks_exact(4).any(|other| other == brand);
        match major {
            b"avis" => Self::OtherFilm("an AVIF sequence"),
            b"hevc" | b"hevx" | b"msf1" => Self::OtherFilm("a HEIF sequence"),
            b"avif" => Self::OtherStill("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" => Self::OtherStill("HEIC"),
            b"mif1" | b"miaf" if has(b"avif") => Self::OtherStill("AVIF"),
            b"mif1" | b"miaf" => Self::OtherStill("HEIC"),
            b"crx " => Self::OtherStill("a Canon raw picture"),
            _ => Self::Mp4,
        }
    }

    /// Whether it is included when a folder of pictures is read.
    pub(crate) fn is_picture(self) -> bool {
        matches!(self, Self::Still | Self::Gif | Self::OtherStill(_))
    }
}

/// The two letters of BMP are not enough: the header size after them must be a valid one.
fn is_bmp(head: &[u8]) -> bool {
    let header = head.get(14..18).map(|size| u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
    head.starts_with(b"BM") && matches!(header, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// Packets of 188 bytes that begin with 0x47; on discs and from cameras each after a time of 4 bytes.
fn is_transport_stream(head: &[u8]) -> bool {
    let sync = |first: usize, length: usize| (0..3).all(|packet| head.get(first + packet * length) == Some(&0x47));
    sync(0, 188) || sync(4, 192)
}

/// `P1` to `P6`, then width and height as decimal numbers; a comment extends from `#` to the end of its line.
fn is_netpbm(head: &[u8]) -> bool {
    let [b'P', b'1'..=b'6', rest @ ..] = head else { return false };
    let lines = rest.split(|&byte| byte == b'\n');
    let before_comments = lines.flat_map(|line| line.split(|&byte| byte == b'#').next());
    let words = before_comments.flat_map(|line| line.split(u8::is_ascii_whitespace));
    let numbers = words.filter(|word| !word.is_empty()).take(2);
    rest.first().is_some_and(u8::is_ascii_whitespace)
        && numbers.filter(|word| word.iter().all(u8::is_ascii_digit)).count() == 2
}

/// The number of pictures, and where the first one begins: after the list of all.
fn is_icon(head: &[u8]) -> bool {
    let start = head.get(18..22).map(|start| u32::from_le_bytes([start[0], start[1], start[2], start[3]]));
    matches!(head, [0, 0, 1, 0, 1..=255, 0, ..]) && start.is_some_and(|start| start >= 6 + 16 * u32::from(head[4]))
}

/// The version, the coding, the bits per plane, the corners of the picture, and a byte that is always 0.
fn is_pcx(head: &[u8]) -> bool {
    let number = |at: usize| head.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    matches!(head, [0x0A, 0..=5, 0 | 1, 1 | 2 | 4 | 8, ..])
        && number(4) <= number(8)
        && number(6) <= number(10)
        && head.get(64) == Some(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures() {
        let packets = |time: usize| [vec![1; time], vec![0x47], vec![2; 187]].concat().repeat(3);
        let (stream, disc) = (packets(0), packets(4));
        let pcx = [&b"\x0A\x05\x01\x08\0\0\0\0\x5F\0\x3F\0"[..], &[0; 116]].concat();
        let icon = b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x40\0\0\0\x16\0\0\0";
        let table: [(&[u8], FileKind); 31] = [
            (b"\xFF\xD8\xFF\xE0", FileKind::Still),
            (b"RIFF\0\0\0\0WEBPVP8 ", FileKind::Still),
            (b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0", FileKind::Still),
            (b"BMX instructions", FileKind::Unknown),
            (b"RIFF\0\0\0\0AVI LIST", FileKind::OtherFilm("AVI")),
            (b"GIF89a", FileKind::Gif),
            (b"\0\0\0\x14ftypisom\0\0\0\0mp41", FileKind::Mp4),
            (b"\0\0\0\x14ftypheic\0\0\0\0mif1", FileKind::OtherStill("HEIC")),
            (b"\0\0\0\x18ftypmif1\0\0\0\0miafavif", FileKind::OtherStill("AVIF")),
            (b"\0\0\0\x14ftypavis\0\0\0\0avif", FileKind::OtherFilm("an AVIF sequence")),
            (b"\0\0\0\x08wide\0\0\0\0mdat", FileKind::Mp4),
            (b"\x1A\x45\xDF\xA3", FileKind::OtherFilm("Matroska or WebM")),
            (b"\xFF\x0A\0", FileKind::OtherStill("JPEG XL")),
            (b"MM\0*\0\0\0\x08", FileKind::OtherStill("TIFF")),
            (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", FileKind::AppleDouble),
            (&stream, FileKind::OtherFilm("an MPEG transport stream")),
            (&disc, FileKind::OtherFilm("an MPEG transport stream")),
            (b"P5\n96 64\n255\n\0\x01", FileKind::OtherStill("Netpbm (PGM, PPM)")),
            (b"P3 # by hand\n# 1\n96\n64\n255\n1 2 3", FileKind::OtherStill("Netpbm (PGM, PPM)")),
            (b"P2 is the next part", FileKind::Unknown),
            (b"P5\n96", FileKind::Unknown),
            (b"P596 64", FileKind::Unknown),
            (&pcx, FileKind::OtherStill("PCX")),
            (&pcx[..64], FileKind::Unknown),
            (icon, FileKind::OtherStill("an icon (ICO)")),
            (&icon[..18], FileKind::Unknown),
            (b"\x01\xDA\x01\x01\0\x03\0\x60\0\x40", FileKind::OtherStill("SGI")),
            (b"\x01\xDA\x07\x01\0\x03", FileKind::Unknown),
            (b"Good morning", FileKind::Unknown),
            (b"hello, world", FileKind::Unknown),
            (b"", FileKind::Unknown),
        ];
        for (head, kind) in table {
            assert_eq!(FileKind::of(head), kind, "{head:?}");
        }
    }
}
