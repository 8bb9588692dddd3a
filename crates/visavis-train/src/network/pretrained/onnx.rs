//! Loads weights from ONNX files, in which normalisations are usually folded into the convolutions before them.

use std::collections::HashMap;

use half::f16;
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::network::{Affine, Layer, Network, Norm, ParameterId, Parameters, Taken};
use crate::numbers::{from_bytes, volume};

/// A constant tensor of a graph.
#[derive(Debug, Clone)]
struct Constant {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The parameters of one operator; operators are in the order in which the graph runs them.
enum Operator {
    /// Convolution or fully connected layer.
    Affine { weight: Constant, bias: Option<Constant> },
    /// Slopes of a parametric rectifier.
    Slope(Constant),
}

/// The parameter of the network that receives a bias.
enum Slot {
    Affine { weight: ParameterId, bias: Bias },
    Slope(ParameterId),
}

enum Bias {
    /// The bias of the layer itself.
    Own(ParameterId),
    /// The shift of the normalisation that follows.
    Norm(Norm),
    /// There is none.
    None,
}

/// Loads the weights of an ONNX file: by name if the file has every parameter's name, else operator by operator in the order in
/// which both graphs run, with their shapes compared. A normalisation is set to add only the bias of the file.
///
/// `swap_colours`: the file's network takes blue first, so the input channels of the first convolution are swapped.
///
/// # Errors
/// A text that names the first operator that does not fit.
pub(super) fn take(
    network: &Network,
    parameters: &mut Parameters,
    bytes: &[u8],
    swap_colours: bool,
) -> Result<Taken, String> {
    let model = ModelProto::decode(bytes).map_err(|error| format!("this is no ONNX file: {error}"))?;
    let graph = model.graph.ok_or("the ONNX file has no graph")?;
    let constants = constants(&graph)?;
    let has = |name: &String| constants.contains_key(name.as_str());
    let mut taken = if parameters.all().iter().all(|parameter| has(&parameter.name)) {
        let tensors = constants.into_values().map(|constant| (constant.name, (constant.shape, constant.values)));
        parameters.take(tensors.collect())
    } else {
        by_order(&slots(network)?, parameters, operators(&graph, &constants))?
    };
    if swap_colours {
        let first = network.layers().into_iter().find_map(|layer| match layer {
            Layer::Convolution { weight, .. } => Some(*weight),
            _ => None,
        });
        let weight = first.map(|id| parameters.get_mut(id)).filter(|weight| weight.shape[1] == 3);
        let weight = weight.ok_or("the first convolution does not take three colours")?;
        let plane = weight.shape[2] * weight.shape[3];
        for filter in weight.value.chunks_exact_mut(3 * plane) {
            let (first, rest) = filter.split_at_mut(plane);
            first.swap_with_slice(&mut rest[plane..]);
        }
        taken.mapping.push(format!("{}: red and blue swapped", weight.name));
    }
    Ok(taken)
}

/// All constant float tensors by name, including those followed by `Cast` or `Identity`.
fn constants(graph: &GraphProto) -> Result<HashMap<String, Constant>, String> {
    let mut constants = HashMap::new();
    for tensor in &graph.initializer {
        if let Some(constant) = floats(&tensor.name, tensor)? {
            constants.insert(tensor.name.clone(), constant);
        }
    }
    for node in &graph.node {
        let Some(output) = node.output.first() else { continue };
        match node.op_type.as_str() {
            "Constant" => {
                let tensor = node.attribute.iter().find(|attribute| attribute.name == "value");
                if let Some(tensor) = tensor.and_then(|attribute| attribute.t.as_ref())
                    && let Some(constant) = floats(output, tensor)?
                {
                    constants.insert(output.clone(), constant);
                }
            }
            "Cast" | "Identity" => {
                if let Some(constant) = node.input.first().and_then(|input| constants.get(input)) {
                    constants.insert(output.clone(), constant.clone());
                }
            }
            _ => {}
        }
    }
    Ok(constants)
}

fn floats(name: &str, tensor: &TensorProto) -> Result<Option<Constant>, String> {
    let raw = &tensor.raw_data;
    let values: Vec<f32> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) if raw.is_empty() => tensor.float_data.clone(),
        Ok(DataType::Float) => from_bytes(raw),
        Ok(DataType::Float16) if raw.is_empty() => {
            tensor.int32_data.iter().map(|bits| f16::from_bits(*bits as u16).to_f32()).collect()
        }
        Ok(DataType::Float16) => {
            raw.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect()
        }
        _ => return Ok(None),
    };
    let shape: Vec<usize> = tensor.dims.iter().map(|extent| usize::try_from(*extent).unwrap_or(0)).collect();
    if volume(&tensor.dims) != Some(values.len()) {
        return Err(format!("tensor `{name}` of shape {shape:?} has {} values", values.len()));
    }
    Ok(Some(Constant { name: name.to_owned(), shape, values }))
}

