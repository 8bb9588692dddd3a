//! Pixel formats of cameras, and their conversion to RGB.
//!
//! The names are the four-letter codes of Video4Linux 2.

use visavis_image::{Picture, PicturePool, codec};

use crate::mjpeg::with_huffman_tables;
use crate::yuv::{Colours, Packed, Planes, Scratch, Standard, ToRgb, packed_to_rgb, planes_to_rgb};

/// The pixel format of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// JPEG, also without Huffman tables (Motion JPEG).
    Jpeg,
    /// Luma and chroma in one plane, 4:2:2.
    Packed(Packed),
    /// A plane of luma, then two of chroma, 4:2:0; `swapped`: V before U.
    Planar { swapped: bool },
    /// A plane of luma, then one of chroma in pairs, 4:2:0; `swapped`: V before U.
    Pairs { swapped: bool },
    /// Luma only.
    Grey,
    /// Three bytes per pixel; `swapped`: blue first.
    Rgb { swapped: bool },
}

/// The requested formats, best first: uncompressed pictures of usual sizes exceed the bandwidth of USB 2 at 30 per second.
pub(super) const CODINGS: [([u8; 4], Coding); 13] = [
    (*b"MJPG", Coding::Jpeg),
    (*b"JPEG", Coding::Jpeg),
    (*b"YUYV", Coding::Packed(Packed::YUYV)),
    (*b"UYVY", Coding::Packed(Packed::UYVY)),
    (*b"YVYU", Coding::Packed(Packed::YVYU)),
    (*b"VYUY", Coding::Packed(Packed::VYUY)),
    (*b"NV12", Coding::Pairs { swapped: false }),
    (*b"NV21", Coding::Pairs { swapped: true }),
    (*b"YU12", Coding::Planar { swapped: false }),
    (*b"YV12", Coding::Planar { swapped: true }),
    (*b"RGB3", Coding::Rgb { swapped: false }),
    (*b"BGR3", Coding::Rgb { swapped: true }),
    (*b"GREY", Coding::Grey),
];

impl Coding {
    /// The minimum stride in bytes; drivers may report 0.
    pub(super) fn least_stride(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            Self::Jpeg => 0,
            Self::Packed(_) => width.div_ceil(2) * 4,
            Self::Planar { .. } | Self::Pairs { .. } => width.next_multiple_of(2),
            Self::Grey => width,
            Self::Rgb { .. } => width * 3,
        }
    }
}

/// Converts buffers of a camera to pictures.
pub(super) struct Unpacker {
    pub(super) coding: Coding,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Stride in bytes, of luma if there are several planes.
    pub(super) stride: usize,
    /// A JPEG with more pixels is refused.
    pub(super) max_pixels: u64,
    pub(super) pool: PicturePool,
    pub(super) scratch: Scratch,
    /// Chroma, separated from its pairs: U, V.
    pub(super) chroma: [Vec<u8>; 2],
}

impl Unpacker {
    pub(super) fn new(coding: Coding, size: (u32, u32), stride: usize, max_pixels: u64) -> Self {
        let stride = stride.max(coding.least_stride(size.0));
        let (pool, scratch) = (PicturePool::new(12), Scratch::default());
        Self { coding, size, stride, max_pixels, pool, scratch, chroma: [Vec::new(), Vec::new()] }
    }

    /// The picture in a buffer; or what is wrong with it.
    pub(super) fn unpack(&mut self, bytes: &[u8]) -> Result<Picture, String> {
        if self.coding == Coding::Jpeg {
            return codec::decode(&with_huffman_tables(bytes), self.max_pixels).map_err(|error| error.to_string());
        }
        let (width, height) = self.size;
        let mut picture = self.pool.take(width, height);
        if self.fill(bytes, &mut picture).is_none() {
            return Err(format!("{} bytes are too few for {width}x{height} pixels", bytes.len()));
        }
        Ok(picture)
    }

