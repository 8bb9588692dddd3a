//! The index file beside a gallery: a snapshot and its graph as they lie in memory, to be mapped.
//!
//! All numbers are little-endian. A header of 352 bytes says which gallery it belongs to, as of which change, and where the
//! sections are; each begins at a multiple of 64. A file that does not fit the gallery, or is damaged, is as good as none:
//! everything in it can be made again from the gallery.
//!
//! What is checked on opening: the header by its SHA-256, which finds damage; the places of all sections, the people, their
//! names, and that every number of the graph leads somewhere, so that a hostile file can do no more than name the wrong people.
//! The rows and their codes are numbers like any others and are not read through. What is trusted: that no
//! program writes into the file, or cuts it short, while it is mapped: visavis replaces it as a whole or deletes it. And that
//! whoever puts a gallery back from an older copy opens it for searching, which finds the index to be too new and deletes it,
//! before it is changed as often as the index knows of.

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

use super::super::{EmbeddingId, GalleryError, GalleryFile};
use super::approximate::MOST_CANDIDATES;
use super::codes::Codes;
use super::graph::{Coarse, Graph, Links, Shape};
use super::person::People;
use super::section::Section;
use super::{LANES, Snapshot};

const MAGIC: [u8; 8] = *b"visv.idx";
const FORMAT: u64 = 3;

/// Sections begin at multiples of this.
const ALIGNMENT: usize = 64;

/// How a file ends that is not whole yet.
const BUILDING: &str = ".building";

/// Rows, their codes, notes on the codes, photos, people, names; six of the graph.
const SECTIONS: usize = 12;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format: u64,
    /// `meta.token` of the gallery.
    token: [u8; 16],
    /// `meta.changes` of the gallery: no less is in here.
    changes: i64,
    /// SHA-256 of what tells the network from others.
    network: [u8; 32],
    length: u64,
    photos: u64,
    people: u64,
    /// Candidates that a search of the graph keeps.
    expansion: u64,
    /// The graph's shape: neighbours of a row on the lowest level and above, and the row where a search begins.
    room: [u64; 2],
    entry: u64,
    /// First byte and number of bytes.
    sections: [[u64; 2]; SECTIONS],
    /// SHA-256 of all above.
    digest: [u8; 32],
}

/// Which gallery a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) token: [u8; 16],
    pub(super) changes: i64,
}

/// Where the index of a gallery is: beside it, `.index` added to the name.
#[must_use]
pub fn index_path(gallery: &Path) -> PathBuf {
    // Whoever came by a link removes the same index as who did not.
    let mut path = fs::canonicalize(gallery).unwrap_or_else(|_| gallery.to_path_buf()).into_os_string();
    path.push(".index");
    path.into()
}

/// Deletes the index of a gallery, if there is one, and what builds that were killed have left of others; one that is still
/// being built fails. Whoever has it mapped keeps what they see until they let go.
pub(in super::super) fn remove_index(gallery: &Path) -> Result<(), GalleryError> {
    let path = index_path(gallery);
    let failed = |path: &Path, error| GalleryError::io(path, "removing the index")(error);
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    };
    let folder = folder_of(&path);
    let begins = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".";
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&begins) && name.ends_with(BUILDING) {
            remove(&entry.path())?;
        }
    }
    remove(&path)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The gallery as its index has it, and as of which change. None where there is none, or it is of no use; the log says why.
pub(in super::super) fn indexed(file: &GalleryFile) -> Option<(Snapshot, i64)> {
    let path = index_path(&file.path);
    let opened = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(error.to_string()),
        Ok(index) => open(&index, file),
    };
    match opened {
        Ok(found) => Some(found),
        Err(reason) => {
            log::warn!("{}: not used, {reason}: build it again with 'visavis gallery index'", path.display());
            None
        }
    }
}

