//! The arithmetic on the CPU: plane by plane, channels in parallel.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use rayon::prelude::*;

use super::{Activation, Kernels, Window};

impl super::TrainOps for Flex {
    fn depthwise_op(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        Self::depthwise(x, weight, window)
    }

    fn columns_op(x: FlexTensor, window: Window) -> FlexTensor {
        Self::columns(x, window)
    }

    fn normalise_op(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor) {
        Self::normalise(x, scale, shift, epsilon, activation)
    }
}

/// A contiguous tensor's numbers.
fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("made contiguous, of 32-bit floats")
}

fn tensor(shape: impl Into<Shape>, data: Vec<f32>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(data, shape))
}

fn dims4(x: &FlexTensor) -> [usize; 4] {
    x.shape().dims()
}

impl Kernels for Flex {
    fn depthwise(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let [channels, batch, height, width] = dims4(&x);
        let (down, across) = (window.places(height), window.places(width));
        let mut out = vec![0.0f32; channels * batch * down * across];
        let taps = window.kernel * window.kernel;
        out.par_chunks_mut(batch * down * across)
            .zip(numbers(&x).par_chunks(batch * height * width))
            .zip(numbers(&weight).par_chunks(taps))
            .for_each(|((out, x), weight)| {
                let mut frame = Frame::new(height, width, window);
                for (out, plane) in out.chunks_exact_mut(down * across).zip(x.chunks_exact(height * width)) {
                    frame.fill(plane);
                    correlate(&frame.padded, frame.row, weight, window.kernel, &mut frame.dense);
                    frame.pick(out, window.stride);
                }
            });
        tensor([channels, batch, down, across], out)
    }

    fn depthwise_backward(
        x: FlexTensor,
        weight: FlexTensor,
        grad: FlexTensor,
        window: Window,
    ) -> (FlexTensor, FlexTensor) {
        let (x, weight, grad) = (x.to_contiguous(), weight.to_contiguous(), grad.to_contiguous());
        let [channels, batch, height, width] = dims4(&x);
        let (down, across) = (window.places(height), window.places(width));
        let k = window.kernel;
        let mut x_grad = vec![0.0f32; channels * batch * height * width];
        let mut weight_grad = vec![0.0f32; channels * k * k];
        x_grad
            .par_chunks_mut(batch * height * width)
            .zip(weight_grad.par_chunks_mut(k * k))
            .zip(numbers(&x).par_chunks(batch * height * width))
            .zip(numbers(&grad).par_chunks(batch * down * across))
            .zip(numbers(&weight).par_chunks(k * k))
            .for_each(|((((x_grad, weight_grad), x), grad), weight)| {
                let mut frame = Frame::new(height, width, window);
                let flipped: Vec<f32> = weight.iter().rev().copied().collect();
                let planes = x_grad.chunks_exact_mut(height * width).zip(x.chunks_exact(height * width));
                for ((x_grad, plane), grad) in planes.zip(grad.chunks_exact(down * across)) {
                    frame.fill(plane);
                    frame.spread(grad, window.stride);
                    for (tap, sum) in weight_grad.iter_mut().enumerate() {
                        let offset = tap / k * frame.row + tap % k;
                        *sum += dot(&frame.dense, &frame.padded[offset..]);
                    }
                    // The gradient by the padded input is the correlation of the spread gradient with the flipped window.
                    frame.pad_dense(k);
                    correlate(&frame.wide, frame.row, &flipped, k, &mut frame.back);
                    frame.crop(x_grad);
                }
            });
        (tensor([channels, batch, height, width], x_grad), tensor([channels, 1, k, k], weight_grad))
    }

    fn columns(x: FlexTensor, window: Window) -> FlexTensor {
        let x = x.to_contiguous();
        let [channels, batch, height, width] = dims4(&x);
        let (down, across) = (window.places(height), window.places(width));
        let (k, plane, places) = (window.kernel, height * width, down * across);
        let mut out = vec![0.0f32; channels * k * k * batch * places];
        let x = numbers(&x);
        out.par_chunks_mut(batch * places).enumerate().for_each(|(row, out)| {
            let (channel, ky, kx) = (row / (k * k), row / k % k, row % k);
            for (n, out) in out.chunks_exact_mut(places).enumerate() {
                let source = &x[(channel * batch + n) * plane..][..plane];
                for (y, out) in out.chunks_exact_mut(across).enumerate() {
                    let Some(line) = within(y * window.stride + ky, window.padding[0], height) else { continue };
                    let line = &source[line * width..][..width];
                    for (x, out) in out.iter_mut().enumerate() {
                        if let Some(at) = within(x * window.stride + kx, window.padding[0], width) {
                            *out = line[at];
                        }
                    }
                }
            }
        });
        tensor([channels * k * k, batch * places], out)
    }

