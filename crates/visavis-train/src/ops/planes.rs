//! Computations on all planes of one channel. Each function is compiled for several vector extensions; the best one is chosen
//! at run time. Sums use a fixed number of lanes, so all versions give the same results.

use multiversion::multiversion;

use super::{Activation, Window};

/// Convolves every plane of `x` with one window's `weight`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn depthwise(x: &[f32], [height, width]: [usize; 2], weight: &[f32], window: Window, out: &mut [f32]) {
    let mut stack = Stack::new(height, width, window);
    let (plane, places) = (height * width, window.places(height) * window.places(width));
    let groups = out.chunks_mut(stack.count * places).zip(x.chunks(stack.count * plane));
    for (out, x) in groups {
        let length = stack.fill(x);
        correlate(&stack.padded, stack.row, weight, window.kernel, &mut stack.dense[..length]);
        stack.pick(out, window.stride);
    }
}

/// Backward pass of [`depthwise`]: the gradients with respect to `x` and to the weight; the latter is added.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn depthwise_backward(
    x: &[f32],
    [height, width]: [usize; 2],
    weight: &[f32],
    grad: &[f32],
    window: Window,
    x_grad: &mut [f32],
    weight_grad: &mut [f32],
) {
    let mut stack = Stack::new(height, width, window);
    let k = window.kernel;
    let (plane, places) = (height * width, window.places(height) * window.places(width));
    let flipped: Vec<f32> = weight.iter().rev().copied().collect();
    let groups = x_grad.chunks_mut(stack.count * plane).zip(x.chunks(stack.count * plane));
    for ((x_grad, x), grad) in groups.zip(grad.chunks(stack.count * places)) {
        let length = stack.fill(x);
        stack.spread(grad, window.stride);
        let spread = &stack.spread[stack.lead..][..length];
        for (ky, sums) in weight_grad.chunks_exact_mut(k).enumerate() {
            let line = &stack.padded[ky * stack.row..];
            match k {
                3 => dots::<3>(spread, line, sums),
                5 => dots::<5>(spread, line, sums),
                _ => sums.chunks_exact_mut(1).enumerate().for_each(|(kx, sum)| dots::<1>(spread, &line[kx..], sum)),
            }
        }
        // The gradient with respect to the padded input is the correlation of the spread gradient with the flipped window.
        correlate(&stack.spread, stack.row, &flipped, k, &mut stack.dense[..length]);
        stack.crop(x_grad);
    }
}

/// Normalises a channel and applies the activation; returns mean and variance.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn normalise(
    x: &[f32],
    [scale, shift]: [f32; 2],
    epsilon: f64,
    activation: Activation,
    out: &mut [f32],
) -> [f32; 2] {
    let length = x.len();
    let mean = (sum_of(x, |v| v) / length as f64) as f32;
    let variance = (sum_of(x, |v| (v - mean) * (v - mean)) / length as f64) as f32;
    let factor = scale / (variance + epsilon as f32).sqrt();
    let offset = shift - factor * mean;
    let line = out.iter_mut().zip(x);
    match activation {
        Activation::Identity => line.for_each(|(out, x)| *out = x * factor + offset),
        Activation::Relu => line.for_each(|(out, x)| *out = (x * factor + offset).max(0.0)),
        Activation::Relu6 => line.for_each(|(out, x)| *out = (x * factor + offset).clamp(0.0, 6.0)),
        Activation::Silu => line.for_each(|(out, x)| {
            let y = x * factor + offset;
            *out = y * sigmoid(y);
        }),
    }
    [mean, variance]
}

/// Backward pass of [`normalise`]: computes the gradient with respect to `x`; returns those of scale and shift.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn normalise_backward(
    x: &[f32],
    [scale, shift]: [f32; 2],
    [mean, variance]: [f32; 2],
    grad: &[f32],
    epsilon: f64,
    activation: Activation,
    x_grad: &mut [f32],
) -> [f32; 2] {
    let length = x.len();
    let inverse = 1.0 / (variance + epsilon as f32).sqrt();
    let (factor, offset) = (scale * inverse, shift - scale * inverse * mean);
    // First the gradient before the activation, stored in `x_grad`.
    let affine = |x: f32| x * factor + offset;
    match activation {
        Activation::Identity => x_grad.copy_from_slice(grad),
        Activation::Relu => through(x_grad, x, grad, |x| passes(affine(x) > 0.0)),
        Activation::Relu6 => through(x_grad, x, grad, |x| {
            let y = affine(x);
            passes(y > 0.0) * passes(y < 6.0)
        }),
        Activation::Silu => through(x_grad, x, grad, |x| {
            let (y, s) = (affine(x), sigmoid(affine(x)));
            s + y * s * (1.0 - s)
        }),
    }
    let total = sum_of(x_grad, |g| g);
    let product = sum_of_products(x_grad, x, mean) * f64::from(inverse);
    let mean_total = (total / length as f64) as f32;
    let mean_product = (product / length as f64) as f32 * inverse;
    for (out, x) in x_grad.iter_mut().zip(x) {
        *out = factor * (*out - mean_total - (x - mean) * mean_product);
    }
    [product as f32, total as f32]
}

