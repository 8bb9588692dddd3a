//! Exports a network as an ONNX graph; normalisations are folded into the convolutions before them.

use half::f16;
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

use crate::detector::{BOXES, SCORES};
use crate::network::{Affine, CellOutput, Layer, Network, Norm, ParameterId, Parameters, folded};
use crate::numbers::to_bytes;
use crate::ops::{Activation, Window};

/// Name of the input tensor, `[N, 3, side, side]`, or `[N, 3, H, W]` for a detector.
pub const INPUT: &str = "picture";

/// Operator set 13: the first whose `Softmax` works on one axis; all recent engines support it.
const OPERATORS: i64 = 13;
/// The file format that belongs to it.
const FORMAT: i64 = 8;

/// Smaller tensors stay 32-bit, since 16 bits would save little.
pub(crate) const HALVED_FROM: usize = 256;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    Single,
    /// 16-bit floats, cast to 32-bit when the network is loaded: half the file, the same arithmetic.
    Half,
}

/// Converts the network to an ONNX file.
#[must_use]
pub fn onnx(network: &Network, parameters: &Parameters, precision: Precision) -> Vec<u8> {
    let mut graph = Graph { parameters, precision, nodes: Vec::new(), weights: Vec::new(), made: 0 };
    let (input, outputs) = match &network.regions {
        Some(regions) => graph.two_stages(&network.levels[0], regions),
        None if !network.pyramid.is_empty() => graph.pyramid(network),
        None if network.levels.is_empty() => graph.heads(network),
        None => graph.levels(network),
    };
    let model = ModelProto {
        ir_version: FORMAT,
        producer_name: "visavis".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATORS }],
        graph: Some(GraphProto {
            name: "network".into(),
            node: graph.nodes,
            initializer: graph.weights,
            input: vec![input],
            output: outputs,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

/// Number of outputs of a head: that of its last fully connected layer or convolution.
fn width(parameters: &Parameters, layers: &[Layer]) -> usize {
    let last = layers.iter().rev().find_map(|layer| match layer {
        Layer::Linear(Affine { weight, .. }) | Layer::Convolution { weight, .. } => {
            Some(parameters.get(*weight).shape[0])
        }
        _ => None,
    });
    last.expect("a head has a fully connected layer or a convolution")
}

/// A tensor of the graph.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) name: String,
    /// `[N, C, H, W]` rather than `[N, F]`.
    planes: bool,
}

impl Value {
    pub(super) fn planes(name: String) -> Self {
        Self { name, planes: true }
    }

    fn features(name: String) -> Self {
        Self { name, planes: false }
    }
}

pub(super) struct Graph<'a> {
    parameters: &'a Parameters,
    precision: Precision,
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    made: usize,
}