/// The operators with parameters, in the order of the graph. A constant `Add` after a convolution without bias is its bias.
fn operators(graph: &GraphProto, constants: &HashMap<String, Constant>) -> Vec<Operator> {
    let mut found: Vec<Operator> = Vec::new();
    // Outputs of convolutions without bias, with their index in `found`.
    let mut open: HashMap<&str, usize> = HashMap::new();
    let constant = |node: &NodeProto, at: usize| node.input.get(at).and_then(|input| constants.get(input)).cloned();
    for node in &graph.node {
        match node.op_type.as_str() {
            "Conv" | "Gemm" => {
                let Some(weight) = constant(node, 1) else { continue };
                let bias = constant(node, 2);
                if let (None, Some(output)) = (&bias, node.output.first()) {
                    open.insert(output, found.len());
                }
                found.push(Operator::Affine { weight, bias });
            }
            "Add" => {
                let pair = [(0, 1), (1, 0)].into_iter().find_map(|(of, with)| {
                    let place = open.remove(node.input.get(of)?.as_str())?;
                    Some((place, constant(node, with)?))
                });
                if let Some((place, value)) = pair
                    && let Operator::Affine { bias, .. } = &mut found[place]
                {
                    *bias = Some(value);
                }
            }
            "PRelu" => found.extend(constant(node, 1).map(Operator::Slope)),
            _ => {}
        }
    }
    found
}

fn slots(network: &Network) -> Result<Vec<Slot>, String> {
    let layers = network.layers();
    let mut slots = Vec::new();
    let mut folded: Option<Norm> = None;
    for (at, layer) in layers.iter().enumerate() {
        let behind = match layers.get(at + 1) {
            Some(Layer::Norm(norm)) => Bias::Norm(*norm),
            _ => Bias::None,
        };
        match layer {
            Layer::Convolution { weight, bias, .. } | Layer::Depthwise { weight, bias, .. } => {
                let bias = bias.map_or(behind, Bias::Own);
                folded = if let Bias::Norm(norm) = &bias { Some(*norm) } else { None };
                slots.push(Slot::Affine { weight: *weight, bias });
            }
            Layer::SqueezeExcite { reduce, expand, slope } => {
                let affine = |affine: &Affine| Slot::Affine { weight: affine.weight, bias: Bias::Own(affine.bias) };
                slots.push(affine(reduce));
                slots.extend(slope.map(Slot::Slope));
                slots.push(affine(expand));
            }
            Layer::Linear(affine) => {
                slots.push(Slot::Affine { weight: affine.weight, bias: Bias::Own(affine.bias) });
            }
            Layer::PRelu { slope } => slots.push(Slot::Slope(*slope)),
            Layer::Norm(norm) if folded != Some(*norm) => {
                return Err("a normalisation of this network has no convolution before it to take a bias from".into());
            }
            _ => {}
        }
    }
    Ok(slots)
}

fn by_order(slots: &[Slot], parameters: &mut Parameters, operators: Vec<Operator>) -> Result<Taken, String> {
    if operators.len() != slots.len() {
        return Err(format!(
            "the file has {} operators with weights and this network {}: it belongs to another one",
            operators.len(),
            slots.len()
        ));
    }
    let mut taken = Taken::default();
    for (number, (slot, operator)) in (1..).zip(slots.iter().zip(operators)) {
        match (slot, operator) {
            (Slot::Affine { weight, bias }, Operator::Affine { weight: values, bias: added }) => {
                fill(parameters, *weight, values, &mut taken)
                    .map_err(|reason| format!("operator {number}: {reason}"))?;
                let id = match bias {
                    Bias::Own(id) => Some(*id),
                    Bias::Norm(norm) => {
                        set(parameters, norm.scale, 1.0);
                        set(parameters, norm.mean, 0.0);
                        set(parameters, norm.variance, (1.0 - norm.epsilon) as f32);
                        Some(norm.shift)
                    }
                    Bias::None => None,
                };
                match (id, added) {
                    (Some(id), Some(values)) => fill(parameters, id, values, &mut taken)
                        .map_err(|reason| format!("operator {number}: {reason}"))?,
                    (Some(id), None) => set(parameters, id, 0.0),
                    (None, Some(values)) if values.values.iter().any(|value| *value != 0.0) => {
                        return Err(format!(
                            "operator {number} of the file adds `{}`, for which this network has no place",
                            values.name
                        ));
                    }
                    (None, _) => {}
                }
            }
            (Slot::Slope(slope), Operator::Slope(values)) => {
                fill(parameters, *slope, values, &mut taken)
                    .map_err(|reason| format!("operator {number}: {reason}"))?;
            }
            (slot, _) => {
                let name = match slot {
                    Slot::Affine { weight, .. } => *weight,
                    Slot::Slope(slope) => *slope,
                };
                return Err(format!(
                    "operator {number} of the file is of another kind than `{}` of this network",
                    parameters.get(name).name
                ));
            }
        }
    }
    Ok(taken)
}

fn set(parameters: &mut Parameters, id: ParameterId, value: f32) {
    parameters.get_mut(id).value.fill(value);
}