    /// `None` if there are too few bytes.
    fn fill(&mut self, bytes: &[u8], out: &mut Picture) -> Option<()> {
        // The USB video class assumes BT.601 if a camera does not specify it.
        let to_rgb = ToRgb::new(Colours { standard: Standard::Bt601, full_range: false });
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let stride = self.stride;
        // The last row may be without padding.
        let luma = stride * height;
        match self.coding {
            Coding::Jpeg => None,
            Coding::Packed(order) => packed_to_rgb(bytes, order, stride, to_rgb, &mut self.scratch, out).then_some(()),
            Coding::Planar { swapped } => {
                let (y, chroma) = bytes.split_at_checked(luma)?;
                let uv_stride = stride / 2;
                let (first, second) = chroma.split_at_checked(uv_stride * half_height)?;
                let (u, v) = if swapped { (second, first) } else { (first, second) };
                self.planes(Planes { y, u, v, y_stride: stride, uv_stride }, to_rgb, out)
            }
            Coding::Pairs { swapped } => {
                let (y, pairs) = bytes.split_at_checked(luma)?;
                if pairs.len() < stride * (half_height - 1) + half_width * 2 {
                    return None;
                }
                let mut planes = std::mem::take(&mut self.chroma);
                planes.iter_mut().for_each(|plane| plane.clear());
                for row in pairs.chunks(stride).take(half_height) {
                    for (plane, first) in planes.iter_mut().zip(if swapped { [1, 0] } else { [0, 1] }) {
                        plane.extend(row[first..].iter().step_by(2).take(half_width));
                    }
                }
                let [u, v] = &planes;
                let done = self.planes(Planes { y, u, v, y_stride: stride, uv_stride: half_width }, to_rgb, out);
                self.chroma = planes;
                done
            }
            Coding::Grey => {
                let rows = rows(bytes, stride, width, height)?;
                for (row, out) in rows.zip(out.pixels_mut().chunks_exact_mut(width * 3)) {
                    for (&grey, pixel) in row.iter().zip(out.chunks_exact_mut(3)) {
                        pixel.fill(grey);
                    }
                }
                Some(())
            }
            Coding::Rgb { swapped } => {
                let rows = rows(bytes, stride, width * 3, height)?;
                for (row, out) in rows.zip(out.pixels_mut().chunks_exact_mut(width * 3)) {
                    out.copy_from_slice(row);
                    if swapped {
                        out.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
                    }
                }
                Some(())
            }
        }
    }

    fn planes(&mut self, planes: Planes<'_>, to_rgb: ToRgb, out: &mut Picture) -> Option<()> {
        if !planes.cover(self.size.0 as usize, self.size.1 as usize) {
            return None;
        }
        planes_to_rgb(planes, to_rgb, &mut self.scratch, out);
        Some(())
    }
}

