//! Changes to named people: add, rename, watch, remove, restore; and changes to their photos.

use crate::alarms::{self, KeptAlarm};
use crate::sightings::{self, KeptSighting};
use crate::store::Transaction;
use crate::{
    EmbeddingId, Gallery, GalleryError, PersonId, PersonSummary, PhotoId, VectorFault, check_vector, rows, rules,
};

/// A photo to add.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPhoto {
    /// The file that it came from. Only the file name is stored, without folders.
    pub source: String,
    /// SHA-256 of that file. With it, the same photo is not added to a person a second time.
    pub sha256: Option<[u8; 32]>,
    /// `[length]`: the network's output, unchanged.
    pub vector: Vec<f32>,
    /// The face, as a small JPEG.
    pub thumbnail: Option<Vec<u8>>,
    /// Quality of the picture; the best photo represents the person. Any finite scale, higher is better.
    pub score: Option<f32>,
}

/// The result of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The person.
    pub person: PersonId,
    /// Number of photos that were added, without those that the person already had.
    pub photos: usize,
}

/// The result of a removal.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// Everything about the person, to restore them with [`Gallery::restore`].
    pub record: PersonRecord,
    /// Whether no traces remain in unused parts of the store: see [`Gallery::erase_remains`].
    pub erased: bool,
}

/// Everything about one person. Kept in memory only, so that a removal is final even if the program ends. The alarms and sightings
/// are only in the record of a removal.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRecord {
    /// The name.
    pub name: String,
    /// All photos, in the order in which they were added.
    pub photos: Vec<NewPhoto>,
    /// Whether the person is on the watch list.
    pub watched: bool,
    /// Whether the person is ignored.
    pub ignored: bool,
    /// Whether the person is a visitor, who is deleted after a time.
    pub met: bool,
    /// Number of visits.
    pub seen: usize,
    /// Time of the last visit, Unix time in seconds.
    pub last_seen: Option<i64>,
    /// `[length]` each: the denied faces of this person.
    pub denials: Vec<Vec<f32>>,
    /// The alarms about a removed person, oldest first.
    pub(crate) alarms: Vec<KeptAlarm>,
    /// The newest sightings of a removed person, oldest first.
    pub(crate) sightings: Vec<KeptSighting>,
    /// The network of the vectors.
    pub made_by: EmbeddingId,
}

/// A removed photo, to restore it. Kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub struct RemovedPhoto {
    /// The person of the photo.
    pub person: PersonId,
    /// Whether no traces remain in unused parts of the store: see [`Gallery::erase_remains`].
    pub erased: bool,
    /// The photo.
    pub photo: NewPhoto,
    /// The network of its vector.
    pub made_by: EmbeddingId,
}

impl Gallery {
    /// Adds photos of a person in one transaction. A new name adds a person; a visitor becomes a permanent person.
    ///
    /// # Errors
    /// [`GalleryError::Name`], [`GalleryError::NoPhoto`], [`GalleryError::Photo`] where a vector or thumbnail is
    /// unusable, and the failures of the store.
    pub fn add(&self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        let name = rules::person_name(person)?;
        rules::photos(&name, photos, &self.embedding)?;
        self.change("adding photos", |tx| {
            let person = match rows::person_named(tx, &name)? {
                Some(known) => {
                    rows::update_person(tx, &PersonSummary { met: false, ..known.clone() })?;
                    known.id
                }
                None => rows::insert_person(tx, &PersonSummary::new(&name))?,
            };
            Ok(Added { person, photos: rows::insert_photos(tx, person, photos)? })
        })
    }

    /// Adds a photo to a person. Returns false if the person does not exist any more.
    ///
    /// # Errors
    /// [`GalleryError::Photo`] where the vector or thumbnail is unusable, and the failures of the store.
    pub fn add_to(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        self.add_photo_if(person, photo, |_| true)
    }

    /// As [`Gallery::add_to`], but for visitors only, since the photos of other people were chosen by users.
    ///
    /// # Errors
    /// As [`Gallery::add_to`].
    pub fn add_photo_if_met(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        self.add_photo_if(person, photo, |person| person.met)
    }

