//! The pictures that Python passes.

use std::path::PathBuf;

use numpy::{PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods, dtype};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use visavis_image::Picture;
use visavis_image::codec::{self, Decoded};

use crate::errors;

/// A picture as it was passed. Does not refer to Python objects that may change.
pub(crate) enum Image {
    /// The pixels of an array.
    Pixels(Picture),
    /// An encoded photo.
    Encoded(PyBackedBytes),
    /// The path of a photo.
    Path(PathBuf),
}

impl Image {
    /// Copies the pixels of an array; reads no file.
    ///
    /// # Errors
    /// `TypeError` for another type of object or of pixels, `ValueError` for another shape.
    pub(crate) fn of(image: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(array) = image.cast::<PyUntypedArray>() {
            return pixels(array).map(Self::Pixels);
        }
        if let Ok(bytes) = image.extract() {
            return Ok(Self::Encoded(bytes));
        }
        if let Ok(path) = image.extract() {
            return Ok(Self::Path(path));
        }
        Err(PyTypeError::new_err(format!(
            "image must be a numpy array (uint8, of shape (height, width, 3) or (height, width)), the path of a photo, or the \
             bytes of an encoded photo, not {}: numpy.asarray converts many types of pictures",
            image.get_type().fully_qualified_name()?
        )))
    }

    /// Reads and decodes the photo, if it is one. Works without the interpreter.
    ///
    /// # Errors
    /// `OSError` for a file that cannot be read, `ValueError` for one that cannot be decoded.
    pub(crate) fn decode(self) -> PyResult<Decoded> {
        match self {
            Self::Pixels(picture) => Ok(Decoded { picture, shrunk: 1.0 }),
            Self::Encoded(bytes) => {
                codec::decode_photo(&bytes, codec::MAX_PIXELS).map_err(|error| PyValueError::new_err(error.to_string()))
            }
            Self::Path(path) => {
                visavis_video::load_photo(&path, codec::MAX_PIXELS).map_err(|error| errors::of_photo(&error))
            }
        }
    }
}

/// The picture of an array of any memory layout. A grey value becomes a red, a green and a blue one.
fn pixels(array: &Bound<'_, PyUntypedArray>) -> PyResult<Picture> {
    let found = array.dtype();
    if !found.is_equiv_to(&dtype::<u8>(array.py())) {
        let hint = match found.kind() {
            b'f' => ": if its values are 0 to 1, use (image * 255).astype(numpy.uint8)",
            _ => "",
        };
        return Err(PyTypeError::new_err(format!(
            "image must have the dtype uint8 (values 0 to 255), not {found}{hint}"
        )));
    }
    let shape = array.shape();
    let (height, width, repeat) = match *shape {
        [height, width] => (height, width, 3),
        [height, width, 3] => (height, width, 1),
        _ => {
            let hint = match *shape {
                [_, _, 4] => ": leave out the alpha channel, image[:, :, :3]",
                [1 | 3 | 4, _, _] => ": the channels come last, image.transpose(1, 2, 0)",
                [_, _, _, _] => ": pass the pictures of a batch one by one",
                _ => "",
            };
            let found: Vec<String> = shape.iter().map(ToString::to_string).collect();
            let found = found.join(", ");
            return Err(PyValueError::new_err(format!(
                "image must have the shape (height, width, 3), RGB, or (height, width), grey, not ({found}){hint}"
            )));
        }
    };
    let refused = || PyValueError::new_err(format!("image has {width}x{height} pixels, which is no picture"));
    let side = |side: usize| u32::try_from(side).ok().filter(|side| *side > 0).ok_or_else(refused);
    let (width, height) = (side(width)?, side(height)?);
    let array = array.cast::<PyArrayDyn<u8>>()?.try_readonly()?;
    let array = array.as_array();
    let pixels = match array.as_slice() {
        Some(pixels) if repeat == 1 => pixels.to_vec(),
        _ => array.iter().flat_map(|value| std::iter::repeat_n(*value, repeat)).collect(),
    };
    Picture::from_rgb(width, height, pixels).map_err(|error| PyValueError::new_err(error.to_string()))
}