/// Adds a channel's bias and multiplies what is below zero by `slope`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn biased_leaky(x: &[f32], bias: f32, slope: f32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        let y = x + bias;
        *out = y.max(0.0) + slope * y.min(0.0);
    }
}

/// Backward pass of [`biased_leaky`]: computes the gradient with respect to `x`; returns those of bias and slope.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
pub(super) fn biased_leaky_backward(x: &[f32], bias: f32, slope: f32, grad: &[f32], x_grad: &mut [f32]) -> [f32; 2] {
    // First the values below zero, for the slope.
    for (out, x) in x_grad.iter_mut().zip(x) {
        *out = (x + bias).min(0.0);
    }
    let slope_grad = sum_of_products(x_grad, grad, 0.0);
    through(x_grad, x, grad, |x| {
        let positive = passes(x + bias > 0.0);
        positive + slope * (1.0 - positive)
    });
    [sum_of(x_grad, |g| g) as f32, slope_grad as f32]
}

/// `out = grad · slope(x)`. The slope is multiplied: a branch would prevent vectorisation.
#[inline(always)]
fn through(out: &mut [f32], x: &[f32], grad: &[f32], slope: impl Fn(f32) -> f32) {
    for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
        *out = grad * slope(*x);
    }
}

#[inline(always)]
fn passes(condition: bool) -> f32 {
    f32::from(u8::from(condition))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Number of partial sums: four of the widest vectors, so that additions do not wait for each other.
const LANES: usize = 64;

/// Sums in chunks, so that it vectorises and stays exact over millions of values.
#[inline(always)]
fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0f64;
    for stretch in values.chunks(4096) {
        let mut lanes = [0.0f32; LANES];
        let chunks = stretch.chunks_exact(LANES);
        let rest: f32 = chunks.remainder().iter().map(|v| f(*v)).sum();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += f(*value);
            }
        }
        total += f64::from(together(lanes) + rest);
    }
    total
}

/// Σ g·(x − mean).
#[inline(always)]
fn sum_of_products(g: &[f32], x: &[f32], mean: f32) -> f64 {
    let mut total = 0.0f64;
    for (g, x) in g.chunks(4096).zip(x.chunks(4096)) {
        let mut lanes = [0.0f32; LANES];
        let (g_chunks, x_chunks) = (g.chunks_exact(LANES), x.chunks_exact(LANES));
        let rest: f32 = g_chunks.remainder().iter().zip(x_chunks.remainder()).map(|(g, x)| g * (x - mean)).sum();
        for (g, x) in g_chunks.zip(x_chunks) {
            for i in 0..LANES {
                lanes[i] += g[i] * (x[i] - mean);
            }
        }
        total += f64::from(together(lanes) + rest);
    }
    total
}

/// `sums[j] += Σ a[i] · b[i + j]`.
#[inline(always)]
fn dots<const N: usize>(a: &[f32], b: &[f32], sums: &mut [f32]) {
    const WIDTH: usize = 16;
    let mut lanes = [[0.0f32; WIDTH]; N];
    let whole = a.len() / WIDTH * WIDTH;
    for start in (0..whole).step_by(WIDTH) {
        let a: &[f32; WIDTH] = a[start..start + WIDTH].try_into().expect("as wide as asked for");
        for (shift, lanes) in lanes.iter_mut().enumerate() {
            let b: &[f32; WIDTH] = b[start + shift..start + shift + WIDTH].try_into().expect("as wide as asked for");
            for i in 0..WIDTH {
                lanes[i] += a[i] * b[i];
            }
        }
    }
    for (shift, (lanes, sum)) in lanes.iter().zip(sums).enumerate() {
        let rest: f32 = (whole..a.len()).map(|i| a[i] * b[i + shift]).sum();
        *sum += together(*lanes) + rest;
    }
}

/// The sum of all lanes (a power of two), by halving, so that additions do not wait for each other.
#[inline(always)]
fn together<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Working memory for planes of one channel.
///
/// Some padded planes, each `row` wide, are stored one after the other. Read as one long line, a window at `i` covers
/// `i + ky·row + kx`, so a convolution is `k·k` shifted additions over the whole line, even for small planes. Results across
/// the ends of rows and planes are not used.
struct Stack {
    /// Number of planes.
    count: usize,
    height: usize,
    width: usize,
    before: usize,
    /// Width of a padded plane.
    row: usize,
    /// Values of a padded plane.
    block: usize,
    down: usize,
    across: usize,
    /// The padded planes and a tail of zeros, so that every shift stays inside.
    padded: Vec<f32>,
    /// Results at every position with stride 1.
    dense: Vec<f32>,
    /// Gradients of those, after `lead` zeros; zero between the positions of the stride.
    spread: Vec<f32>,
    lead: usize,
}