impl Graph<'_> {
    /// Adds a whole face network; returns its inputs and outputs.
    fn heads(&mut self, network: &Network) -> (ValueInfoProto, Vec<ValueInfoProto>) {
        let features = self.sequence(&network.body, Value::planes(INPUT.into()));
        let branched = network.heads.iter().any(|head| head.on_branch);
        let branch = self.sequence(if branched { &network.branch } else { &[] }, features.clone());
        let outputs = network.heads.iter().map(|head| {
            let made = self.sequence(&head.layers, if head.on_branch { &branch } else { &features }.clone());
            self.push("Identity", &[&made.name], &[], Some(&head.name));
            value_info(&head.name, &[Extent::Free("N"), Extent::Fixed(width(self.parameters, &head.layers))])
        });
        let outputs = outputs.collect();
        let side = Extent::Fixed(network.side);
        (value_info(INPUT, &[Extent::Free("N"), Extent::Fixed(3), side, side]), outputs)
    }

    /// Adds a whole detector: `[N, C, H, W]` of each level becomes one row per place, and all levels are concatenated.
    fn levels(&mut self, network: &Network) -> (ValueInfoProto, Vec<ValueInfoProto>) {
        let (mut scores, mut boxes, mut planes) = (Vec::new(), Vec::new(), Value::planes(INPUT.into()));
        for level in &network.levels {
            planes = self.sequence(&level.features, planes);
            let shared = self.sequence(&level.shared, planes.clone());
            for (layers, columns, all) in [(&level.scores, 1, &mut scores), (&level.boxes, 4, &mut boxes)] {
                let said = self.sequence(layers, shared.clone());
                let turned = self.push("Transpose", &[&said.name], &[ints("perm", &[0, 2, 3, 1])], None);
                let shape = self.whole(&[0, -1, columns]);
                all.push(self.push("Reshape", &[&turned, &shape], &[], None));
            }
        }
        let outputs = [(SCORES, scores, 1), (BOXES, boxes, 4)].map(|(name, parts, columns)| {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.push("Concat", &parts, &[int("axis", 1)], Some(name));
            value_info(name, &[Extent::Free("N"), Extent::Free("anchors"), Extent::Fixed(columns)])
        });
        let input = [Extent::Free("N"), Extent::Fixed(3), Extent::Free("H"), Extent::Free("W")];
        (value_info(INPUT, &input), outputs.into())
    }

    /// Adds a whole anchor-free detector: class and object scores after the sigmoid, boxes and keypoints, level by level.
    fn pyramid(&mut self, network: &Network) -> (ValueInfoProto, Vec<ValueInfoProto>) {
        let mut planes = Vec::new();
        let mut finer = Value::planes(INPUT.into());
        for level in &network.pyramid {
            finer = self.sequence(&level.features, finer);
            planes.push(finer.clone());
        }
        let mut merged = Vec::new();
        let mut coarser: Option<Value> = None;
        for (level, own) in network.pyramid.iter().zip(planes).rev() {
            let sum = match coarser.take() {
                Some(planes) => {
                    let (region, scales) = (self.weight(&[0], &[]), self.weight(&[4], &[1.0, 1.0, 2.0, 2.0]));
                    let attributes = [
                        text("mode", "nearest"),
                        text("coordinate_transformation_mode", "asymmetric"),
                        text("nearest_mode", "floor"),
                    ];
                    let enlarged = self.push("Resize", &[&planes.name, &region, &scales], &attributes, None);
                    Value::planes(self.push("Add", &[&own.name, &enlarged], &[], None))
                }
                None => own,
            };
            let planes = self.sequence(&level.lateral, sum);
            coarser = Some(planes.clone());
            merged.push(planes);
        }
        merged.reverse();
        let levels = network.pyramid.iter().zip(merged);
        let shared: Vec<Value> = levels.map(|(level, planes)| self.sequence(&level.shared, planes)).collect();
        // In the order of `Network::layers`, so that the file can be loaded by order.
        for output in [CellOutput::Class, CellOutput::Box, CellOutput::Object, CellOutput::Keypoints] {
            for (level, shared) in network.pyramid.iter().zip(&shared) {
                let predicted = self.sequence(&level.outputs[output as usize], shared.clone());
                let turned = self.push("Transpose", &[&predicted.name], &[ints("perm", &[0, 2, 3, 1])], None);
                let (name, shape) = (output.tensor(level.stride), self.whole(&[0, -1, output.columns() as i64]));
                match output {
                    CellOutput::Class | CellOutput::Object => {
                        let scores = self.push("Reshape", &[&turned, &shape], &[], None);
                        self.push("Sigmoid", &[&scores], &[], Some(&name));
                    }
                    CellOutput::Box | CellOutput::Keypoints => {
                        self.push("Reshape", &[&turned, &shape], &[], Some(&name));
                    }
                }
            }
        }
        // Each level has its own number of cells.
        let named = network.pyramid.iter().zip(CELLS).flat_map(|(level, cells)| {
            CellOutput::ALL.map(|output| {
                let extents = [Extent::Free("N"), Extent::Free(cells), Extent::Fixed(output.columns())];
                value_info(&output.tensor(level.stride), &extents)
            })
        });
        let outputs = named.collect();
        let input = [Extent::Free("N"), Extent::Fixed(3), Extent::Free("H"), Extent::Free("W")];
        (value_info(INPUT, &input), outputs)
    }

    /// A list of integers.
    pub(super) fn whole(&mut self, values: &[i64]) -> String {
        self.integers(&[values.len() as i64], values)
    }

    /// An integer.
    pub(super) fn whole_number(&mut self, value: i64) -> String {
        self.integers(&[], &[value])
    }

    fn integers(&mut self, shape: &[i64], values: &[i64]) -> String {
        self.made += 1;
        let name = format!("numbers_{}", self.made);
        self.weights.push(TensorProto {
            name: name.clone(),
            dims: shape.to_vec(),
            data_type: DataType::Int64 as i32,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name
    }

    pub(super) fn sequence(&mut self, layers: &[Layer], mut value: Value) -> Value {
        let mut rest = layers;
        while let [layer, behind @ ..] = rest {
            rest = behind;
            let norm = match (layer, rest.first()) {
                (Layer::Convolution { .. } | Layer::Depthwise { .. }, Some(Layer::Norm(norm))) => {
                    rest = &rest[1..];
                    Some(norm)
                }
                _ => None,
            };
            value = self.layer(layer, norm, value);
        }
        value
    }

    fn layer(&mut self, layer: &Layer, norm: Option<&Norm>, value: Value) -> Value {
        match layer {
            Layer::Convolution { weight, bias, window } => self.convolution(*weight, *bias, *window, 1, norm, &value),
            Layer::Depthwise { weight, bias, window } => {
                let groups = self.parameters.get(*weight).shape[0];
                self.convolution(*weight, *bias, *window, groups, norm, &value)
            }
            Layer::Norm(norm) => {
                let (factor, offset) = folded(self.parameters, norm);
                let (factor, offset) = (self.channels(&factor), self.channels(&offset));
                let scaled = self.push("Mul", &[&value.name, &factor], &[], None);
                let shifted = self.push("Add", &[&scaled, &offset], &[], None);
                Value::planes(self.activation(shifted, norm.activation))
            }
            Layer::Activate(activation) => {
                Value { name: self.activation(value.name, *activation), planes: value.planes }
            }
            Layer::PRelu { slope } if self.parameters.get(*slope).value.len() == 1 => {
                Value { name: self.leaky(value.name, *slope), planes: value.planes }
            }
            Layer::PRelu { slope } => {
                let slopes = self.parameters.get(*slope).value.clone();
                let slopes = if value.planes { self.channels(&slopes) } else { self.weight(&[slopes.len()], &slopes) };
                Value { name: self.push("PRelu", &[&value.name, &slopes], &[], None), planes: value.planes }
            }
            Layer::MaxPool { window } => {
                Value::planes(self.push("MaxPool", &[&value.name], &window_attributes(*window), None))
            }
            Layer::Residual { body, shortcut, activation } => {
                let long = self.sequence(body, value.clone());
                let short = self.sequence(shortcut, value);
                let sum = self.push("Add", &[&long.name, &short.name], &[], None);
                Value::planes(self.activation(sum, *activation))
            }
            Layer::SqueezeExcite { reduce, expand, slope } => {
                let mean = self.push("GlobalAveragePool", &[&value.name], &[], None);
                let squeezed = self.pointwise(reduce, &mean);
                let squeezed = match slope {
                    Some(slope) => self.leaky(squeezed, *slope),
                    None => self.activation(squeezed, Activation::Silu),
                };
                let wide = self.pointwise(expand, &squeezed);
                let gate = self.push("Sigmoid", &[&wide], &[], None);
                Value::planes(self.push("Mul", &[&value.name, &gate], &[], None))
            }
            Layer::GlobalPool => {
                let mean = self.push("GlobalAveragePool", &[&value.name], &[], None);
                Value::features(self.push("Flatten", &[&mean], &[int("axis", 1)], None))
            }
            Layer::Flatten => Value::features(self.push("Flatten", &[&value.name], &[int("axis", 1)], None)),
            Layer::Linear(affine) => {
                let (weight, bias) = (self.stored(affine.weight), self.stored(affine.bias));
                Value::features(self.push("Gemm", &[&value.name, &weight, &bias], &[int("transB", 1)], None))
            }
            Layer::Dropout { .. } => value,
            Layer::Softmax => Value::features(self.push("Softmax", &[&value.name], &[int("axis", 1)], None)),
            Layer::UnitLength => {
                let keep = [ints("axes", &[1]), int("keepdims", 1)];
                let length = self.push("ReduceL2", &[&value.name], &keep, None);
                Value::features(self.push("Div", &[&value.name, &length], &[], None))
            }
        }
    }

    fn convolution(
        &mut self,
        weight: ParameterId,
        bias: Option<ParameterId>,
        window: Window,
        groups: usize,
        norm: Option<&Norm>,
        value: &Value,
    ) -> Value {
        let kernel = self.parameters.get(weight);
        let outputs = kernel.shape[0];
        let mut numbers = kernel.value.clone();
        let mut offsets = bias.map_or_else(|| vec![0.0; outputs], |bias| self.parameters.get(bias).value.clone());
        if let Some(norm) = norm {
            let (factors, shifts) = folded(self.parameters, norm);
            let each = numbers.len() / outputs;
            for (numbers, factor) in numbers.chunks_exact_mut(each).zip(&factors) {
                numbers.iter_mut().for_each(|number| *number *= factor);
            }
            for ((offset, factor), shift) in offsets.iter_mut().zip(&factors).zip(&shifts) {
                *offset = *offset * factor + shift;
            }
        }
        let (weight, bias) = (self.weight(&kernel.shape, &numbers), self.weight(&[outputs], &offsets));
        let mut attributes = window_attributes(window);
        attributes.push(int("group", groups as i64));
        let name = self.push("Conv", &[&value.name, &weight, &bias], &attributes, None);
        Value::planes(self.activation(name, norm.map_or(Activation::Identity, |norm| norm.activation)))
    }

    fn pointwise(&mut self, affine: &Affine, input: &str) -> String {
        let (weight, bias) = (self.stored(affine.weight), self.stored(affine.bias));
        self.push("Conv", &[input, &weight, &bias], &window_attributes(Window::valid(1, 1)), None)
    }

    /// A rectifier with one slope for all channels. ONNX Runtime computes `LeakyRelu` within the convolution before it, but
    /// `PRelu` in a separate pass.
    fn leaky(&mut self, name: String, slope: ParameterId) -> String {
        let slope = self.parameters.get(slope).value[0];
        self.push("LeakyRelu", &[&name], &[float("alpha", slope)], None)
    }

    fn activation(&mut self, name: String, activation: Activation) -> String {
        match activation {
            Activation::Identity => name,
            Activation::Relu => self.push("Relu", &[&name], &[], None),
            Activation::Relu6 => {
                let (low, high) = (self.weight(&[], &[0.0]), self.weight(&[], &[6.0]));
                self.push("Clip", &[&name, &low, &high], &[], None)
            }
            Activation::Silu => {
                let gate = self.push("Sigmoid", &[&name], &[], None);
                self.push("Mul", &[&name, &gate], &[], None)
            }
        }
    }

    pub(super) fn push(
        &mut self,
        kind: &str,
        inputs: &[&str],
        attributes: &[AttributeProto],
        output: Option<&str>,
    ) -> String {
        let output = output.map_or_else(|| self.name(kind), str::to_owned);
        self.node(kind, inputs, attributes, std::slice::from_ref(&output));
        output
    }

    /// An operator with two outputs.
    pub(super) fn push_two(&mut self, kind: &str, inputs: &[&str], attributes: &[AttributeProto]) -> [String; 2] {
        let outputs = [self.name(kind), self.name(kind)];
        self.node(kind, inputs, attributes, &outputs);
        outputs
    }

    fn name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{}_{}", kind.to_lowercase(), self.made)
    }

    fn node(&mut self, kind: &str, inputs: &[&str], attributes: &[AttributeProto], outputs: &[String]) {
        self.nodes.push(NodeProto {
            op_type: kind.into(),
            name: format!("make_{}", outputs[0]),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: outputs.to_vec(),
            attribute: attributes.to_vec(),
            ..NodeProto::default()
        });
    }

    fn stored(&mut self, id: ParameterId) -> String {
        let parameter = self.parameters.get(id);
        self.weight(&parameter.shape, &parameter.value)
    }

    /// `[C, 1, 1]`, which broadcasts to `[N, C, H, W]`.
    fn channels(&mut self, values: &[f32]) -> String {
        self.weight(&[values.len(), 1, 1], values)
    }

    pub(super) fn weight(&mut self, shape: &[usize], values: &[f32]) -> String {
        self.made += 1;
        let name = format!("weight_{}", self.made);
        let halved = self.precision == Precision::Half && values.len() >= HALVED_FROM;
        let (kind, raw) = if halved {
            (DataType::Float16, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect())
        } else {
            (DataType::Float, to_bytes(values))
        };
        self.weights.push(TensorProto {
            name: name.clone(),
            dims: shape.iter().map(|extent| *extent as i64).collect(),
            data_type: kind as i32,
            raw_data: raw,
            ..TensorProto::default()
        });
        if halved { self.push("Cast", &[&name], &[int("to", DataType::Float as i64)], None) } else { name }
    }
}

