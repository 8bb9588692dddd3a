//! Conversion of values to and from those of PostgreSQL.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::value::Value;

/// The type that pgvector adds.
fn is_vector(kind: &Type) -> bool {
    kind.name() == "vector"
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => match *kind {
                Type::BOOL => (*number != 0).to_sql(kind, out),
                Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
                _ => number.to_sql(kind, out),
            },
            Self::Real(number) if *kind == Type::FLOAT4 => (*number as f32).to_sql(kind, out),
            Self::Real(number) => number.to_sql(kind, out),
            Self::Text(text) => (&**text).to_sql(kind, out),
            Self::Bytes(bytes) | Self::Picture(bytes) => (&**bytes).to_sql(kind, out),
            // pgvector's own format: the length, two bytes of zero, and the numbers, all big-endian.
            Self::Vector(vector) if is_vector(kind) => {
                out.extend_from_slice(&u16::try_from(vector.len())?.to_be_bytes());
                out.extend_from_slice(&[0; 2]);
                vector.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
                Ok(IsNull::No)
            }
            Self::Vector(vector) => (&**vector).to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'static> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::BOOL => Self::Integer(bool::from_sql(kind, raw)?.into()),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT4 => Self::Real(f32::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Self::Bytes(Vec::<u8>::from_sql(kind, raw)?.into()),
            Type::FLOAT4_ARRAY => Self::Vector(Vec::<f32>::from_sql(kind, raw)?.into()),
            _ if is_vector(kind) => {
                let (numbers, _) = raw.get(4..).unwrap_or_default().as_chunks::<4>();
                Self::Vector(numbers.iter().map(|number| f32::from_be_bytes(*number)).collect::<Vec<_>>().into())
            }
            _ => Self::Text(String::from_sql(kind, raw)?.into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
