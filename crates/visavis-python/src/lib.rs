//! The Python module `visavis`: the faces of a picture, as numpy arrays. `docs/python.md` describes it.
//!
//! The comments of classes and functions are the documentation that Python's `help` shows.

mod analyzer;
mod errors;
mod face;
mod image;

/// The part of the Python package `visavis` that is written in Rust.
#[pyo3::pymodule]
mod _visavis {
    #[pymodule_export]
    use crate::analyzer::{FaceAnalyzer, analyze};
    #[pymodule_export]
    use crate::face::{Face, HeadPose};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
