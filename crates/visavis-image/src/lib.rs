//! Pictures and plane geometry: frames, boxes, landmarks, warps, drawing.
//!
//! Pixels are RGB8, row-major. Coordinates are `f32` source pixels: x right, y down, pixel centres at +0.5. This crate
//! uses no networks, threads, clocks or files.

pub mod codec;
pub mod draw;
mod frame;
mod geometry;
mod picture;
mod resize;
mod similarity;
mod template;
mod turn;
mod warp;

pub use frame::Frame;
pub use geometry::{Landmarks, Point, Rect};
pub use picture::{Picture, PicturePool, PixelCountError};
pub use resize::{Fitted, Resizer, fit_factor};
pub use similarity::{Similarity, distortion};
pub use template::{BOTTOM_MARGIN, OTHER_MARGIN, face_template, symmetric_template};
pub use turn::Turn;
pub use warp::warp_into;