fn open(index: &File, file: &GalleryFile) -> Result<(Snapshot, i64), String> {
    // SAFETY: what is read through the map stays within its length, and no value of any byte is invalid for the types that
    // it is read as. That nobody shortens or changes the file is the trust named above.
    let map = Arc::new(unsafe { Mmap::map(index) }.map_err(|error| error.to_string())?);
    let (snapshot, origin) = read(&map, file.embedding())?;
    // After the index: one that was built since is never taken for one from the future.
    let now = file.origin().map_err(|error| error.to_string())?;
    if origin.token != now.token {
        return Err("it belongs to another gallery".into());
    }
    if origin.changes > now.changes {
        // The gallery was put back from an older copy. It must not seem to fit once the gallery has changed as often again.
        remove_index(&file.path).map_err(|error| error.to_string())?;
        return Err("it is of a later state of the gallery than there is".into());
    }
    Ok((snapshot, origin.changes))
}

/// What tells two networks apart whose vectors do not compare.
fn network(embedding: &EmbeddingId) -> [u8; 32] {
    let EmbeddingId { name, fingerprint, length, metric, same_person: _, likeness: _ } = embedding;
    Sha256::digest(format!("{name}\0{fingerprint}\0{length}\0{metric:?}")).into()
}

fn digest(header: &Header) -> [u8; 32] {
    let bytes = bytemuck::bytes_of(header);
    Sha256::digest(&bytes[..bytes.len() - header.digest.len()]).into()
}

/// The snapshot in an index file of a network.
///
/// # Errors
/// Why it is of no use.
pub(super) fn read(map: &Arc<Mmap>, embedding: &EmbeddingId) -> Result<(Snapshot, Origin), String> {
    if cfg!(target_endian = "big") {
        return Err("this machine writes numbers the other way round".into());
    }
    let header = map.get(..size_of::<Header>()).ok_or("it is cut short")?;
    let header: Header = bytemuck::pod_read_unaligned(header);
    if header.magic != MAGIC {
        return Err("it is no index".into());
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
        let end = first.checked_add(bytes).filter(|end| *end <= map.len()).ok_or("it is cut short")?;
        *part = first..end;
    }
    let [rows, codes, notes, ids, all, names, coarse, columns, squares, near, first, above] = parts;
    if digest(&header) != header.digest {
        return Err("it is damaged".into());
    }
    let pieces = embedding.length.div_ceil(LANES);
    let coded = Codes::pieces_in_row(embedding.length);
    let each = |pieces: usize| photos.checked_mul(pieces).ok_or("it is too large");
    let missing = "a part of it has another size";
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

/// Puts an index in its place, in one move; says how many bytes it has.
pub(super) fn write(gallery: &Path, snapshot: &Snapshot, origin: Origin) -> Result<u64, GalleryError> {
    /// Tells apart the builds of one process.
    static BEGUN: AtomicU64 = AtomicU64::new(0);

    let path = index_path(gallery);
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}-{}{BUILDING}", std::process::id(), BEGUN.fetch_add(1, Ordering::Relaxed)));
    let aside = PathBuf::from(aside);
    let written = write_aside(&aside, snapshot, origin)
        .map_err(GalleryError::io(&aside, "writing the index"))
        .and_then(|bytes| {
            fs::rename(&aside, &path).map_err(GalleryError::io(&path, "putting the index in its place"))?;
            Ok(bytes)
        });
    if written.is_err() {
        // There may be nothing to remove; the failure that is told is the first.
        let _ = fs::remove_file(&aside);
    }
    // A rename lasts through a power cut once the folder is on the disk. Windows cannot open folders for that.
    if cfg!(unix) {
        let folder = folder_of(&path);
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

impl GalleryFile {
    /// Which gallery this is, and the number of its last change.
    pub(super) fn origin(&self) -> Result<Origin, GalleryError> {
        let failed = GalleryError::sqlite(&self.path, "looking for changes");
        let read = |row: &rusqlite::Row<'_>| Ok(Origin { token: row.get(0)?, changes: row.get(1)? });
        self.connection.query_row("SELECT token, changes FROM meta", [], read).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
