//! Writes the quantised graph.

use std::collections::HashSet;

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

use super::calibration::Observed;
use super::graph::{Constant, Graph, OnnxOperator};
use super::rounding::{after, float_tensor, node, rounding_of, tensor};
use super::{Plan, QuantiseParams};
use crate::export::{HALVED_FROM, int};
use crate::numbers::{from_bytes, to_bytes};

/// The nodes and constants of the new graph.
struct Writer<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    observed: &'a Observed,
    params: &'a QuantiseParams,
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    /// Tensors whose rounded version exists.
    rounded: HashSet<String>,
}

/// Replaces nodes and constants of a model by the quantised ones.
pub(super) fn rewrite(
    mut model: ModelProto,
    graph: &Graph,
    plan: &Plan,
    observed: &Observed,
    params: &QuantiseParams,
) -> ModelProto {
    let (nodes, weights, rounded) = (Vec::new(), Vec::new(), HashSet::new());
    let mut writer = Writer { graph, plan, observed, params, nodes, weights, rounded };
    for (index, old) in graph.nodes.iter().enumerate() {
        if plan.absorbed.contains(&index) {
            continue;
        }
        let quantised = plan.nodes.contains(&index);
        writer.node(old, quantised);
    }
    let used: HashSet<&String> = writer.nodes.iter().flat_map(|node| &node.input).collect();
    let kept = graph.constants().filter(|(name, _)| used.contains(name));
    let mut kept: Vec<TensorProto> = kept.map(|(name, constant)| float_tensor(name, constant)).collect();
    let casts = halve(&mut kept);
    kept.extend(graph.others.iter().cloned());
    kept.sort_by(|a, b| a.name.cmp(&b.name));
    kept.extend(writer.weights);
    if let Some(proto) = &mut model.graph {
        proto.node = casts.into_iter().chain(writer.nodes).collect();
        proto.initializer = kept;
        // Intermediate shapes may name tensors that no longer exist.
        proto.value_info.clear();
    }
    model
}

/// Stores large tensors of 32-bit floats with 16 bits; returns the casts back, which engines carry out when they load the network.
fn halve(tensors: &mut [TensorProto]) -> Vec<NodeProto> {
    let large = tensors.iter_mut().filter(|tensor| tensor.raw_data.len() >= 4 * HALVED_FROM);
    let cast = |tensor: &mut TensorProto| {
        let values = from_bytes(&tensor.raw_data);
        let mut cast = node("Cast", &[&format!("{}_half", tensor.name)], &tensor.name);
        cast.attribute.push(int("to", DataType::Float as i64));
        tensor.name += "_half";
        tensor.data_type = DataType::Float16 as i32;
        tensor.raw_data = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        cast
    };
    large.map(cast).collect()
}