pub(super) fn window_attributes(window: Window) -> Vec<AttributeProto> {
    let Window { kernel, stride, padding: [before, behind] } = window;
    let [kernel, stride, before, behind] = [kernel, stride, before, behind].map(|number| number as i64);
    vec![
        ints("kernel_shape", &[kernel, kernel]),
        ints("strides", &[stride, stride]),
        ints("pads", &[before, before, behind, behind]),
    ]
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..AttributeProto::default() }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f: value, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto { name: name.into(), r#type: kind, ints: values.to_vec(), ..AttributeProto::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    let kind = AttributeType::String as i32;
    AttributeProto { name: name.into(), r#type: kind, s: value.into(), ..AttributeProto::default() }
}

/// Names of the axes for the numbers of cells in a pyramid's levels.
const CELLS: [&str; 3] = ["fine_cells", "middle_cells", "coarse_cells"];

/// The size of an axis.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    Fixed(usize),
    /// Known when the network runs; axes with the same name have the same size.
    Free(&'static str),
}

/// A tensor of 32-bit floats.
pub(super) fn value_info(name: &str, extents: &[Extent]) -> ValueInfoProto {
    let dim = extents.iter().map(|extent| {
        let value = match extent {
            Extent::Fixed(extent) => dimension::Value::DimValue(*extent as i64),
            Extent::Free(name) => dimension::Value::DimParam((*name).into()),
        };
        Dimension { value: Some(value), ..Dimension::default() }
    });
    let shape = TensorShapeProto { dim: dim.collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let value = type_proto::Value::TensorType(tensor);
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(value), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
