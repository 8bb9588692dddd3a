//! Vectors as codes of eight bits per number, with a bound of their error. A search reads the codes, a quarter of the
//! memory, and compares the full vectors only where they can change the answer. So the search is exact.
//!
//! A row is x = c + e with c = s·q, where q are integers from −127 to 127; the query is u = d + f likewise. Then ⟨x, u⟩
//! differs from ⟨c, d⟩ by ⟨c, f⟩ + ⟨e, u⟩, whose absolute value is at most |c|·|f| + |e|·|u| (Cauchy and Schwarz).

use bytemuck::{Pod, Zeroable};
use multiversion::multiversion;

use super::section::{Section, fetch};

/// Numbers in a piece: one cache line.
const LANES: usize = 64;

/// Number of rows whose products are computed at once, before any of them is rated.
pub(super) const BLOCK: usize = 256;

/// Bound of the rounding error of a product that is summed in 32-bit floats, relative to the product of the two lengths.
const ROUNDING: f32 = 1e-5;

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Piece([i8; LANES]);

/// What is stored for a row besides its code.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Note {
    /// s.
    scale: f32,
    /// |c|.
    coded: f32,
    /// |e|.
    rest: f32,
    /// |x|².
    pub(super) square: f32,
}

/// The codes of all rows.
#[derive(Debug)]
pub(super) struct Codes {
    /// `[rows, pieces]`, row-major, padded with zeros.
    pub(super) pieces: Section<Piece>,
    /// Number of pieces in a row.
    each: usize,
    pub(super) notes: Section<Note>,
}

/// The code of a query.
pub(super) struct CodedQuery {
    pieces: Vec<Piece>,
    note: Note,
    /// |u|.
    length: f32,
}

impl Codes {
    pub(super) fn new(length: usize) -> Self {
        Self { pieces: Section::default(), each: Self::pieces_in_row(length), notes: Section::default() }
    }

    pub(super) fn pieces_in_row(length: usize) -> usize {
        length.div_ceil(LANES)
    }

    /// Appends a row.
    pub(super) fn push(&mut self, row: &[f32]) {
        let note = code(row, self.pieces.owned());
        self.notes.owned().push(note);
    }

    /// The note of each row.
    pub(super) fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// ⟨q, p⟩ for the rows from `first` on, as many as fit in `products`.
    pub(super) fn products(&self, query: &CodedQuery, first: usize, products: &mut [i32]) {
        products_of_rows(&self.pieces[first * self.each..], &query.pieces, products);
    }

    /// ⟨q, p⟩ for scattered rows. Their memory is prefetched before it is read, so only a few may be given at once.
    pub(super) fn products_of(&self, query: &CodedQuery, rows: &[u32], products: &mut [i32]) {
        let (pieces, notes): (&[Piece], &[Note]) = (&self.pieces, &self.notes);
        for row in rows.iter().map(|row| *row as usize) {
            fetch(&pieces[row * self.each..(row + 1) * self.each]);
            fetch(&notes[row..=row]);
        }
        products_of_listed(pieces, &query.pieces, rows, products);
    }

    /// A row as a node of the graph while it is built, see [`node`].
    pub(super) fn node(&self, row: usize, to: &mut Vec<i8>) {
        node(&self.pieces[row * self.each..(row + 1) * self.each], &self.notes[row], to);
    }
}

impl CodedQuery {
    pub(super) fn new(query: &[f32]) -> Self {
        let mut pieces = Vec::with_capacity(query.len().div_ceil(LANES));
        let note = code(query, &mut pieces);
        Self { pieces, note, length: note.square.sqrt() }
    }

    /// Upper bound of ⟨x, u⟩, also when it is summed in floats.
    pub(super) fn most(&self, row: &Note, product: i32) -> f32 {
        let about = row.scale * self.note.scale * product as f32;
        let off = row.coded * self.note.rest + row.rest * self.length;
        about + off + ROUNDING * (row.coded + row.rest) * self.length
    }

    /// Lower bound of |x − u|².
    pub(super) fn least_squared_distance(&self, row: &Note, product: i32) -> f32 {
        let squares = row.square + self.note.square;
        squares - 2.0 * self.most(row, product) - ROUNDING * squares
    }
}

/// Bytes after the code in a node: s and |x|², as `f32`.
const NODE_TAIL: usize = 8;

/// Size of a node of the graph in bytes.
pub(super) const fn node_bytes(length: usize) -> usize {
    length.div_ceil(LANES) * LANES + NODE_TAIL
}

/// A code followed by what a distance needs besides it: `[node_bytes]`.
fn node(pieces: &[Piece], note: &Note, to: &mut Vec<i8>) {
    to.clear();
    to.extend_from_slice(bytemuck::cast_slice(pieces));
    for number in [note.scale, note.square] {
        to.extend(number.to_le_bytes().map(|byte| byte as i8));
    }
}

/// 1 − ⟨c, d⟩ of two nodes.
pub(super) fn cosine_of_nodes(a: &[i8], b: &[i8]) -> f32 {
    let ([[a_scale, _], [b_scale, _]], product) = product_of_nodes(a, b);
    comparable(1.0 - a_scale * b_scale * product)
}

