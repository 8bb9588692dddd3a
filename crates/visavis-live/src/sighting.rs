//! Sightings as they are recorded and reported.

use std::sync::Arc;
use std::time::Duration;

use visavis_gallery::{PersonId, SightingId};

/// How sightings are recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct SightingParams {
    /// Sightings are deleted when their last look is older than this.
    pub keep: Duration,
    /// A visit ends when its face was not seen for this time.
    pub away: Duration,
}

impl Default for SightingParams {
    /// 30 days; 30 seconds.
    fn default() -> Self {
        Self { keep: Duration::from_secs(30 * 24 * 3600), away: Duration::from_secs(30) }
    }
}

/// What a [`Sighting`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SightingKind {
    /// The visit has begun.
    Appeared,
    /// The face was identified as a person, or as another person than before.
    Identified,
    /// The visit has ended.
    Left,
}

impl SightingKind {
    /// `appeared`, `identified` or `left`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Identified => "identified",
            Self::Left => "left",
        }
    }
}

/// A change of a sighting, which is stored by now.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// What has changed.
    pub kind: SightingKind,
    /// Number of the sighting in the gallery.
    pub id: SightingId,
    /// Name of the camera.
    pub camera: String,
    /// Time of the first look, Unix time in seconds.
    pub first_seen: i64,
    /// Time of the last look, Unix time in seconds.
    pub last_seen: i64,
    /// The person that the face was identified as.
    pub person: Option<(PersonId, Arc<str>)>,
    /// The probability that it is this person, 0 to 1; `None` if the distances of the network were not measured.
    pub identified: Option<f32>,
    /// Age in years.
    pub age: Option<f32>,
    /// Probability of "female".
    pub female: Option<f32>,
    /// Share of the looks with a smile, 0 to 1.
    pub smiling: Option<f32>,
}
