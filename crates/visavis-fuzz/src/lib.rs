//! Fuzz targets: one function for each parser of data that come from outside.
//!
//! A [`Target`] gets bytes and passes them to a parser of the product or of the laboratory, as the program would. It must not
//! panic, hang or need much memory, whatever the bytes are. Two drivers call the same targets:
//!
//! - `checks/fuzz SECONDS [TARGET...]` builds with the instrumentation of libFuzzer, which searches for inputs that reach new
//!   code. It stops at a panic, at an input that takes more than ten seconds, and at 1 GiB of memory.
//! - `tests/replay.rs`, a part of `cargo test`, calls each target with its seeds, with the inputs in `corpus/`, and with a bounded
//!   number of [mutations](mutate) of them, without instrumentation.
//!
//! Seeds are made by the writers of the project; a target describes its input. `corpus/TARGET/` holds inputs that once failed,
//! and small inputs that reach code which the seeds do not reach.

pub mod mutate;
pub mod panics;
mod parts;
mod scratch;

#[cfg(feature = "data")]
mod data;
#[cfg(feature = "gallery")]
mod gallery;
#[cfg(feature = "media")]
mod media;
#[cfg(feature = "models")]
mod models;
#[cfg(any(feature = "models", feature = "training"))]
mod onnx;
#[cfg(feature = "product")]
mod product;
#[cfg(feature = "training")]
mod training;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A parser that is tested.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, as `checks/fuzz` takes it.
    pub name: &'static str,
    /// Passes bytes to the parser.
    pub run: fn(&[u8]),
    /// Valid inputs, from which a driver begins.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Largest useful input in bytes.
    pub most_bytes: usize,
    /// Number of mutated inputs that `cargo test` tries: some seconds in a build without optimisation.
    pub mutations: usize,
}

/// All targets of the groups that were built.
#[must_use]
pub fn targets() -> Vec<Target> {
    let groups: &[&[Target]] = &[
        #[cfg(feature = "media")]
        media::TARGETS,
        #[cfg(feature = "models")]
        models::TARGETS,
        #[cfg(feature = "gallery")]
        gallery::TARGETS,
        #[cfg(feature = "data")]
        data::TARGETS,
        #[cfg(feature = "training")]
        training::TARGETS,
        #[cfg(feature = "product")]
        product::TARGETS,
    ];
    groups.concat()
}

/// The target of this name, if its group was built.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    targets().into_iter().find(|target| target.name == name)
}

impl Target {
    /// The committed inputs, in the order of their names.
    ///
    /// # Errors
    /// If a file cannot be read. A target without a folder has none.
    pub fn corpus(&self) -> io::Result<Vec<Vec<u8>>> {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "corpus", self.name].iter().collect();
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        paths.into_iter().map(fs::read).collect()
    }

    /// Writes each seed to a file in `folder`.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_seeds(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (number, seed) in (self.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
        Ok(())
    }
}
