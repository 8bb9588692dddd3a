//! An ONNX graph with its constants as 32-bit floats.

use std::collections::{HashMap, HashSet};

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, ValueInfoProto};

use crate::TrainError;
use crate::numbers::{from_bytes, volume};

/// Fully connected layers with fewer weights stay 32-bit: they are the last ones of the heads.
const LARGE: usize = 1 << 16;

/// The kinds of operators that can calculate with integers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnnxOperator {
    /// A convolution or a large fully connected layer, with constant weights `[outputs, inputs, …]` and a bias `[outputs]` or none.
    Affine,
    /// Each output value depends on one value of each input, or on their mean.
    Elementwise,
    /// A rectifier that a range from 0 replaces.
    Rectifier,
}

impl OnnxOperator {
    pub(super) fn of(graph: &Graph, node: &NodeProto) -> Option<Self> {
        match node.op_type.as_str() {
            "Conv" => affine_weight(graph, node).map(|_| Self::Affine),
            "Gemm" => {
                let weight = affine_weight(graph, node)?;
                let transposed = node.attribute.iter().any(|attribute| attribute.name == "transB" && attribute.i == 1);
                (transposed && weight.values.len() >= LARGE).then_some(Self::Affine)
            }
            "Add" | "Mul" | "LeakyRelu" | "Sigmoid" | "GlobalAveragePool" => Some(Self::Elementwise),
            "Relu" => Some(Self::Rectifier),
            "Clip" => {
                let lowest = node.input.get(1).and_then(|name| graph.constant(name));
                lowest.filter(|lowest| lowest.values == [0.0]).map(|_| Self::Rectifier)
            }
            _ => None,
        }
    }
}

/// The weights of a convolution or a fully connected layer, if they are constant and have the shape of such weights.
fn affine_weight<'a>(graph: &'a Graph, node: &NodeProto) -> Option<&'a Constant> {
    let weight = graph.constant(node.input.get(1)?)?;
    let outputs = *weight.shape.first()?;
    let bias = node.input.get(2).and_then(|name| graph.constant(name));
    let fits =
        weight.shape.len() >= 2 && !weight.values.is_empty() && bias.is_none_or(|bias| bias.values.len() == outputs);
    fits.then_some(weight)
}

/// A constant tensor.
pub(super) struct Constant {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// The nodes of a network, without casts of constants.
pub(super) struct Graph {
    pub(super) nodes: Vec<NodeProto>,
    /// Name and type of the input.
    pub(super) input: ValueInfoProto,
    /// Names of the outputs.
    pub(super) outputs: Vec<String>,
    constants: HashMap<String, Constant>,
    /// Constants that are no floats, such as shapes.
    pub(super) others: Vec<TensorProto>,
    producers: HashMap<String, usize>,
    uses: HashMap<String, usize>,
}

impl Graph {
    /// Reads a network with one input. Every node has an output; those that can be quantised have an input.
    pub(super) fn read(model: &ModelProto) -> Result<Self, TrainError> {
        let proto = model.graph.as_ref().ok_or_else(|| TrainError::weights("the ONNX file has no graph"))?;
        let (mut constants, mut others) = (HashMap::new(), Vec::new());
        for tensor in &proto.initializer {
            match floats(tensor)? {
                Some(constant) => _ = constants.insert(tensor.name.clone(), constant),
                None => others.push(tensor.clone()),
            }
        }
        let mut nodes: Vec<NodeProto> = Vec::new();
        for node in &proto.node {
            if node.output.is_empty() || node.input.is_empty() && node.op_type != "Constant" {
                return Err(TrainError::weights(format!(
                    "the node `{}` ({}) has no input or no output",
                    node.name, node.op_type
                )));
            }
            // 16-bit constants are cast when the network is loaded.
            if node.op_type == "Cast"
                && let Some(constant) = constants.remove(&node.input[0])
            {
                constants.insert(node.output[0].clone(), constant);
            } else {
                nodes.push(node.clone());
            }
        }
        let known: HashSet<&str> =
            constants.keys().map(String::as_str).chain(others.iter().map(|other| other.name.as_str())).collect();
        let mut inputs = proto.input.iter().filter(|input| !known.contains(input.name.as_str()));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err(TrainError::weights("only a network with one input can be quantised"));
        };
        let input = input.clone();
        let mut producers = HashMap::new();
        let mut uses: HashMap<String, usize> = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            producers.extend(node.output.iter().map(|name| (name.clone(), index)));
            node.input.iter().for_each(|name| *uses.entry(name.clone()).or_default() += 1);
        }
        // An output of the network must keep its name.
        proto.output.iter().for_each(|output| *uses.entry(output.name.clone()).or_default() += 1);
        let outputs = proto.output.iter().map(|output| output.name.clone()).collect();
        Ok(Self { nodes, input, outputs, constants, others, producers, uses })
    }

    pub(super) fn constant(&self, name: &str) -> Option<&Constant> {
        self.constants.get(name)
    }

    pub(super) fn constants(&self) -> impl Iterator<Item = (&String, &Constant)> {
        self.constants.iter()
    }

    /// Index of the node that writes a tensor.
    pub(super) fn producer(&self, name: &str) -> Option<usize> {
        self.producers.get(name).copied()
    }

    /// How often a tensor is read, by nodes or as output of the network.
    pub(super) fn uses(&self, name: &str) -> usize {
        self.uses.get(name).copied().unwrap_or(0)
    }

    /// Names of a node's inputs that are no constants.
    pub(super) fn activations<'a>(&'a self, node: &'a NodeProto) -> impl Iterator<Item = &'a str> {
        node.input
            .iter()
            .map(String::as_str)
            .filter(|name| *name == self.input.name || self.producers.contains_key(*name))
    }
}

/// The values of a tensor of 32-bit or 16-bit floats; `None` for another type.
fn floats(tensor: &TensorProto) -> Result<Option<Constant>, TrainError> {
    let raw = &tensor.raw_data;
    let values: Vec<f32> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) if raw.is_empty() => tensor.float_data.clone(),
        Ok(DataType::Float) => from_bytes(raw),
        Ok(DataType::Float16) => {
            raw.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect()
        }
        _ => return Ok(None),
    };
    let shape: Vec<usize> = tensor.dims.iter().map(|extent| usize::try_from(*extent).unwrap_or(0)).collect();
    if volume(&tensor.dims) != Some(values.len()) {
        return Err(TrainError::weights(format!(
            "tensor `{}` of shape {shape:?} has {} values",
            tensor.name,
            values.len()
        )));
    }
    Ok(Some(Constant { shape, values }))
}
