//! A gallery that is searched while it changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::index::indexed;
use super::store::{PhotoRow, floats};
use super::{
    APPROXIMATE_FROM, Added, AlarmEntry, AlarmId, Answer, EmbeddingId, Gallery, GalleryError, GalleryFile, Joint,
    Match, NewAlarm, NewPhoto, PersonId, PersonRecord, PersonSummary, PhotoId, Removed, RemovedPhoto, Snapshot, Wanted,
    distance, rules, schema,
};

/// Photos besides the base from which on all are put into a new base.
const MOST_FRESH: usize = 2_000;

/// A gallery file with its vectors in memory. Searches go on while people are added and removed: each change makes a new
/// state, which takes the place of the old one in one move.
#[derive(Debug)]
pub struct FileGallery {
    embedding: EmbeddingId,
    file: Mutex<GalleryFile>,
    /// None until the vectors are read.
    state: RwLock<Option<Arc<State>>>,
}

/// The gallery as of one change: a base that does not change, and what came after it.
#[derive(Debug)]
struct State {
    /// The number of the last change that is in here.
    changes: i64,
    base: Arc<Snapshot>,
    /// Photos of the base that are gone, or are somebody else's now.
    gone: HashSet<PhotoId>,
    /// Photos that came after the base.
    fresh: BTreeMap<(PersonId, PhotoId), Arc<[f32]>>,
    /// The same, to be searched.
    fresh_index: Snapshot,
    /// People of whom something changed after the base.
    people: HashMap<PersonId, (Arc<str>, bool)>,
    /// Faces that are not this person.
    denials: HashMap<PersonId, Vec<Vec<f32>>>,
}

impl FileGallery {
    /// Opens a gallery that `expected` made; see [`GalleryFile::open`]. Vectors that are in its index are not read from the
    /// gallery, only what changed since: see [`super::IndexBuilder`].
    ///
    /// # Errors
    /// As [`GalleryFile::open`] and [`GalleryFile::snapshot`].
    pub fn open(path: impl AsRef<Path>, expected: &EmbeddingId) -> Result<Self, GalleryError> {
        Self::open_approximate(path, expected, APPROXIMATE_FROM)
    }

    /// The same, with the graph of an index used from `from` photos on in place of [`APPROXIMATE_FROM`].
    ///
    /// # Errors
    /// As [`FileGallery::open`].
    pub fn open_approximate(path: impl AsRef<Path>, expected: &EmbeddingId, from: usize) -> Result<Self, GalleryError> {
        let file = GalleryFile::open(path, Some(expected))?;
        let state = match indexed(&file) {
            Some((snapshot, changes)) => State::new(&file, snapshot.approximate_from(from), changes)?.after(&file)?,
            None => State::read(&file)?,
        };
        if state.base.photos() >= from && !state.base.is_approximate() {
            log::info!(
                "{}: {} photos are searched one by one: 'visavis gallery index' makes that faster",
                file.path.display(),
                state.base.photos()
            );
        }
        Ok(Self::new(file, Some(Arc::new(state))))
    }

    /// Opens a gallery of whichever network, to list and change people. Its vectors are read when somebody is searched.
    ///
    /// # Errors
    /// As [`GalleryFile::open`].
    pub fn open_unread(path: impl AsRef<Path>) -> Result<Self, GalleryError> {
        Ok(Self::new(GalleryFile::open(path, None)?, None))
    }

    fn new(file: GalleryFile, state: Option<Arc<State>>) -> Self {
        Self { embedding: file.embedding().clone(), file: Mutex::new(file), state: RwLock::new(state) }
    }

    /// Whether searches go by a graph of neighbours: see [`Snapshot::is_approximate`].
    pub fn is_approximate(&self) -> bool {
        self.read().is_some_and(|state| state.base.is_approximate())
    }

    /// As [`Gallery::search`], with every photo compared.
    ///
    /// # Errors
    /// As [`Gallery::search`].
    pub fn search_exact(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        self.state()?.search(query, k, true)
    }

