//! Reads the links of a graph from the bytes that usearch saves.
//!
//! The layout is that of usearch 2 (`index_dense_gt::save_to_stream`): number of rows and bytes of a vector (two `u32`), the
//! vectors, a header of 64 bytes, the sizes of the graph (five `u64`), the level of every node (`i16`), the nodes. A node is
//! its key (`u64`), its level, and for every level a count and room for neighbours (`u32` each). Neighbours are numbered in
//! the order in which nodes were added; keys are rows.

use super::super::section::Section;
use super::{Links, Shape};

/// The first bytes of the header, and its size.
const MAGIC: &[u8] = b"usearch";
const HEAD: usize = 64;

/// The remaining bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or("its graph is truncated")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "its graph is truncated")
    }

    /// A count, and as many numbers, from a list with space for `room` numbers.
    fn list(&mut self, room: usize) -> Result<&'a [[u8; 4]], &'static str> {
        let count = u32::from_le_bytes(self.number()?) as usize;
        self.take(4 * room)?.as_chunks().0.get(..count).ok_or("a node of its graph has too many neighbours")
    }
}

/// Rows with fewer incoming links than this are hard to find.
const KNOWN: u32 = 24;

/// Adds rows with few incoming links to the lists of their own neighbours, if these have room.
fn make_known(near: &mut [u32], room: usize) {
    let mut known = vec![0; near.len() / room];
    let own = |list: &[u32], row: u32| list.iter().position(|other| *other == row).unwrap_or(room);
    for (row, list) in (0..).zip(near.chunks_exact(room)) {
        list[..own(list, row)].iter().for_each(|other| known[*other as usize] += 1);
    }
    let mut others = Vec::with_capacity(room);
    for row in 0..known.len() as u32 {
        let list = &near[row as usize * room..(row as usize + 1) * room];
        others.clear();
        others.extend_from_slice(&list[..own(list, row)]);
        for other in &others {
            if known[row as usize] >= KNOWN {
                break;
            }
            let list = &mut near[*other as usize * room..(*other as usize + 1) * room];
            let end = own(list, *other);
            if end < room && !list[..end].contains(&row) {
                list[end] = row;
                known[row as usize] += 1;
            }
        }
    }
}

/// The links in `bytes`, of `rows` nodes with vectors of `vector` bytes.
///
/// # Errors
/// Why the bytes are invalid.
pub(super) fn read(bytes: &[u8], vector: usize, rows: usize) -> Result<(Links, Shape), &'static str> {
    let mut reader = Reader(bytes);
    let [nodes, size] = [reader.number()?, reader.number()?].map(|number| u32::from_le_bytes(number) as usize);
    if nodes != rows || size != vector {
        return Err("its graph has a wrong number of rows");
    }
    reader.take(rows.checked_mul(vector).ok_or("its graph is too large")?)?;
    if !reader.take(HEAD)?.starts_with(MAGIC) {
        return Err("it contains no graph");
    }
    let mut sizes = [0; 5];
    for size in &mut sizes {
        *size = usize::try_from(u64::from_le_bytes(reader.number()?)).map_err(|_| "its graph is too large")?;
    }
    let [nodes, room_above, room, _, entry] = sizes;
    if nodes != rows || !(1..=1024).contains(&room_above) || !(room_above..=2048).contains(&room) {
        return Err("its graph has wrong sizes");
    }
    reader.take(rows.checked_mul(2).ok_or("its graph is too large")?)?;
    // The row of each node, its level and its lists.
    let mut all = Vec::with_capacity(rows);
    for _ in 0..rows {
        let row = u64::from_le_bytes(reader.number()?);
        let row =
            u32::try_from(row).ok().filter(|row| (*row as usize) < rows).ok_or("a node of its graph is invalid")?;
        let height =
            usize::try_from(i16::from_le_bytes(reader.number()?)).map_err(|_| "a node of its graph is invalid")?;
        let lists = reader.take(4 * (1 + room) + 4 * (1 + room_above) * height)?;
        all.push((row, height, lists));
    }
    let row_of = |slot: &[u8; 4]| {
        let node = all.get(u32::from_le_bytes(*slot) as usize);
        node.map(|(row, ..)| *row).ok_or("a node of its graph has an invalid neighbour")
    };
    let mut first = vec![0; rows + 1];
    for (row, height, _) in &all {
        first[*row as usize + 1] = *height as u32;
    }
    for row in 0..rows {
        first[row + 1] += first[row];
    }
    let lists = first.last().map_or(0, |lists| *lists as usize);
    let (mut near, mut above) = (vec![0; rows * room], vec![0; lists * room_above]);
    for (row, height, lists) in &all {
        let mut reader = Reader(lists);
        let mut fill = |to: &mut [u32]| {
            to.fill(*row);
            let neighbours = reader.list(to.len())?.iter().map(row_of);
            to.iter_mut().zip(neighbours).try_for_each(|(to, neighbour)| neighbour.map(|neighbour| *to = neighbour))
        };
        fill(&mut near[*row as usize * room..(*row as usize + 1) * room])?;
        for list in (0..*height).map(|level| first[*row as usize] as usize + level) {
            fill(&mut above[list * room_above..(list + 1) * room_above])?;
        }
    }
    make_known(&mut near, room);
    let entry = all.get(entry).map_or(0, |(row, ..)| *row as usize);
    let links = Links { near: Section::Owned(near), first: Section::Owned(first), above: Section::Owned(above) };
    Ok((links, Shape { room, room_above, entry }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_both_ways_where_there_is_room() {
        // 0 links to 1 and 2, 1 links to 2, 2 has no links; 3 links to 0, which has no room for it, and to 1.
        let mut near = [1, 2, 2, 1, 2, 2, 0, 1];
        make_known(&mut near, 2);
        assert_eq!(near, [1, 2, 2, 0, 0, 1, 0, 1]);
    }
}
