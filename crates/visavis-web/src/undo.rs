//! What was done to the gallery a moment ago, to be taken back if it was a mistake.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use visavis_face::gallery::{Gallery, GalleryError, Joint, PersonId, PersonRecord, RemovedPhoto};

/// How long something can be taken back.
pub(crate) const KEPT: Duration = Duration::from_secs(60);
/// Things kept at most.
const MOST: usize = 20;

/// Something that was done.
pub(crate) enum Deed {
    /// A person was removed.
    Removed(PersonRecord),
    /// Two people were joined.
    Joined(Joint),
    /// A photo was removed.
    PhotoRemoved(RemovedPhoto),
}

impl Deed {
    /// Takes it back; says who is there again, or has the photo again. `None` where there is nothing to put it back to.
    pub(crate) fn undo(&self, gallery: &dyn Gallery) -> Result<Option<PersonId>, GalleryError> {
        match self {
            Self::Removed(record) => gallery.restore(record).map(Some),
            Self::Joined(joint) => gallery.part(joint),
            Self::PhotoRemoved(photo) => Ok(gallery.restore_photo(photo)?.then_some(photo.person)),
        }
    }
}

/// In memory only: what was done is done and lasts, whatever happens to this program.
#[derive(Default)]
pub(crate) struct Undo(Mutex<Kept>);

/// The last number given, and what is kept: under which number, since when.
type Kept = (u64, VecDeque<(u64, Instant, Deed)>);

impl Undo {
    /// Keeps something for a while, under a number.
    pub(crate) fn keep(&self, deed: Deed) -> u64 {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (last, kept) = &mut *guard;
        *last += 1;
        kept.retain(|(_, since, _)| since.elapsed() < KEPT);
        while kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back((*last, Instant::now(), deed));
        *last
    }

    /// Hands something out, unless that is too long ago.
    pub(crate) fn take(&self, number: u64) -> Option<Deed> {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let kept = &mut guard.1;
        kept.retain(|(_, since, _)| since.elapsed() < KEPT);
        let place = kept.iter().position(|(known, ..)| *known == number)?;
        kept.remove(place).map(|(_, _, deed)| deed)
    }

    /// Lets go of what is kept for too long.
    pub(crate) fn tidy(&self) {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        guard.1.retain(|(_, since, _)| since.elapsed() < KEPT);
    }
}