/// Axes of size 1 are ignored: a bias may be `[C]` or `[1, C, 1, 1]`. A single value fills the whole parameter.
fn fill(parameters: &mut Parameters, id: ParameterId, from: Constant, taken: &mut Taken) -> Result<(), String> {
    let parameter = parameters.get_mut(id);
    let essential = |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|extent| *extent != 1).collect() };
    if essential(&parameter.shape) == essential(&from.shape) {
        parameter.value = from.values;
    } else if let [value] = from.values[..] {
        parameter.value.fill(value);
    } else {
        return Err(format!(
            "`{}` is {:?} in the file and `{}` {:?} in this network",
            from.name, from.shape, parameter.name, parameter.shape
        ));
    }
    taken.mapping.push(format!("{} {:?} from {}", parameter.name, parameter.shape, from.name));
    taken.filled.push(parameter.name.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::{YunetPlan, infer, yunet};
    use crate::export::{Precision, onnx};
    use crate::network::{Role, fold_norms, onet};
    use visavis_infer::Tensor;

    /// Random statistics, scales and shifts too, so that an error in folding shows.
    fn shaken(mut parameters: Parameters) -> Parameters {
        let mut random = fastrand::Rng::with_seed(3);
        for parameter in parameters.all_mut() {
            if parameter.role != Role::Weight {
                parameter.value.iter_mut().for_each(|value| *value += 0.3 * random.f32());
            }
        }
        parameters
    }

    #[test]
    fn an_exported_network_is_read_back_by_order() {
        let plan = YunetPlan { width: 0.5 };
        let (network, parameters) = yunet(plan, 1).unwrap();
        let parameters = shaken(parameters);
        let (_, mut other) = yunet(plan, 2).unwrap();
        let file = onnx(&network, &parameters, Precision::Single);
        let taken = take(&network, &mut other, &file, false).unwrap();
        assert!(taken.mapping.iter().any(|line| line.contains("backbone.model0.conv1.weight [8, 3, 3, 3]")));
        let mut random = fastrand::Rng::with_seed(9);
        let data: Vec<f32> = (0..3 * 64 * 96).map(|_| random.f32() * 255.0).collect();
        let picture = Tensor { shape: vec![1, 3, 64, 96], data };
        let far = |a: &[Tensor], b: &[Tensor]| {
            let pairs = a.iter().zip(b).flat_map(|(a, b)| a.data.iter().zip(&b.data));
            pairs.map(|(a, b)| (a - b).abs() / (1.0 + a.abs())).fold(0.0, f32::max)
        };
        let expected = infer(&network, &parameters, &picture);
        let found = far(&expected, &infer(&network, &other, &picture));
        // Rounding adds up over the layers; a swapped pair of operators gives differences of 0.1 and more.
        assert!(found < 1e-3, "{found}");

        // With swapped colours it gives the same for a picture with swapped colours.
        take(&network, &mut other, &file, true).unwrap();
        let mut swapped = picture;
        let plane = 64 * 96;
        for at in 0..plane {
            swapped.data.swap(at, at + 2 * plane);
        }
        assert!(far(&expected, &infer(&network, &other, &swapped)) < 1e-3);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let (network, parameters) = yunet(YunetPlan { width: 0.5 }, 1).unwrap();
        let file = onnx(&network, &parameters, Precision::Single);
        let (wider, mut other) = yunet(YunetPlan { width: 1.0 }, 1).unwrap();
        let reason = take(&wider, &mut other, &file, false).unwrap_err();
        assert!(reason.contains("operator 1") && reason.contains("backbone.model0.conv1.weight"), "{reason}");
        let (network, mut other) = onet(1);
        let reason = take(&network, &mut other, &file, false).unwrap_err();
        assert!(reason.contains("it belongs to another one"), "{reason}");
        assert!(take(&network, &mut other, &file[..file.len() / 2], false).is_err());
    }

    #[test]
    fn a_tensor_of_more_values_than_fit_is_refused() {
        let (network, mut parameters) = yunet(YunetPlan { width: 0.5 }, 1).unwrap();
        let mut model = ModelProto::decode(&onnx(&network, &parameters, Precision::Single)[..]).unwrap();
        for dims in [vec![i64::MAX, i64::MAX], vec![-1, -1]] {
            model.graph.as_mut().unwrap().initializer[0].dims = dims;
            let reason = take(&network, &mut parameters, &model.encode_to_vec(), false).unwrap_err();
            assert!(reason.contains("has") && reason.contains("values"), "{reason}");
        }
    }

    #[test]
    fn slopes_and_fully_connected_layers_are_read() {
        let (network, parameters) = onet(1);
        let (_, mut other) = onet(2);
        let file = onnx(&network, &shaken(parameters.clone()), Precision::Half);
        take(&network, &mut other, &file, false).unwrap();
        // The file has no normalisations.
        let mut parameters = shaken(parameters);
        fold_norms(&network, &mut parameters);
        for (expected, found) in parameters.all().iter().zip(other.all()) {
            let away = expected.value.iter().zip(&found.value).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(away < 2e-3, "{}: {away}", expected.name);
        }
    }
}