    pub(super) fn file(&self) -> MutexGuard<'_, GalleryFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if the vectors were read.
    fn read(&self) -> Option<Arc<State>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn state(&self) -> Result<Arc<State>, GalleryError> {
        if let Some(state) = self.read() {
            return Ok(state);
        }
        let file = self.file();
        let state = Arc::new(State::read(&file)?);
        Ok(Arc::clone(self.state.write().unwrap_or_else(PoisonError::into_inner).insert(state)))
    }

    /// Does something to the file, and makes it known to searches.
    pub(super) fn change<T>(
        &self,
        work: impl FnOnce(&mut GalleryFile) -> Result<T, GalleryError>,
    ) -> Result<T, GalleryError> {
        let mut file = self.file();
        let done = work(&mut file)?;
        self.catch_up(&file)?;
        Ok(done)
    }

    /// Reads what changed in the file; false if nothing did.
    fn catch_up(&self, file: &GalleryFile) -> Result<bool, GalleryError> {
        let Some(old) = self.read() else { return Ok(false) };
        if file.changes()? == old.changes {
            return Ok(false);
        }
        file.is_still_ours()?;
        let new = old.after(file)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(new));
        Ok(true)
    }
}

impl Gallery for FileGallery {
    fn embedding(&self) -> &EmbeddingId {
        &self.embedding
    }

    fn search(&self, query: &[f32], k: usize) -> Result<Vec<Match>, GalleryError> {
        self.state()?.search(query, k, false)
    }

    fn people(&self) -> Result<Vec<PersonSummary>, GalleryError> {
        self.file().people()
    }

    fn size(&self) -> usize {
        self.state().map_or(0, |state| state.base.people() + state.fresh_index.people())
    }

    fn people_like(&self, wanted: &Wanted) -> Result<(usize, Vec<PersonSummary>), GalleryError> {
        if wanted.name.is_ascii() {
            return self.file().people_like(wanted);
        }
        // What is upper case beyond ASCII, the file does not know.
        let people = self.people()?;
        Ok(wanted.of(people))
    }

    fn person(&self, id: PersonId) -> Result<Option<PersonSummary>, GalleryError> {
        self.file().person(id)
    }

    fn find_person(&self, name: &str) -> Result<PersonSummary, GalleryError> {
        self.file().find_person(name)
    }

    fn portrait(&self, person: PersonId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.file().portrait(person)
    }

    fn add(&self, person: &str, photos: &[NewPhoto]) -> Result<Added, GalleryError> {
        self.change(|file| file.add(person, photos))
    }

    fn remove_person(&self, name: &str) -> Result<Removed, GalleryError> {
        self.change(|file| file.remove_person(name))
    }

    fn watch(&self, name: &str, watched: bool) -> Result<PersonId, GalleryError> {
        self.change(|file| file.watch(name, watched))
    }

    fn rename(&self, name: &str, to: &str) -> Result<PersonId, GalleryError> {
        self.change(|file| file.rename(name, to))
    }

    fn deny(&self, person: PersonId, vector: &[f32]) -> Result<(), GalleryError> {
        self.change(|file| file.deny(person, vector))
    }

    fn merge(&self, from: PersonId, into: PersonId) -> Result<(), GalleryError> {
        self.change(|file| file.merge(from, into))
    }

    fn meet(&self, photo: &NewPhoto, at: i64) -> Result<PersonId, GalleryError> {
        self.change(|file| file.meet(photo, at))
    }

    fn add_to(&self, person: PersonId, photo: &NewPhoto) -> Result<bool, GalleryError> {
        self.change(|file| file.add_to(person, photo))
    }

    fn seen(&self, person: PersonId, at: i64, new: bool) -> Result<(), GalleryError> {
        self.file().seen(person, at, new)
    }

    fn forget_met_before(&self, before: i64) -> Result<usize, GalleryError> {
        self.change(|file| file.forget_met_before(before))
    }

    fn photos(&self, person: PersonId) -> Result<Vec<PhotoId>, GalleryError> {
        self.file().photos(person)
    }

    fn thumbnail(&self, photo: PhotoId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.file().thumbnail(photo)
    }

    fn person_record(&self, person: PersonId) -> Result<Option<PersonRecord>, GalleryError> {
        self.file().person_record(person)
    }

    fn restore(&self, record: &PersonRecord) -> Result<PersonId, GalleryError> {
        self.change(|file| file.restore(record))
    }

