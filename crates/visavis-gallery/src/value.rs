//! Values and rows that stores read and write.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::{AlarmId, GalleryError, PersonId, PhotoId};

/// A value of a statement or of a row. Booleans are the integers 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// An integer or a boolean.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes. SQLite also stores vectors as bytes: little-endian `f32`.
    Bytes(Cow<'a, [u8]>),
    /// A picture as JPEG. Rows contain it as bytes.
    Picture(Cow<'a, [u8]>),
    /// A vector.
    Vector(Cow<'a, [f32]>),
}

/// A row of the result of a statement.
#[derive(Debug, Clone)]
pub struct Row {
    place: Arc<Path>,
    values: Vec<Value<'static>>,
}

impl Row {
    /// A row of the gallery at `place`.
    #[must_use]
    pub fn new(place: &Arc<Path>, values: Vec<Value<'static>>) -> Self {
        Self { place: Arc::clone(place), values }
    }

    /// The value of a column, counted from 0.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] if it has another type.
    pub(crate) fn get<T: FromValue>(&self, column: usize) -> Result<T, GalleryError> {
        let value = self.values.get(column).unwrap_or(&Value::Null);
        T::from_value(value).map_err(|reason| self.damaged(format!("column {column}: {reason}")))
    }

    /// Changes all values.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] with the reason that `change` gives.
    pub(crate) fn map(
        &mut self,
        change: impl Fn(Value<'static>) -> Result<Value<'static>, String>,
    ) -> Result<(), GalleryError> {
        for at in 0..self.values.len() {
            let value = std::mem::replace(&mut self.values[at], Value::Null);
            self.values[at] = change(value).map_err(|reason| self.damaged(format!("column {at}: {reason}")))?;
        }
        Ok(())
    }

    /// The error for a damaged gallery, as this row shows.
    pub(crate) fn damaged(&self, reason: String) -> GalleryError {
        GalleryError::Damaged { path: self.place.to_path_buf(), reason }
    }
}

/// The little-endian numbers of a stored vector.
fn numbers(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("a vector has {} bytes, which is not a multiple of 4", bytes.len()));
    }
    Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}

/// A type that can be read from a value.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value<'_>) -> Result<Self, String>;
}

/// Implements `FromValue` for types that are read from one variant.
macro_rules! from_value {
    ($($type:ty, $what:literal, $pattern:pat => $read:expr;)*) => {$(
        impl FromValue for $type {
            fn from_value(value: &Value<'_>) -> Result<Self, String> {
                match value {
                    $pattern => $read,
                    _ => Err(format!("it is not {}", $what)),
                }
            }
        }
    )*};
}

from_value! {
    i64, "a number", Value::Integer(number) => Ok(*number);
    bool, "a boolean", Value::Integer(number) => Ok(*number != 0);
    usize, "a number", Value::Integer(number) => usize::try_from(*number).map_err(|_| format!("it is {number}"));
    PersonId, "a number", Value::Integer(number) => Ok(PersonId(*number));
    PhotoId, "a number", Value::Integer(number) => Ok(PhotoId(*number));
    AlarmId, "a number", Value::Integer(number) => Ok(AlarmId(*number));
    f32, "a number", Value::Real(number) => Ok(*number as f32);
    String, "text", Value::Text(text) => Ok(text.clone().into_owned());
    Vec<u8>, "bytes", Value::Bytes(bytes) => Ok(bytes.clone().into_owned());
}

impl FromValue for Vec<f32> {
    fn from_value(value: &Value<'_>) -> Result<Self, String> {
        match value {
            Value::Vector(vector) => Ok(vector.clone().into_owned()),
            Value::Bytes(bytes) => numbers(bytes),
            _ => Err("it is not a vector".into()),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value<'_>) -> Result<Self, String> {
        if *value == Value::Null { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

/// Implements the conversion of types to values.
macro_rules! into_value {
    ($($type:ty, $given:ident => $value:expr;)*) => {$(
        impl<'a> From<$type> for Value<'a> {
            fn from($given: $type) -> Self {
                $value
            }
        }
    )*};
}

into_value! {
    i64, number => Value::Integer(number);
    usize, number => Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    bool, truth => Value::Integer(truth.into());
    PersonId, person => Value::Integer(person.0);
    PhotoId, photo => Value::Integer(photo.0);
    AlarmId, alarm => Value::Integer(alarm.0);
    f32, number => Value::Real(number.into());
    &'a str, text => Value::Text(text.into());
    &'a [u8], bytes => Value::Bytes(bytes.into());
    &'a [f32], vector => Value::Vector(vector.into());
}

/// A picture as JPEG.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture<'a>(pub(crate) &'a [u8]);

impl<'a> From<Picture<'a>> for Value<'a> {
    fn from(Picture(jpeg): Picture<'a>) -> Self {
        Value::Picture(jpeg.into())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
