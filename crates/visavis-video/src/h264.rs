//! The parts of H.264 that a player must parse itself: the framing of units, and the sequence parameter set.
//!
//! Section and table numbers are those of ITU-T H.264 (08/2021).

pub(crate) mod decoder;

use crate::yuv::{Colours, Standard};

/// `nal_unit_type` of a sequence parameter set (table 7-1).
pub(crate) const SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub(crate) const PPS: u8 = 8;

/// The type of a unit.
pub(crate) fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1F)
}

/// The units of a sample in an MP4, each behind its length in `length_size` bytes (ISO/IEC 14496-15, 5.3.2).
///
/// An item is an error if a length exceeds the sample.
pub(crate) fn units(sample: &[u8], length_size: usize) -> impl Iterator<Item = Result<&[u8], String>> {
    let mut rest = sample;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((length, behind)) = rest.split_at_checked(length_size) else {
            rest = &[];
            return Some(Err("the last length is truncated".to_owned()));
        };
        let length = length.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
        let Some((unit, behind)) = behind.split_at_checked(length) else {
            let left = behind.len();
            rest = &[];
            return Some(Err(format!("a unit has {length} bytes, but only {left} are left")));
        };
        rest = behind;
        Some(Ok(unit))
    })
}

/// Appends a unit with a start code, as in a byte stream (annex B).
pub(crate) fn push_annex_b(stream: &mut Vec<u8>, unit: &[u8]) {
    stream.extend_from_slice(&[0, 0, 0, 1]);
    stream.extend_from_slice(unit);
}

/// The units of a byte stream (annex B), without their start codes.
pub(crate) fn annex_b_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let next_code = |bytes: &[u8]| bytes.windows(3).position(|window| window == [0, 0, 1]);
    std::iter::from_fn(move || {
        let begin = next_code(rest)? + 3;
        let behind = rest.get(begin..)?;
        let end = next_code(behind).unwrap_or(behind.len());
        rest = &behind[end..];
        // The first zero of a start code of four bytes.
        let unit = &behind[..end];
        Some(if end < behind.len() { unit.strip_suffix(&[0]).unwrap_or(unit) } else { unit })
    })
}

/// A unit of a byte stream without its start code.
pub(crate) fn without_start_code(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0, 0, 0, 1]).or_else(|| unit.strip_prefix(&[0, 0, 1])).unwrap_or(unit)
}

/// The needed fields of a sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SequenceHeader {
    /// Width in pixels, after cropping.
    pub(crate) width: u32,
    /// Height in pixels, after cropping.
    pub(crate) height: u32,
    /// 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4 (table 6-1).
    pub(crate) chroma_format: u32,
    /// The larger of those of luma and chroma.
    pub(crate) bit_depth: u32,
    pub(crate) interlaced: bool,
    /// Width and height of a pixel, as a ratio.
    pub(crate) pixel_aspect: (u32, u32),
    pub(crate) colours: Colours,
}

