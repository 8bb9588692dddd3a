//! Which Python exception an error becomes.

use std::io;

use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use visavis_face::FaceError;
use visavis_infer::InferError;
use visavis_video::VideoError;

/// `ValueError` for a wrong name or option, `OSError` for a file that cannot be read, else `RuntimeError`.
pub(crate) fn of_network(error: &InferError) -> PyErr {
    let message = error.to_string();
    match error {
        InferError::UnknownModel { .. }
        | InferError::Retired { .. }
        | InferError::NoWeights { .. }
        | InferError::NotANetwork { .. }
        | InferError::ManifestSyntax { .. }
        | InferError::ManifestField { .. }
        | InferError::NoManifest { .. }
        | InferError::Hash { .. }
        | InferError::Option { .. } => PyValueError::new_err(message),
        InferError::File { .. } => io::Error::other(message).into(),
        _ => PyRuntimeError::new_err(message),
    }
}

/// As [`of_network`].
pub(crate) fn of_face(error: &FaceError) -> PyErr {
    match error {
        FaceError::Infer(error) => of_network(error),
        FaceError::WrongTask { .. }
        | FaceError::Needed { .. }
        | FaceError::NoNetwork { .. }
        | FaceError::InputSize { .. } => PyValueError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}

/// `OSError` for a file that cannot be read (`FileNotFoundError` if there is none), `RuntimeError` if ffmpeg is missing, else
/// `ValueError`.
pub(crate) fn of_photo(error: &VideoError) -> PyErr {
    match error {
        VideoError::NotFound { path } => {
            io::Error::new(io::ErrorKind::NotFound, format!("{path}: no such file")).into()
        }
        VideoError::Read { source, .. } => io::Error::new(source.kind(), error.to_string()).into(),
        VideoError::NoFfmpeg { .. } => PyRuntimeError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}