impl Writer<'_> {
    fn node(&mut self, old: &NodeProto, quantised: bool) {
        let mut new = old.clone();
        if !quantised {
            // Float operators read the rounded tensor too: the operator that writes it can then give integers alone.
            for input in &mut new.input {
                if self.rounded.contains(input) {
                    *input = after(input);
                }
            }
            self.nodes.push(new);
            return;
        }
        let inputs: Vec<String> = self.graph.activations(old).map(str::to_owned).collect();
        for input in &inputs {
            self.round(input);
        }
        for input in &mut new.input {
            if inputs.contains(input) {
                *input = after(input);
            }
        }
        if OnnxOperator::of(self.graph, old) == Some(OnnxOperator::Affine) {
            self.weights_of(&mut new, &inputs[0]);
        }
        let output = self.plan.output(self.graph, old).to_owned();
        new.output = vec![output.clone()];
        self.nodes.push(new);
        self.round(&output);
    }

    /// Adds the rounding of a tensor, once.
    fn round(&mut self, name: &str) {
        let Some(observed) = self.observed.tensor(name).filter(|_| !self.rounded.contains(name)) else { return };
        let (nodes, constants) = rounding_of(name, observed.rounding());
        self.nodes.extend(nodes);
        self.weights.extend(constants);
        self.rounded.insert(name.to_owned());
    }

    /// Replaces weight and bias of a convolution or a fully connected layer by integers.
    fn weights_of(&mut self, new: &mut NodeProto, input: &str) {
        let Some(weight) = self.graph.constant(&new.input[1]) else { return };
        let Some(observed) = self.observed.tensor(input) else { return };
        let largest = (1 << (self.params.weight_bits - 1)) - 1;
        let Integers { values, scales } = Integers::of(weight, largest as f32);
        let outputs = weight.shape[0];
        let bias = new.input.get(2).and_then(|name| self.graph.constant(name));
        let mut biases = bias.map_or_else(|| vec![0.0; outputs], |bias| bias.values.clone());
        if self.params.correct_biases {
            correct(&mut biases, weight, &values, &scales, &observed.means());
        }
        let (name, input_scale) = (new.output[0].clone(), observed.rounding().scale);
        let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * input_scale).collect();
        let whole = biases.iter().zip(&bias_scales).map(|(bias, scale)| (bias / scale).round() as i32);
        let whole: Vec<u8> = whole.flat_map(i32::to_le_bytes).collect();
        let bytes = values.iter().map(|value| value.to_le_bytes()[0]).collect();
        let weights = self.integers(&format!("{name}_weight"), &weight.shape, DataType::Int8, bytes, &scales);
        let biases = self.integers(&format!("{name}_bias"), &[outputs], DataType::Int32, whole, &bias_scales);
        new.input.truncate(1);
        new.input.extend([weights, biases]);
    }

    /// Adds a constant of integers with one scale per output channel; returns the name of its values as floats.
    fn integers(&mut self, name: &str, shape: &[usize], kind: DataType, bytes: Vec<u8>, scales: &[f32]) -> String {
        let (integers, scale, zero) = (format!("{name}_integers"), format!("{name}_scale"), format!("{name}_zero"));
        let zeros = if kind == DataType::Int8 { vec![0; scales.len()] } else { vec![0; 4 * scales.len()] };
        self.weights.push(tensor(&integers, shape, kind, bytes));
        self.weights.push(tensor(&scale, &[scales.len()], DataType::Float, to_bytes(scales)));
        self.weights.push(tensor(&zero, &[scales.len()], kind, zeros));
        let mut floats = node("DequantizeLinear", &[&integers, &scale, &zero], name);
        floats.attribute.push(int("axis", 0));
        self.nodes.push(floats);
        name.to_owned()
    }
}

/// A convolution's weights as integers, with one scale per output channel.
struct Integers {
    values: Vec<i8>,
    scales: Vec<f32>,
}

impl Integers {
    fn of(weight: &Constant, largest: f32) -> Self {
        let each = weight.values.len() / weight.shape[0];
        let (mut values, mut scales) = (Vec::with_capacity(weight.values.len()), Vec::with_capacity(weight.shape[0]));
        for channel in weight.values.chunks_exact(each) {
            let highest = channel.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            // A channel of zeros gets any scale.
            let scale = if highest > 0.0 { highest / largest } else { 1.0 };
            values.extend(channel.iter().map(|value| (value / scale).round().clamp(-largest, largest) as i8));
            scales.push(scale);
        }
        Self { values, scales }
    }
}

/// Subtracts from each bias what the rounding of the weights adds to the mean of its channel.
///
/// `means`: mean of each input channel.
fn correct(biases: &mut [f32], weight: &Constant, values: &[i8], scales: &[f32], means: &[f32]) {
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    let area = weight.shape[2..].iter().product::<usize>();
    // With groups, output channel `c` reads the input channels from `c / (outputs / groups) * inputs` on.
    let groups = (means.len() / inputs).max(1);
    let per_group = (outputs / groups).max(1);
    for (channel, bias) in biases.iter_mut().enumerate() {
        let first = channel / per_group * inputs;
        for input in 0..inputs {
            let Some(mean) = means.get(first + input) else { continue };
            let from = (channel * inputs + input) * area;
            let range = from..from + area;
            let rounded: f32 = values[range.clone()].iter().map(|value| f32::from(*value) * scales[channel]).sum();
            let exact: f32 = weight.values[range].iter().sum();
            *bias -= (rounded - exact) * mean;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_take_back_what_rounding_adds() {
        // Two groups of one input channel each, one weight per output channel.
        let weight = Constant { shape: vec![2, 1, 1, 1], values: vec![0.5, 1.0] };
        let integers = Integers { values: vec![1, 1], scales: vec![0.75, 0.75] };
        let mut biases = vec![0.0, 10.0];
        correct(&mut biases, &weight, &integers.values, &integers.scales, &[2.0, 4.0]);
        assert_eq!(biases, [-0.5, 11.0], "0.25 too much times 2, 0.25 too little times 4");
    }

    #[test]
    fn each_output_channel_has_its_own_scale() {
        let weight = Constant { shape: vec![2, 1, 1, 2], values: vec![63.0, -31.0, 0.0, 0.0] };
        let Integers { values, scales } = Integers::of(&weight, 63.0);
        assert_eq!((values, scales), (vec![63, -31, 0, 0], vec![1.0, 1.0]));
    }
}
