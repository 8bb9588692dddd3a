//! The computations on the CPU: plane by plane, channels in parallel.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use rayon::prelude::*;

use super::product::{Matrix, product};
use super::{Activation, Kernels, Window, planes};

impl super::TrainOps for Flex {
    fn depthwise_op(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
        Self::depthwise(x, weight, window)
    }

    fn product_op(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        Self::product(a, b)
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

    fn biased_leaky_op(x: FlexTensor, bias: FlexTensor, slope: FlexTensor) -> FlexTensor {
        Self::biased_leaky(x, bias, slope)
    }
}

/// The values of a contiguous tensor.
fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("made contiguous, of 32-bit floats")
}

fn tensor(shape: impl Into<Shape>, data: Vec<f32>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(data, shape))
}

fn dims4(x: &FlexTensor) -> [usize; 4] {
    x.shape().dims()
}

fn dims2(x: &FlexTensor) -> [usize; 2] {
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
                planes::depthwise(x, [height, width], weight, window, out);
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
                planes::depthwise_backward(x, [height, width], weight, grad, window, x_grad, weight_grad);
            });
        (tensor([channels, batch, height, width], x_grad), tensor([channels, 1, k, k], weight_grad))
    }

    fn product(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        let (a, b) = (a.to_contiguous(), b.to_contiguous());
        let ([m, k], [_, n]) = (dims2(&a), dims2(&b));
        tensor([m, n], product(Matrix::new(numbers(&a), [m, k]), Matrix::new(numbers(&b), [k, n])))
    }

    fn product_backward(a: FlexTensor, b: FlexTensor, grad: FlexTensor) -> (FlexTensor, FlexTensor) {
        let (a, b, grad) = (a.to_contiguous(), b.to_contiguous(), grad.to_contiguous());
        let ([m, k], [_, n]) = (dims2(&a), dims2(&b));
        let by = Matrix::new(numbers(&grad), [m, n]);
        let a_grad = product(by, Matrix::new(numbers(&b), [k, n]).transposed());
        let b_grad = product(Matrix::new(numbers(&a), [m, k]).transposed(), by);
        (tensor([m, k], a_grad), tensor([k, n], b_grad))
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
                [*mean, *variance] = planes::normalise(x, [*scale, *shift], epsilon, activation, out);
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
                let (affine, moments) = ([*scale, *shift], [*mean, *variance]);
                [*scale_grad, *shift_grad] =
                    planes::normalise_backward(x, affine, moments, grad, epsilon, activation, x_grad);
            });
        (tensor(shape, x_grad), tensor([channels], scale_grad), tensor([channels], shift_grad))
    }

    fn biased_leaky(x: FlexTensor, bias: FlexTensor, slope: FlexTensor) -> FlexTensor {
        let (x, bias, slope) = (x.to_contiguous(), bias.to_contiguous(), slope.to_contiguous());
        let shape = dims4(&x);
        let length = shape[1] * shape[2] * shape[3];
        let slope = numbers(&slope)[0];
        let mut out = vec![0.0f32; shape[0] * length];
        out.par_chunks_mut(length)
            .zip(numbers(&x).par_chunks(length))
            .zip(numbers(&bias))
            .for_each(|((out, x), bias)| planes::biased_leaky(x, *bias, slope, out));
        tensor(shape, out)
    }

    fn biased_leaky_backward(
        x: FlexTensor,
        bias: FlexTensor,
        slope: FlexTensor,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (x, grad) = (x.to_contiguous(), grad.to_contiguous());
        let (bias, slope) = (bias.to_contiguous(), slope.to_contiguous());
        let shape = dims4(&x);
        let (channels, length) = (shape[0], shape[1] * shape[2] * shape[3]);
        let slope = numbers(&slope)[0];
        let mut x_grad = vec![0.0f32; channels * length];
        let (mut bias_grad, mut slope_grad) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        x_grad
            .par_chunks_mut(length)
            .zip(numbers(&x).par_chunks(length).zip(numbers(&grad).par_chunks(length)))
            .zip(bias_grad.par_iter_mut().zip(&mut slope_grad))
            .zip(numbers(&bias))
            .for_each(|(((x_grad, (x, grad)), (bias_grad, slope_grad)), bias)| {
                [*bias_grad, *slope_grad] = planes::biased_leaky_backward(x, *bias, slope, grad, x_grad);
            });
        let slope_grad = vec![slope_grad.iter().sum::<f32>()];
        (tensor(shape, x_grad), tensor([channels], bias_grad), tensor([1], slope_grad))
    }
}

/// The unpadded index of a padded coordinate; `None` in the padding.
fn within(at: usize, padding: usize, length: usize) -> Option<usize> {
    at.checked_sub(padding).filter(|at| *at < length)
}
