//! Points, boxes and facial landmarks, in source pixels: x right, y down, pixel centres at +0.5.

use serde::{Deserialize, Serialize};

/// A point in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Downwards.
    pub y: f32,
}

impl Point {
    /// The point (x, y).
    #[must_use]
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// Euclidean distance.
    #[must_use]
    pub fn distance(self, other: Point) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// Linear interpolation to `other` (`t` = 0: this point, 1: `other`).
    #[must_use]
    pub fn lerp(self, other: Point, t: f32) -> Point {
        Point::new(self.x + (other.x - self.x) * t, self.y + (other.y - self.y) * t)
    }
}

impl From<[f32; 2]> for Point {
    fn from([x, y]: [f32; 2]) -> Self {
        Self { x, y }
    }
}

impl From<Point> for [f32; 2] {
    fn from(point: Point) -> Self {
        [point.x, point.y]
    }
}

/// An upright box: top left corner and size. Serialises as `[x, y, width, height]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Extent to the right.
    pub width: f32,
    /// Extent downwards.
    pub height: f32,
}

impl Rect {
    /// The box with this top left corner and size.
    #[must_use]
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    /// The box between two corners.
    #[must_use]
    pub fn from_corners(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self::new(left, top, right - left, bottom - top)
    }

    /// The box of this size around `centre`.
    #[must_use]
    pub fn around(centre: Point, width: f32, height: f32) -> Self {
        Self::new(centre.x - width / 2.0, centre.y - height / 2.0, width, height)
    }