/// The rows of a plane; `None` if there are too few bytes.
fn rows(bytes: &[u8], stride: usize, row: usize, height: usize) -> Option<impl Iterator<Item = &[u8]>> {
    let needed = stride * height.saturating_sub(1) + row;
    (bytes.len() >= needed).then(|| bytes.chunks(stride.max(1)).take(height).map(move |padded| &padded[..row]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four colours in limited BT.601, as (Y, U, V), with what they are in RGB: two pixels of each.
    const COLOURS: [([u8; 3], [u8; 3]); 4] = [
        ([235, 128, 128], [255, 255, 255]),
        ([81, 90, 240], [255, 0, 0]),
        ([145, 54, 34], [0, 255, 0]),
        ([41, 240, 110], [0, 0, 255]),
    ];

    /// A picture of 4×4: each colour is a square of 2×2. Rows are padded by two bytes of 99.
    fn buffer(coding: Coding) -> (Vec<u8>, usize) {
        let colour = |x: usize, y: usize| COLOURS[y / 2 * 2 + x / 2];
        let yuv = |x: usize, y: usize| colour(x, y).0;
        let mut bytes = Vec::new();
        let plane = |bytes: &mut Vec<u8>, step: usize, channels: &[usize], padding: usize| {
            for y in (0..4).step_by(step) {
                for x in (0..4).step_by(step) {
                    bytes.extend(channels.iter().map(|&channel| yuv(x, y)[channel]));
                }
                bytes.extend(std::iter::repeat_n(99, padding));
            }
        };
        match coding {
            Coding::Jpeg => unreachable!(),
            Coding::Packed(order) => {
                for y in 0..4 {
                    for x in [0, 2] {
                        let ([y0, u, v], [y1, ..]) = (yuv(x, y), yuv(x + 1, y));
                        let mut four = [0; 4];
                        (four[order.y[0]], four[order.y[1]], four[order.u], four[order.v]) = (y0, y1, u, v);
                        bytes.extend(four);
                    }
                    bytes.extend([99; 2]);
                }
            }
            Coding::Planar { swapped } => {
                plane(&mut bytes, 1, &[0], 2);
                let (first, second) = if swapped { (2, 1) } else { (1, 2) };
                plane(&mut bytes, 2, &[first], 1);
                plane(&mut bytes, 2, &[second], 1);
            }
            Coding::Pairs { swapped } => {
                plane(&mut bytes, 1, &[0], 2);
                plane(&mut bytes, 2, if swapped { &[2, 1] } else { &[1, 2] }, 2);
            }
            Coding::Grey => plane(&mut bytes, 1, &[0], 2),
            Coding::Rgb { swapped } => {
                for y in 0..4 {
                    for x in 0..4 {
                        let [r, g, b] = colour(x, y).1;
                        bytes.extend(if swapped { [b, g, r] } else { [r, g, b] });
                    }
                    bytes.extend([99; 2]);
                }
            }
        }
        let stride = coding.least_stride(4) + 2;
        (bytes, stride)
    }

    #[test]
    fn every_coding_gives_the_same_picture() {
        for (name, coding) in CODINGS.into_iter().filter(|(_, coding)| *coding != Coding::Jpeg) {
            let name = String::from_utf8_lossy(&name).into_owned();
            let (bytes, stride) = buffer(coding);
            let mut unpacker = Unpacker::new(coding, (4, 4), stride, 100);
            let picture = unpacker.unpack(&bytes).unwrap();
            for y in 0..4 {
                for x in 0..4 {
                    let (yuv, rgb) = COLOURS[y as usize / 2 * 2 + x as usize / 2];
                    let expected = if coding == Coding::Grey { [yuv[0]; 3] } else { rgb };
                    let found = picture.pixel(x, y);
                    assert!(
                        found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3),
                        "{name} at {x}, {y}: {found:?} for {expected:?}"
                    );
                }
            }
            // The padding of the last row may be missing, but nothing more.
            let least = bytes.len() - 2;
            assert!(unpacker.unpack(&bytes[..least - 1]).unwrap_err().contains("too few"), "{name}");
            assert!(unpacker.unpack(&[]).is_err(), "{name}");
        }
    }

    #[test]
    fn odd_sizes_and_a_driver_that_says_no_stride() {
        for (name, coding) in CODINGS.into_iter().filter(|(_, coding)| *coding != Coding::Jpeg) {
            let mut unpacker = Unpacker::new(coding, (3, 3), 0, 100);
            let bytes = vec![128; unpacker.stride * 6];
            let picture = unpacker.unpack(&bytes).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert_eq!((picture.width(), picture.height()), (3, 3));
        }
    }

    #[test]
    fn jpeg_needs_no_tables() {
        let whole = codec::encode_jpeg(&Picture::filled(16, 16, [10, 200, 30]), 95).unwrap();
        let mut unpacker = Unpacker::new(Coding::Jpeg, (16, 16), 0, 300);
        assert!(unpacker.unpack(&whole).unwrap().pixel(3, 3)[1] > 190);
        assert!(unpacker.unpack(&whole[..whole.len() / 2]).is_err());
    }
}