    fn remove_photo(&self, photo: PhotoId) -> Result<Option<RemovedPhoto>, GalleryError> {
        self.change(|file| file.remove_photo(photo))
    }

    fn restore_photo(&self, removed: &RemovedPhoto) -> Result<bool, GalleryError> {
        self.change(|file| file.restore_photo(removed))
    }

    fn join(&self, from: PersonId, into: PersonId) -> Result<Option<Joint>, GalleryError> {
        self.change(|file| file.join(from, into))
    }

    fn part(&self, joint: &Joint) -> Result<Option<PersonId>, GalleryError> {
        self.change(|file| file.part(joint))
    }

    fn record_alarm(&self, alarm: &NewAlarm<'_>) -> Result<Option<AlarmId>, GalleryError> {
        self.change(|file| file.record_alarm(alarm))
    }

    fn alarms(&self, before: Option<AlarmId>, most: usize) -> Result<Vec<AlarmEntry>, GalleryError> {
        self.file().alarms(before, most)
    }

    fn alarm_crop(&self, alarm: AlarmId) -> Result<Option<Vec<u8>>, GalleryError> {
        self.file().alarm_crop(alarm)
    }

    fn answer_alarm(&self, alarm: AlarmId, answer: Answer) -> Result<bool, GalleryError> {
        self.change(|file| file.answer_alarm(alarm, answer))
    }

    fn is_met(&self, person: PersonId) -> Result<bool, GalleryError> {
        self.file().is_met(person)
    }

    fn strangers_within(&self, share: f64) -> Result<Option<f32>, GalleryError> {
        Ok(self.state()?.base.strangers_within(share))
    }

    fn refresh(&self) -> Result<bool, GalleryError> {
        self.catch_up(&self.file())
    }
}

impl State {
    /// All that is in the file.
    fn read(file: &GalleryFile) -> Result<Self, GalleryError> {
        // Read before the vectors: a change between the two is then read once more, not missed.
        let changes = file.changes()?;
        Self::new(file, file.snapshot()?, changes)
    }

    /// What a snapshot of the file has in it.
    fn new(file: &GalleryFile, base: Snapshot, changes: i64) -> Result<Self, GalleryError> {
        let base = Arc::new(base);
        let fresh_index = Snapshot::empty(file.embedding().clone())?;
        let denials = file.denials()?;
        let (gone, fresh, people) = (HashSet::new(), BTreeMap::new(), HashMap::new());
        Ok(Self { changes, base, gone, fresh, fresh_index, people, denials })
    }

    /// This, and what changed in the file since.
    fn after(&self, file: &GalleryFile) -> Result<Self, GalleryError> {
        let changes = file.changes()?;
        let (mut gone, mut fresh, mut people) = (self.gone.clone(), self.fresh.clone(), self.people.clone());
        let mut forget = |photo: PhotoId, fresh: &mut BTreeMap<(PersonId, PhotoId), Arc<[f32]>>| {
            if self.base.last_photo().is_some_and(|last| photo <= last) {
                gone.insert(photo);
            }
            fresh.retain(|(_, known), _| *known != photo);
        };
        for photo in file.removals_since(self.changes)? {
            forget(photo, &mut fresh);
        }
        file.photos_since(self.changes, |PhotoRow { person, name, watched, photo, vector }| {
            forget(photo, &mut fresh);
            fresh.insert((person, photo), vector.into());
            people.insert(person, (name.into(), watched));
            Ok(())
        })?;
        for (person, name, watched) in file.people_since(self.changes)? {
            people.insert(person, (name.into(), watched));
        }
        if fresh.len() + gone.len() > MOST_FRESH.max(self.base.photos() / 20) {
            return Self::read(file);
        }
        let mut fresh_index = Snapshot::empty(file.embedding().clone())?;
        for ((person, photo), vector) in &fresh {
            let (name, watched) = &people[person];
            let pushed = fresh_index.push(*person, name, *watched, *photo, vector);
            pushed.map_err(|fault| GalleryError::Query { network: file.embedding().name.clone(), fault })?;
        }
        let (base, denials) = (Arc::clone(&self.base), file.denials()?);
        Ok(Self { changes, base, gone, fresh, fresh_index, people, denials })
    }

