//! Grey values at any place of a picture.

use visavis_image::{Picture, Point, Rect};

use super::BoxFrame;

/// An image with grey values.
pub trait GreyImage {
    /// Pixels across.
    fn width(&self) -> u32;

    /// Pixels down.
    fn height(&self) -> u32;

    /// The grey value at column `x`, row `y`.
    ///
    /// # Panics
    /// If the place lies outside.
    fn grey(&self, x: u32, y: u32) -> u8;

    /// The sum of the grey values of some columns in a row.
    ///
    /// # Panics
    /// If a place lies outside.
    fn sum(&self, columns: &[u32], y: u32) -> u32 {
        columns.iter().map(|&x| u32::from(self.grey(x, y))).sum()
    }
}

/// The luma of a pixel. The weights sum to 256, so adding a value to all three channels adds exactly this value to the luma.
#[inline]
fn luma(red: u8, green: u8, blue: u8) -> u32 {
    (77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8
}

/// Luma of an RGB picture (ITU-R BT.601, in 256ths).
impl GreyImage for Picture {
    fn width(&self) -> u32 {
        Picture::width(self)
    }

    fn height(&self) -> u32 {
        Picture::height(self)
    }

    fn grey(&self, x: u32, y: u32) -> u8 {
        let [red, green, blue] = self.pixel(x, y);
        luma(red, green, blue) as u8
    }

    fn sum(&self, columns: &[u32], y: u32) -> u32 {
        let row = self.row(y);
        let grey = |x: u32| {
            let pixel = &row[x as usize * 3..][..3];
            luma(pixel[0], pixel[1], pixel[2])
        };
        columns.iter().map(|&x| grey(x)).sum()
    }
}

/// A picture with grey values only; it needs a third of the memory, which matters when thousands are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GreyPicture {
    width: u32,
    pixels: Vec<u8>,
}

impl GreyPicture {
    /// The part of `picture` that `rect` touches; empty if there is none. The second value is the upper left corner of
    /// that part in pixels of `picture`.
    #[must_use]
    pub fn cut(picture: &Picture, rect: &Rect) -> (Self, Point) {
        let within = |low: f32, high: f32, side: u32| (low.floor().max(0.0) as u32)..(high.ceil() as u32).min(side);
        let columns = within(rect.x, rect.right(), picture.width());
        let rows = within(rect.y, rect.bottom(), picture.height());
        let corner = Point::new(columns.start as f32, rows.start as f32);
        let width = columns.len() as u32;
        let pixels = rows.flat_map(|y| columns.clone().map(move |x| picture.grey(x, y))).collect();
        (Self { width, pixels }, corner)
    }
}

impl From<&Picture> for GreyPicture {
    fn from(picture: &Picture) -> Self {
        Self::cut(picture, &Rect::new(0.0, 0.0, picture.width() as f32, picture.height() as f32)).0
    }
}

impl GreyImage for GreyPicture {
    fn width(&self) -> u32 {
        self.width
    }

    fn height(&self) -> u32 {
        self.pixels.len().checked_div(self.width as usize).unwrap_or(0) as u32
    }

    fn grey(&self, x: u32, y: u32) -> u8 {
        self.pixels[y as usize * self.width as usize + x as usize]
    }
}

/// A picture mirrored left to right.
#[derive(Debug, Clone, Copy)]
pub struct Mirrored<'a, I>(pub &'a I);

impl<I: GreyImage> GreyImage for Mirrored<'_, I> {
    fn width(&self) -> u32 {
        self.0.width()
    }

    fn height(&self) -> u32 {
        self.0.height()
    }

    fn grey(&self, x: u32, y: u32) -> u8 {
        self.0.grey(self.0.width() - 1 - x, y)
    }
}

/// Most samples per axis: with more than this, pixels between the samples are skipped.
const MOST_TAPS: u32 = 4;