    fn columns_backward(grad: FlexTensor, shape: [usize; 4], window: Window) -> FlexTensor {
        let grad = grad.to_contiguous();
        let [channels, batch, height, width] = shape;
        let (down, across) = (window.places(height), window.places(width));
        let (k, plane, places) = (window.kernel, height * width, down * across);
        let mut out = vec![0.0f32; channels * batch * plane];
        out.par_chunks_mut(batch * plane).zip(numbers(&grad).par_chunks(k * k * batch * places)).for_each(
            |(out, grad)| {
                for (tap, grad) in grad.chunks_exact(batch * places).enumerate() {
                    let (ky, kx) = (tap / k, tap % k);
                    for (out, grad) in out.chunks_exact_mut(plane).zip(grad.chunks_exact(places)) {
                        for (y, grad) in grad.chunks_exact(across).enumerate() {
                            let Some(line) = within(y * window.stride + ky, window.padding[0], height) else {
                                continue;
                            };
                            let line = &mut out[line * width..][..width];
                            for (x, grad) in grad.iter().enumerate() {
                                if let Some(at) = within(x * window.stride + kx, window.padding[0], width) {
                                    line[at] += grad;
                                }
                            }
                        }
                    }
                }
            },
        );
        tensor(shape, out)
    }

    fn normalise(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor) {
        let (x, scale, shift) = (x.to_contiguous(), scale.to_contiguous(), shift.to_contiguous());
        let shape = dims4(&x);
        let (channels, length) = (shape[0], shape[1] * shape[2] * shape[3]);
        let mut out = vec![0.0f32; channels * length];
        let mut moments = vec![0.0f32; 2 * channels];
        let (means, variances) = moments.split_at_mut(channels);
        out.par_chunks_mut(length)
            .zip(numbers(&x).par_chunks(length))
            .zip(means.par_iter_mut().zip(variances))
            .zip(numbers(&scale).par_iter().zip(numbers(&shift)))
            .for_each(|(((out, x), (mean, variance)), (scale, shift))| {
                *mean = (sum_of(x, |v| v) / length as f64) as f32;
                let centre = *mean;
                *variance = (sum_of(x, |v| (v - centre) * (v - centre)) / length as f64) as f32;
                let factor = scale / (*variance + epsilon as f32).sqrt();
                let offset = shift - factor * centre;
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
            });
        (tensor(shape, out), tensor([2, channels], moments))
    }

    fn normalise_backward(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        moments: FlexTensor,
        grad: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, grad, moments) = (x.to_contiguous(), grad.to_contiguous(), moments.to_contiguous());
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        let shape = dims4(&x);
        let (channels, length) = (shape[0], shape[1] * shape[2] * shape[3]);
        let mut x_grad = vec![0.0f32; channels * length];
        let (mut scale_grad, mut shift_grad) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        let (means, variances) = numbers(&moments).split_at(channels);
        x_grad
            .par_chunks_mut(length)
            .zip(numbers(&x).par_chunks(length).zip(numbers(&grad).par_chunks(length)))
            .zip(scale_grad.par_iter_mut().zip(&mut shift_grad))
            .zip(numbers(&scale).par_iter().zip(numbers(&shift)))
            .zip(means.par_iter().zip(variances))
            .for_each(|((((x_grad, (x, grad)), (scale_grad, shift_grad)), (scale, shift)), (mean, variance))| {
                let inverse = 1.0 / (variance + epsilon as f32).sqrt();
                let (factor, offset) = (scale * inverse, shift - scale * inverse * mean);
                // First the gradient before the activation, kept in `x_grad`.
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
                let product = sum_of_products(x_grad, x, *mean) * f64::from(inverse);
                *shift_grad = total as f32;
                *scale_grad = product as f32;
                let mean_total = (total / length as f64) as f32;
                let mean_product = (product / length as f64) as f32 * inverse;
                for (out, x) in x_grad.iter_mut().zip(x) {
                    *out = factor * (*out - mean_total - (x - mean) * mean_product);
                }
            });
        (tensor(shape, x_grad), tensor([channels], scale_grad), tensor([channels], shift_grad))
    }
}

/// The place of a padded coordinate in the unpadded line, if it has one.
fn within(at: usize, padding: usize, length: usize) -> Option<usize> {
    at.checked_sub(padding).filter(|at| *at < length)
}

/// `out = grad · slope(x)`. The slope is multiplied, not chosen: a choice would be a branch and would not vectorise.
fn through(out: &mut [f32], x: &[f32], grad: &[f32], slope: impl Fn(f32) -> f32) {
    for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
        *out = grad * slope(*x);
    }
}

