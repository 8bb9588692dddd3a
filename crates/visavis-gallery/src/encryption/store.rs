//! A store whose vectors and pictures are encrypted.

use std::path::{Path, PathBuf};

use visavis_infer::manifest::Metric;

use super::GalleryKey;
use super::key::Kind;
use crate::rows::{self, Meta};
use crate::store::{Store, Transaction, Transactions, VectorColumns, Work};
use crate::value::{Row, Value};
use crate::{EmbeddingId, GalleryError};

/// What is encrypted to recognise the key.
const CHECK: &[u8] = b"visavis gallery";

/// A store of any kind. With a key, vectors and pictures are encrypted before they reach it and decrypted when they come back;
/// without one, this passes everything on.
pub(crate) struct EncryptedStore {
    pub(super) inner: Box<dyn Store>,
    pub(super) key: Option<GalleryKey>,
    /// `meta.encrypted` when the gallery was opened.
    check: Option<Vec<u8>>,
}

impl EncryptedStore {
    /// The store of an existing gallery.
    ///
    /// # Errors
    /// [`GalleryError::Encrypted`] if the gallery is encrypted and `key` is missing; [`GalleryError::WrongKey`];
    /// [`GalleryError::NotEncrypted`] if there is a key, but the gallery is not encrypted.
    pub(crate) fn open(inner: Box<dyn Store>, key: Option<GalleryKey>) -> Result<Self, GalleryError> {
        let meta = inner.reading("reading its encryption", |tx| rows::meta(tx))?;
        let check = meta.and_then(|meta| meta.encrypted);
        let path = || inner.place().to_path_buf();
        match (&key, &check) {
            (None, Some(_)) => return Err(GalleryError::Encrypted { path: path() }),
            (Some(_), None) => return Err(GalleryError::NotEncrypted { path: path() }),
            (Some(key), Some(check)) if key.decrypt(Kind::Check, check).as_deref() != Some(CHECK) => {
                return Err(GalleryError::WrongKey { path: path() });
            }
            _ => {}
        }
        Ok(Self { inner, key, check })
    }

    /// Encrypts a new gallery, in which nothing is yet, if there is a key.
    ///
    /// # Errors
    /// The failures of the store.
    pub(crate) fn encrypt_empty(store: &dyn Store, key: Option<&GalleryKey>) -> Result<(), GalleryError> {
        let Some(key) = key else { return Ok(()) };
        store.writing("encrypting", |tx| {
            tx.set_vector_columns(VectorColumns::Encrypted)?;
            Self::write_check(tx, Some(key))
        })
    }

    /// The key by which the vectors and pictures are encrypted.
    pub(crate) fn key(&self) -> Option<&GalleryKey> {
        self.key.as_ref()
    }

    /// Fails if the key was changed since this store was opened.
    pub(crate) fn same_key(&self, meta: &Meta) -> Result<(), GalleryError> {
        if meta.encrypted == self.check {
            return Ok(());
        }
        Err(GalleryError::KeyChanged { path: self.place().to_path_buf() })
    }

    /// Writes by what the key is recognised.
    pub(super) fn write_check(tx: &mut dyn Transaction, key: Option<&GalleryKey>) -> Result<(), GalleryError> {
        let check = key.map(|key| key.encrypt(Kind::Check, CHECK)).transpose()?;
        tx.execute("UPDATE meta SET encrypted = $1", &[check.as_deref().into()]).map(drop)
    }
}

impl Store for EncryptedStore {
    fn place(&self) -> &Path {
        self.inner.place()
    }

    fn read(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.inner.read(doing, &mut |tx| work(&mut EncryptedTransaction { inner: tx, key: self.key.as_ref() }))
    }

    fn write(&self, doing: &'static str, work: Work<'_>) -> Result<(), GalleryError> {
        self.inner.write(doing, &mut |tx| work(&mut EncryptedTransaction { inner: tx, key: self.key.as_ref() }))
    }

    fn settle(&self) {
        self.inner.settle();
    }

    fn erase_remains(&self) -> Result<bool, GalleryError> {
        self.inner.erase_remains()
    }

    fn may_have_news(&self) -> Result<bool, GalleryError> {
        self.inner.may_have_news()
    }

    /// An index would contain the vectors in the clear.
    fn index(&self) -> Option<PathBuf> {
        if self.key.is_some() { None } else { self.inner.index() }
    }

    fn check_network(&self, embedding: &EmbeddingId) -> Result<(), GalleryError> {
        self.inner.check_network(embedding)
    }

    /// A database cannot compare encrypted vectors.
    fn nearest(&self, metric: Metric, query: &[f32], photos: usize) -> Result<Option<Vec<Row>>, GalleryError> {
        if self.key.is_some() { Ok(None) } else { self.inner.nearest(metric, query, photos) }
    }
}

/// A transaction that encrypts the vectors and pictures of statements and decrypts those of rows.
pub(super) struct EncryptedTransaction<'a> {
    pub(super) inner: &'a mut dyn Transaction,
    pub(super) key: Option<&'a GalleryKey>,
}

impl Transaction for EncryptedTransaction<'_> {
    fn place(&self) -> &Path {
        self.inner.place()
    }

    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<usize, GalleryError> {
        let Some(key) = self.key else { return self.inner.execute(sql, params) };
        self.inner.execute(sql, &encrypted(key, params)?)
    }

    fn query(&mut self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>, GalleryError> {
        let Some(key) = self.key else { return self.inner.query(sql, params) };
        let mut rows = self.inner.query(sql, &encrypted(key, params)?)?;
        for row in &mut rows {
            row.map(|value| decrypted(key, value))?;
        }
        Ok(rows)
    }

    fn set_vector_columns(&mut self, columns: VectorColumns) -> Result<(), GalleryError> {
        self.inner.set_vector_columns(if self.key.is_some() { VectorColumns::Encrypted } else { columns })
    }
}

fn encrypted<'a>(key: &GalleryKey, params: &[Value<'a>]) -> Result<Vec<Value<'a>>, GalleryError> {
    let encrypt = |value: &Value<'a>| {
        Ok(match value {
            Value::Vector(vector) => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Value::Bytes(key.encrypt(Kind::Vector, &bytes)?.into())
            }
            Value::Picture(jpeg) => Value::Bytes(key.encrypt(Kind::Picture, jpeg)?.into()),
            other => other.clone(),
        })
    };
    params.iter().map(encrypt).collect()
}

fn decrypted(key: &GalleryKey, value: Value<'static>) -> Result<Value<'static>, String> {
    let Value::Bytes(bytes) = &value else { return Ok(value) };
    let Some(kind @ (Kind::Vector | Kind::Picture)) = Kind::of(bytes) else { return Ok(value) };
    let text = key.decrypt(kind, bytes).ok_or("it was encrypted by another key, or it was changed")?;
    Ok(Value::Bytes(text.into()))
}
