//! The people of a snapshot.

use bytemuck::{Pod, Zeroable};

use super::super::PersonId;
use super::section::Section;

/// A person, as in memory and in an index file.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Person {
    id: i64,
    /// The first row, and the row after the last one.
    rows: [u64; 2],
    /// First byte of the name.
    name: u64,
    /// Length of the name in bytes.
    name_bytes: u32,
    watched: u32,
}

/// Sorted by id; their rows are contiguous.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) all: Section<Person>,
    /// UTF-8, one name after the other.
    pub(super) names: Section<u8>,
}

impl Person {
    pub(super) fn id(&self) -> PersonId {
        PersonId(self.id)
    }

    pub(super) fn watched(&self) -> bool {
        self.watched != 0
    }

    /// The row after the last.
    pub(super) fn end(&self) -> usize {
        self.rows[1] as usize
    }
}

impl People {
    /// Appends a row: of the last person, or of a new person with a higher id.
    pub(super) fn push(&mut self, id: PersonId, name: &str, watched: bool) {
        let row = self.all.last().map_or(0, |last| last.rows[1]);
        match self.all.owned().last_mut() {
            Some(last) if last.id == id.0 => last.rows[1] = row + 1,
            last => {
                debug_assert!(last.is_none_or(|last| last.id < id.0), "people come by rising id");
                let names = self.names.owned();
                let (at, name_bytes) = (names.len() as u64, name.len() as u32);
                names.extend(name.as_bytes());
                let watched = u32::from(watched);
                self.all.owned().push(Person { id: id.0, rows: [row, row + 1], name: at, name_bytes, watched });
            }
        }
    }

    pub(super) fn find(&self, id: PersonId) -> Option<&Person> {
        let found = self.all.binary_search_by_key(&id.0, |person| person.id).ok()?;
        self.all.get(found)
    }

    /// The person of a row.
    pub(super) fn of_row(&self, row: usize) -> Option<&Person> {
        self.all.get(self.all.partition_point(|person| person.end() <= row))
    }

    /// Empty if a mapped file was changed meanwhile.
    pub(super) fn name(&self, person: &Person) -> &str {
        self.checked_name(person).unwrap_or_default()
    }

    fn checked_name(&self, person: &Person) -> Option<&str> {
        let from = usize::try_from(person.name).ok()?;
        let bytes = self.names.get(from..from.checked_add(person.name_bytes as usize)?)?;
        std::str::from_utf8(bytes).ok()
    }

    /// The reason why these cannot be the people of `photos` rows; `None` if they can.
    pub(super) fn fault(&self, photos: usize) -> Option<&'static str> {
        let (mut row, mut id) = (0, i64::MIN);
        for person in self.all.iter() {
            if person.rows[0] != row || person.rows[1] <= row || (row > 0 && person.id <= id) {
                return Some("its people are not in order");
            }
            if self.checked_name(person).is_none() {
                return Some("a name in it is not UTF-8");
            }
            (row, id) = (person.rows[1], person.id);
        }
        (row != photos as u64).then_some("the number of rows of its people is wrong")
    }
}