impl SequenceHeader {
    /// Parses a sequence parameter set (7.3.2.1.1), its type byte included.
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let payload = without_emulation(unit.get(1..)?);
        let mut bits = Bits { bytes: &payload, at: 0 };
        let profile = bits.read(8)?;
        bits.read(16)?; // constraint flags, level
        bits.unsigned()?; // id
        let (mut chroma_format, mut bit_depth, mut separate_planes) = (1, 8, false);
        // The profiles with further fields, as listed in 7.3.2.1.1.
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma_format = bits.unsigned()?;
            if chroma_format == 3 {
                separate_planes = bits.flag()?;
            }
            bit_depth = 8 + bits.unsigned()?.max(bits.unsigned()?).min(8);
            bits.flag()?; // lossless transform bypass
            if bits.flag()? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if bits.flag()? {
                        bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        bits.unsigned()?; // log2_max_frame_num_minus4
        match bits.unsigned()? {
            0 => {
                bits.unsigned()?;
            }
            1 => {
                bits.flag()?;
                bits.unsigned()?; // signed, but only its length matters
                bits.unsigned()?;
                let cycle = bits.unsigned()?.min(255);
                for _ in 0..cycle {
                    bits.unsigned()?;
                }
            }
            _ => {}
        }
        bits.unsigned()?; // max_num_ref_frames
        bits.flag()?; // gaps allowed
        // No level has more than 139,264 macroblocks (table A-1); larger values are damage.
        let across = bits.unsigned()?.checked_add(1).filter(|&count| count <= 1 << 14)?;
        let down = bits.unsigned()?.checked_add(1).filter(|&count| count <= 1 << 14)?;
        let interlaced = !bits.flag()?;
        if interlaced {
            bits.flag()?;
        }
        bits.flag()?; // direct 8x8 inference
        let (mut width, mut height) = (across * 16, down * 16 * if interlaced { 2 } else { 1 });
        if bits.flag()? {
            let (left, right) = (bits.unsigned()?, bits.unsigned()?);
            let (top, bottom) = (bits.unsigned()?, bits.unsigned()?);
            let halved = |format: &[u32]| if !separate_planes && format.contains(&chroma_format) { 2 } else { 1 };
            let unit_x = halved(&[1, 2]);
            let unit_y = halved(&[1]) * if interlaced { 2 } else { 1 };
            width = width.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?)?;
            height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?)?;
        }
        if width == 0 || height == 0 {
            return None;
        }
        let (pixel_aspect, colours) =
            if bits.flag()? { usability(&mut bits, height)? } else { ((1, 1), Colours::usual(height)) };
        Some(Self { width, height, chroma_format, bit_depth, interlaced, pixel_aspect, colours })
    }

    /// Why our decoder cannot decode it; `None` if it can.
    pub(crate) fn obstacle(&self) -> Option<String> {
        if self.bit_depth > 8 {
            Some(format!("H.264 of {} bits", self.bit_depth))
        } else if self.chroma_format != 1 {
            Some(format!("H.264 with {} colour", ["no", "4:2:0", "4:2:2", "4:4:4"][self.chroma_format.min(3) as usize]))
        } else if self.interlaced {
            Some("interlaced H.264".to_owned())
        } else {
            None
        }
    }
}

