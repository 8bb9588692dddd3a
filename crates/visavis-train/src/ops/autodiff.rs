//! Gradients of the operations: what the forward pass stores, and how the backward pass uses it.

use burn::backend::AutodiffBackend;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;

use super::{Activation, Kernels, TrainOps, Window};

impl<B: Kernels, C: CheckpointStrategy> TrainOps for Autodiff<B, C> {
    fn depthwise_op(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Depthwise;
        impl<B: Kernels> Backward<B, 2> for Depthwise {
            type State = (NodeId, NodeId, Window);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, kept: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (x, weight, window) = ops.state;
                let (x, weight) = (kept.retrieve_node_output(x), kept.retrieve_node_output(weight));
                let (x, weight) = B::depthwise_backward(x, weight, grad, window);
                register::<B, 2>(grads, ops.parents.map(|node| node.map(|node| node.id)), [x, weight]);
            }
        }
        let kept = Depthwise.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        match kept {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), window);
                prep.finish(state, B::depthwise(x.into_primitive(), weight.into_primitive(), window))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::depthwise(x.into_primitive(), weight.into_primitive(), window)),
        }
    }

    fn product_op(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Product;
        impl<B: Kernels> Backward<B, 2> for Product {
            type State = (NodeId, NodeId);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, kept: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (a, b) = ops.state;
                let (a, b) = B::product_backward(kept.retrieve_node_output(a), kept.retrieve_node_output(b), grad);
                register::<B, 2>(grads, ops.parents.map(|node| node.map(|node| node.id)), [a, b]);
            }
        }
        match Product.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&a), prep.checkpoint(&b));
                prep.finish(state, B::product(a.into_primitive(), b.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::product(a.into_primitive(), b.into_primitive())),
        }
    }

    fn columns_op(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Columns;
        impl<B: Kernels> Backward<B, 1> for Columns {
            type State = ([usize; 4], Window);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (shape, window) = ops.state;
                let [node] = ops.parents;
                if let Some(node) = node {
                    grads.register::<B>(node.id, B::columns_backward(grad, shape, window));
                }
            }
        }
        let shape = x.shape().dims();
        let (x, node) = x.into_parts();
        let columns = B::columns(x, window);
        match Columns.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, window), columns),
            OpsKind::UnTracked(prep) => prep.finish(columns),
        }
    }

    fn normalise_op(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct Normalise<P>(std::marker::PhantomData<P>);
        impl<B: Kernels> Backward<B, 3> for Normalise<B> {
            type State = (NodeId, NodeId, NodeId, FloatTensor<B>, f64, Activation);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, kept: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (x, scale, shift, moments, epsilon, activation) = ops.state;
                let [x, scale, shift] = [x, scale, shift].map(|id| kept.retrieve_node_output(id));
                let (x, scale, shift) = B::normalise_backward(x, scale, shift, moments, grad, epsilon, activation);
                register::<B, 3>(grads, ops.parents.map(|node| node.map(|node| node.id)), [x, scale, shift]);
            }
        }
        let primitives = (x.primitive().clone(), scale.primitive().clone(), shift.primitive().clone());
        let (out, moments) = B::normalise(primitives.0, primitives.1, primitives.2, epsilon, activation);
        let operation = Normalise::<B>(std::marker::PhantomData);
        let out = match operation.prepare::<C>([x.node(), scale.node(), shift.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let ids = (prep.checkpoint(&x), prep.checkpoint(&scale), prep.checkpoint(&shift));
                prep.finish((ids.0, ids.1, ids.2, moments.clone(), epsilon, activation), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(out),
        };
        (out, Self::from_inner(moments))
    }

    fn biased_leaky_op(x: FloatTensor<Self>, bias: FloatTensor<Self>, slope: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct BiasedLeaky;
        impl<B: Kernels> Backward<B, 3> for BiasedLeaky {
            type State = (NodeId, NodeId, NodeId);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, kept: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (x, bias, slope) = ops.state;
                let [x, bias, slope] = [x, bias, slope].map(|id| kept.retrieve_node_output(id));
                let (x, bias, slope) = B::biased_leaky_backward(x, bias, slope, grad);
                register::<B, 3>(grads, ops.parents.map(|node| node.map(|node| node.id)), [x, bias, slope]);
            }
        }
        match BiasedLeaky.prepare::<C>([x.node(), bias.node(), slope.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&bias), prep.checkpoint(&slope));
                prep.finish(state, B::biased_leaky(x.into_primitive(), bias.into_primitive(), slope.into_primitive()))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::biased_leaky(x.into_primitive(), bias.into_primitive(), slope.into_primitive()))
            }
        }
    }
}

/// Adds each gradient to its parent, if the parent needs one.
fn register<B: Kernels, const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    values: [FloatTensor<B>; N],
) {
    for (parent, value) in parents.into_iter().zip(values) {
        if let Some(id) = parent {
            grads.register::<B>(id, value);
        }
    }
}
