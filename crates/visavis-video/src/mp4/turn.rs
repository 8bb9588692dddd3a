//! Rotates, mirrors and stretches decoded pictures as they are shown.

use mp4_atom::Matrix;
use visavis_image::{Picture, PicturePool, Resizer};

/// A pixel aspect ratio larger than this, or smaller than its inverse, is an error in the file.
const MOST_ASPECT: f64 = 8.0;
/// Smaller deviations from square pixels are ignored.
const LEAST_STRETCH: f64 = 0.005;

/// How a coded picture is rotated and mirrored to be upright: transposed first, then mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turn {
    pub(crate) transposed: bool,
    pub(crate) mirrored_x: bool,
    pub(crate) mirrored_y: bool,
}

impl Turn {
    /// The matrix of a track, reduced to quarter turns and mirroring. Phones record sideways and specify it there.
    ///
    /// A point goes from (x, y) to (a·x + c·y, b·x + d·y).
    pub(super) fn of(matrix: &Matrix) -> Self {
        let transposed = matrix.a == 0 && matrix.d == 0 && matrix.b != 0 && matrix.c != 0;
        let (x, y) = if transposed { (matrix.c, matrix.b) } else { (matrix.a, matrix.d) };
        Self { transposed, mirrored_x: x < 0, mirrored_y: y < 0 }
    }

    /// The size of an upright picture.
    pub(super) fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    pub(crate) fn apply(self, picture: Picture, pool: &PicturePool) -> Picture {
        if self == Self::default() {
            return picture;
        }
        let (width, height) = self.size((picture.width(), picture.height()));
        let mut out = pool.take(width, height);
        let row = width as usize * 3;
        for (y, to) in out.pixels_mut().chunks_exact_mut(row.max(1)).enumerate() {
            let y = if self.mirrored_y { height - 1 - y as u32 } else { y as u32 };
            if !self.transposed && !self.mirrored_x {
                to.copy_from_slice(picture.row(y));
                continue;
            }
            for (x, to) in to.chunks_exact_mut(3).enumerate() {
                let x = if self.mirrored_x { width - 1 - x as u32 } else { x as u32 };
                to.copy_from_slice(&if self.transposed { picture.pixel(y, x) } else { picture.pixel(x, y) });
            }
        }
        out
    }
}

/// The pixel aspect ratio; 1 if the file specifies an invalid one.
pub(crate) fn aspect(wide: u32, high: u32) -> f64 {
    let aspect = f64::from(wide) / f64::from(high);
    if (1.0 / MOST_ASPECT..=MOST_ASPECT).contains(&aspect) { aspect } else { 1.0 }
}

/// The size of a picture with square pixels. It is only enlarged.
pub(crate) fn square((width, height): (u32, u32), aspect: f64) -> (u32, u32) {
    let scaled = |side: u32, factor: f64| (f64::from(side) * factor).round() as u32;
    if (aspect - 1.0).abs() < LEAST_STRETCH {
        (width, height)
    } else if aspect > 1.0 {
        (scaled(width, aspect), height)
    } else {
        (width, scaled(height, 1.0 / aspect))
    }
}

/// Resizes a picture to this size, if it has another.
pub(crate) fn stretched(picture: Picture, size: (u32, u32), pool: &PicturePool, resizer: &mut Resizer) -> Picture {
    if (picture.width(), picture.height()) == size {
        return picture;
    }
    let mut out = pool.take(size.0, size.1);
    resizer.stretch(&picture, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_eight() {
        let source = Picture::from_rgb(3, 2, (0..6).flat_map(|value| [value; 3]).collect()).unwrap();
        let pool = PicturePool::new(1);
        let one = 1 << 16;
        let reds = |[a, b, c, d]: [i32; 4]| {
            let matrix = Matrix { a: a * one, b: b * one, c: c * one, d: d * one, ..Matrix::default() };
            let out = Turn::of(&matrix).apply(source.clone(), &pool);
            (out.width(), out.pixels().iter().step_by(3).copied().collect::<Vec<_>>())
        };
        // Where (x, y) goes to, with the picture moved back into view.
        assert_eq!(reds([1, 0, 0, 1]), (3, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(reds([0, 1, -1, 0]), (2, vec![3, 0, 4, 1, 5, 2]), "a quarter clockwise");
        assert_eq!(reds([-1, 0, 0, -1]), (3, vec![5, 4, 3, 2, 1, 0]));
        assert_eq!(reds([0, -1, 1, 0]), (2, vec![2, 5, 1, 4, 0, 3]), "a quarter anticlockwise");
        assert_eq!(reds([-1, 0, 0, 1]), (3, vec![2, 1, 0, 5, 4, 3]), "left to right");
        assert_eq!(reds([1, 0, 0, -1]), (3, vec![3, 4, 5, 0, 1, 2]), "upside down");
        assert_eq!(reds([0, 1, 1, 0]), (2, vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(reds([0, -1, -1, 0]), (2, vec![5, 2, 4, 1, 3, 0]));
    }

    #[test]
    fn pixels_become_square() {
        assert_eq!(square((320, 360), aspect(2, 1)), (640, 360));
        assert_eq!(square((640, 180), aspect(1, 2)), (640, 360));
        assert_eq!(square((720, 576), aspect(12, 11)), (785, 576));
        assert_eq!(square((320, 360), aspect(1000, 1)), (320, 360));
        assert_eq!(square((320, 360), aspect(0, 0)), (320, 360));
        assert_eq!(square((1920, 1080), aspect(1001, 1000)), (1920, 1080));
    }
}