fn passes(condition: bool) -> f32 {
    f32::from(u8::from(condition))
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Sums in eight lanes, stretch by stretch, so that it vectorises and stays exact over millions of values.
fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0f64;
    for stretch in values.chunks(4096) {
        let mut lanes = [0.0f32; 16];
        let chunks = stretch.chunks_exact(16);
        let rest: f32 = chunks.remainder().iter().map(|v| f(*v)).sum();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += f(*value);
            }
        }
        total += f64::from(lanes.iter().sum::<f32>() + rest);
    }
    total
}

/// Σ g·(x − mean).
fn sum_of_products(g: &[f32], x: &[f32], mean: f32) -> f64 {
    let mut total = 0.0f64;
    for (g, x) in g.chunks(4096).zip(x.chunks(4096)) {
        let mut lanes = [0.0f32; 16];
        let (g_chunks, x_chunks) = (g.chunks_exact(16), x.chunks_exact(16));
        let rest: f32 = g_chunks.remainder().iter().zip(x_chunks.remainder()).map(|(g, x)| g * (x - mean)).sum();
        for (g, x) in g_chunks.zip(x_chunks) {
            for i in 0..16 {
                lanes[i] += g[i] * (x[i] - mean);
            }
        }
        total += f64::from(lanes.iter().sum::<f32>() + rest);
    }
    total
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b[..a.len()].chunks_exact(16));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for i in 0..16 {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Working memory for the planes of one channel.
///
/// A plane lies in its padded frame, `row` wide. Reading the frame as one long line, a window at `i` covers
/// `i + ky·row + kx`, so a convolution is `k·k` shifted additions over the whole line, however small the plane is; what
/// it computes across the ends of rows is never looked at.
struct Frame {
    width: usize,
    before: usize,
    /// Width of the padded plane.
    row: usize,
    across: usize,
    /// The padded plane and a tail of zeros, so that every shift stays inside.
    padded: Vec<f32>,
    /// Results at every place of stride 1, rows of `row`.
    dense: Vec<f32>,
    /// `dense` with margins for the way back.
    wide: Vec<f32>,
    /// Gradient by the padded plane.
    back: Vec<f32>,
}

impl Frame {
    fn new(height: usize, width: usize, window: Window) -> Self {
        let margin: usize = window.padding.iter().sum();
        let (row, rows) = (width + margin, height + margin);
        let (dense_rows, k) = (rows - window.kernel + 1, window.kernel);
        let tail = (k - 1) * row + k;
        Self {
            width,
            before: window.padding[0],
            row,
            across: window.places(width),
            padded: vec![0.0; rows * row + tail],
            dense: vec![0.0; dense_rows * row],
            wide: vec![0.0; dense_rows * row + 2 * tail + (k - 1) * row],
            back: vec![0.0; rows * row],
        }
    }

    fn fill(&mut self, plane: &[f32]) {
        for (y, line) in plane.chunks_exact(self.width).enumerate() {
            let start = (y + self.before) * self.row + self.before;
            self.padded[start..start + self.width].copy_from_slice(line);
        }
    }

    /// Takes the places of the window's stride out of `dense`.
    fn pick(&self, out: &mut [f32], stride: usize) {
        for (y, line) in out.chunks_exact_mut(self.across).enumerate() {
            let dense = &self.dense[y * stride * self.row..][..self.row];
            if stride == 1 {
                line.copy_from_slice(&dense[..self.across]);
            } else {
                for (out, value) in line.iter_mut().zip(dense.iter().step_by(stride)) {
                    *out = *value;
                }
            }
        }
    }

    /// The way back of [`pick`](Self::pick): zeros between the places.
    fn spread(&mut self, grad: &[f32], stride: usize) {
        self.dense.fill(0.0);
        for (y, line) in grad.chunks_exact(self.across).enumerate() {
            let dense = &mut self.dense[y * stride * self.row..][..self.row];
            for (value, out) in line.iter().zip(dense.iter_mut().step_by(stride)) {
                *out = *value;
            }
        }
    }

    /// Puts `dense` behind a margin of `k − 1` rows and columns.
    fn pad_dense(&mut self, k: usize) {
        let margin = (k - 1) * self.row + (k - 1);
        let length = self.dense.len();
        self.wide[margin..margin + length].copy_from_slice(&self.dense);
    }

    fn crop(&self, out: &mut [f32]) {
        for (y, line) in out.chunks_exact_mut(self.width).enumerate() {
            line.copy_from_slice(&self.back[(y + self.before) * self.row + self.before..][..self.width]);
        }
    }
}

/// `out[i] = Σ weight[ky, kx] · line[i + ky·row + kx]`.
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
