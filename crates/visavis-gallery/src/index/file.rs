//! The index file beside a gallery: a snapshot and its graph in the layout of memory, to be mapped.
//!
//! All numbers are little-endian. A header of 352 bytes identifies the gallery and the change, and gives the places of the
//! sections; each section begins at a multiple of 64. A file that does not fit the gallery, or is damaged, is ignored:
//! everything in it can be computed again from the gallery.
//!
//! Checked on opening: the SHA-256 of the header, against damage; the places of all sections; the people and their names;
//! and that every number of the graph is a valid row. So a hostile file can only produce wrong people. The rows and their
//! codes may have any values and are not read.
//!
//! Not checked: that no program writes to the file or truncates it while it is mapped (visavis only replaces or deletes the
//! whole file); and that a gallery that was restored from an older copy is first opened for searching, which deletes the
//! newer index, before it has been changed as many times as the index includes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::mem::size_of;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;
use sha2::{Digest, Sha256};

use super::approximate::MOST_CANDIDATES;
use super::codes::Codes;
use super::graph::{Coarse, Graph, Links, Shape};
use super::person::People;
use super::section::Section;
use super::{LANES, Snapshot};
use crate::store::Transactions;
use crate::{EmbeddingId, Gallery, GalleryError, rows};

const MAGIC: [u8; 8] = *b"visv.idx";
const FORMAT: u64 = 3;

/// Sections begin at multiples of this.
const ALIGNMENT: usize = 64;

/// Ending of the name of an unfinished file.
const BUILDING: &str = ".building";

/// Rows, codes, notes on the codes, photos, people, names; and six sections of the graph.
const SECTIONS: usize = 12;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format: u64,
    /// `meta.token` of the gallery.
    token: [u8; 16],
    /// `meta.changes` of the gallery: all changes up to this one are included.
    changes: i64,
    /// SHA-256 over the properties that distinguish networks.
    network: [u8; 32],
    length: u64,
    photos: u64,
    people: u64,
    /// Number of candidates of a search of the graph.
    expansion: u64,
    /// Shape of the graph: neighbours of a row on the lowest level and above, and the row where a search begins.
    room: [u64; 2],
    entry: u64,
    /// First byte and length in bytes.
    sections: [[u64; 2]; SECTIONS],
    /// SHA-256 of all fields above.
    digest: [u8; 32],
}

/// The gallery to which a file belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) token: [u8; 16],
    pub(super) changes: i64,
}

/// The path of the index of a gallery: beside it, with `.index` added to the name.
#[must_use]
pub fn index_path(gallery: &Path) -> PathBuf {
    // A gallery that is opened through a link has the same index.
    let mut path = fs::canonicalize(gallery).unwrap_or_else(|_| gallery.to_path_buf()).into_os_string();
    path.push(".index");
    path.into()
}

/// Deletes the index of a gallery, if there is one, and unfinished files of killed builds. A build that is still running
/// then fails. A program that has the index mapped keeps its contents until it releases it.
pub(crate) fn remove_index(path: &Path) -> Result<(), GalleryError> {
    let failed = |path: &Path, error| GalleryError::io(path, "removing the index")(error);
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    };
    let folder = folder_of(path);
    let begins = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed(folder, error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&begins) && name.ends_with(BUILDING) {
            remove(&entry.path())?;
        }
    }
    remove(path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The gallery as its index has it, and the change that this includes. `None` if there is no index or it cannot be used; the
/// log says why.
pub(crate) fn indexed(gallery: &Gallery) -> Option<(Snapshot, i64)> {
    let path = gallery.index.as_deref()?;
    let opened = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(index) => open(&index, gallery),
    };
    match opened {
        Ok(found) => Some(found),
        Err(reason) => {
            log::warn!("{}: ignored, since {reason}: build it again", path.display());
            None
        }
    }
}

fn open(index: &File, gallery: &Gallery) -> Result<(Snapshot, i64), String> {
    // SAFETY: reads through the map stay within its length, and all byte values are valid for the types that are read. That
    // no program truncates or changes the file is an assumption, see above.
    let map = Arc::new(unsafe { Mmap::map(index) }.map_err(|error| error.to_string())?);
    let (snapshot, origin) = read(&map, gallery.embedding())?;
    // Read after the index, so that an index that was built just now is not taken for one of a later state.
    let now = gallery.origin().map_err(|error| error.to_string())?;
    if origin.token != now.token {
        return Err("it belongs to another gallery".into());
    }
    if origin.changes > now.changes {
        // The gallery was restored from an older copy. The index must not seem to fit once the gallery has changed as many
        // times again.
        gallery.remove_index().map_err(|error| error.to_string())?;
        return Err("it is of a later state of the gallery".into());
    }
    Ok((snapshot, origin.changes))
}

