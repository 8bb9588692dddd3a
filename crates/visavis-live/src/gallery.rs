//! Whether the gallery can be asked: told once when it begins to fail, and once when that is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use visavis_face::gallery::GalleryError;

use crate::Event;
use crate::pipeline::Shared;

/// Who asks the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A recognition worker, for the people nearest to a face.
    Search,
    /// The keeper, for what others changed.
    Keeper,
}

/// What keeps the gallery from being asked.
#[derive(Debug, Default)]
pub(crate) struct GalleryTrouble {
    causes: Mutex<Causes>,
    /// Whether it goes over to another network: those who have it open for the old one are refused for a moment, until they
    /// see the new lineup.
    pub(crate) changing_hands: AtomicBool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Causes {
    /// The database is not reached, so nobody gets at it. Over as soon as anybody does.
    unreachable: bool,
    /// It refused a search, or the keeper. Over when the same is done.
    search: bool,
    keeper: bool,
}

impl Causes {
    fn any(self) -> bool {
        self != Self::default()
    }

    fn of(&mut self, asker: Asker) -> &mut bool {
        match asker {
            Asker::Search => &mut self.search,
            Asker::Keeper => &mut self.keeper,
        }
    }
}

impl Shared {
    /// Notes how the gallery answered, and tells where that changes anything.
    pub(crate) fn gallery_answered<T>(&self, asker: Asker, answer: &Result<T, GalleryError>) {
        // Told under the lock, so that of two events the later one is told later.
        let changing_hands = self.gallery.changing_hands.load(Ordering::Acquire);
        if changing_hands && matches!(answer, Err(GalleryError::OtherNetwork { .. })) {
            return;
        }
        let mut causes = self.gallery.causes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = causes.any();
        match answer {
            Ok(_) => {
                causes.unreachable = false;
                *causes.of(asker) = false;
                if before && !causes.any() {
                    self.tell(Event::GalleryBack);
                }
            }
            Err(error) => {
                match error {
                    GalleryError::Unreachable { .. } => causes.unreachable = true,
                    _ => *causes.of(asker) = true,
                }
                if !before {
                    self.tell(Event::GalleryFailed { reason: error.to_string() });
                }
            }
        }
    }
}
