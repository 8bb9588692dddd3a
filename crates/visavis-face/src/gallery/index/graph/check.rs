//! Whether bytes are a graph that usearch can walk in: it follows every number in them without a look.
//!
//! The layout is that of usearch 2 (`index_dense_gt::save_to_stream`): rows and bytes of a vector (two `u32`), the vectors, a
//! head of 64 bytes, the sizes of the graph (five `u64`), the level of every node (`i16`), the nodes. A node is its key
//! (`u64`), its level, and for every level a count and room for neighbours (`u32` each).

/// The head: its first bytes, its size, and where in it the numbers of a vector are.
const MAGIC: &[u8] = b"usearch";
const HEAD: usize = 64;
const DIMENSIONS: usize = 33;

/// Numbers in a row, by which they are read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or("its graph is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.try_into().map_err(|_| "its graph is cut short")
    }
}

/// Fails unless `bytes` are a graph of `rows` nodes with vectors of `vector` bytes, whose neighbours all exist.
pub(super) fn check(bytes: &[u8], vector: usize, rows: usize) -> Result<(), &'static str> {
    let mut reader = Reader(bytes);
    let [nodes, size] = [reader.number()?, reader.number()?].map(|number| u32::from_le_bytes(number) as usize);
    if nodes != rows || size != vector {
        return Err("its graph has other rows");
    }
    reader.take(rows.checked_mul(vector).ok_or("its graph is too large")?)?;
    let head = reader.take(HEAD)?;
    if !head.starts_with(MAGIC) || head.get(DIMENSIONS..DIMENSIONS + 8) != Some(&(vector as u64).to_le_bytes()) {
        return Err("its graph is none");
    }
    let mut sizes = [0; 5];
    for size in &mut sizes {
        *size = usize::try_from(u64::from_le_bytes(reader.number()?)).map_err(|_| "its graph is too large")?;
    }
    let [nodes, others, base, top, entry] = sizes;
    // A graph has some tens of neighbours a node; sizes beyond that could overflow in what follows.
    if nodes != rows || !(2..=1024).contains(&others) || !(others..=2048).contains(&base) {
        return Err("its graph has other sizes");
    }
    let levels = reader.take(rows.checked_mul(2).ok_or("its graph is too large")?)?;
    let level = |node: usize| usize::try_from(i16::from_le_bytes(*levels.as_chunks().0.get(node)?)).ok();
    match level(entry) {
        Some(entry) if top <= entry => {}
        None if rows == 0 => return Ok(()),
        _ => return Err("its graph has no beginning"),
    }
    for node in 0..rows {
        let height = level(node).ok_or("a node of its graph has no level")?;
        let key = u64::from_le_bytes(reader.number()?);
        let own = i16::from_le_bytes(reader.number()?);
        if key >= rows as u64 || usize::try_from(own) != Ok(height) {
            return Err("a node of its graph is another");
        }
        for at in 0..=height {
            let room = if at == 0 { base } else { others };
            let count = u32::from_le_bytes(reader.number()?) as usize;
            let slots = reader.take(4 * room)?;
            let neighbours =
                slots.get(..4 * count.min(room + 1)).ok_or("a node of its graph has too many neighbours")?;
            for slot in neighbours.as_chunks::<4>().0 {
                let slot = u32::from_le_bytes(*slot) as usize;
                // On the lowest level everybody is; above it, only who is as high.
                let there = if at == 0 { slot < rows } else { level(slot).is_some_and(|height| height >= at) };
                if !there {
                    return Err("a node of its graph has a neighbour that is not there");
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::codes::{Codes, node_bytes};
    use super::super::*;

    /// No byte that is another, and no cut, may lead usearch astray; most are found.
    #[test]
    fn damage_is_refused_or_harmless() {
        let mut codes = Codes::new(3);
        let mut number = 1u32;
        for _ in 0..200 {
            let vector = [(); 3].map(|()| {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (number >> 8) as f32 - (1u32 << 23) as f32
            });
            codes.push(&vector);
        }
        let graph = Graph::new(Metric::Euclidean, 3, 200, 1).unwrap();
        for row in 0..200 {
            graph.add(&codes, row, &mut Vec::new()).unwrap();
        }
        let bytes = graph.to_bytes().unwrap();
        let vector = node_bytes(3);
        assert_eq!(check::check(&bytes, vector, 200), Ok(()));
        assert!(check::check(&bytes, vector, 199).is_err() && check::check(&bytes, vector + 1, 200).is_err());
        for length in (0..bytes.len()).step_by(7) {
            assert!(check::check(&bytes[..length], vector, 200).is_err(), "{length}");
        }
        let beginning = 8 + 200 * vector;
        let mut refused = 0;
        for at in beginning..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x80;
            refused += usize::from(check::check(&bytes, vector, 200).is_err());
        }
        assert!(refused > (bytes.len() - beginning) / 4, "{refused}");
    }
}