/// Number of values that are processed at once: they and the results fit into the first-level cache.
const STACKED: usize = 4096;

impl Stack {
    #[inline(always)]
    fn new(height: usize, width: usize, window: Window) -> Self {
        let margin: usize = window.padding.iter().sum();
        let (row, rows) = (width + margin, height + margin);
        let (block, lead) = (rows * row, (window.kernel - 1) * (row + 1));
        let count = (STACKED / block).max(1);
        Self {
            count,
            height,
            width,
            before: window.padding[0],
            row,
            block,
            down: window.places(height),
            across: window.places(width),
            padded: vec![0.0; count * block + lead],
            dense: vec![0.0; count * block],
            spread: vec![0.0; lead + count * block + lead],
            lead,
        }
    }

    /// Copies planes into the padded memory; returns the length of the line.
    #[inline(always)]
    fn fill(&mut self, planes: &[f32]) -> usize {
        let mut count = 0;
        for (plane, frame) in planes.chunks_exact(self.height * self.width).zip(self.padded.chunks_mut(self.block)) {
            let lines = frame[self.before * self.row + self.before..].chunks_mut(self.row);
            for (line, padded) in plane.chunks_exact(self.width).zip(lines) {
                padded[..self.width].copy_from_slice(line);
            }
            count += 1;
        }
        count * self.block
    }

    /// Copies the positions of the window's stride from `dense`.
    #[inline(always)]
    fn pick(&self, out: &mut [f32], stride: usize) {
        for (out, dense) in out.chunks_exact_mut(self.down * self.across).zip(self.dense.chunks_exact(self.block)) {
            for (line, dense) in out.chunks_exact_mut(self.across).zip(dense.chunks(stride * self.row)) {
                if stride == 1 {
                    line.copy_from_slice(&dense[..self.across]);
                } else {
                    for (out, value) in line.iter_mut().zip(dense.iter().step_by(stride)) {
                        *out = *value;
                    }
                }
            }
        }
    }

    /// The inverse of [`pick`](Self::pick); the zeros between the positions are never written.
    #[inline(always)]
    fn spread(&mut self, grad: &[f32], stride: usize) {
        let blocks = self.spread[self.lead..].chunks_exact_mut(self.block);
        for (grad, dense) in grad.chunks_exact(self.down * self.across).zip(blocks) {
            for (line, dense) in grad.chunks_exact(self.across).zip(dense.chunks_mut(stride * self.row)) {
                for (value, out) in line.iter().zip(dense.iter_mut().step_by(stride)) {
                    *out = *value;
                }
            }
        }
    }

    #[inline(always)]
    fn crop(&self, out: &mut [f32]) {
        for (out, dense) in out.chunks_exact_mut(self.height * self.width).zip(self.dense.chunks_exact(self.block)) {
            let lines = dense[self.before * self.row + self.before..].chunks(self.row);
            for (line, dense) in out.chunks_exact_mut(self.width).zip(lines) {
                line.copy_from_slice(&dense[..self.width]);
            }
        }
    }
}

/// `out[i] = Σ weight[ky, kx] · line[i + ky·row + kx]`.
#[inline(always)]
fn correlate(line: &[f32], row: usize, weight: &[f32], k: usize, out: &mut [f32]) {
    match k {
        3 => correlate_fixed::<3, 9>(line, row, weight, out),
        5 => correlate_fixed::<5, 25>(line, row, weight, out),
        _ => {
            out.fill(0.0);
            for (tap, weight) in weight.iter().enumerate() {
                let shifted = &line[tap / k * row + tap % k..];
                for (out, value) in out.iter_mut().zip(shifted) {
                    *out += weight * value;
                }
            }
        }
    }
}

#[inline(always)]
fn correlate_fixed<const K: usize, const TAPS: usize>(line: &[f32], row: usize, weight: &[f32], out: &mut [f32]) {
    let length = out.len();
    let weight: [f32; TAPS] = weight.try_into().expect("k·k weights");
    let shifted: [&[f32]; TAPS] = std::array::from_fn(|tap| &line[tap / K * row + tap % K..][..length]);
    for i in 0..length {
        let mut sum = 0.0;
        for tap in 0..TAPS {
            sum += weight[tap] * shifted[tap][i];
        }
        out[i] = sum;
    }
}
