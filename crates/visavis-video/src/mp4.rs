//! MP4 with H.264, read and written.
//!
//! Boxes are parsed and written by `mp4-atom`. It is handed one box at a time, since it refuses a whole index over one
//! odd box (a phone's metadata, say) that nobody here wants to know about.

mod boxes;
mod fragment;
mod reader;
mod samples;
mod track;
mod writer;

pub(crate) use reader::Mp4Source;
pub use writer::Mp4Writer;
