//! Coordinates relative to a detector's box.

use visavis_image::{Landmarks, Point, Rect, Turn};

use super::Shape;

/// The coordinates in which shapes are learnt: the origin is the middle of the box, the unit its side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxFrame {
    /// Middle of the box, in pixels.
    pub centre: Point,
    /// The box's side in pixels; of a box that is not square, the geometric mean of both sides, so that the proportions of
    /// faces do not depend on how much hair and chin the detector includes.
    pub side: f32,
    /// How the face is rotated in the picture.
    pub turn: Turn,
}

impl BoxFrame {
    /// The frame of `rect`.
    #[must_use]
    pub fn of(rect: &Rect) -> Self {
        Self { centre: rect.centre(), side: rect.area().sqrt(), turn: Turn::None }
    }

    /// From box coordinates to pixels.
    #[must_use]
    pub fn to_picture(&self, point: Point) -> Point {
        let Point { x, y } = turned(point, self.turn);
        Point::new(self.centre.x + self.side * x, self.centre.y + self.side * y)
    }

    /// From pixels to box coordinates.
    #[must_use]
    pub fn to_box(&self, point: Point) -> Point {
        let offset = Point::new((point.x - self.centre.x) / self.side, (point.y - self.centre.y) / self.side);
        turned(offset, self.turn.inverse())
    }

    /// Converts a shape into landmarks in pixels.
    #[must_use]
    pub fn landmarks(&self, shape: &Shape) -> Landmarks {
        shape.map(|point| self.to_picture(point)).into()
    }

    /// Converts landmarks in pixels into a shape.
    #[must_use]
    pub fn shape(&self, landmarks: &Landmarks) -> Shape {
        landmarks.to_array().map(|point| self.to_box(point))
    }
}

/// Rotates a point about the origin.
fn turned(Point { x, y }: Point, turn: Turn) -> Point {
    match turn {
        Turn::None => Point::new(x, y),
        Turn::Right => Point::new(-y, x),
        Turn::Half => Point::new(-x, -y),
        Turn::Left => Point::new(y, -x),
    }
}
