//! Rows in four bits per number, for the search of a graph: a row of 128 numbers is one cache line, and nothing else of it
//! is read.
//!
//! A number x of a column is approximated by mean + step·(n − 7.5), n from 0 to 15. With y = x − mean, ⟨y, w⟩ ≈ Σ step·w·(n
//! − 7.5). The rest of the distance is equal for all rows, or stored for each row (|y|²).

use bytemuck::{Pod, Zeroable};
use multiversion::multiversion;
use visavis_infer::manifest::Metric;

use super::super::section::{Section, fetch};

/// Bytes in a piece: one cache line.
const LANES: usize = 64;

/// Numbers in a piece.
const NUMBERS: usize = 2 * LANES;

/// The step, in standard deviations, of the sixteen levels that lose least for normally distributed numbers (Max, 1960).
const STEP: f64 = 0.3352;

/// The middle of 0 to 15.
const MIDDLE: f64 = 7.5;

/// Number i in the lower half of byte i, number 64 + i in the upper half.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(in super::super) struct Piece([u8; LANES]);

/// All rows.
#[derive(Debug, Default)]
pub(in super::super) struct Coarse {
    /// `[rows, pieces]`, row-major, filled up with zeros.
    pub(in super::super) pieces: Section<Piece>,
    /// `[length]`: mean and step of each column.
    pub(in super::super) columns: Section<[f32; 2]>,
    /// `[rows]`: |y|², where distances are Euclidean; otherwise empty.
    pub(in super::super) squares: Section<f32>,
}

/// The largest integer weight of a query: it fits in 16 bits, and the sum over 100,000 numbers fits in 32.
const WEIGHT: f32 = 1023.0;

/// A query to compare with the rows.
pub(in super::super) struct CoarseQuery {
    metric: Metric,
    /// Integer weights up to [`WEIGHT`] for the lower and the upper halves of a piece.
    pieces: Vec<[[i16; LANES]; 2]>,
    /// The value of one unit of weight.
    scale: f32,
    /// The product with a row that is the mean of all rows.
    middle: f32,
}

impl Coarse {
    /// The codes of rows of `length` numbers that begin `stride` apart.
    pub(in super::super) fn new(metric: Metric, length: usize, numbers: &[f32], stride: usize) -> Self {
        let rows = || numbers.chunks_exact(stride).map(|row| &row[..length]);
        let mut sums = vec![[0f64; 2]; length];
        for row in rows() {
            for (sums, value) in sums.iter_mut().zip(row) {
                sums[0] += f64::from(*value);
                sums[1] += f64::from(*value).powi(2);
            }
        }
        let count = rows().len().max(1) as f64;
        let columns: Vec<[f32; 2]> = sums
            .into_iter()
            .map(|[sum, squares]| {
                let mean = sum / count;
                let variance = (squares / count - mean * mean).max(0.0);
                [mean as f32, (STEP * variance.sqrt()) as f32]
            })
            .collect();
        let (mut pieces, mut squares) = (Vec::new(), Vec::new());
        for row in rows() {
            for (part, columns) in row.chunks(NUMBERS).zip(columns.chunks(NUMBERS)) {
                let mut piece = Piece([0; LANES]);
                for (at, (value, [mean, step])) in part.iter().zip(columns).enumerate() {
                    // NaN for a column whose numbers are all equal, which converts to 0.
                    let n = (f64::from(value - mean) / f64::from(*step) + MIDDLE).round().clamp(0.0, 15.0) as u8;
                    piece.0[at % LANES] |= n << (at / LANES * 4);
                }
                pieces.push(piece);
            }
            if metric == Metric::Euclidean {
                let square = |(value, [mean, _]): (&f32, &[f32; 2])| (value - mean).powi(2);
                squares.push(row.iter().zip(&columns).map(square).sum::<f32>());
            }
        }
        Self { pieces: Section::Owned(pieces), columns: Section::Owned(columns), squares: Section::Owned(squares) }
    }

    pub(in super::super) fn pieces_in_row(length: usize) -> usize {
        length.div_ceil(NUMBERS)
    }

    /// Whether these are the codes of this number of rows.
    pub(super) fn fits(&self, metric: Metric, rows: usize) -> bool {
        let squares = if metric == Metric::Euclidean { rows } else { 0 };
        rows.checked_mul(Self::pieces_in_row(self.columns.len())) == Some(self.pieces.len())
            && self.squares.len() == squares
    }

    pub(super) fn bytes(&self) -> usize {
        self.pieces.bytes().len() + self.columns.bytes().len() + self.squares.bytes().len()
    }

    pub(in super::super) fn query(&self, metric: Metric, query: &[f32]) -> CoarseQuery {
        let weights: Vec<f32> = query
            .iter()
            .zip(&*self.columns)
            .map(|(value, [mean, step])| match metric {
                Metric::Cosine => value * step,
                Metric::Euclidean => (value - mean) * step,
            })
            .collect();
        let scale = weights.iter().fold(0.0f32, |most, weight| most.max(weight.abs())) / WEIGHT;
        let (mut pieces, mut sum) = (Vec::new(), 0.0);
        for part in weights.chunks(NUMBERS) {
            let mut piece = [[0; LANES]; 2];
            for (to, weight) in piece.as_flattened_mut().iter_mut().zip(part) {
                // If the scale underflows, all weights are zero.
                let whole = if scale > 0.0 { (weight / scale).round().clamp(-WEIGHT, WEIGHT) } else { 0.0 };
                (*to, sum) = (whole as i16, sum + whole);
            }
            pieces.push(piece);
        }
        CoarseQuery { metric, pieces, scale, middle: MIDDLE as f32 * sum }
    }

