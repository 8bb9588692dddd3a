//! The gallery: opened over a store, searched, changed and kept up to date.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::encryption::EncryptedStore;
use crate::index::{APPROXIMATE_FROM, indexed, remove_index, strangers_within};
use crate::name::normalised;
use crate::remote::{self, COMPARED};
use crate::rows::{self, Meta};
use crate::sightings::SightingVectors;
use crate::state::State;
use crate::store::{Store, Transaction, Transactions};
use crate::{
    EmbeddingId, GalleryError, GalleryKey, Match, PersonId, PersonRecord, PersonSummary, PhotoId, Snapshot,
    SqliteStore, Wanted, distance_at, rules,
};

/// How a gallery is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryParams {
    /// Number of photos from which on the graph of an index is used, if there is an index.
    pub approximate_from: usize,
    /// Limit of the memory for vectors, in bytes. Beyond it, a database searches itself; a file is always read into memory.
    pub memory: u64,
    /// Path of the index, instead of the one beside the file. A database has no index without it. An encrypted gallery has none.
    pub index: Option<PathBuf>,
    /// The key of an encrypted gallery.
    pub key: Option<GalleryKey>,
}

impl Default for GalleryParams {
    /// The graph from 200,000 photos on, and no memory limit.
    fn default() -> Self {
        Self { approximate_from: APPROXIMATE_FROM, memory: u64::MAX, index: None, key: None }
    }
}

/// People, their photos, visitors, alarms and sightings, in a file or in a database that several programs share.
///
/// The vectors of all people are held in memory and searched there, so a search waits neither for a disk nor for a server.
/// Each change is one transaction of the store. A change that returned `Ok` is durable. Searches of this program include it
/// at once, those of other programs after their next [`Gallery::refresh`]. All methods may be called from any thread.
pub struct Gallery {
    pub(crate) embedding: EmbeddingId,
    pub(crate) store: EncryptedStore,
    pub(crate) index: Option<PathBuf>,
    params: GalleryParams,
    /// The vectors that are searched.
    searched: RwLock<Searched>,
    /// Held while the vectors are read or updated.
    reading: Mutex<()>,
    /// Set if changes of other programs were read together with a change of our own.
    news: AtomicBool,
    /// The people who are ignored, as of the last reading.
    ignored: RwLock<Arc<HashSet<PersonId>>>,
    /// The vectors of sightings, once a face was searched for among them.
    pub(crate) sighting_vectors: SightingVectors,
}

/// Where a search looks.
#[derive(Debug, Clone)]
enum Searched {
    /// Nothing was read yet.
    Unread,
    /// All vectors, in memory.
    Memory(Arc<State>),
    /// The database; with its number of photos at this change.
    Database { changes: i64, photos: usize },
}

impl Gallery {
    /// Creates a gallery file without people that is not encrypted, and opens it.
    ///
    /// # Errors
    /// [`GalleryError::Exists`] where there is a file already, [`GalleryError::Embedding`] where no gallery can hold
    /// the network's vectors, and the failures of the file system.
    pub fn create(path: impl AsRef<Path>, embedding: &EmbeddingId) -> Result<Self, GalleryError> {
        Self::over(SqliteStore::create(path, embedding)?, Some(embedding), GalleryParams::default())
    }

    /// Opens a gallery file and checks it for damage. A file of an older format is migrated to the newest one. With
    /// `expected`, a gallery of another network is refused and the vectors are read at once; without it, any network is
    /// accepted and the vectors are read at the first search.
    ///
    /// # Errors
    /// [`GalleryError::Missing`], [`GalleryError::NotAGallery`], [`GalleryError::Damaged`], [`GalleryError::Newer`],
    /// [`GalleryError::OtherNetwork`], and the failures of the file system.
    pub fn open(path: impl AsRef<Path>, expected: Option<&EmbeddingId>) -> Result<Self, GalleryError> {
        Self::over(SqliteStore::open(path)?, expected, GalleryParams::default())
    }

