//! The key of an encrypted gallery.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::GalleryError;

/// Length of a key in bytes.
const LENGTH: usize = 32;
/// Length of what the cipher adds to a text, in bytes.
const TAG: usize = 16;
/// The first bytes of everything that is encrypted. Then come the kind, the nonce and the ciphertext.
const MARK: [u8; 4] = *b"vsv1";
/// Length of everything before the ciphertext.
const HEAD: usize = MARK.len() + 1 + NONCE_LEN;

/// The key of an encrypted gallery: 32 random bytes. Cleared from memory when it is dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct GalleryKey(Zeroizing<[u8; LENGTH]>);

/// What is encrypted. A vector cannot be decrypted as a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Vector = b'v',
    Picture = b'p',
    /// The text in `meta` by which a key is recognised.
    Check = b'c',
}

impl GalleryKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`GalleryError::Key`] if the system gives no random numbers.
    pub fn generate() -> Result<Self, GalleryError> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        random(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Reads a key that was written by [`GalleryKey::to_text`]: 64 hexadecimal digits. Spaces and line ends around them are ignored.
    ///
    /// # Errors
    /// [`GalleryError::Key`], without the text.
    pub fn parse(text: &str) -> Result<Self, GalleryError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * LENGTH {
            let reason = format!("it has {} characters, not 64 hexadecimal digits", digits.len());
            return Err(GalleryError::Key { reason });
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(GalleryError::Key {
                    reason: "it contains other characters than hexadecimal digits".into(),
                });
            };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(bytes))
    }

    /// The key as 64 hexadecimal digits.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        Zeroizing::new(self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
    }

    /// Encrypts `text`.
    pub(super) fn encrypt(&self, kind: Kind, text: &[u8]) -> Result<Vec<u8>, GalleryError> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let failed = || GalleryError::Key { reason: "encryption failed".into() };
        let mut bytes = [&MARK[..], &[kind as u8], &nonce, text].concat();
        let sealing = self.cipher().ok_or_else(failed)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = sealing.seal_in_place_separate_tag(nonce, Aad::from([kind as u8]), &mut bytes[HEAD..]);
        bytes.extend(tag.map_err(|_| failed())?.as_ref());
        Ok(bytes)
    }

    /// Decrypts what [`GalleryKey::encrypt`] made. `None`: another key made it, or it was changed.
    pub(super) fn decrypt(&self, kind: Kind, bytes: &[u8]) -> Option<Vec<u8>> {
        let (head, ciphertext) = bytes.split_at_checked(HEAD)?;
        let nonce = Nonce::try_assume_unique_for_key(&head[HEAD - NONCE_LEN..]).ok()?;
        let mut bytes = ciphertext.to_vec();
        let length = self.cipher()?.open_in_place(nonce, Aad::from([kind as u8]), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &*self.0).ok().map(LessSafeKey::new)
    }
}

impl Kind {
    /// The kind of what [`GalleryKey::encrypt`] made; `None` for other bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let kind = bytes.strip_prefix(&MARK).filter(|_| bytes.len() >= HEAD + TAG)?.first();
        [Self::Vector, Self::Picture, Self::Check].into_iter().find(|known| Some(&(*known as u8)) == kind)
    }
}

fn random(bytes: &mut [u8]) -> Result<(), GalleryError> {
    getrandom::fill(bytes)
        .map_err(|error| GalleryError::Key { reason: format!("there are no random numbers: {error}") })
}

/// Shows nothing of the key.
impl fmt::Debug for GalleryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GalleryKey")
    }
}
