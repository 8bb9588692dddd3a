//! Actions on the gallery that can be undone for a short time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use visavis_gallery::{Gallery, GalleryError, Merge, PersonId, PersonRecord, RemovedPhoto};

/// How long an action can be undone.
pub(crate) const UNDO_TIME: Duration = Duration::from_secs(60);
/// Largest number of actions that can be undone.
const MAX_ACTIONS: usize = 20;

/// An action that can be undone.
pub(crate) enum UndoableAction {
    /// A person was removed.
    Removed(PersonRecord),
    /// Two people were merged.
    Merged(Merge),
    /// A photo was removed.
    PhotoRemoved(RemovedPhoto),
}

impl UndoableAction {
    /// The name of the action in the audit log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Removed(_) => "person_removed",
            Self::Merged(_) => "people_merged",
            Self::PhotoRemoved(_) => "photo_removed",
        }
    }

    /// Undoes the action. Returns the person that was restored, or that has the photo again; `None` if the person does not exist
    /// any more.
    pub(crate) fn undo(&self, gallery: &Gallery) -> Result<Option<PersonId>, GalleryError> {
        match self {
            Self::Removed(record) => gallery.restore(record).map(Some),
            Self::Merged(merge) => gallery.separate(merge),
            Self::PhotoRemoved(photo) => Ok(gallery.restore_photo(photo)?.then_some(photo.person)),
        }
    }
}

/// The actions that can be undone, in memory only. The actions themselves are permanent.
#[derive(Default)]
pub(crate) struct UndoLog(Mutex<Actions>);

/// The last number assigned, and each action with its number and time.
type Actions = (u64, VecDeque<(u64, Instant, UndoableAction)>);

impl UndoLog {
    /// Adds an action and returns its number.
    pub(crate) fn add(&self, action: UndoableAction) -> u64 {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (last, actions) = &mut *guard;
        *last += 1;
        actions.retain(|(_, since, _)| since.elapsed() < UNDO_TIME);
        while actions.len() >= MAX_ACTIONS {
            actions.pop_front();
        }
        actions.push_back((*last, Instant::now(), action));
        *last
    }

    /// Removes and returns an action; `None` if it has expired.
    pub(crate) fn take(&self, number: u64) -> Option<UndoableAction> {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let actions = &mut guard.1;
        actions.retain(|(_, since, _)| since.elapsed() < UNDO_TIME);
        let index = actions.iter().position(|(known, ..)| *known == number)?;
        actions.remove(index).map(|(_, _, action)| action)
    }

    /// Removes the actions that have expired.
    pub(crate) fn remove_expired(&self) {
        let mut guard = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        guard.1.retain(|(_, since, _)| since.elapsed() < UNDO_TIME);
    }
}