    fn add_photo_if(
        &self,
        person: PersonId,
        photo: &NewPhoto,
        fits: impl FnOnce(&PersonSummary) -> bool,
    ) -> Result<bool, GalleryError> {
        let photos = std::slice::from_ref(photo);
        rules::photos(&format!("{} {}", rules::NAMELESS, person.0), photos, &self.embedding)?;
        self.change("adding a photo", |tx| {
            let fits = rows::person(tx, person)?.is_some_and(|person| fits(&person));
            if fits {
                rows::touch(tx, person)?;
                rows::insert_photos(tx, person, photos)?;
            }
            Ok(fits)
        })
    }

    /// Renames a person. A visitor becomes a permanent person.
    ///
    /// # Errors
    /// [`GalleryError::NoSuchPerson`], [`GalleryError::Name`], [`GalleryError::NameTaken`] where another person has the new
    /// name, and the failures of the store.
    pub fn rename(&self, person: PersonId, name: &str) -> Result<(), GalleryError> {
        let name = rules::person_name(name)?;
        self.change("renaming", |tx| {
            let known = self.there(tx, person)?;
            if rows::person_named(tx, &name)?.is_some_and(|other| other.id != person) {
                return Err(self.name_taken(&name));
            }
            rows::update_person(tx, &PersonSummary { name, met: false, ..known }).map(drop)
        })
    }

    /// Puts a person on the watch list, or takes them off it.
    ///
    /// # Errors
    /// [`GalleryError::NoSuchPerson`], and the failures of the store.
    pub fn watch(&self, person: PersonId, watched: bool) -> Result<(), GalleryError> {
        self.change("putting on the watch list", |tx| {
            let known = self.there(tx, person)?;
            rows::update_person(tx, &PersonSummary { watched, ..known }).map(drop)
        })
    }

    /// Ignores a person from now on, or no longer: no sightings are recorded of a face that is identified as this person. For faces on
    /// posters and screens.
    ///
    /// # Errors
    /// [`GalleryError::NoSuchPerson`], and the failures of the store.
    pub fn ignore(&self, person: PersonId, ignored: bool) -> Result<(), GalleryError> {
        self.change("ignoring a person", |tx| {
            let known = self.there(tx, person)?;
            rows::update_person(tx, &PersonSummary { ignored, ..known }).map(drop)
        })
    }

    /// Stores a face that is not this person although it resembles them. From then on, a face that is nearer to this vector
    /// than to the photos of the person is not identified as the person. Does nothing if the person does not exist any more.
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a vector that cannot be compared, and the failures of the store.
    pub fn deny(&self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
        rules::query(vector, &self.embedding)?;
        self.change("storing a denied face", |tx| {
            if rows::touch(tx, person)? {
                rows::insert_denial(tx, person, vector)?;
            }
            Ok(())
        })
    }

    /// Removes a person with all photos, denials, alarms and sightings: from the tables, and from unused parts of the store. Rewrites
    /// the file of a gallery, which takes about as long as copying it. Deletes the index, which contains their vectors;
    /// build it again with [`IndexBuilder`](crate::IndexBuilder).
    ///
    /// # Errors
    /// [`GalleryError::NoSuchPerson`], and the failures of the store.
    pub fn remove_person(&self, person: PersonId) -> Result<Removed, GalleryError> {
        let record = self.removal("removing", |tx| {
            let mut record = rows::record(tx, &self.embedding, person)?.ok_or_else(|| self.no_such_person(person))?;
            record.alarms = self.kept(alarms::kept(tx, person));
            record.sightings = self.kept(sightings::kept(tx, person));
            rows::delete_person(tx, person)?;
            Ok(record)
        })?;
        Ok(Removed { record, erased: self.erase_remains()? })
    }

    /// Restores a removed person under a new number, with their alarms and the newest 10,000 of their sightings, which get new
    /// numbers too.
    ///
    /// # Errors
    /// [`GalleryError::NameTaken`] if another person has the name by now, [`GalleryError::OtherNetwork`] if the gallery was
    /// converted to another network since, and the failures of the store.
    pub fn restore(&self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        self.made_here(&record.made_by)?;
        self.change("restoring a person", |tx| {
            let person = self.insert_record(tx, record)?;
            alarms::insert(tx, person, &record.alarms)?;
            sightings::insert(tx, person, &record.sightings)?;
            Ok(person)
        })
    }

