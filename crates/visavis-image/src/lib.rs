//! Pictures and plane geometry: frames, boxes, landmarks, warps, drawing.

mod frame;
mod geometry;
mod picture;

pub use frame::Frame;
pub use geometry::{Landmarks, Point, Rect};
pub use picture::{Picture, PicturePool, PixelCountError};
