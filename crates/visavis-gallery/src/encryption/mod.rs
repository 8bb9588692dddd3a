//! Encryption of the vectors and pictures of a gallery, in a file or in a database.
//!
//! Each vector and each picture is encrypted by itself, before it reaches the store: ChaCha20-Poly1305 (RFC 8439) with a random
//! nonce. The nonces of one key are different with near certainty as long as fewer than four billion values were encrypted by it.
//! So the file, its log, the temporary files of SQLite, and the server of a
//! database contain none in the clear. Names, times, the names and hashes of photo files and the other columns are not encrypted.
//! Encryption does not protect against a person or a program that can write to the store: they can exchange or delete rows.

mod change_key;
mod key;
mod store;

pub use key::GalleryKey;
pub(crate) use store::EncryptedStore;

#[cfg(test)]
mod tests;