/// Writes the hash of the other fields into a header; for [`crate::fuzzing`].
pub(crate) fn seal(bytes: &mut [u8]) {
    if let Some(bytes) = bytes.get_mut(..size_of::<Header>()) {
        let mut header: Header = bytemuck::pod_read_unaligned(bytes);
        header.digest = digest(&header);
        bytes.copy_from_slice(bytemuck::bytes_of(&header));
    }
}

/// The snapshot in an index file, without a gallery; for [`crate::fuzzing`].
///
/// # Errors
/// The reason why it cannot be used.
pub(crate) fn read_file(path: &Path, embedding: &EmbeddingId) -> Result<Snapshot, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    // SAFETY: as in `open`.
    let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(|error| error.to_string())?);
    Ok(read(&map, embedding)?.0)
}

/// A hash that differs for networks whose vectors cannot be compared.
fn network(embedding: &EmbeddingId) -> [u8; 32] {
    let EmbeddingId { name, fingerprint, length, metric, same_person: _, likeness: _, identity: _ } = embedding;
    Sha256::digest(format!("{name}\0{fingerprint}\0{length}\0{metric:?}")).into()
}

fn digest(header: &Header) -> [u8; 32] {
    let bytes = bytemuck::bytes_of(header);
    Sha256::digest(&bytes[..bytes.len() - header.digest.len()]).into()
}

/// The snapshot in an index file of a network.
///
/// # Errors
/// The reason why it cannot be used.
pub(super) fn read(map: &Arc<Mmap>, embedding: &EmbeddingId) -> Result<(Snapshot, Origin), String> {
    if cfg!(target_endian = "big") {
        return Err("big-endian machines are not supported".into());
    }
    let header = map.get(..size_of::<Header>()).ok_or("it is truncated")?;
    let header: Header = bytemuck::pod_read_unaligned(header);
    if header.magic != MAGIC {
        return Err("it is not an index".into());
    }
    if header.format != FORMAT {
        return Err(format!("it has format {}, not {FORMAT}", header.format));
    }
    if header.network != network(embedding) || header.length != embedding.length as u64 {
        return Err("it is of another network".into());
    }
    let count = |number: u64| usize::try_from(number).map_err(|_| "it is too large");
    let (photos, people) = (count(header.photos)?, count(header.people)?);
    let mut parts: [Range<usize>; SECTIONS] = Default::default();
    for (part, [first, bytes]) in parts.iter_mut().zip(header.sections) {
        let (first, bytes) = (count(first)?, count(bytes)?);
        let end = first.checked_add(bytes).filter(|end| *end <= map.len()).ok_or("it is truncated")?;
        *part = first..end;
    }
    let [rows, codes, notes, ids, all, names, coarse, columns, squares, near, first, above] = parts;
    if digest(&header) != header.digest {
        return Err("it is damaged".into());
    }
    let pieces = embedding.length.div_ceil(LANES);
    let coded = Codes::pieces_in_row(embedding.length);
    let each = |pieces: usize| photos.checked_mul(pieces).ok_or("it is too large");
    let missing = "a section has a wrong size";
    let mut snapshot = Snapshot::empty(embedding.clone()).map_err(|error| error.to_string())?;
    snapshot.rows = Section::mapped(map, rows, each(pieces)?).ok_or(missing)?;
    snapshot.codes.pieces = Section::mapped(map, codes, each(coded)?).ok_or(missing)?;
    snapshot.codes.notes = Section::mapped(map, notes, photos).ok_or(missing)?;
    snapshot.photos = Section::mapped(map, ids, photos).ok_or(missing)?;
    snapshot.last_photo = snapshot.photos.iter().copied().max();
    let (bytes, all) = (names.len(), Section::mapped(map, all, people).ok_or(missing)?);
    snapshot.people = People { all, names: Section::mapped(map, names, bytes).ok_or(missing)? };
    if let Some(fault) = snapshot.people.fault(photos) {
        return Err(fault.into());
    }
    let expansion = count(header.expansion)?;
    if !(1..=MOST_CANDIDATES).contains(&expansion) {
        return Err("it is damaged".into());
    }
    let numbers = |part| Section::mapped_whole(map, part).ok_or(missing);
    let links = Links { near: numbers(near)?, first: numbers(first)?, above: numbers(above)? };
    let coarse = Coarse {
        pieces: Section::mapped(map, coarse, each(Coarse::pieces_in_row(embedding.length))?).ok_or(missing)?,
        columns: Section::mapped(map, columns, embedding.length).ok_or(missing)?,
        squares: Section::mapped_whole(map, squares).ok_or(missing)?,
    };
    let [room, room_above] = header.room;
    let shape = Shape { room: count(room)?, room_above: count(room_above)?, entry: count(header.entry)? };
    let graph = Graph::new(embedding.metric, links, coarse, shape, expansion)?;
    if graph.rows() != photos {
        return Err(missing.into());
    }
    snapshot.graph = Some(graph);
    Ok((snapshot, Origin { token: header.token, changes: header.changes }))
}

