//! MP4 with H.264, read and written.
//!
//! `mp4-atom` parses and writes single boxes. It is not given the whole index, since it would refuse it because of one
//! invalid box that is not needed here, such as the metadata of a phone.

pub(crate) mod boxes;
mod edits;
mod fragment;
mod reader;
mod samples;
mod track;
pub(crate) mod turn;
mod writer;

pub(crate) use reader::Mp4Source;
pub use writer::Mp4Writer;
