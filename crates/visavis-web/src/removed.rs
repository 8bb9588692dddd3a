//! Who was removed a moment ago, to be put back if it was a mistake.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use visavis_face::gallery::PersonRecord;

/// How long a removal can be taken back.
pub(crate) const KEPT: Duration = Duration::from_secs(60);
/// People kept at most.
const MOST: usize = 20;

/// In memory only: the removal itself is done and lasts, whatever happens to this program.
#[derive(Default)]
pub(crate) struct Removed(Mutex<Kept>);

/// The last number given, and who is kept: under which number, since when.
type Kept = (u64, VecDeque<(u64, Instant, PersonRecord)>);

impl Removed {
    /// Keeps somebody for a while, under a number.
    pub(crate) fn keep(&self, record: PersonRecord) -> u64 {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (last, kept) = &mut *guard;
        *last += 1;
        kept.retain(|(_, since, _)| since.elapsed() < KEPT);
        while kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back((*last, Instant::now(), record));
        *last
    }

    /// Hands somebody out, unless that is too long ago.
    pub(crate) fn take(&self, number: u64) -> Option<PersonRecord> {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let kept = &mut guard.1;
        kept.retain(|(_, since, _)| since.elapsed() < KEPT);
        let place = kept.iter().position(|(known, ..)| *known == number)?;
        kept.remove(place).map(|(_, _, record)| record)
    }

    /// Lets go of whoever is kept for too long.
    pub(crate) fn tidy(&self) {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        guard.1.retain(|(_, since, _)| since.elapsed() < KEPT);
    }
}
