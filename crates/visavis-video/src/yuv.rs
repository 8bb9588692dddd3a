//! Luma and chroma to RGB and back, in fixed point.

use visavis_image::Picture;

/// The standard that defines the weights of red, green and blue in luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standard {
    /// ITU-R BT.601: standard definition, webcams, JPEG.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance: ultra-high definition.
    Bt2020,
}

impl Standard {
    /// The weights of red and blue in luma; green has the rest.
    fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// How colours are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours {
    pub(crate) standard: Standard,
    /// Luma from 0 to 255 rather than from 16 to 235.
    pub(crate) full_range: bool,
}

impl Colours {
    /// What players assume if a film does not specify it: BT.709 from 720 lines on, else BT.601; limited range.
    pub(crate) fn usual(height: u32) -> Self {
        Self { standard: if height >= 720 { Standard::Bt709 } else { Standard::Bt601 }, full_range: false }
    }
}

/// Fixed-point bits: 13 keep every product within 32 bits and the error below half a grey level.
const BITS: u32 = 13;
const HALF: i32 = 1 << (BITS - 1);

fn fixed(value: f64) -> i32 {
    (value * f64::from(1 << BITS)).round() as i32
}

/// RGB from luma and chroma: `r = luma·(y − floor) + v_red·(v − 128)`, and so on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToRgb {
    luma: i32,
    floor: i32,
    v_red: i32,
    u_green: i32,
    v_green: i32,
    u_blue: i32,
}

impl ToRgb {
    pub(crate) fn new(colours: Colours) -> Self {
        let (red, blue) = colours.standard.weights();
        let green = 1.0 - red - blue;
        let (luma, chroma, floor) = if colours.full_range { (1.0, 1.0, 0) } else { (255.0 / 219.0, 255.0 / 224.0, 16) };
        let (v_red, u_blue) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        Self {
            luma: fixed(luma),
            floor,
            v_red: fixed(v_red),
            u_green: fixed(-u_blue * blue / green),
            v_green: fixed(-v_red * red / green),
            u_blue: fixed(u_blue),
        }
    }
}

/// The three planes of a 4:2:0 picture with their strides in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes<'a> {
    pub(crate) y: &'a [u8],
    pub(crate) u: &'a [u8],
    pub(crate) v: &'a [u8],
    pub(crate) y_stride: usize,
    pub(crate) uv_stride: usize,
}

impl Planes<'_> {
    /// Whether the planes have a sample for every pixel of this size.
    pub(crate) fn cover(&self, width: usize, height: usize) -> bool {
        let (half, rows) = (width.div_ceil(2), height.div_ceil(2));
        let needs = |stride: usize, width: usize, rows: usize| stride * rows.saturating_sub(1) + width;
        self.y_stride >= width
            && self.uv_stride >= half
            && self.y.len() >= needs(self.y_stride, width, height)
            && self.u.len().min(self.v.len()) >= needs(self.uv_stride, half, rows)
    }
}

/// What one row of chroma adds to every pixel of two rows.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    red: Vec<i32>,
    green: Vec<i32>,
    blue: Vec<i32>,
}

/// Fills `out` from `planes`, which must cover its size. Chroma is repeated, not interpolated.
pub(crate) fn planes_to_rgb(planes: Planes<'_>, to_rgb: ToRgb, scratch: &mut Scratch, out: &mut Picture) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as checked above.
        unsafe { planes_to_rgb_avx2(planes, to_rgb, scratch, out) };
        return;
    }
    planes_to_rgb_anywhere(planes, to_rgb, scratch, out);
}

/// The same code, compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn planes_to_rgb_avx2(planes: Planes<'_>, to_rgb: ToRgb, scratch: &mut Scratch, out: &mut Picture) {
    planes_to_rgb_anywhere(planes, to_rgb, scratch, out);
}