    /// Approximate distances of rows, up to a constant: smaller is nearer. `products` is scratch memory.
    pub(super) fn far(
        &self,
        query: &CoarseQuery,
        rows: &[u32],
        products: &mut Vec<i32>,
        mut found: impl FnMut(u32, f32),
    ) {
        products.resize(rows.len(), 0);
        let (pieces, squares): (&[Piece], &[f32]) = (&self.pieces, &self.squares);
        let each = query.pieces.len();
        for row in rows {
            let row = *row as usize;
            fetch(&pieces[row * each..(row + 1) * each]);
            if query.metric == Metric::Euclidean {
                fetch(&squares[row..=row]);
            }
        }
        products_of(pieces, &query.pieces, rows, products);
        for (row, product) in rows.iter().zip(products) {
            let product = *product as f32 - query.middle;
            found(
                *row,
                match query.metric {
                    Metric::Cosine => -product,
                    Metric::Euclidean => squares[*row as usize] - 2.0 * query.scale * product,
                },
            );
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2", "aarch64+neon"))]
fn products_of(pieces: &[Piece], query: &[[[i16; LANES]; 2]], rows: &[u32], products: &mut [i32]) {
    for (row, product) in rows.iter().zip(products) {
        let first = *row as usize * query.len();
        let mut sum = 0;
        for (piece, [lower, upper]) in pieces[first..first + query.len()].iter().zip(query) {
            // Processors can add adjacent 16-bit products in one instruction.
            let halves = piece.0.iter().zip(lower).map(|(n, weight)| i32::from(n & 15) * i32::from(*weight));
            sum += halves.sum::<i32>();
            let halves = piece.0.iter().zip(upper).map(|(n, weight)| i32::from(n >> 4) * i32::from(*weight));
            sum += halves.sum::<i32>();
        }
        *product = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::noise;
    use super::*;

    /// Rows around a mean that is far from zero.
    fn rows(number: &mut impl FnMut() -> f32, count: usize, length: usize) -> Vec<f32> {
        let columns: Vec<[f32; 2]> = (0..length).map(|_| [3.0 * number(), 1.0 + number().abs()]).collect();
        let mut row = || columns.iter().map(|[mean, spread]| mean + spread * number()).collect::<Vec<_>>();
        (0..count).flat_map(|_| row()).collect()
    }

    #[test]
    fn distances_differ_as_the_exact_ones_do() {
        let mut number = noise(1);
        // One piece, filled up; two, the last with three numbers.
        for (length, stride) in [(100, 112), (131, 144)] {
            let numbers = rows(&mut number, 300, stride);
            let query = &rows(&mut number, 1, stride)[..length];
            for metric in [Metric::Cosine, Metric::Euclidean] {
                let coarse = Coarse::new(metric, length, &numbers, stride);
                assert!(coarse.fits(metric, 300) && !coarse.fits(metric, 299));
                let exact: Vec<f64> = numbers
                    .chunks_exact(stride)
                    .map(|row| {
                        let pairs = row.iter().zip(query).map(|(a, b)| (f64::from(*a), f64::from(*b)));
                        match metric {
                            Metric::Cosine => -pairs.map(|(a, b)| a * b).sum::<f64>(),
                            Metric::Euclidean => pairs.map(|(a, b)| (a - b).powi(2)).sum(),
                        }
                    })
                    .collect();
                let query = coarse.query(metric, query);
                let scale = if metric == Metric::Cosine { f64::from(query.scale) } else { 1.0 };
                let (mut products, mut about) = (Vec::new(), Vec::new());
                coarse.far(&query, &(0..300).collect::<Vec<_>>(), &mut products, |_, far| {
                    about.push(scale * f64::from(far))
                });
                let mean = |of: &[f64]| of.iter().sum::<f64>() / 300.0;
                let (middle, middle_about) = (mean(&exact), mean(&about));
                let spread = mean(&exact.iter().map(|far| (far - middle).powi(2)).collect::<Vec<_>>()).sqrt();
                let off = exact.iter().zip(&about).map(|(exact, about)| (exact - middle - about + middle_about).abs());
                let off = off.fold(0.0, f64::max) / spread;
                assert!(off < 0.6, "{metric:?}, {length}: {off} standard deviations");
            }
        }
    }

    #[test]
    fn columns_that_are_the_same_everywhere_do_not_count() {
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let coarse = Coarse::new(metric, 2, &[1.0, 5.0, 1.0, 6.0], 2);
            let mut far = Vec::new();
            coarse
                .far(&coarse.query(metric, &[9.0, 6.0]), &[0, 1], &mut Vec::new(), |row, about| far.push((about, row)));
            assert!(far[1] < far[0], "{far:?}");
        }
    }
}