    /// Removes a photo, also from unused parts of the store, and returns it; `None` if it does not exist. Deletes the index,
    /// as [`Gallery::remove_person`] does.
    ///
    /// # Errors
    /// [`GalleryError::OnlyPhoto`] for the last photo of a person, and the failures of the store.
    pub fn remove_photo(&self, photo: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError> {
        let sql = "SELECT source, sha256, vector, thumbnail, score, person FROM photo WHERE id = $1";
        let removed = self.removal("removing a photo", |tx| {
            let Some(row) = tx.query(sql, &[photo.into()])?.pop() else { return Ok(None) };
            let (person, Some(removed)) = (row.get(5)?, rows::photo(&row)?) else { return Ok(None) };
            let known = self.there(tx, person)?;
            if known.photos < 2 {
                return Err(GalleryError::OnlyPhoto { path: self.place().to_path_buf(), name: known.name });
            }
            rows::delete_photos(tx, "id", photo.0)?;
            Ok(Some((person, removed)))
        })?;
        let Some((person, photo)) = removed else { return Ok(None) };
        let erased = self.erase_remains()?;
        Ok(Some(RemovedPhoto { person, photo, erased, made_by: self.embedding.clone() }))
    }

    /// Restores a removed photo under a new number. Returns false if the person does not exist any more.
    ///
    /// # Errors
    /// [`GalleryError::OtherNetwork`] if the gallery was converted to another network since, and the failures of the store.
    pub fn restore_photo(&self, removed: &RemovedPhoto) -> Result<bool, GalleryError> {
        self.made_here(&removed.made_by)?;
        self.add_to(removed.person, &removed.photo)
    }

    /// The person; an error if they do not exist.
    pub(crate) fn there(&self, tx: &mut dyn Transaction, person: PersonId) -> Result<PersonSummary, GalleryError> {
        rows::person(tx, person)?.ok_or_else(|| self.no_such_person(person))
    }

    /// Alarms or sightings of a person who is removed. A damaged gallery may contain some that cannot be read: the removal is
    /// more important than that they can be restored.
    fn kept<T>(&self, read: Result<Vec<T>, GalleryError>) -> Vec<T> {
        read.unwrap_or_else(|error| {
            log::warn!("{}: what cannot be read cannot be restored: {error}", self.place().display());
            Vec::new()
        })
    }

    /// Adds a removed person without their alarms and sightings. Their name must be free.
    pub(crate) fn insert_record(
        &self,
        tx: &mut dyn Transaction,
        record: &PersonRecord,
    ) -> Result<PersonId, GalleryError> {
        if rows::person_named(tx, &record.name)?.is_some() {
            return Err(self.name_taken(&record.name));
        }
        rows::insert_record(tx, record)
    }

    /// Fails if vectors of `made_by` cannot be compared with those in the gallery.
    pub(crate) fn made_here(&self, made_by: &EmbeddingId) -> Result<(), GalleryError> {
        rules::made_by(self.place(), &self.embedding, made_by)
    }

    fn no_such_person(&self, person: PersonId) -> GalleryError {
        GalleryError::NoSuchPerson { path: self.place().to_path_buf(), person }
    }

    fn name_taken(&self, name: &str) -> GalleryError {
        GalleryError::NameTaken { path: self.place().to_path_buf(), name: name.to_owned() }
    }
}

impl PersonSummary {
    /// A person without photos and visits. The store assigns the number.
    pub(crate) fn new(name: &str) -> Self {
        let (id, name) = (PersonId(0), name.to_owned());
        Self { id, name, photos: 0, watched: false, ignored: false, met: false, seen: 0, last_seen: None }
    }
}

impl NewPhoto {
    /// Checks that a gallery of this network can store the photo. Returns the reason if it cannot.
    pub(crate) fn check(&self, embedding: &EmbeddingId) -> Result<(), String> {
        let unusable = |fault: VectorFault| format!("its vector is unusable: {fault}");
        check_vector(&self.vector, embedding).map_err(unusable)?;
        if self.thumbnail.as_ref().is_some_and(|jpeg| !jpeg.starts_with(&[0xFF, 0xD8, 0xFF])) {
            return Err("its thumbnail is not a JPEG".into());
        }
        if self.score.is_some_and(|score| !score.is_finite()) {
            return Err("its score is not finite".into());
        }
        Ok(())
    }

    /// The file name without folders, whichever path separator was used.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.source.rsplit(['/', '\\']).next().unwrap_or(&self.source)
    }
}
