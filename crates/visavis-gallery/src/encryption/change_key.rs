//! Encrypts a gallery, gives it another key, or decrypts it.

use super::GalleryKey;
use super::store::{EncryptedStore, EncryptedTransaction};
use crate::store::{Store, Transaction, Transactions, VectorColumns};
use crate::value::{Picture, Row};
use crate::{Gallery, GalleryError, rows};

/// The tables with vectors.
const WITH_VECTORS: [&str; 4] = ["photo", "denial", "alarm", "sighting"];
/// The columns with pictures.
const PICTURES: [(&str, &str); 3] = [("photo", "thumbnail"), ("alarm", "crop"), ("sighting", "crop")];
/// Number of pictures that are rewritten at once.
const PAGE: usize = 64;

impl Gallery {
    /// The key of this gallery; `None` if it is not encrypted.
    #[must_use]
    pub fn key(&self) -> Option<&GalleryKey> {
        self.store.key()
    }

    /// Encrypts all vectors and pictures by `key` in one transaction, or decrypts them if `key` is `None`; then removes what remains
    /// of the old ones and deletes the index. Other programs that have the gallery open can search the vectors in their memory,
    /// but their changes fail with [`GalleryError::KeyChanged`] until they open it again. Returns whether nothing of the old
    /// vectors and pictures remains: see [`Gallery::erase_remains`].
    ///
    /// # Errors
    /// The failures of the store, [`GalleryError::WrongKey`] if a row was encrypted by another key. Then nothing is changed.
    pub fn change_key(self, key: Option<&GalleryKey>) -> Result<bool, GalleryError> {
        self.remove_index()?;
        let EncryptedStore { inner, key: old, .. } = &self.store;
        inner.writing("changing its key", |tx| {
            let length = self.ours(rows::count_change(tx)?)?.embedding.length;
            let mut decrypting = EncryptedTransaction { inner: tx, key: old.as_ref() };
            let tables = WITH_VECTORS.map(|table| Ok((table, vectors(&mut decrypting, table)?)));
            let tables = tables.into_iter().collect::<Result<Vec<_>, GalleryError>>()?;
            let columns = if key.is_some() { VectorColumns::Encrypted } else { VectorColumns::Numbers(length) };
            tx.set_vector_columns(columns)?;
            let mut encrypting = EncryptedTransaction { inner: tx, key };
            for (table, vectors) in &tables {
                let sql = format!("UPDATE {table} SET vector = $2 WHERE id = $1");
                for (id, vector) in vectors {
                    encrypting.execute(&sql, &[(*id).into(), vector.as_slice().into()])?;
                }
            }
            for (table, column) in PICTURES {
                rewrite_pictures(tx, [old.as_ref(), key], table, column)?;
            }
            EncryptedStore::write_check(tx, key)
        })?;
        // Built in the meantime.
        self.remove_index()?;
        self.store.erase_remains()
    }
}

/// The numbers and vectors of the rows of a table.
fn vectors(tx: &mut dyn Transaction, table: &str) -> Result<Vec<(i64, Vec<f32>)>, GalleryError> {
    let read = |row: &Row| Ok((row.get(0)?, row.get(1)?));
    let sql = format!("SELECT id, vector FROM {table} WHERE vector IS NOT NULL");
    tx.query(&sql, &[])?.iter().map(read).collect()
}

/// Rewrites the pictures of a column from the first key to the second.
fn rewrite_pictures(
    tx: &mut dyn Transaction,
    [old, new]: [Option<&GalleryKey>; 2],
    table: &str,
    column: &str,
) -> Result<(), GalleryError> {
    let read = format!("SELECT id, {column} FROM {table} WHERE id > $1 AND {column} IS NOT NULL ORDER BY id LIMIT $2");
    let write = format!("UPDATE {table} SET {column} = $2 WHERE id = $1");
    let mut last = i64::MIN;
    loop {
        let rows = EncryptedTransaction { inner: tx, key: old }.query(&read, &[last.into(), PAGE.into()])?;
        for row in &rows {
            let (id, jpeg): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            EncryptedTransaction { inner: tx, key: new }.execute(&write, &[id.into(), Picture(&jpeg).into()])?;
            last = id;
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}