/// Pixel aspect ratios by their number (table E-1).
const PIXEL_ASPECTS: [(u32, u32); 17] = [
    (1, 1),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// The start of the video usability information (E.1.1): pixel aspect ratio and colours.
fn usability(bits: &mut Bits<'_>, height: u32) -> Option<((u32, u32), Colours)> {
    let mut colours = Colours::usual(height);
    let mut aspect = (1, 1);
    if bits.flag()? {
        aspect = match bits.read(8)? {
            255 => (bits.read(16)?, bits.read(16)?),
            number => PIXEL_ASPECTS.get(number as usize).copied().unwrap_or((1, 1)),
        };
    }
    if bits.flag()? {
        bits.flag()?; // overscan
    }
    if bits.flag()? {
        bits.read(3)?; // video format
        colours.full_range = bits.flag()?;
        if bits.flag()? {
            bits.read(16)?; // primaries, transfer
            // matrix_coefficients, table E-5
            match bits.read(8)? {
                1 => colours.standard = Standard::Bt709,
                4..=6 => colours.standard = Standard::Bt601,
                9 | 10 => colours.standard = Standard::Bt2020,
                _ => {}
            }
        }
    }
    Some((aspect, colours))
}

/// Removes the 3 of every 0 0 3 (7.4.1).
fn without_emulation(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.bit()? == 1)
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value: u32, _| Some(value << 1 | self.bit()?))
    }

    /// ue(v), 9.1.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u64 << zeros) - 1) as u32 + self.read(zeros)?)
    }

    /// se(v), 9.1.1.
    fn signed(&mut self) -> Option<i32> {
        let value = self.unsigned()?;
        let half = (value / 2) as i32;
        Some(if value % 2 == 1 { half + 1 } else { -half })
    }

    /// 7.3.2.1.1.1.
    fn skip_scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..size {
            if next != 0 {
                next = (last + self.signed()?).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the bits that [`Bits`] reads.
    #[derive(Default)]
    struct Writer {
        bits: Vec<u8>,
    }

    impl Writer {
        fn put(&mut self, value: u32, count: u32) -> &mut Self {
            self.bits.extend((0..count).rev().map(|at| (value >> at & 1) as u8));
            self
        }

        fn unsigned(&mut self, value: u32) -> &mut Self {
            let length = 32 - (value + 1).leading_zeros();
            self.put(0, length - 1).put(value + 1, length)
        }

        fn unit(&self) -> Vec<u8> {
            let mut bits = self.bits.clone();
            bits.push(1);
            bits.resize(bits.len().next_multiple_of(8), 0);
            let payload = bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit));
            let mut unit = vec![0x67];
            for byte in payload {
                if unit.ends_with(&[0, 0]) && byte <= 3 {
                    unit.push(3);
                }
                unit.push(byte);
            }
            unit
        }
    }

    fn high(chroma_format: u32, depth: u32, progressive: u32) -> Writer {
        let mut writer = Writer::default();
        writer.put(100, 8).put(0, 8).put(31, 8).unsigned(0);
        writer.unsigned(chroma_format).unsigned(depth - 8).unsigned(depth - 8).put(0, 1);
        // A scaling matrix: the first list ends at once (delta -8 is se 16), the others are absent.
        writer.put(1, 1).put(1, 1).unsigned(16).put(0, 7);
        writer.unsigned(0).unsigned(0).unsigned(2).unsigned(3).put(0, 1);
        writer.unsigned(79).unsigned(if progressive == 1 { 44 } else { 22 }).put(progressive, 1);
        if progressive == 0 {
            writer.put(0, 1);
        }
        writer.put(1, 1);
        writer
    }

    #[test]
    fn high_profile_header_with_crop_and_colours() {
        let mut writer = high(1, 8, 1);
        writer.put(1, 1).unsigned(0).unsigned(1).unsigned(0).unsigned(3); // crop 2 right, 6 below
        // VUI: pixel aspect 255 with a long tail of zeros (exercises emulation), no overscan, full range, BT.601.
        writer.put(1, 1).put(1, 1).put(255, 8).put(0, 16).put(1, 16).put(0, 1);
        writer.put(1, 1).put(5, 3).put(1, 1).put(1, 1).put(6, 8).put(6, 8).put(6, 8);
        let unit = writer.unit();
        assert!(unit.windows(3).any(|bytes| bytes == [0, 0, 3]), "the test should meet an emulation byte");
        let header = SequenceHeader::parse(&unit).unwrap();
        assert_eq!((header.width, header.height), (1278, 714));
        assert_eq!(header.colours, Colours { standard: Standard::Bt601, full_range: true });
        assert_eq!(header.obstacle(), None);
    }

    #[test]
    fn obstacles_are_named() {
        let table = [
            (high(1, 10, 1), "H.264 of 10 bits"),
            (high(2, 8, 1), "H.264 with 4:2:2 colour"),
            (high(1, 8, 0), "interlaced H.264"),
        ];
        for (mut writer, obstacle) in table {
            writer.put(0, 1).put(0, 1);
            assert_eq!(SequenceHeader::parse(&writer.unit()).unwrap().obstacle().as_deref(), Some(obstacle));
        }
    }

    #[test]
    fn cut_header_is_none() {
        let mut writer = high(1, 8, 1);
        writer.put(0, 1).put(0, 1);
        let unit = writer.unit();
        assert!(SequenceHeader::parse(&unit).is_some());
        for cut in 0..unit.len() - 1 {
            assert_eq!(SequenceHeader::parse(&unit[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn units_of_a_byte_stream() {
        let stream = [0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 7, 7];
        let units: Vec<&[u8]> = annex_b_units(&stream).collect();
        assert_eq!(units, [&[0x67u8, 9][..], &[0x68], &[0x65, 7, 7]]);
        assert_eq!(annex_b_units(&[1, 2, 3]).count(), 0);
        assert_eq!(annex_b_units(&[0, 0, 1]).collect::<Vec<_>>(), [&[][..]] as [&[u8]; 1]);
    }

    #[test]
    fn units_of_a_sample() {
        let sample = [0, 0, 0, 2, 9, 8, 0, 0, 0, 1, 7, 0, 0, 0, 9, 1];
        let units: Vec<_> = units(&sample, 4).collect();
        assert_eq!(units[..2], [Ok(&[9u8, 8][..]), Ok(&[7][..])]);
        assert_eq!(units[2], Err("a unit has 9 bytes, but only 1 are left".to_owned()));
        assert_eq!(units.len(), 3);
        assert_eq!(super::units(&[0], 2).collect::<Vec<_>>(), [Err("the last length is truncated".to_owned())]);
    }
}
