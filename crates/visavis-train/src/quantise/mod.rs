//! Static quantisation: a network whose large operators calculate with 8-bit integers.
//!
//! Convolutions, sums, products, rectifiers, sigmoids and global means get `QuantizeLinear` and `DequantizeLinear` around
//! their tensors (the QDQ form of ONNX); ONNX Runtime then runs them with integers. So do large fully connected layers. Everything
//! else that works on one value per channel (squeeze-and-excitation, the ends of heads) stays 32-bit: it takes no time and needs
//! the precision.
//!
//! The range of each tensor comes from running the network on calibration faces. Tensors are then rounded one at a time; operators at
//! those that change an output much stay 32-bit. Weights have one scale per output channel. What rounding the weights changes in a
//! channel's mean is subtracted from its bias (bias correction: Nagel et al. 2019, Data-Free Quantization Through Weight Equalization
//! and Bias Correction, section 4.2).

mod calibration;
mod graph;
mod inputs;
mod rewrite;
mod rounding;
mod sensitivity;

use std::collections::{BTreeSet, HashSet};

use prost::Message;
use tract_onnx::pb::{ModelProto, NodeProto};
use visavis_infer::Tensor;

use crate::TrainError;
use graph::{Graph, OnnxOperator};
pub use inputs::calibration_inputs;

/// Settings of [`quantise`].
#[derive(Debug, Clone, PartialEq)]
pub struct QuantiseParams {
    /// Bits of a weight, 2 to 8. Default 7: CPUs without VNNI instructions add products of 8-bit numbers pairwise in 16 bits, which
    /// overflow with 8-bit weights.
    pub weight_bits: u32,
    /// Operators at a tensor whose rounding alone changes an output by more than this share of its square stay 32-bit. Default 0.02:
    /// in MobileFaceNet, the tensor before the last depthwise convolution gives 0.4, all others less than 0.01.
    pub most_deviation: f32,
    /// Whether the biases are corrected for the rounding of the weights. Default: yes.
    pub correct_biases: bool,
}

impl Default for QuantiseParams {
    fn default() -> Self {
        Self { weight_bits: 7, most_deviation: 0.02, correct_biases: true }
    }
}

/// Quantises an ONNX network.
///
/// `bytes` is an ONNX file with 32-bit or 16-bit weights and one input; `pictures` are calibration inputs `[N, 3, H, W]`, all of one
/// shape, normalised as the network takes them.
///
/// # Errors
/// [`TrainError::Weights`] if the file is no network that can be run, or if there are no pictures.
pub fn quantise(bytes: &[u8], pictures: &[Tensor], params: &QuantiseParams) -> Result<Vec<u8>, TrainError> {
    if !(2..=8).contains(&params.weight_bits) {
        return Err(TrainError::weights(format!("{} is no number of bits between 2 and 8", params.weight_bits)));
    }
    let model = ModelProto::decode(bytes).map_err(|error| TrainError::weights(format!("no ONNX file: {error}")))?;
    let graph = Graph::read(&model)?;
    let plan = Plan::of(&graph);
    let observed = calibration::observe(&graph, &plan, pictures)?;
    // Values per channel are few and stay 32-bit. Only running the network shows which tensors hold them.
    let plan = plan.without_small(&graph, &observed);
    let deviations = sensitivity::sensitivities(&graph, &plan, &observed, pictures)?;
    for (name, deviation) in &deviations {
        log::debug!("{name}: rounding changes an output by {deviation:.5} of its square");
    }
    let sensitive = |name: &str| deviations.get(name).is_some_and(|deviation| *deviation > params.most_deviation);
    let plan = plan.without(&graph, sensitive);
    Ok(rewrite::rewrite(model, &graph, &plan, &observed, params).encode_to_vec())
}

/// What becomes 8-bit.
struct Plan {
    /// Indices of the nodes that calculate with integers.
    nodes: BTreeSet<usize>,
    /// Indices of rectifiers that the rounding of the tensor before them replaces: its range begins at 0.
    absorbed: HashSet<usize>,
}

impl Plan {
    /// All nodes that can be quantised.
    fn of(graph: &Graph) -> Self {
        let mut plan = Self { nodes: BTreeSet::new(), absorbed: HashSet::new() };
        for (index, node) in graph.nodes.iter().enumerate() {
            let suits = match OnnxOperator::of(graph, node) {
                Some(OnnxOperator::Affine) => graph.activations(node).next() == Some(node.input[0].as_str()),
                Some(OnnxOperator::Elementwise) => graph.activations(node).count() == node.input.len(),
                Some(OnnxOperator::Rectifier) => {
                    if let Some(before) = graph.producer(&node.input[0])
                        && plan.nodes.contains(&before)
                        && matches!(
                            OnnxOperator::of(graph, &graph.nodes[before]),
                            Some(OnnxOperator::Affine | OnnxOperator::Elementwise)
                        )
                        && graph.uses(&node.input[0]) == 1
                    {
                        plan.absorbed.insert(index);
                    }
                    false
                }
                None => false,
            };
            if suits {
                plan.nodes.insert(index);
            }
        }
        plan
    }

    /// The plan without nodes that read or write tensors of one value per channel, except for fully connected layers, and for
    /// global means and products, whose other tensor is large.
    fn without_small(mut self, graph: &Graph, observed: &calibration::Observed) -> Self {
        let small = |name: &str| observed.tensor(name).is_some_and(|tensor| tensor.area <= 1);
        self.nodes.retain(|&index| {
            let node = &graph.nodes[index];
            let read = graph.activations(node).all(small);
            let written = small(&node.output[0]);
            node.op_type == "Gemm" || !(read || (written && node.op_type == "Conv"))
        });
        self.drop_unused(graph)
    }

    /// The plan without nodes that read or write a tensor of which `sensitive` is true.
    fn without(mut self, graph: &Graph, sensitive: impl Fn(&str) -> bool) -> Self {
        let touches = |&index: &usize| {
            let node = &graph.nodes[index];
            graph.activations(node).any(&sensitive) || sensitive(self.output(graph, node))
        };
        let left_out: Vec<usize> = self.nodes.iter().copied().filter(touches).collect();
        for index in left_out {
            self.nodes.remove(&index);
        }
        self.drop_unused(graph)
    }

    /// Rectifiers after nodes that are not quantised stay in the graph.
    fn drop_unused(mut self, graph: &Graph) -> Self {
        self.absorbed.retain(|&index| {
            graph.producer(&graph.nodes[index].input[0]).is_some_and(|before| self.nodes.contains(&before))
        });
        self
    }

    /// The name of the tensor that holds the output of a quantised node: that of the rectifier, if one follows and is absorbed.
    fn output<'a>(&self, graph: &'a Graph, node: &'a NodeProto) -> &'a str {
        let output = &node.output[0];
        let rectifier = self.absorbed.iter().map(|&index| &graph.nodes[index]).find(|next| next.input[0] == *output);
        rectifier.map_or(output, |next| &next.output[0])
    }

    /// Names of all tensors that are rounded to 8 bits.
    fn tensors<'a>(&'a self, graph: &'a Graph) -> BTreeSet<&'a str> {
        let nodes = self.nodes.iter().map(|&index| &graph.nodes[index]);
        nodes.flat_map(|node| graph.activations(node).chain([self.output(graph, node)])).collect()
    }
}

#[cfg(test)]
mod tests;