    /// Opens the gallery in a store; `expected` as for [`Gallery::open`].
    ///
    /// # Errors
    /// As [`Gallery::open`].
    pub fn over(
        store: impl Store + 'static,
        expected: Option<&EmbeddingId>,
        params: GalleryParams,
    ) -> Result<Self, GalleryError> {
        let store = EncryptedStore::open(Box::new(store), params.key.clone())?;
        let meta = store.reading("reading its network", |tx| rows::meta(tx))?;
        let made_with = known(store.place(), meta)?.embedding;
        let embedding = rules::opened(store.place(), made_with, expected)?;
        let index = params.index.clone().filter(|_| store.key().is_none()).or_else(|| store.index());
        let searched = RwLock::new(Searched::Unread);
        let (reading, news, ignored, sighting_vectors) = Default::default();
        let gallery = Self { embedding, store, index, params, searched, reading, news, ignored, sighting_vectors };
        if expected.is_some() {
            gallery.searched()?;
        }
        Ok(gallery)
    }

    /// The file, or the address of the database without its password.
    pub fn place(&self) -> &Path {
        self.store.place()
    }

    /// The path of the index, whether or not it exists; `None` if there is no place for one.
    pub fn index_path(&self) -> Option<&Path> {
        self.index.as_deref()
    }

    /// The network of the vectors, with the thresholds that are used.
    pub fn embedding(&self) -> &EmbeddingId {
        &self.embedding
    }

