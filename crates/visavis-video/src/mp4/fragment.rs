//! Fragmented MP4 (ISO/IEC 14496-12, 8.8), as browsers and screen recorders write it: each fragment has its own part of the
//! index.

use mp4_atom::{Atom, Moof, Trex};

use super::boxes::{child, children};
use super::samples::{Sample, Samples};

/// The defaults that a track's `trex` sets for all its fragments.
pub(super) fn defaults(moov: &[u8], track: u32) -> Option<Trex> {
    children(child(moov, b"mvex")?)
        .filter(|(kind, _)| kind == b"trex")
        .filter_map(|(_, mut body)| Trex::decode_body(&mut body).ok())
        .find(|trex| trex.track_id == track)
}

/// Appends the samples of one fragment. `start` is the position of the `moof` in the file, `body` its contents.
pub(super) fn append(
    samples: &mut Samples,
    mut body: &[u8],
    start: u64,
    track: u32,
    defaults: &Trex,
    file_len: u64,
) -> Result<(), String> {
    let moof = Moof::decode_body(&mut body).map_err(|error| format!("box moof: {error}"))?;
    for fragment in moof.traf.iter().filter(|fragment| fragment.tfhd.track_id == track) {
        let head = &fragment.tfhd;
        let base = head.base_data_offset.unwrap_or(start);
        let mut offset = base;
        let mut decoded = fragment.tfdt.as_ref().map_or(samples.ticks, |time| time.base_media_decode_time);
        for run in &fragment.trun {
            if let Some(from_base) = run.data_offset {
                offset = base.saturating_add_signed(i64::from(from_base));
            }
            for entry in run.samples.iter() {
                let size = entry.size.or(head.default_sample_size).unwrap_or(defaults.default_sample_size);
                let ticks = entry.duration.or(head.default_sample_duration).unwrap_or(defaults.default_sample_duration);
                let shown = i64::try_from(decoded).unwrap_or(i64::MAX).saturating_add(entry.cts.unwrap_or(0));
                samples.push(Sample { offset, size, shown }, file_len)?;
                offset = offset.saturating_add(u64::from(size));
                decoded = decoded.saturating_add(u64::from(ticks));
            }
        }
        samples.ticks = decoded;
    }
    Ok(())
}
