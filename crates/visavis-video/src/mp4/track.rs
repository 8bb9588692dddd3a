//! The video track of an index: its codec, orientation and clock.

use mp4_atom::{Atom, Avcc, Elst, Hdlr, Mdhd, Mvhd, Pasp, Tkhd};

use super::boxes::{self, child, children, require};
use super::edits::Edits;
use super::samples::Samples;
use super::turn::{self, Turn};
use crate::VideoError;

/// What a player needs from the video track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) id: u32,
    /// Ticks per second.
    pub(super) timescale: u32,
    pub(super) turn: Turn,
    /// Pixel aspect ratio, if the container specifies it.
    pub(super) aspect: Option<f64>,
    pub(super) avc: Avcc,
    pub(super) samples: Samples,
    /// Which samples are shown, and when.
    pub(super) edits: Edits,
    /// The edit list, and its ticks per second.
    list: Option<(Elst, u32)>,
}

impl Track {
    /// Finds the first video track in the contents of `moov`.
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
                return Err(damaged("its clock has 0 ticks per second".into()));
            }
            let tkhd: Tkhd = require(trak).map_err(damaged)?;
            let entry = description(stbl, path)?;
            return Ok(Self {
                id: tkhd.track_id,
                timescale: header.timescale,
                turn: Turn::of(&tkhd.matrix),
                aspect: aspect(entry),
                avc: avc(entry, path)?,
                samples: Samples::of_table(stbl, file_len).map_err(damaged)?,
                edits: Edits::none(0),
                list: edit_list(moov, trak, path),
            });
        }
        Err(VideoError::NoPictureTrack { path: path.to_owned() })
    }

    /// Computes when each sample is shown, once all are known.
    pub(super) fn settle_times(&mut self, path: &str) -> Result<(), VideoError> {
        let first = self.samples.first_shown();
        self.edits = match &self.list {
            Some((list, scale)) => Edits::of(list, first, *scale, self.timescale)
                .map_err(|codec| VideoError::UnsupportedCodec { path: path.to_owned(), codec })?,
            None => Edits::none(first),
        };
        Ok(())
    }
}

/// The edit list of a track. A list that is not supported is ignored: the whole film is then played.
fn edit_list(moov: &[u8], trak: &[u8], path: &str) -> Option<(Elst, u32)> {
    let list =
        boxes::parse::<Elst>(child(trak, b"edts")?).and_then(|list| Ok((list, require::<Mvhd>(moov)?.timescale)));
    match list {
        Ok((list, scale)) => list.map(|list| (list, scale)),
        Err(reason) => {
            log::warn!("{path}: the edit list is ignored: {reason}");
            None
        }
    }
}

/// The boxes after the first 78 bytes of the sample description of H.264 (12.1.3). Another codec is an error with its name.
fn description<'a>(stbl: &'a [u8], path: &str) -> Result<&'a [u8], VideoError> {
    let damaged = |reason: &str| VideoError::Damaged { name: path.to_owned(), reason: reason.to_owned() };
    let stsd = child(stbl, b"stsd").ok_or_else(|| damaged("box stsd is missing"))?;
    // Version, flags and a count come first (8.5.2).
    let (kind, entry) =
        stsd.get(8..).and_then(|entries| children(entries).next()).ok_or_else(|| damaged("box stsd is empty"))?;
    if !matches!(&kind, b"avc1" | b"avc3") {
        let code = String::from_utf8_lossy(&kind).into_owned();
        let codec = match codec_name(kind) {
            Some(name) => format!("{code} ({name})"),
            None => code,
        };
        return Err(VideoError::UnsupportedCodec { path: path.to_owned(), codec });
    }
    entry.get(78..).ok_or_else(|| damaged("box avc1 is too short"))
}

/// The decoder configuration.
fn avc(entry: &[u8], path: &str) -> Result<Avcc, VideoError> {
    let damaged = |reason: String| VideoError::Damaged { name: path.to_owned(), reason };
    let mut avcc = child(entry, b"avcC").ok_or_else(|| damaged("box avcC is missing".into()))?;
    Avcc::decode_body(&mut avcc).map_err(|error| damaged(format!("box avcC: {error}")))
}

fn aspect(entry: &[u8]) -> Option<f64> {
    // A damaged configuration is ignored.
    let pasp = boxes::parse::<Pasp>(entry).ok()??;
    Some(turn::aspect(pasp.h_spacing, pasp.v_spacing))
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