#[inline(always)]
fn planes_to_rgb_anywhere(planes: Planes<'_>, to_rgb: ToRgb, scratch: &mut Scratch, out: &mut Picture) {
    let (width, height) = (out.width() as usize, out.height() as usize);
    if width == 0 || height == 0 {
        return;
    }
    let half = width.div_ceil(2);
    for row in [&mut scratch.red, &mut scratch.green, &mut scratch.blue] {
        row.resize(half * 2, 0);
    }
    for (pair, rows) in out.pixels_mut().chunks_mut(width * 6).enumerate() {
        let u = &planes.u[pair * planes.uv_stride..][..half];
        let v = &planes.v[pair * planes.uv_stride..][..half];
        spread_chroma(u, v, to_rgb, scratch);
        for (below, row) in rows.chunks_exact_mut(width * 3).enumerate() {
            let y = &planes.y[(pair * 2 + below) * planes.y_stride..][..width];
            luma_row(y, to_rgb, scratch, row);
        }
    }
}

#[inline(always)]
fn spread_chroma(u: &[u8], v: &[u8], to_rgb: ToRgb, scratch: &mut Scratch) {
    let reds = scratch.red.chunks_exact_mut(2);
    let greens = scratch.green.chunks_exact_mut(2);
    let blues = scratch.blue.chunks_exact_mut(2);
    for ((((&u, &v), red), green), blue) in u.iter().zip(v).zip(reds).zip(greens).zip(blues) {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        red.fill(to_rgb.v_red * v + HALF);
        green.fill(to_rgb.u_green * u + to_rgb.v_green * v + HALF);
        blue.fill(to_rgb.u_blue * u + HALF);
    }
}

#[inline(always)]
fn luma_row(y: &[u8], to_rgb: ToRgb, scratch: &Scratch, out: &mut [u8]) {
    let chroma = scratch.red.iter().zip(&scratch.green).zip(&scratch.blue);
    for ((&y, ((&red, &green), &blue)), pixel) in y.iter().zip(chroma).zip(out.chunks_exact_mut(3)) {
        let luma = (i32::from(y) - to_rgb.floor) * to_rgb.luma;
        pixel[0] = ((luma + red) >> BITS).clamp(0, 255) as u8;
        pixel[1] = ((luma + green) >> BITS).clamp(0, 255) as u8;
        pixel[2] = ((luma + blue) >> BITS).clamp(0, 255) as u8;
    }
}

/// Where in four bytes the luma of two pixels, and their chroma, are.
#[cfg(any(target_os = "linux", test))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) y: [usize; 2],
    pub(crate) u: usize,
    pub(crate) v: usize,
}

#[cfg(any(target_os = "linux", test))]
impl Packed {
    pub(crate) const YUYV: Self = Self { y: [0, 2], u: 1, v: 3 };
    pub(crate) const YVYU: Self = Self { y: [0, 2], u: 3, v: 1 };
    pub(crate) const UYVY: Self = Self { y: [1, 3], u: 0, v: 2 };
    pub(crate) const VYUY: Self = Self { y: [1, 3], u: 2, v: 0 };
}

/// Fills `out` from packed 4:2:2, `stride` bytes from row to row. `false` if `packed` is too short.
#[cfg(any(target_os = "linux", test))]
pub(crate) fn packed_to_rgb(
    packed: &[u8],
    order: Packed,
    stride: usize,
    to_rgb: ToRgb,
    scratch: &mut Scratch,
    out: &mut Picture,
) -> bool {
    let (width, height) = (out.width() as usize, out.height() as usize);
    let half = width.div_ceil(2);
    if width == 0 || height == 0 {
        return true;
    }
    if stride < half * 4 || packed.len() < stride * (height - 1) + half * 4 {
        return false;
    }
    for row in [&mut scratch.red, &mut scratch.green, &mut scratch.blue] {
        row.resize(half * 2, 0);
    }
    let mut planar = vec![0; half * 4];
    let (y, chroma) = planar.split_at_mut(half * 2);
    let (u, v) = chroma.split_at_mut(half);
    for (row, out) in packed.chunks(stride).zip(out.pixels_mut().chunks_exact_mut(width * 3)) {
        for (((four, y), u), v) in row.chunks_exact(4).zip(y.chunks_exact_mut(2)).zip(u.iter_mut()).zip(v.iter_mut()) {
            (y[0], y[1], *u, *v) = (four[order.y[0]], four[order.y[1]], four[order.u], four[order.v]);
        }
        spread_chroma(u, v, to_rgb, scratch);
        luma_row(&y[..width], to_rgb, scratch, out);
    }
    true
}

