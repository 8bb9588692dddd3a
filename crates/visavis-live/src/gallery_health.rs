//! Whether the gallery works: an event when it begins to fail, and one when it works again.

use std::sync::{Mutex, PoisonError};

use visavis_gallery::GalleryError;

use crate::event::Event;

/// The code that uses the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GalleryClient {
    /// A recognition worker, which searches for the people nearest to a face.
    Search,
    /// The gallery worker, which reads the changes of other programs.
    Worker,
    /// The sighting recorder, which stores who was seen when.
    Sightings,
}

/// Whether the gallery works.
#[derive(Debug, Default)]
pub(crate) struct GalleryHealth {
    faults: Mutex<Faults>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Faults {
    /// The database is not reached. Searches go on in memory, so only the
    /// threads that change the gallery find out when it is reached again.
    unreachable: bool,
    /// The last search failed.
    search: bool,
    /// The last use by the gallery worker failed.
    worker: bool,
    /// The last sighting could not be stored.
    sightings: bool,
}

impl Faults {
    fn any(self) -> bool {
        self != Self::default()
    }

    fn of(&mut self, client: GalleryClient) -> &mut bool {
        match client {
            GalleryClient::Search => &mut self.search,
            GalleryClient::Worker => &mut self.worker,
            GalleryClient::Sightings => &mut self.sightings,
        }
    }
}

impl GalleryHealth {
    /// Records the result of one use. Calls `emit` if the gallery begins to fail or works again.
    pub(crate) fn record(&self, client: GalleryClient, error: Option<&GalleryError>, emit: impl FnOnce(Event)) {
        // The lock is held while the event is emitted, so that events of several threads keep their order.
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let failed_before = faults.any();
        match error {
            None => {
                faults.unreachable &= client == GalleryClient::Search;
                *faults.of(client) = false;
                if failed_before && !faults.any() {
                    emit(Event::GalleryRestored);
                }
            }
            Some(error) => {
                match error {
                    GalleryError::Unreachable { .. } => faults.unreachable = true,
                    _ => *faults.of(client) = true,
                }
                if !failed_before {
                    emit(Event::GalleryFailed { reason: error.to_string() });
                }
            }
        }
    }
}
