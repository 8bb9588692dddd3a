//! The picture track of an index: its codec, orientation and clock.

use mp4_atom::{Atom, Avcc, Hdlr, Mdhd, Tkhd};

use super::boxes::{child, children, require};
use super::samples::Samples;
use crate::VideoError;

/// Quarter turns, clockwise, that bring a coded picture upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    Right,
    Half,
    Left,
}

/// What a player needs to know of the picture track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    /// Ticks a second.
    pub(super) timescale: u32,
    pub(super) turn: Turn,
    pub(super) avc: Avcc,
    pub(super) samples: Samples,
}

impl Track {
    /// Finds the first picture track in the contents of `moov`.
    pub(super) fn find(moov: &[u8], file_len: u64, path: &str) -> Result<Self, VideoError> {
        let damaged = |reason: String| VideoError::Damaged { name: path.to_owned(), reason };
        for (_, trak) in children(moov).filter(|(kind, _)| kind == b"trak") {
            let Some(mdia) = child(trak, b"mdia") else { continue };
            let handler: Hdlr = require(mdia).map_err(damaged)?;
            if handler.handler.as_ref() != b"vide" {
                continue;
            }
            let minf = child(mdia, b"minf").ok_or_else(|| damaged("box minf is missing".into()))?;
            let stbl = child(minf, b"stbl").ok_or_else(|| damaged("box stbl is missing".into()))?;
            let header: Mdhd = require(mdia).map_err(damaged)?;
            if header.timescale == 0 {
                return Err(damaged("its clock has 0 ticks a second".into()));
            }
            let tkhd: Tkhd = require(trak).map_err(damaged)?;
            return Ok(Self {
                id: tkhd.track_id,
                timescale: header.timescale,
                turn: turn(&tkhd),
                avc: avc(stbl, path)?,
                samples: Samples::of_table(stbl, file_len).map_err(damaged)?,
            });
        }
        Err(VideoError::NoPictureTrack { path: path.to_owned() })
    }
}

/// The matrix of a track, in 16.16, reduced to quarter turns; phones film sideways and say so here.
fn turn(tkhd: &Tkhd) -> Turn {
    let matrix = &tkhd.matrix;
    match (matrix.a.signum(), matrix.b.signum(), matrix.c.signum(), matrix.d.signum()) {
        (0, 1, -1, 0) => Turn::Right,
        (-1, 0, 0, -1) => Turn::Half,
        (0, -1, 1, 0) => Turn::Left,
        _ => Turn::None,
    }
}

/// The decoder configuration in the sample description; another codec is an error that names it.
fn avc(stbl: &[u8], path: &str) -> Result<Avcc, VideoError> {
    let damaged = |reason: String| VideoError::Damaged { name: path.to_owned(), reason };
    let stsd = child(stbl, b"stsd").ok_or_else(|| damaged("box stsd is missing".into()))?;
    // Version, flags and a count come first (8.5.2).
    let (kind, entry) = stsd
        .get(8..)
        .and_then(|entries| children(entries).next())
        .ok_or_else(|| damaged("box stsd is empty".into()))?;
    if !matches!(&kind, b"avc1" | b"avc3") {
        let code = String::from_utf8_lossy(&kind).into_owned();
        let codec = match codec_name(kind) {
            Some(name) => format!("{code} ({name})"),
            None => code,
        };
        return Err(VideoError::UnsupportedCodec { path: path.to_owned(), codec });
    }
    // 78 bytes that describe any picture, then boxes (12.1.3).
    let mut avcc =
        entry.get(78..).and_then(|boxes| child(boxes, b"avcC")).ok_or_else(|| damaged("box avcC is missing".into()))?;
    Avcc::decode_body(&mut avcc).map_err(|error| damaged(format!("box avcC: {error}")))
}

fn codec_name(kind: [u8; 4]) -> Option<&'static str> {
    Some(match &kind {
        b"hev1" | b"hvc1" | b"dvh1" | b"dvhe" => "H.265",
        b"vvc1" | b"vvi1" => "H.266",
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"mp4v" => "MPEG-4 part 2",
        b"s263" => "H.263",
        b"jpeg" | b"mjpa" | b"mjpb" => "Motion JPEG",
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "ProRes",
        b"encv" => "encrypted",
        _ => return None,
    })
}