/// |x|² + |u|² − 2⟨c, d⟩ of two nodes.
pub(super) fn squared_distance_of_nodes(a: &[i8], b: &[i8]) -> f32 {
    let ([[a_scale, a_square], [b_scale, b_square]], product) = product_of_nodes(a, b);
    comparable(a_square + b_square - 2.0 * a_scale * b_scale * product)
}

/// Replaces NaN, which has no order, by the largest distance.
fn comparable(distance: f32) -> f32 {
    if distance.is_nan() { f32::MAX } else { distance }
}

/// s and |x|² of both, and ⟨q, p⟩.
fn product_of_nodes(a: &[i8], b: &[i8]) -> ([[f32; 2]; 2], f32) {
    let ((a, a_tail), (b, b_tail)) = (split(a), split(b));
    ([a_tail, b_tail], product(a, b) as f32)
}

fn split(node: &[i8]) -> (&[i8], [f32; 2]) {
    let (code, tail) = node.split_at(node.len().saturating_sub(NODE_TAIL));
    let number = |at: usize| {
        let mut bytes = [0; 4];
        bytes.iter_mut().zip(&tail[at..]).for_each(|(to, byte)| *to = *byte as u8);
        f32::from_le_bytes(bytes)
    };
    (code, [number(0), number(4)])
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn product(a: &[i8], b: &[i8]) -> i32 {
    let mut sum = 0;
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        sum += a.iter().zip(b).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum::<i32>();
    }
    sum
}

/// Appends the code of a vector.
fn code(vector: &[f32], pieces: &mut Vec<Piece>) -> Note {
    let largest = vector.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let scale = largest / 127.0;
    let [mut coded, mut rest, mut square] = [0.0f32; 3];
    for part in vector.chunks(LANES) {
        let mut piece = Piece([0; LANES]);
        for (to, value) in piece.0.iter_mut().zip(part) {
            // If the scale underflows, the code is zero and all of the vector is error.
            let whole = if scale > 0.0 { (value / scale).round().clamp(-127.0, 127.0) } else { 0.0 };
            *to = whole as i8;
            coded += (scale * whole).powi(2);
            rest += (value - scale * whole).powi(2);
            square += value * value;
        }
        pieces.push(piece);
    }
    // Computed lengths may be too small by rounding errors, but never by this much.
    let length = |squares: f32| squares.sqrt() * (1.0 + ROUNDING);
    Note { scale, coded: length(coded), rest: length(rest), square }
}

/// The same as [`products_of_rows`], for scattered rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn products_of_listed(pieces: &[Piece], query: &[Piece], rows: &[u32], products: &mut [i32]) {
    for (row, product) in rows.iter().zip(products) {
        let first = *row as usize * query.len();
        *product = product_of_row(&pieces[first..first + query.len()], query);
    }
}

/// The sum of the products of each row's numbers with the query's.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn products_of_rows(rows: &[Piece], query: &[Piece], products: &mut [i32]) {
    for (row, product) in rows.chunks_exact(query.len()).zip(products) {
        *product = product_of_row(row, query);
    }
}

// Inlined, so that it is compiled for the instruction set of its caller.
#[inline(always)]
fn product_of_row(row: &[Piece], query: &[Piece]) -> i32 {
    let mut sum = 0;
    for (a, b) in row.iter().zip(query) {
        // Processors can add adjacent 16-bit products in one instruction.
        sum += a.0.iter().zip(&b.0).map(|(a, b)| i32::from(i16::from(*a) * i16::from(*b))).sum::<i32>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    proptest! {
        #[test]
        fn bounds_hold(pairs in prop::collection::vec((-5f32..5.0, -3f32..3.0), 1..200), power in -12i32..12) {
            let (row, query): (Vec<f32>, Vec<f32>) = pairs.into_iter().map(|(a, b)| (a * 10f32.powi(power), b)).unzip();
            let mut codes = Codes::new(row.len());
            codes.push(&row);
            let coded = CodedQuery::new(&query);
            let mut products = [0];
            codes.products(&coded, 0, &mut products);
            let (exact, most) = (dot(&row, &query), coded.most(&codes.notes()[0], products[0]));
            prop_assert!(f64::from(most) >= exact, "{most} is less than {exact}");
            let away: f64 = row.iter().zip(&query).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let least = coded.least_squared_distance(&codes.notes()[0], products[0]);
            prop_assert!(f64::from(least) <= away, "{least} is more than {away}");
        }
    }

    #[test]
    fn bounds_are_near() {
        let mut random = 1u32;
        let mut number = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random as f32 / u32::MAX as f32 - 0.5
        };
        let mut unit = || {
            let vector: Vec<f32> = (0..128).map(|_| number()).collect();
            let length = dot(&vector, &vector).sqrt() as f32;
            vector.into_iter().map(|value| value / length).collect::<Vec<f32>>()
        };
        let (row, query) = (unit(), unit());
        let mut codes = Codes::new(128);
        codes.push(&row);
        let coded = CodedQuery::new(&query);
        let mut products = [0];
        codes.products(&coded, 0, &mut products);
        let off = f64::from(coded.most(&codes.notes()[0], products[0])) - dot(&row, &query);
        assert!((0.0..0.02).contains(&off), "{off}");
    }
}
