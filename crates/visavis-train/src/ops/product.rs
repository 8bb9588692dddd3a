//! Matrix products on all cores: a product is cut into blocks, and each block is computed by one core.
//!
//! The crate `gemm` can share one product among threads, but packs the left side on a single one, and in the products of a
//! training step the left side is often the larger one.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// A borrowed matrix.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Distances in memory between rows and between columns.
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A row-major matrix.
    pub(super) fn new(values: &'a [f32], [rows, columns]: [usize; 2]) -> Self {
        assert_eq!(values.len(), rows * columns, "{rows}×{columns}");
        Self { values, rows, columns, strides: [columns, 1] }
    }

    pub(super) fn transposed(self) -> Self {
        let [down, across] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [across, down], ..self }
    }
}

/// Blocks of a product: more than there are cores, so that none is idle while another still works. The number is fixed, so
/// that sums are the same on every computer of a kind.
const BLOCKS: usize = 8;

/// Products with fewer multiplications are not cut, since that would cost more than it saves.
const WORTHWHILE: usize = 1 << 18;

/// The product of `a` and `b`, row-major.
pub(super) fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    assert_eq!(a.columns, b.rows, "the inner sizes of a product");
    let (m, k, n) = (a.rows, a.columns, b.columns);
    let mut out = vec![0.0f32; m * n];
    if m * k * n < WORTHWHILE {
        block(&a, &b, [0..m, 0..k, 0..n], Target { start: out.as_mut_ptr(), row: n });
    } else if k > 4 * m.max(n) {
        // Few results with long sums, as for the gradients of weights: each block sums a part, then the parts are added.
        let parts: Vec<Vec<f32>> = cut(k)
            .into_par_iter()
            .map(|depth| {
                let mut part = vec![0.0f32; m * n];
                block(&a, &b, [0..m, depth, 0..n], Target { start: part.as_mut_ptr(), row: n });
                part
            })
            .collect();
        for part in parts {
            out.iter_mut().zip(part).for_each(|(out, part)| *out += part);
        }
    } else {
        let target = Target { start: out.as_mut_ptr(), row: n };
        if n >= m {
            cut(n).into_par_iter().for_each(|across| block(&a, &b, [0..m, 0..k, across], target));
        } else {
            cut(m).into_par_iter().for_each(|down| block(&a, &b, [down, 0..k, 0..n], target));
        }
    }
    out
}

/// Cuts a length into blocks whose borders are multiples of the widest vector.
fn cut(length: usize) -> Vec<std::ops::Range<usize>> {
    let step = length.div_ceil(BLOCKS).next_multiple_of(16);
    (0..length).step_by(step).map(|start| start..(start + step).min(length)).collect()
}

/// The result of a product: a row-major matrix of `m` rows.
#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    row: usize,
}

// SAFETY: only `block` writes to a target, and blocks with the same target do not overlap.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Computes the block of rows `down` and columns `across` of the product, summed over `depth`.
fn block(a: &Matrix, b: &Matrix, [down, depth, across]: [std::ops::Range<usize>; 3], target: Target) {
    assert!(down.end <= a.rows && depth.end <= a.columns.min(b.rows) && across.end <= b.columns);
    let at = |matrix: &Matrix, row: usize, column: usize| {
        matrix.values[row * matrix.strides[0] + column * matrix.strides[1]..].as_ptr()
    };
    let (m, k, n) = (down.len(), depth.len(), across.len());
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let [a_row, a_column] = a.strides.map(|step| step as isize);
    let [b_row, b_column] = b.strides.map(|step| step as isize);
    // SAFETY: the ranges lie inside both matrices (asserted), which are entirely in memory, and inside the target, whose
    // rows are as long as `b`'s; callers never compute two overlapping blocks of one target at the same time.
    unsafe {
        let out = target.start.add(down.start * target.row + across.start);
        gemm(
            m,
            n,
            k,
            out,
            1,
            target.row as isize,
            false,
            at(a, down.start, depth.start),
            a_column,
            a_row,
            at(b, depth.start, across.start),
            b_column,
            b_row,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares all ways of cutting, transposed or not, with plain sums.
    #[test]
    fn products_are_sums() {
        let mut random = fastrand::Rng::with_seed(1);
        let sizes = [[3, 5, 7], [40, 70, 300], [300, 70, 40], [24, 4000, 30], [1, 300_000, 1], [130, 129, 131]];
        for [m, k, n] in sizes {
            let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| random.f32() - 0.5).collect() };
            let (a, b) = (numbers(m * k), numbers(k * n));
            let straight = product(Matrix::new(&a, [m, k]), Matrix::new(&b, [k, n]));
            let turn = |values: &[f32], [rows, columns]: [usize; 2]| -> Vec<f32> {
                (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
            };
            let (a_turned, b_turned) = (turn(&a, [m, k]), turn(&b, [k, n]));
            let turned =
                product(Matrix::new(&a_turned, [k, m]).transposed(), Matrix::new(&b_turned, [n, k]).transposed());
            for (at, (straight, turned)) in straight.iter().zip(&turned).enumerate() {
                let (row, column) = (at / n, at % n);
                let sum: f64 = (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[i * n + column])).sum();
                assert!((f64::from(*straight) - sum).abs() < 1e-3, "{m} {k} {n}: {straight} {sum}");
                assert!((f64::from(*turned) - sum).abs() < 1e-3, "{m} {k} {n}: {turned} {sum}");
            }
        }
    }
}
