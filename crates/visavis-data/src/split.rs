//! The split into training and validation. A hash decides, so that it is the same on every computer and never changes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The side of the split to which a face belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Used for training.
    Train,
    /// Never used for training.
    Validation,
}

/// The size of the validation part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitRule {
    /// Percent of the set, 0 to 100.
    pub validation_percent: u8,
}

impl Default for SplitRule {
    /// 10 %: 1,100 faces of UTKFace, on which a mean absolute error is known to about ±0.3 years.
    fn default() -> Self {
        Self { validation_percent: 10 }
    }
}

impl SplitRule {
    /// The side for a face of `set`. `key` is the identity if the set has it, else the file name: the hash is over both
    /// names, so all faces of one person in one set are on the same side.
    #[must_use]
    pub fn side(self, set: &str, key: &str) -> Split {
        let digest = Sha256::new().chain_update(set).chain_update([0]).chain_update(key).finalize();
        let number = u64::from_be_bytes(digest[..8].try_into().expect("a hash has 32 bytes"));
        if number % 100 < u64::from(self.validation_percent) { Split::Validation } else { Split::Train }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_never_changes() {
        let rule = SplitRule::default();
        let files: Vec<String> = (0..1000).map(|i| format!("images/{i:06}.jpg")).collect();
        let validation: Vec<&String> = files.iter().filter(|f| rule.side("celeba", f) == Split::Validation).collect();
        assert!((80..=120).contains(&validation.len()), "{}", validation.len());
        // Must never change: networks were trained with this split.
        assert_eq!(validation[..3], ["images/000011.jpg", "images/000021.jpg", "images/000022.jpg"]);
    }

    #[test]
    fn names_of_set_and_face_do_not_run_together() {
        let rule = SplitRule { validation_percent: 50 };
        let differ = (0..64).any(|i| rule.side("ab", &format!("c{i}")) != rule.side("a", &format!("bc{i}")));
        assert!(differ);
    }
}
