//! Whether two embeddings may be compared.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Crop, HeadDecode, Input, Manifest, Metric, Task};

/// The fields that change a network's output, and no others.
#[derive(Serialize)]
struct Identity<'a> {
    sha256: String,
    input: Input,
    crop: Option<&'a Crop>,
    head: Vec<IdentityHead<'a>>,
}

#[derive(Serialize)]
struct IdentityHead<'a> {
    task: Task,
    tensor: &'a str,
    metric: Option<Metric>,
    decode: Option<&'a HeadDecode>,
}

/// A short name of what a network computes: the first 16 hexadecimal digits of a SHA-256 over the weights' hash, the
/// input, the crop and the decoding of its heads.
///
/// A gallery stores it with its embeddings: vectors with different fingerprints must not be compared. The name, the texts,
/// the figures, `input.batch` and an embedding's `same_person` are not part of it, since they change no vector.
#[must_use]
pub fn fingerprint(manifest: &Manifest) -> String {
    let identity = Identity {
        sha256: manifest.sha256.to_ascii_lowercase(),
        input: Input { batch: false, ..manifest.input.clone() },
        crop: manifest.crop.as_ref(),
        head: manifest
            .heads
            .iter()
            .map(|head| match &head.decode {
                HeadDecode::Embedding { metric, .. } => {
                    IdentityHead { task: head.task, tensor: &head.tensor, metric: Some(*metric), decode: None }
                }
                decode => IdentityHead { task: head.task, tensor: &head.tensor, metric: None, decode: Some(decode) },
            })
            .collect(),
    };
    // Plain structs of numbers and strings: TOML can represent them all, so the fallback is never needed.
    let text = toml::to_string(&identity).unwrap_or_else(|_| format!("{manifest:?}"));
    let mut digits = hex(&Sha256::digest(text.as_bytes()));
    digits.truncate(16);
    digits
}

/// SHA-256 in lower-case hexadecimal digits, as in a manifest's `sha256`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