    /// The `k` people nearest to `query`, nearest first. The distance of a person is that of their nearest photo. A person
    /// is not returned if a denied face ("not this person") is nearer to `query` than that photo. The search of a large
    /// gallery with an index may miss a person, see [`Snapshot::search`].
    ///
    /// # Errors
    /// [`GalleryError::Query`] for a query that cannot be compared. The failures of the store at the first search of a gallery
    /// whose vectors were not read, and where a database searches.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        match self.searched()? {
            Searched::Database { photos, .. } => {
                rules::query(query, &self.embedding)?;
                remote::search(&self.store, &self.embedding, photos, query, k)
            }
            Searched::Memory(state) => state.search(query, k, false),
            Searched::Unread => Ok(Vec::new()),
        }
    }

    /// As [`Gallery::search`], with every photo in memory compared.
    ///
    /// # Errors
    /// As [`Gallery::search`].
    pub fn search_exact(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        match self.searched()? {
            Searched::Memory(state) => state.search(query, k, true),
            _ => self.search(query, k),
        }
    }

    /// Whether searches use the graph of an index: see [`Snapshot::is_approximate`].
    pub fn is_approximate(&self) -> bool {
        matches!(self.now(), Searched::Memory(state) if state.is_approximate())
    }

    /// Whether a person is ignored: see [`Gallery::ignore`]. Does not ask the store.
    pub fn is_ignored(&self, person: PersonId) -> bool {
        self.ignored.read().unwrap_or_else(PoisonError::into_inner).contains(&person)
    }

    /// The number of photos with which a face is compared. Does not ask the store once the vectors were read.
    pub fn size(&self) -> usize {
        match self.searched() {
            Ok(Searched::Memory(state)) => state.photos(),
            Ok(Searched::Database { photos, .. }) => photos,
            Ok(Searched::Unread) | Err(_) => 0,
        }
    }

    /// The largest distance at which a face is identified as a person, with the present number of photos: see
    /// [`identify`](crate::identify).
    pub fn identity_distance(&self) -> f32 {
        let EmbeddingId { same_person, likeness, identity, .. } = &self.embedding;
        likeness
            .as_ref()
            .map_or(*same_person, |likeness| distance_at(likeness, identity.false_matches, self.size()) as f32)
    }

    /// The distance below which a `share` of all pairs of photos of two different people lie; `None` if the gallery has too
    /// few photos. Measured on the photos of the last complete reading.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn strangers_within(&self, share: f64) -> Result<Option<f32>, GalleryError> {
        let Searched::Database { photos, .. } = self.searched()? else {
            let Searched::Memory(state) = self.now() else { return Ok(None) };
            return Ok(state.strangers_within(share));
        };
        let sql = "SELECT person, vector FROM photo WHERE id % $1 = 0 ORDER BY id LIMIT $2";
        let params = [photos.div_ceil(COMPARED).max(1).into(), COMPARED.into()];
        let sample = self.store.reading("comparing people", |tx| {
            tx.query(sql, &params)?
                .iter()
                .map(|row| Ok((row.get::<i64>(0)?, row.get(1)?)))
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(strangers_within(self.embedding.metric, &sample, share))
    }

    /// Reads the changes of other programs. Returns whether there were any.
    ///
    /// # Errors
    /// [`GalleryError::OtherNetwork`] where the gallery was given to another network, and the failures of the store.
    pub fn refresh(&self) -> Result<bool, GalleryError> {
        let changed = self.store.may_have_news()? && self.catch_up(None)?;
        Ok(self.news.swap(false, Ordering::AcqRel) || changed)
    }

    /// The number of the last change that searches include; `None` before the first search. It grows with every change of a person
    /// or a photo. Reads nothing from the store.
    pub fn changes(&self) -> Option<i64> {
        match self.now() {
            Searched::Unread => None,
            Searched::Memory(state) => Some(state.changes),
            Searched::Database { changes, .. } => Some(changes),
        }
    }

    /// All people, by name.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.store.reading("listing people", |tx| rows::people(tx, "", &[]))
    }

    /// The people who match `wanted`, by name: their total number, and the requested part of them.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn people_like(&self, wanted: &Wanted) -> Result<(usize, Vec<PersonSummary>), GalleryError> {
        let part = normalised(wanted.name.trim()).to_lowercase();
        self.store.reading("listing people", |tx| {
            let sql = "SELECT id, name FROM person WHERE (watched OR NOT $1) AND NOT (met AND $2)";
            let all = tx.query(sql, &[wanted.watched.into(), wanted.named.into()])?;
            let mut named = Vec::new();
            for row in all {
                let name: String = row.get(1)?;
                if part.is_empty() || normalised(&name).to_lowercase().contains(&part) {
                    named.push((name, row.get::<i64>(0)?));
                }
            }
            named.sort();
            let page = named.iter().skip(wanted.offset).take(wanted.limit);
            let page: Vec<String> = page.map(|(_, id)| id.to_string()).collect();
            if page.is_empty() {
                return Ok((named.len(), Vec::new()));
            }
            let people = rows::people(tx, &format!("WHERE person.id IN ({})", page.join(", ")), &[])?;
            Ok((named.len(), people))
        })
    }

    /// The person with this number; `None` if there is none.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn person(&self, id: PersonId) -> Result<Option<PersonSummary>, GalleryError> {
        self.store.reading("looking for a person", |tx| rows::person(tx, id))
    }

    /// The person with this name, whether the gallery stores it in Unicode's form NFC or in another one.
    ///
    /// # Errors
    /// [`GalleryError::UnknownPerson`] with names like it, and the failures of the store.
    pub fn find_person(&self, name: &str) -> Result<PersonSummary, GalleryError> {
        self.store.reading("looking for a person", |tx| {
            if let Some(person) = rows::person_named(tx, name)? {
                return Ok(person);
            }
            let names = tx.query("SELECT name FROM person", &[])?;
            let names = names.iter().map(|row| row.get(0)).collect::<Result<Vec<String>, _>>()?;
            Err(rules::unknown_person(self.place(), name, names.iter().map(String::as_str)))
        })
    }

    /// Everything stored about a person; `None` if the person does not exist. Photos with unusable vectors are left out.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        self.store.reading("reading a person", |tx| rows::record(tx, &self.embedding, person))
    }

    /// The photos of a person, in the order in which they were added.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        let photos = self.store.reading("listing photos", |tx| rows::numbers(tx, "photo", person))?;
        Ok(photos.into_iter().map(PhotoId).collect())
    }

    /// The name of the file that a photo came from; `None` if the photo is not there any more.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn source(&self, photo: PhotoId) -> Result<Option<String>, GalleryError> {
        self.store.reading("reading a photo", |tx| {
            let rows = tx.query("SELECT source FROM photo WHERE id = $1", &[photo.into()])?;
            rows.first().map(|row| row.get(0)).transpose()
        })
    }

    /// A photo's thumbnail, a JPEG; `None` if the photo has none or does not exist any more.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.jpeg("reading a thumbnail", "SELECT thumbnail FROM photo WHERE id = $1", photo.0)
    }

    /// The best thumbnail of a person, a JPEG: that of the photo with the highest score, of equal scores the first. `None`
    /// if no photo has a thumbnail or the person does not exist any more.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn portrait(&self, person: PersonId) -> Result<Option<Vec<u8>>, GalleryError> {
        let sql = "SELECT thumbnail FROM photo WHERE person = $1 AND thumbnail IS NOT NULL
                   ORDER BY score DESC NULLS LAST, id LIMIT 1";
        self.jpeg("reading a thumbnail", sql, person.0)
    }

    /// The picture in the first row of the result; `None` if there is none.
    pub(crate) fn jpeg(&self, doing: &'static str, sql: &str, id: i64) -> Result<Option<Vec<u8>>, GalleryError> {
        self.store.reading(doing, |tx| tx.query(sql, &[id.into()])?.first().map_or(Ok(None), |row| row.get(0)))
    }

    /// All vectors at this moment, to be searched without the store.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] where a vector is unusable, and the failures of the store.
    pub fn snapshot(&self) -> Result<Snapshot, GalleryError> {
        self.store.reading("reading vectors", |tx| Snapshot::read(tx, &self.embedding))
    }

    /// Removes traces of removed people from unused parts of the file and from its log. Every removal does this; call it
    /// again only after a removal that could not. Returns false if traces remain: another program changes the gallery or
    /// reads an earlier state of it, or the server of a database keeps a log.
    ///
    /// # Errors
    /// The failures of the store.
    pub fn erase_remains(&self) -> Result<bool, GalleryError> {
        // They may contain deleted ones.
        self.sighting_vectors.forget();
        self.store.erase_remains()
    }

    /// Changes the gallery in one transaction, and then the vectors in memory. Fails if the gallery was converted to another
    /// network.
    pub(crate) fn change<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, GalleryError>,
    ) -> Result<T, GalleryError> {
        let (done, number) = self.store.writing(doing, |tx| {
            let number = self.ours(rows::count_change(tx)?)?.changes;
            Ok((work(tx)?, number))
        })?;
        self.store.settle();
        // The change was made, so a failure to read it back is no failure of the change. The next refresh reads it.
        if let Err(error) = self.catch_up(Some(number)) {
            log::warn!("{}: searches do not include the last change yet: {error}", self.place().display());
        }
        Ok(done)
    }

    /// As [`Gallery::change`], for a change that deletes photos. The index is deleted before and after it, since it contains
    /// the vectors: so none remains if the process is killed in between, or if another process built one meanwhile.
    pub(crate) fn removal<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, GalleryError>,
    ) -> Result<T, GalleryError> {
        self.remove_index()?;
        let done = self.change(doing, work)?;
        self.remove_index()?;
        Ok(done)
    }

    pub(crate) fn remove_index(&self) -> Result<(), GalleryError> {
        self.index.as_deref().map_or(Ok(()), remove_index)
    }

    /// Fails if the gallery was converted to another network, or its key was changed, since it was opened.
    pub(crate) fn ours(&self, meta: Option<Meta>) -> Result<Meta, GalleryError> {
        let meta = known(self.place(), meta)?;
        self.store.same_key(&meta)?;
        rules::made_by(self.place(), &meta.embedding, &self.embedding)?;
        Ok(meta)
    }

    fn set_ignored(&self, people: HashSet<PersonId>) {
        *self.ignored.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(people);
    }

    fn now(&self) -> Searched {
        self.searched.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The vectors that are searched; reads them if that was not done yet.
    fn searched(&self) -> Result<Searched, GalleryError> {
        let now = self.now();
        if !matches!(now, Searched::Unread) {
            return Ok(now);
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        if !matches!(now, Searched::Unread) {
            return Ok(now);
        }
        let index = indexed(self);
        let read = self.store.reading("reading vectors", |tx| {
            let changes = self.ours(rows::meta(tx)?)?.changes;
            self.set_ignored(rows::ignored(tx)?);
            if let Some((snapshot, changes)) = index {
                let state = State::over(tx, snapshot.approximate_from(self.params.approximate_from), changes)?;
                return Ok(Searched::Memory(Arc::new(state.after(tx, self)?)));
            }
            let photos = remote::count(tx)?;
            let bytes = (photos as u64).saturating_mul(5 * self.embedding.length as u64);
            if bytes > self.params.memory && self.database_searches()? {
                return Ok(Searched::Database { changes, photos });
            }
            Ok(Searched::Memory(Arc::new(State::read(tx, &self.embedding, changes)?)))
        })?;
        if let Searched::Memory(state) = &read
            && state.photos() >= self.params.approximate_from
            && !state.is_approximate()
        {
            log::info!(
                "{}: a search compares all {} photos; an index makes it faster",
                self.place().display(),
                state.photos()
            );
        }
        *self.searched.write().unwrap_or_else(PoisonError::into_inner) = read.clone();
        Ok(read)
    }

    fn database_searches(&self) -> Result<bool, GalleryError> {
        let mut query = vec![0.0; self.embedding.length];
        query[0] = 1.0;
        Ok(self.store.nearest(self.embedding.metric, &query, 1)?.is_some())
    }

    /// Reads the changes since the last reading. Returns false if there were none. `own` is the number of a change of our
    /// own.
    fn catch_up(&self, own: Option<i64>) -> Result<bool, GalleryError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.now();
        let known = match &old {
            Searched::Unread => return Ok(false),
            Searched::Memory(state) => state.changes,
            Searched::Database { changes, .. } => *changes,
        };
        let new = self.store.reading("looking for changes", |tx| {
            let changes = self.ours(rows::meta(tx)?)?.changes;
            if changes == known {
                return Ok(None);
            }
            self.set_ignored(rows::ignored(tx)?);
            Ok(Some(match &old {
                Searched::Memory(state) => (changes, Searched::Memory(Arc::new(state.after(tx, self)?))),
                _ => (changes, Searched::Database { changes, photos: remote::count(tx)? }),
            }))
        })?;
        let Some((changes, new)) = new else { return Ok(false) };
        *self.searched.write().unwrap_or_else(PoisonError::into_inner) = new;
        // Our own change is not reported as a change, unless changes of others came with it.
        if let Some(own) = own
            && (known + 1 != own || changes != own)
        {
            self.news.store(true, Ordering::Release);
        }
        Ok(true)
    }
}

#[cfg(test)]
impl Gallery {
    /// What is in memory.
    pub(crate) fn state(&self) -> Arc<State> {
        match self.searched().unwrap() {
            Searched::Memory(state) => state,
            other => panic!("{other:?}"),
        }
    }
}

/// The contents of `meta`. Every undamaged gallery has them.
fn known(place: &Path, meta: Option<Meta>) -> Result<Meta, GalleryError> {
    let reason = "the name of its network is missing".into();
    meta.ok_or_else(|| GalleryError::Damaged { path: place.to_path_buf(), reason })
}

/// Shows where the gallery is, but none of its contents.
impl std::fmt::Debug for Gallery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gallery").field(&self.place()).finish()
    }
}