    /// Right edge.
    #[must_use]
    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    /// Bottom edge.
    #[must_use]
    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    /// Middle.
    #[must_use]
    pub fn centre(&self) -> Point {
        Point::new(self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Area; 0 for a box with a negative side.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// The overlap of two boxes, `None` if they share no area.
    #[must_use]
    pub fn intersection(&self, other: &Rect) -> Option<Rect> {
        let (left, top) = (self.x.max(other.x), self.y.max(other.y));
        let (right, bottom) = (self.right().min(other.right()), self.bottom().min(other.bottom()));
        (right > left && bottom > top).then(|| Rect::from_corners(left, top, right, bottom))
    }

    /// Intersection over union, 0 to 1.
    #[must_use]
    pub fn iou(&self, other: &Rect) -> f32 {
        let shared = self.intersection(other).map_or(0.0, |overlap| overlap.area());
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The same centre, both sides multiplied by `factor`.
    #[must_use]
    pub fn expanded(&self, factor: f32) -> Rect {
        Rect::around(self.centre(), self.width * factor, self.height * factor)
    }

    /// The square around this box: same centre, side = the longer side.
    #[must_use]
    pub fn square(&self) -> Rect {
        let side = self.width.max(self.height);
        Rect::around(self.centre(), side, side)
    }

    /// All coordinates multiplied by (`sx`, `sy`).
    #[must_use]
    pub fn scaled(&self, sx: f32, sy: f32) -> Rect {
        Rect::new(self.x * sx, self.y * sy, self.width * sx, self.height * sy)
    }

    /// Whether the point lies inside or on the edge.
    #[must_use]
    pub fn contains(&self, point: Point) -> bool {
        (self.x..=self.right()).contains(&point.x) && (self.y..=self.bottom()).contains(&point.y)
    }

    /// Whether every coordinate is a finite number and both sides are positive.
    #[must_use]
    pub fn is_proper(&self) -> bool {
        [self.x, self.y, self.width, self.height].iter().all(|value| value.is_finite())
            && self.width > 0.0
            && self.height > 0.0
    }
}

impl From<[f32; 4]> for Rect {
    fn from([x, y, width, height]: [f32; 4]) -> Self {
        Self { x, y, width, height }
    }
}

impl From<Rect> for [f32; 4] {
    fn from(rect: Rect) -> Self {
        [rect.x, rect.y, rect.width, rect.height]
    }
}

/// The five facial keypoints, left and right *as seen in the picture*. Serialises as five `[x, y]` pairs in this order.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "[Point; 5]", into = "[Point; 5]")]
pub struct Landmarks {
    /// Centre of the eye on the left of the picture.
    pub left_eye: Point,
    /// Centre of the eye on the right of the picture.
    pub right_eye: Point,
    /// Tip of the nose.
    pub nose: Point,
    /// Corner of the mouth on the left of the picture.
    pub left_mouth: Point,
    /// Corner of the mouth on the right of the picture.
    pub right_mouth: Point,
}

impl Landmarks {
    /// In the order left eye, right eye, nose, left mouth corner, right mouth corner.
    #[must_use]
    pub fn to_array(self) -> [Point; 5] {
        [self.left_eye, self.right_eye, self.nose, self.left_mouth, self.right_mouth]
    }

    /// Applies `f` to each point.
    #[must_use]
    pub fn map(self, f: impl FnMut(Point) -> Point) -> Self {
        self.to_array().map(f).into()
    }

    /// The landmarks after mirroring a picture of this width: left and right are swapped.
    #[must_use]
    pub fn mirrored(&self, width: f32) -> Self {
        let flip = |point: Point| Point::new(width - point.x, point.y);
        Self {
            left_eye: flip(self.right_eye),
            right_eye: flip(self.left_eye),
            nose: flip(self.nose),
            left_mouth: flip(self.right_mouth),
            right_mouth: flip(self.left_mouth),
        }
    }

    /// Distance between the eye centres, in pixels.
    #[must_use]
    pub fn interocular(&self) -> f32 {
        self.left_eye.distance(self.right_eye)
    }
}

impl From<[Point; 5]> for Landmarks {
    fn from([left_eye, right_eye, nose, left_mouth, right_mouth]: [Point; 5]) -> Self {
        Self { left_eye, right_eye, nose, left_mouth, right_mouth }
    }
}

impl From<Landmarks> for [Point; 5] {
    fn from(landmarks: Landmarks) -> Self {
        landmarks.to_array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_by_hand() {
        let a = Rect::new(0.0, 0.0, 2.0, 2.0);
        let cases = [
            (a, 1.0),
            (Rect::new(1.0, 1.0, 2.0, 2.0), 1.0 / 7.0),
            (Rect::new(2.0, 0.0, 2.0, 2.0), 0.0),
            (Rect::new(0.0, 0.0, 2.0, 1.0), 0.5),
            (Rect::new(5.0, 5.0, 0.0, 0.0), 0.0),
        ];
        for (b, expected) in cases {
            assert!((a.iou(&b) - expected).abs() < 1e-6, "{b:?}");
            assert_eq!(a.iou(&b), b.iou(&a));
        }
    }

    #[test]
    fn square_keeps_centre() {
        let square = Rect::new(10.0, 20.0, 4.0, 8.0).square();
        assert_eq!(square, Rect::new(8.0, 20.0, 8.0, 8.0));
    }

    #[test]
    fn a_mirrored_face_has_its_left_eye_on_the_left() {
        let face = Landmarks::from(
            [(10.0, 5.0), (30.0, 6.0), (18.0, 12.0), (12.0, 20.0), (28.0, 21.0)].map(|(x, y)| Point::new(x, y)),
        );
        let mirrored = face.mirrored(100.0);
        assert_eq!(mirrored.to_array().map(|p| p.x), [70.0, 90.0, 82.0, 72.0, 88.0]);
        assert_eq!(mirrored.to_array().map(|p| p.y), [6.0, 5.0, 12.0, 21.0, 20.0]);
        assert_eq!(mirrored.mirrored(100.0), face);
    }

    #[test]
    fn nan_box_is_not_proper() {
        assert!(!Rect::new(f32::NAN, 0.0, 1.0, 1.0).is_proper());
        assert!(!Rect::new(0.0, 0.0, 0.0, 1.0).is_proper());
        assert!(Rect::new(-3.0, 0.0, 1.0, 1.0).is_proper());
    }
}