/// Grey values around a face, at the scale of its box.
///
/// A sample is the mean over a square of a `resolution`-th of the box's side, so that the trees see large and small faces
/// alike. While the square is larger than a pixel, it is the mean of the nearest pixels on a grid of up to 4 by 4, else
/// bilinear interpolation. Outside the picture, its border is repeated.
#[derive(Debug, Clone, Copy)]
pub struct Sampler<'a, I> {
    image: &'a I,
    frame: BoxFrame,
    /// Samples per axis.
    taps: u32,
    /// Distance of two samples in pixels.
    spacing: f32,
    /// Largest column and row.
    last: [i32; 2],
}

impl<'a, I: GreyImage> Sampler<'a, I> {
    /// Samples `image` at places in coordinates of `frame`. `resolution`: the number of samples per side of the box.
    #[must_use]
    pub fn new(image: &'a I, frame: BoxFrame, resolution: u16) -> Self {
        let square = frame.side / f32::from(resolution.max(1));
        // NaN and infinity saturate to 0 and 4.
        let taps = (square.round() as u32).clamp(1, MOST_TAPS);
        let last = [image.width(), image.height()].map(|side| i32::try_from(side).unwrap_or(i32::MAX) - 1);
        Self { image, frame, taps, spacing: square / taps as f32, last }
    }

    /// The grey value at a place in box coordinates; 0 in a picture without pixels.
    #[must_use]
    pub fn at(&self, place: Point) -> u8 {
        if self.last.iter().any(|last| *last < 0) {
            return 0;
        }
        let place = self.frame.to_picture(place);
        if self.taps == 1 { self.interpolated(place) } else { self.mean(place) }
    }

    fn pixel(&self, x: i32, y: i32) -> u32 {
        let (x, y) = (x.clamp(0, self.last[0]), y.clamp(0, self.last[1]));
        self.image.grey(x as u32, y as u32).into()
    }

    /// In fixed point, so that adding a value to all pixels adds exactly this value to the result.
    fn interpolated(&self, place: Point) -> u8 {
        let fixed = |value: f32| ((value - 0.5) * 256.0) as i32;
        let (x, y) = (fixed(place.x), fixed(place.y));
        let (column, row) = (x >> 8, y >> 8);
        let (right, down) = ((x & 255) as u32, (y & 255) as u32);
        let across =
            |row: i32| self.pixel(column, row) * (256 - right) + self.pixel(column.saturating_add(1), row) * right;
        let sum = across(row) * (256 - down) + across(row.saturating_add(1)) * down;
        ((sum + (1 << 15)) >> 16) as u8
    }

    fn mean(&self, place: Point) -> u8 {
        let middle = (self.taps - 1) as f32 / 2.0;
        let tap =
            |at: f32, last: i32, index: u32| whole(at + (index as f32 - middle) * self.spacing).clamp(0, last) as u32;
        let mut columns = [0; MOST_TAPS as usize];
        let columns = &mut columns[..self.taps as usize];
        for (column, index) in columns.iter_mut().zip(0..) {
            *column = tap(place.x, self.last[0], index);
        }
        let sum: u32 = (0..self.taps).map(|row| self.image.sum(columns, tap(place.y, self.last[1], row))).sum();
        let count = self.taps * self.taps;
        ((sum + count / 2) / count) as u8
    }
}

/// The next whole number below. `f32::floor` is a function call on x86-64 without SSE 4.1.
#[inline]
fn whole(value: f32) -> i32 {
    let towards_zero = value as i32;
    towards_zero.saturating_sub(i32::from((towards_zero as f32) > value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_is_the_floor() {
        for value in [0.0, 0.5, 1.0, -0.0, -0.2, -1.0, -1.5, 7e9, -7e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(whole(value), value.floor() as i32, "{value}");
        }
    }

    #[test]
    fn the_sum_of_a_row_is_that_of_its_pixels() {
        let mut picture = Picture::new(4, 2);
        (0..4).for_each(|x| picture.set_pixel(x, 1, [x as u8 * 40, 200 - x as u8, x as u8 * x as u8]));
        let columns = [3, 0, 0, 2];
        let one_by_one = columns.iter().map(|&x| u32::from(picture.grey(x, 1))).sum::<u32>();
        assert_eq!(picture.sum(&columns, 1), one_by_one);
        assert_eq!(GreyPicture::from(&picture).sum(&columns, 1), one_by_one);
    }
}
