//! Operations that training is made of, beyond those of burn.
//!
//! Activations are channel-major, `[C, N, H, W]`: a channel's values over the whole batch lie side by side, so that a
//! pointwise convolution is one matrix product, and normalisation and depthwise convolution go channel by channel
//! through a stretch of memory that stays in the cache.

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
    /// Margins of k/2 on every side, as PyTorch's networks have them.
    #[must_use]
    pub fn centred(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: [kernel / 2; 2] }
    }

    /// No margins.
    #[must_use]
    pub fn valid(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: [0; 2] }
    }

    /// TensorFlow's `SAME` for a side of `length`: as many zeros as the last window needs, the odd one behind.
    #[must_use]
    pub fn same(kernel: usize, stride: usize, length: usize) -> Self {
        let places = length.div_ceil(stride);
        let total = ((places - 1) * stride + kernel).saturating_sub(length);
        Self { kernel, stride, padding: [total / 2, total - total / 2] }
    }

    /// How many places the window has along a side of `length`.
    #[must_use]
    pub fn places(&self, length: usize) -> usize {
        (length + self.padding[0] + self.padding[1] - self.kernel) / self.stride + 1
    }
}

/// What follows a normalisation in the same pass.
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

/// Backends on which networks train: the arithmetic, forwards and backwards.
pub trait Kernels: Backend {
    /// Depthwise convolution of `x` `[C, N, H, W]` with `weight` `[C, 1, k, k]`.
    fn depthwise(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// Gradients of [`Kernels::depthwise`] by `x` and by `weight`.
    fn depthwise_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The matrix product of `a` `[m, k]` and `b` `[k, n]`.
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of [`Kernels::product`] by `a` and by `b`.
    fn product_backward(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// The windows of `x` `[C, N, H, W]` as columns `[C·k·k, N·H'·W']`.
    fn columns(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self>;
    /// Gradient of [`Kernels::columns`] for an `x` of this shape.
    fn columns_backward(grad: FloatTensor<Self>, shape: [usize; 4], window: Window) -> FloatTensor<Self>;
    /// Batch normalisation of `x` `[C, N, H, W]` with scale and shift `[C]`, then the activation; and mean and variance
    /// of every channel `[2, C]`.
    fn normalise(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Gradients of [`Kernels::normalise`] by `x`, `scale` and `shift`; `moments` are what it gave.
    fn normalise_backward(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
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

/// Batch normalisation and activation; and mean and variance of every channel `[2, C]`, without gradient.
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