/// Writes an index under a temporary name and renames it. Returns its size in bytes.
pub(super) fn write(path: &Path, snapshot: &Snapshot, origin: Origin) -> Result<u64, GalleryError> {
    /// Distinguishes the builds of one process.
    static BEGUN: AtomicU64 = AtomicU64::new(0);

    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}-{}{BUILDING}", std::process::id(), BEGUN.fetch_add(1, Ordering::Relaxed)));
    let aside = PathBuf::from(aside);
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(GalleryError::io(folder, "creating the folder of the index"))?;
    let written = write_aside(&aside, snapshot, origin)
        .map_err(GalleryError::io(&aside, "writing the index"))
        .and_then(|bytes| {
            fs::rename(&aside, path).map_err(GalleryError::io(path, "renaming the index"))?;
            Ok(bytes)
        });
    if written.is_err() {
        // There may be no file to remove. The first failure is the one that is returned.
        let _ = fs::remove_file(&aside);
    }
    // A rename survives a power cut only after the folder was synchronised. Windows cannot open folders for that.
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(GalleryError::io(folder, "saving"))?;
    }
    written
}

fn write_aside(aside: &Path, snapshot: &Snapshot, origin: Origin) -> io::Result<u64> {
    let Snapshot { embedding, rows, codes, photos, people, graph, .. } = snapshot;
    let (no_links, no_coarse) = Default::default();
    let (links, coarse, shape, expansion) = match graph {
        Some(graph) => (&graph.links, &graph.coarse, graph.shape, graph.expansion),
        None => (&no_links, &no_coarse, Shape::default(), 0),
    };
    let sections = [
        rows.bytes(),
        codes.pieces.bytes(),
        codes.notes.bytes(),
        photos.bytes(),
        people.all.bytes(),
        people.names.bytes(),
        coarse.pieces.bytes(),
        coarse.columns.bytes(),
        coarse.squares.bytes(),
        links.near.bytes(),
        links.first.bytes(),
        links.above.bytes(),
    ];
    let mut header = Header {
        magic: MAGIC,
        format: FORMAT,
        token: origin.token,
        changes: origin.changes,
        network: network(embedding),
        length: embedding.length as u64,
        photos: snapshot.photos() as u64,
        people: snapshot.people() as u64,
        expansion: expansion as u64,
        room: [shape.room as u64, shape.room_above as u64],
        entry: shape.entry as u64,
        sections: [[0; 2]; SECTIONS],
        digest: [0; 32],
    };
    let mut end = size_of::<Header>();
    for (place, bytes) in header.sections.iter_mut().zip(sections) {
        let first = end.next_multiple_of(ALIGNMENT);
        *place = [first as u64, bytes.len() as u64];
        end = first + bytes.len();
    }
    header.digest = digest(&header);
    let file = File::create(aside)?;
    let mut to = BufWriter::new(&file);
    to.write_all(bytemuck::bytes_of(&header))?;
    let mut at = size_of::<Header>();
    for bytes in sections {
        to.write_all(&[0; ALIGNMENT][..at.next_multiple_of(ALIGNMENT) - at])?;
        to.write_all(bytes)?;
        at = at.next_multiple_of(ALIGNMENT) + bytes.len();
    }
    to.flush()?;
    drop(to);
    file.sync_all()?;
    Ok(end as u64)
}

impl Gallery {
    /// The identity of the gallery, and the number of its last change.
    pub(super) fn origin(&self) -> Result<Origin, GalleryError> {
        let meta = self.store.reading("looking for changes", |tx| self.ours(rows::meta(tx)?))?;
        Ok(Origin { token: meta.token, changes: meta.changes })
    }
}

#[cfg(test)]
mod tests;
