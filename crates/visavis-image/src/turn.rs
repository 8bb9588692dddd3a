//! Rotations by 90, 180 and 270 degrees, of pictures and of boxes in them.

use crate::{Picture, Point, Rect, Similarity};

/// A rotation by a multiple of 90°, clockwise as seen on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Turn {
    /// Not turned.
    #[default]
    None,
    /// 90° clockwise.
    Right,
    /// 180°.
    Half,
    /// 270° clockwise, which is 90° counter-clockwise.
    Left,
}

impl Turn {
    /// All four, by increasing angle.
    pub const ALL: [Self; 4] = [Self::None, Self::Right, Self::Half, Self::Left];

    /// The angle in degrees, clockwise: 0, 90, 180 or 270.
    #[must_use]
    pub fn degrees(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Right => 90,
            Self::Half => 180,
            Self::Left => 270,
        }
    }

    /// The opposite rotation.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
            other => other,
        }
    }

    /// Whether it swaps width and height.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Right | Self::Left)
    }

    /// Width and height after the rotation.
    #[must_use]
    pub fn size<T>(self, [width, height]: [T; 2]) -> [T; 2] {
        if self.swaps_sides() { [height, width] } else { [width, height] }
    }

    /// Maps points in a picture of `width` × `height` pixels to their places after the rotation.
    #[must_use]
    pub fn transform(self, [width, height]: [f32; 2]) -> Similarity {
        match self {
            Self::None => Similarity::IDENTITY,
            Self::Right => Similarity { a: 0.0, b: 1.0, tx: height, ty: 0.0 },
            Self::Half => Similarity { a: -1.0, b: 0.0, tx: width, ty: height },
            Self::Left => Similarity { a: 0.0, b: -1.0, tx: 0.0, ty: width },
        }
    }

    /// Maps a box in a picture of the size `of` (width, height) to its place after the rotation.
    #[must_use]
    pub fn rect(self, rect: &Rect, of: [f32; 2]) -> Rect {
        let transform = self.transform(of);
        let (p, q) =
            (transform.apply(Point::new(rect.x, rect.y)), transform.apply(Point::new(rect.right(), rect.bottom())));
        let [width, height] = self.size([rect.width, rect.height]);
        Rect::new(p.x.min(q.x), p.y.min(q.y), width, height)
    }
}

impl Picture {
    /// A rotated copy, without interpolation.
    #[must_use]
    pub fn turned(&self, turn: Turn) -> Self {
        let [width, height] = turn.size([self.width(), self.height()]);
        let mut out = Self::new(width, height);
        let (across, down) = (self.width() as usize, self.height() as usize);
        let source = self.pixels().chunks_exact(3);
        match turn {
            Turn::None => out.pixels_mut().copy_from_slice(self.pixels()),
            Turn::Half => {
                for (to, from) in out.pixels_mut().chunks_exact_mut(3).rev().zip(source) {
                    to.copy_from_slice(from);
                }
            }
            Turn::Right | Turn::Left => {
                // Square blocks, so that the rows read and the rows written are in the cache together.
                const BLOCK: usize = 32;
                for (top, left) in
                    (0..down).step_by(BLOCK).flat_map(|y| (0..across).step_by(BLOCK).map(move |x| (y, x)))
                {
                    for y in top..(top + BLOCK).min(down) {
                        for x in left..(left + BLOCK).min(across) {
                            let to = if turn == Turn::Right {
                                x * down + (down - 1 - y)
                            } else {
                                (across - 1 - x) * down + y
                            };
                            let from = y * across + x;
                            let colour = &self.pixels()[from * 3..from * 3 + 3];
                            out.pixels_mut()[to * 3..to * 3 + 3].copy_from_slice(colour);
                        }
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel has another colour.
    fn picture() -> Picture {
        let pixels = (0..70 * 41u32).flat_map(|i| [(i % 251) as u8, (i / 251) as u8, (i % 7) as u8]).collect();
        Picture::from_rgb(70, 41, pixels).unwrap()
    }

    #[test]
    fn pixels_go_where_their_centres_go() {
        let picture = picture();
        for turn in Turn::ALL {
            let turned = picture.turned(turn);
            let transform = turn.transform([70.0, 41.0]);
            for (x, y) in [(0, 0), (69, 0), (0, 40), (69, 40), (33, 7), (32, 32)] {
                let to = transform.apply(Point::new(x as f32 + 0.5, y as f32 + 0.5));
                assert_eq!(turned.pixel(to.x as u32, to.y as u32), picture.pixel(x, y), "{turn:?} {x} {y}");
            }
            assert_eq!(turned.turned(turn.inverse()), picture, "{turn:?}");
        }
    }

    #[test]
    fn a_quarter_turn_is_clockwise() {
        let mut picture = Picture::new(3, 2);
        picture.set_pixel(0, 0, [9; 3]);
        let turned = picture.turned(Turn::Right);
        assert_eq!((turned.width(), turned.height(), turned.pixel(1, 0)), (2, 3, [9; 3]));
    }

    #[test]
    fn boxes_keep_their_contents() {
        let rect = Rect::new(10.0, 5.0, 20.0, 8.0);
        assert_eq!(Turn::Right.rect(&rect, [70.0, 41.0]), Rect::new(28.0, 10.0, 8.0, 20.0));
        for turn in Turn::ALL {
            let [width, height] = turn.size([70.0, 41.0]);
            assert_eq!(turn.inverse().rect(&turn.rect(&rect, [70.0, 41.0]), [width, height]), rect, "{turn:?}");
        }
    }
}
