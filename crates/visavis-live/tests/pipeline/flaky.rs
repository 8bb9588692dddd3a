//! A gallery that goes away and comes back.

use std::sync::atomic::{AtomicBool, Ordering};

use visavis_face::gallery::{
    Added, AlarmEntry, AlarmId, Answer, EmbeddingId, FileGallery, Gallery, GalleryError, Joint, Match, NewAlarm,
    NewPhoto, PersonId, PersonRecord, PersonSummary, PhotoId, Removed, RemovedPhoto,
};

pub(crate) struct Flaky {
    pub(crate) inner: FileGallery,
    /// Nothing is answered.
    pub(crate) down: AtomicBool,
    /// Nothing is changed.
    pub(crate) frozen: AtomicBool,
}

impl Flaky {
    pub(crate) fn new(inner: FileGallery) -> Self {
        Self { inner, down: AtomicBool::new(false), frozen: AtomicBool::new(false) }
    }

    fn ask(&self) -> Result<&FileGallery, GalleryError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(GalleryError::Unreachable { place: "fake".into(), reason: "it was pulled out".into() });
        }
        Ok(&self.inner)
    }

    fn change(&self) -> Result<&FileGallery, GalleryError> {
        if self.frozen.load(Ordering::SeqCst) {
            return Err(GalleryError::ReadOnly { path: "fake".into(), doing: "changing it" });
        }
        self.ask()
    }
}

impl Gallery for Flaky {
    fn embedding(&self) -> &EmbeddingId {
        self.inner.embedding()
    }

    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        self.ask()?.search(query, k)
    }

    fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.ask()?.people()
    }

    fn person(&self, id: PersonId) -> Result<Option<PersonSummary>, GalleryError> {
        self.ask()?.person(id)
    }

    fn find_person(&self, name: &str) -> Result<PersonSummary, GalleryError> {
        self.ask()?.find_person(name)
    }

    fn portrait(&self, person: PersonId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.ask()?.portrait(person)
    }

    fn add(&self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        self.change()?.add(person, photos)
    }

    fn remove_person(&self, name: &str) -> Result<Removed, GalleryError> {
        self.change()?.remove_person(name)
    }

    fn watch(&self, name: &str, watched: bool) -> Result<PersonId, GalleryError> {
        self.change()?.watch(name, watched)
    }

    fn rename(&self, name: &str, to: &str) -> Result<PersonId, GalleryError> {
        self.change()?.rename(name, to)
    }

    fn deny(&self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
        self.change()?.deny(person, vector)
    }

    fn merge(&self, from: PersonId, into: PersonId) -> Result<(), GalleryError> {
        self.change()?.merge(from, into)
    }

    fn meet(&self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError> {
        self.change()?.meet(photo, at)
    }

    fn add_to(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        self.change()?.add_to(person, photo)
    }

    fn seen(&self, person: PersonId, at: i64, new: bool) -> Result<(), GalleryError> {
        self.change()?.seen(person, at, new)
    }

    fn forget_met_before(&self, before: i64) -> Result<usize, GalleryError> {
        self.change()?.forget_met_before(before)
    }

    fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        self.ask()?.photos(person)
    }

    fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.ask()?.thumbnail(photo)
    }

    fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        self.ask()?.person_record(person)
    }

    fn restore(&self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        self.change()?.restore(record)
    }

    fn remove_photo(&self, photo: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError> {
        self.change()?.remove_photo(photo)
    }

    fn restore_photo(&self, removed: &RemovedPhoto) -> Result<bool, GalleryError> {
        self.change()?.restore_photo(removed)
    }

    fn join(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        self.change()?.join(from, into)
    }

    fn part(&self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        self.change()?.part(joint)
    }

    fn record_alarm(&self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError> {
        self.change()?.record_alarm(alarm)
    }

    fn alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError> {
        self.ask()?.alarms(before, most)
    }

    fn alarm_crop(&self, alarm: AlarmId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.ask()?.alarm_crop(alarm)
    }

    fn answer_alarm(&self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError> {
        self.change()?.answer_alarm(alarm, answer)
    }

    fn refresh(&self) -> Result<bool, GalleryError> {
        self.ask()?.refresh()
    }
}