/// A 4:2:0 picture of even size, BT.709 in limited range, as our films are written.
#[derive(Debug)]
pub(crate) struct Film {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Film {
    /// Room for pictures of this size, rounded up to even.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let (width, height) = ((width as usize).next_multiple_of(2), (height as usize).next_multiple_of(2));
        let quarter = width / 2 * (height / 2);
        Self { width, height, y: vec![0; width * height], u: vec![0; quarter], v: vec![0; quarter] }
    }

    /// Size, even.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Y, U, V; rows follow without gaps.
    pub(crate) fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.y, &self.u, &self.v)
    }

    /// Converts a picture. An odd last column or row is repeated.
    pub(crate) fn fill(&mut self, picture: &Picture) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, as checked above.
            unsafe { self.fill_avx2(picture) };
            return;
        }
        self.fill_anywhere(picture);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn fill_avx2(&mut self, picture: &Picture) {
        self.fill_anywhere(picture);
    }

    #[inline(always)]
    fn fill_anywhere(&mut self, picture: &Picture) {
        let (red, blue) = Standard::Bt709.weights();
        let green = 1.0 - red - blue;
        let (luma, chroma) = (219.0 / 255.0, 224.0 / 255.0);
        let y_weights = [red, green, blue].map(|weight| fixed(weight * luma));
        // Four pixels are added up before weighing, hence the quarter.
        let per_blue = chroma / 2.0 / (1.0 - blue) / 4.0;
        let per_red = chroma / 2.0 / (1.0 - red) / 4.0;
        let u_weights = [-red * per_blue, -green * per_blue, (1.0 - blue) * per_blue].map(fixed);
        let v_weights = [(1.0 - red) * per_red, -green * per_red, -blue * per_red].map(fixed);
        let weigh = |rgb: [i32; 3], weights: [i32; 3], offset: i32| {
            let sum = rgb[0] * weights[0] + rgb[1] * weights[1] + rgb[2] * weights[2];
            ((sum + (offset << BITS) + HALF) >> BITS).clamp(0, 255) as u8
        };
        let half = self.width / 2;
        let mut padded = [vec![0; self.width * 3], vec![0; self.width * 3]];
        let below_last = picture.height().saturating_sub(1);
        for pair in 0..self.height / 2 {
            for (below, row) in padded.iter_mut().enumerate() {
                let source = picture.row(((pair * 2 + below) as u32).min(below_last));
                row[..source.len()].copy_from_slice(source);
                if source.len() < row.len() {
                    row.copy_within(source.len() - 3..source.len(), source.len());
                }
            }
            for (below, row) in padded.iter().enumerate() {
                let y = &mut self.y[(pair * 2 + below) * self.width..][..self.width];
                for (y, pixel) in y.iter_mut().zip(row.chunks_exact(3)) {
                    *y = weigh([pixel[0], pixel[1], pixel[2]].map(i32::from), y_weights, 16);
                }
            }
            let [above, below] = &padded;
            let chroma = self.u[pair * half..][..half].iter_mut().zip(&mut self.v[pair * half..][..half]);
            for ((a, b), (u, v)) in above.chunks_exact(6).zip(below.chunks_exact(6)).zip(chroma) {
                let sum = |at: usize| [a[at], a[at + 3], b[at], b[at + 3]].into_iter().map(i32::from).sum();
                let rgb = [sum(0), sum(1), sum(2)];
                (*u, *v) = (weigh(rgb, u_weights, 128), weigh(rgb, v_weights, 128));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Colours = Colours { standard: Standard::Bt709, full_range: false };
    const WEBCAM: Colours = Colours { standard: Standard::Bt601, full_range: false };

    fn one(colours: Colours, y: u8, u: u8, v: u8) -> [u8; 3] {
        let mut out = Picture::new(2, 2);
        let (y, u, v) = ([y; 4], [u], [v]);
        let planes = Planes { y: &y, u: &u, v: &v, y_stride: 2, uv_stride: 1 };
        planes_to_rgb(planes, ToRgb::new(colours), &mut Scratch::default(), &mut out);
        assert_eq!(out.pixel(0, 0), out.pixel(1, 1));
        out.pixel(0, 0)
    }

    #[test]
    fn reference_colours() {
        // The 100 % colour bars of BT.601 and BT.709 in 8 bits, as the recommendations' formulas give them.
        for (colours, [y, u, v], rgb) in [
            (WEBCAM, [235, 128, 128], [255, 255, 255]),
            (WEBCAM, [16, 128, 128], [0, 0, 0]),
            (WEBCAM, [81, 90, 240], [254, 0, 0]),
            (WEBCAM, [41, 240, 110], [0, 0, 255]),
            (HD, [63, 102, 240], [255, 1, 0]),
            (HD, [32, 240, 118], [1, 0, 255]),
            (Colours { full_range: true, ..WEBCAM }, [76, 85, 255], [254, 0, 0]),
        ] {
            let got = one(colours, y, u, v);
            assert!(got.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 2), "{colours:?} {y} {u} {v}: {got:?} {rgb:?}");
        }
    }

    #[test]
    fn wide_and_plain_code_agree_and_match_floating_point() {
        let (width, height) = (38, 6);
        let noise =
            |seed: usize, count: usize| (0..count).map(|i| ((i * 197 + seed * 61) % 251) as u8).collect::<Vec<_>>();
        let (y, u, v) = (noise(1, 40 * height), noise(2, 24 * 3), noise(3, 24 * 3));
        let planes = Planes { y: &y, u: &u, v: &v, y_stride: 40, uv_stride: 24 };
        let (mut fast, mut plain) = (Picture::new(width, height as u32), Picture::new(width, height as u32));
        planes_to_rgb(planes, ToRgb::new(WEBCAM), &mut Scratch::default(), &mut fast);
        planes_to_rgb_anywhere(planes, ToRgb::new(WEBCAM), &mut Scratch::default(), &mut plain);
        assert_eq!(fast, plain);
        for row in 0..height {
            for column in 0..width as usize {
                let luma = (f64::from(y[row * 40 + column]) - 16.0) * 255.0 / 219.0;
                let at = row / 2 * 24 + column / 2;
                let (b, r) = (f64::from(u[at]) - 128.0, f64::from(v[at]) - 128.0);
                let scale = 255.0 / 224.0;
                let expected = [
                    luma + 1.402 * scale * r,
                    luma - 0.344_136 * scale * b - 0.714_136 * scale * r,
                    luma + 1.772 * scale * b,
                ];
                let got = plain.pixel(column as u32, row as u32);
                for (got, expected) in got.iter().zip(expected) {
                    assert!((f64::from(*got) - expected.clamp(0.0, 255.0)).abs() <= 0.6, "{got} {expected}");
                }
            }
        }
    }

    #[test]
    fn packed_and_planar_agree() {
        // Two rows with equal chroma are the same picture in 4:2:2 and 4:2:0.
        let packed = [50, 90, 60, 200, 70, 120, 80, 30, 99, 99, 150, 90, 160, 200, 170, 120, 180, 30];
        let mut from_packed = Picture::new(3, 2);
        assert!(packed_to_rgb(
            &packed,
            Packed::YUYV,
            10,
            ToRgb::new(WEBCAM),
            &mut Scratch::default(),
            &mut from_packed
        ));
        let y = [50, 60, 70, 80, 150, 160, 170, 180];
        let planes = Planes { y: &y, u: &[90, 120], v: &[200, 30], y_stride: 4, uv_stride: 2 };
        let mut from_planes = Picture::new(3, 2);
        planes_to_rgb(planes, ToRgb::new(WEBCAM), &mut Scratch::default(), &mut from_planes);
        assert_eq!(from_packed, from_planes);
        assert!(!packed_to_rgb(
            &packed[..17],
            Packed::YUYV,
            10,
            ToRgb::new(WEBCAM),
            &mut Scratch::default(),
            &mut from_packed
        ));
    }

    #[test]
    fn to_film_and_back() {
        // Flat colours survive but for rounding, also where the size is odd.
        for colour in [[0, 0, 0], [255, 255, 255], [200, 30, 90], [10, 240, 20], [128, 128, 128], [0, 0, 255]] {
            let mut film = Film::new(7, 5);
            film.fill(&Picture::filled(7, 5, colour));
            assert_eq!(film.size(), (8, 6));
            let (y, u, v) = film.planes();
            let mut back = Picture::new(8, 6);
            let planes = Planes { y, u, v, y_stride: 8, uv_stride: 4 };
            planes_to_rgb(planes, ToRgb::new(HD), &mut Scratch::default(), &mut back);
            for got in back.pixels().chunks_exact(3) {
                assert!(got.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 3), "{got:?} {colour:?}");
            }
        }
    }
}
