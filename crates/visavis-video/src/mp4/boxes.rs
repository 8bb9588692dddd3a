//! Finds boxes (ISO/IEC 14496-12, 4.2) in a file and inside one another.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use mp4_atom::Atom;

/// A box at the top level of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopBox {
    pub(super) kind: [u8; 4],
    /// Start of its header.
    pub(super) start: u64,
    /// Start of its contents.
    pub(super) body: u64,
    /// Its end, which may lie beyond the end of a truncated file.
    pub(super) end: u64,
}

/// Maximum number of boxes: a file of nothing but empty boxes is not read to its end.
const MOST_BOXES: usize = 1 << 20;

/// The boxes of a file, as far as their headers can be read.
pub(super) fn top_boxes(file: &mut BufReader<File>, file_len: u64) -> io::Result<Vec<TopBox>> {
    let mut found = Vec::new();
    let mut start = 0;
    while file_len.saturating_sub(start) >= 8 && found.len() < MOST_BOXES {
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0; 16];
        file.read_exact(&mut head[..8])?;
        let kind = [head[4], head[5], head[6], head[7]];
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (body, end) = match size {
            0 => (start + 8, file_len),
            1 if file_len - start >= 16 => {
                file.read_exact(&mut head[8..])?;
                let long = head[8..].iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
                (start + 16, start.saturating_add(long.max(16)))
            }
            1..=7 => break,
            _ => (start + 8, start + u64::from(size)),
        };
        found.push(TopBox { kind, start, body, end });
        start = end;
    }
    Ok(found)
}

/// The boxes inside `bytes`: type and contents. Stops at the first invalid box.
pub(crate) fn children(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_first_chunk::<8>()?;
        let kind = [head[4], head[5], head[6], head[7]];
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => behind.len(),
            size => (size as usize).checked_sub(8)?,
        };
        let (body, next) = behind.split_at_checked(size)?;
        rest = next;
        Some((kind, body))
    })
}

/// The first box of this type inside `bytes`.
pub(crate) fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The first box of this type inside `bytes`, parsed. The error names the box and what is wrong.
pub(crate) fn parse<A: Atom>(bytes: &[u8]) -> Result<Option<A>, String> {
    let Some(mut body) = child(bytes, A::KIND.as_ref()) else { return Ok(None) };
    A::decode_body(&mut body).map(Some).map_err(|error| format!("box {}: {error}", A::KIND))
}

/// The same for a box that is required.
pub(crate) fn require<A: Atom>(bytes: &[u8]) -> Result<A, String> {
    parse(bytes)?.ok_or_else(|| format!("box {} is missing", A::KIND))
}
