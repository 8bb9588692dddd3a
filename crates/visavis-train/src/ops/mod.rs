//! Operations for training, in addition to those of burn.
//!
//! Activations are channel-major, `[C, N, H, W]`: the values of a channel over the whole batch are contiguous. So a
//! pointwise convolution is one matrix product, and normalisation and depthwise convolution process one channel at a time
//! in memory that stays in the cache.

mod autodiff;
mod flex;
mod planes;
mod product;

use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// A square window that slides over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Zeros before and after every row and column.
    pub padding: [usize; 2],
}

impl Window {
    /// Padding of k/2 on every side, as in PyTorch's networks.
    #[must_use]
    pub fn centred(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: [kernel / 2; 2] }
    }

    /// No padding.
    #[must_use]
    pub fn valid(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: [0; 2] }
    }

    /// TensorFlow's `SAME` for a side of `length`: as many zeros as the last window needs; an odd one is added at the end.
    #[must_use]
    pub fn same(kernel: usize, stride: usize, length: usize) -> Self {
        let places = length.div_ceil(stride);
        let total = ((places - 1) * stride + kernel).saturating_sub(length);
        Self { kernel, stride, padding: [total / 2, total - total / 2] }
    }

    /// Number of positions of the window along a side of `length`.
    #[must_use]
    pub fn places(&self, length: usize) -> usize {
        (length + self.padding[0] + self.padding[1] - self.kernel) / self.stride + 1
    }
}

/// The activation that follows a normalisation in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// x · σ(x).
    Silu,
}

/// The forward and backward computations of a backend on which networks train.
pub trait Kernels: Backend {
    /// Depthwise convolution of `x` `[C, N, H, W]` with `weight` `[C, 1, k, k]`.
    fn depthwise(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// Gradients of [`Kernels::depthwise`] with respect to `x` and `weight`.
    fn depthwise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The matrix product of `a` `[m, k]` and `b` `[k, n]`.
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of [`Kernels::product`] with respect to `a` and `b`.
    fn product_backward(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The windows of `x` `[C, N, H, W]` as columns `[C·k·k, N·H'·W']`.
    fn columns(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// Gradient of [`Kernels::columns`] for an `x` of this shape.
    fn columns_backward(grad: FloatTensor<Self>, shape: [usize; 4], window: Window) -> FloatTensor<Self>;
    /// Batch normalisation of `x` `[C, N, H, W]` with scale and shift `[C]`, then the activation. Also returns mean and
    /// variance of every channel `[2, C]`.
    fn normalise(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of [`Kernels::normalise`] with respect to `x`, `scale` and `shift`; `moments` is its second result.
    fn normalise_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// `y = x + bias` of `x` `[C, N, H, W]` with bias `[C]`; the result is `y` where positive, else `slope` `[1]` times `y`.
    fn biased_leaky(x: FloatTensor<Self>, bias: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of [`Kernels::biased_leaky`] with respect to `x`, `bias` and `slope`.
    fn biased_leaky_backward(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The same as [`Kernels`], for tensors of any device, with or without gradients.
#[backend_extension(Flex, Autodiff)]
pub trait TrainOps: Backend {
    /// See [`Kernels::depthwise`].
    fn depthwise_op(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// See [`Kernels::product`].
    fn product_op(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`Kernels::columns`].
    fn columns_op(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// See [`Kernels::normalise`].
    fn normalise_op(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// See [`Kernels::biased_leaky`].
    fn biased_leaky_op(x: FloatTensor<Self>, bias: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Depthwise convolution of `x` `[C, N, H, W]` with `weight` `[C, 1, k, k]`.
pub fn depthwise(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as TrainOps>::depthwise_op(x.into_dispatch(), weight.into_dispatch(), window))
}

/// The matrix product of `a` `[m, k]` and `b` `[k, n]`.
pub fn product(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as TrainOps>::product_op(a.into_dispatch(), b.into_dispatch()))
}

/// Convolution of `x` `[C, N, H, W]` with `weight` `[C', C, k, k]`.
pub fn convolve(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    let [_, batch, height, width] = x.dims();
    let [outputs, inputs, k, _] = weight.dims();
    let (down, across) = (window.places(height), window.places(width));
    let columns: Tensor<2> = if k == 1 && window.stride == 1 && window.padding == [0; 2] {
        x.reshape([inputs, batch * height * width])
    } else {
        Tensor::from_dispatch(<Dispatch as TrainOps>::columns_op(x.into_dispatch(), window))
    };
    product(weight.reshape([outputs, inputs * k * k]), columns).reshape([outputs, batch, down, across])
}

/// Batch normalisation and activation; also returns mean and variance of every channel `[2, C]`, without gradient.
pub fn normalise(
    x: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> (Tensor<4>, Tensor<2>) {
    let (y, moments) = <Dispatch as TrainOps>::normalise_op(
        x.into_dispatch(),
        scale.into_dispatch(),
        shift.into_dispatch(),
        epsilon,
        activation,
    );
    (Tensor::from_dispatch(y), Tensor::from_dispatch(moments))
}

/// `x` `[C, N, H, W]` plus a bias for each channel `[C]`, then a leaky rectifier with one slope `[1]` for all channels.
pub fn biased_leaky(x: Tensor<4>, bias: Tensor<1>, slope: Tensor<1>) -> Tensor<4> {
    let out = <Dispatch as TrainOps>::biased_leaky_op(x.into_dispatch(), bias.into_dispatch(), slope.into_dispatch());
    Tensor::from_dispatch(out)
}
