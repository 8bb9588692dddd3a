//! Coordinates of a detector's box.

use visavis_image::{Landmarks, Point, Rect};

use super::Shape;

/// The coordinates in which shapes are learnt: origin in the middle of the box, unit its side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxFrame {
    /// Middle of the box, in pixels.
    pub centre: Point,
    /// The box's side in pixels: of one that is not square, the geometric mean of both, so that faces keep their
    /// proportions whatever the detector makes of hair and chin.
    pub side: f32,
}

impl BoxFrame {
    /// The frame of `rect`.
    #[must_use]
    pub fn of(rect: &Rect) -> Self {
        Self { centre: rect.centre(), side: rect.area().sqrt() }
    }

    /// From box coordinates to pixels.
    #[must_use]
    pub fn to_picture(&self, point: Point) -> Point {
        Point::new(self.centre.x + self.side * point.x, self.centre.y + self.side * point.y)
    }

    /// From pixels to box coordinates.
    #[must_use]
    pub fn to_box(&self, point: Point) -> Point {
        Point::new((point.x - self.centre.x) / self.side, (point.y - self.centre.y) / self.side)
    }

    /// A shape as landmarks in pixels.
    #[must_use]
    pub fn landmarks(&self, shape: &Shape) -> Landmarks {
        shape.map(|point| self.to_picture(point)).into()
    }

    /// Landmarks in pixels as a shape.
    #[must_use]
    pub fn shape(&self, landmarks: &Landmarks) -> Shape {
        landmarks.to_array().map(|point| self.to_box(point))
    }
}