    fn search(&self, query: &[f32], k: usize, exact: bool) -> Result<Vec<Match>, GalleryError> {
        // Whoever is denied leaves a place for the next.
        let wanted = k + self.denials.len();
        let mut found = self
            .base
            .search_among(query, wanted, exact, |photo| self.gone.is_empty() || !self.gone.contains(&photo))?;
        for newer in self.fresh_index.search(query, wanted)? {
            match found.iter_mut().find(|known| known.person == newer.person) {
                Some(known) if newer.distance < known.distance => *known = newer,
                Some(_) => {}
                None => found.push(newer),
            }
        }
        if !self.denials.is_empty() {
            found.retain(|candidate| !self.is_denied(query, candidate));
        }
        found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.person.cmp(&b.person)));
        found.truncate(k);
        for candidate in &mut found {
            if let Some((name, watched)) = self.people.get(&candidate.person) {
                (candidate.name, candidate.watched) = (Arc::clone(name), *watched);
            }
        }
        Ok(found)
    }

    /// Whether the query is nearer to a face that is not this person than to the person's photos.
    fn is_denied(&self, query: &[f32], candidate: &Match) -> bool {
        let metric = self.base.embedding().metric;
        let denials = self.denials.get(&candidate.person).into_iter().flatten();
        denials.into_iter().any(|denied| distance(metric, query, denied) < candidate.distance)
    }
}

impl GalleryFile {
    /// Fails where the gallery was given to another network since it was opened.
    fn is_still_ours(&self) -> Result<(), GalleryError> {
        let now = schema::embedding(&self.connection, &self.path)?;
        rules::made_by(&self.path, &now, self.embedding())
    }

    /// The number of the last change.
    fn changes(&self) -> Result<i64, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "looking for changes");
        self.connection.query_row("SELECT changes FROM meta", [], |row| row.get(0)).map_err(failed)
    }

    /// Photos that were added, or went to somebody else, after a change.
    fn photos_since(
        &self,
        changes: i64,
        take: impl FnMut(PhotoRow<'_>) -> Result<(), super::VectorFault>,
    ) -> Result<(), GalleryError> {
        let sql = "SELECT person.id, person.name, person.watched, photo.id, photo.vector
                   FROM photo JOIN person ON photo.person = person.id WHERE photo.changed > ?1 ORDER BY photo.id";
        self.each_photo(sql, [changes], take)
    }

    pub(super) fn removals_since(&self, changes: i64) -> Result<Vec<PhotoId>, GalleryError> {
        let read = || {
            let mut statement = self.connection.prepare_cached("SELECT photo FROM removal WHERE changed > ?1")?;
            let rows = statement.query_map([changes], |row| row.get(0).map(PhotoId))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(GalleryError::sqlite(&self.path, "looking for removed photos"))
    }

    fn people_since(&self, changes: i64) -> Result<Vec<(PersonId, String, bool)>, GalleryError> {
        let read = || {
            let sql = "SELECT id, name, watched FROM person WHERE changed > ?1";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([changes], |row| Ok((PersonId(row.get(0)?), row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(GalleryError::sqlite(&self.path, "looking for changed people"))
    }

    fn denials(&self) -> Result<HashMap<PersonId, Vec<Vec<f32>>>, GalleryError> {
        let read = || {
            let mut statement = self.connection.prepare_cached("SELECT person, vector FROM denial")?;
            let rows = statement.query_map([], |row| Ok((PersonId(row.get(0)?), row.get::<_, Vec<u8>>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = read().map_err(GalleryError::sqlite(&self.path, "reading who it is not"))?;
        let mut denials: HashMap<PersonId, Vec<Vec<f32>>> = HashMap::new();
        for (person, bytes) in rows {
            let mut vector = Vec::new();
            let damaged = |reason| GalleryError::Damaged { path: self.path.clone(), reason };
            floats(&bytes, &mut vector).map_err(damaged)?;
            super::check_vector(&vector, self.embedding()).map_err(|fault| damaged(fault.to_string()))?;
            denials.entry(person).or_default().push(vector);
        }
        Ok(denials)
    }
}

#[cfg(test)]
mod tests;
