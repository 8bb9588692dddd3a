//! Ranges of the tensors of a network, measured on pictures.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::prelude::{
    Datum, InferenceFact, InferenceModelExt, OutletId, Tensor as TractTensor, TractResult, TypedSimplePlan, tvec,
};
use visavis_infer::Tensor;

use super::Plan;
use super::graph::Graph;
use super::rounding::{Rounding, float_tensor};
use crate::TrainError;

/// Number of values of each tensor, per picture, that the search for the best range uses.
const SAMPLED: usize = 256;
/// Ranges that are tried: the observed one, and shorter ones down to this share of it.
const SHORTEST: f32 = 0.3;
const TRIED: usize = 60;

/// What was observed of one tensor.
#[derive(Debug, Clone, Default)]
pub(super) struct TensorRange {
    /// Number of values per channel; 1 for tensors that are not planes.
    pub(super) area: usize,
    lowest: f32,
    highest: f32,
    sample: Vec<f32>,
    /// Sum of all values of each channel.
    sums: Vec<f64>,
    /// Number of values of each channel.
    count: usize,
    rounding: Rounding,
}

impl TensorRange {
    fn add(&mut self, shape: &[usize], values: &[f32], random: &mut fastrand::Rng) {
        // [N, C, H, W] or [N, F].
        let channels = shape.get(1).copied().unwrap_or(1).max(1);
        let pictures = shape.first().copied().unwrap_or(1).max(1);
        self.area = (values.len() / channels / pictures).max(1);
        self.sums.resize(channels, 0.0);
        for (place, plane) in values.chunks_exact(self.area).enumerate() {
            self.sums[place % channels] += plane.iter().map(|value| f64::from(*value)).sum::<f64>();
        }
        self.count += self.area * pictures;
        self.lowest = values.iter().copied().fold(self.lowest, f32::min);
        self.highest = values.iter().copied().fold(self.highest, f32::max);
        if values.len() <= SAMPLED {
            self.sample.extend_from_slice(values);
        } else {
            self.sample.extend((0..SAMPLED).map(|_| values[random.usize(..values.len())]));
        }
    }

    /// The rounding of the tensor.
    pub(super) fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The mean of each channel.
    pub(super) fn means(&self) -> Vec<f32> {
        self.sums.iter().map(|sum| (sum / self.count.max(1) as f64) as f32).collect()
    }

    /// The rounding with the least squared error: clipping rare large values makes the others more precise.
    fn best_rounding(&self) -> Rounding {
        let error = |rounding: Rounding| {
            let errors = self.sample.iter().map(|value| f64::from(value - rounding.rounded(*value)).powi(2));
            errors.sum::<f64>()
        };
        let mut best = Rounding::of(self.lowest, self.highest);
        let mut least = error(best);
        let shares = |_: ()| (0..=TRIED).map(|step| 1.0 - (1.0 - SHORTEST) * step as f32 / TRIED as f32);
        // First both ends, then each end alone.
        let (mut low, mut high) = (1.0, 1.0);
        let mut attempt = |low: f32, high: f32| {
            let rounding = Rounding::of(self.lowest * low, self.highest * high);
            let found = error(rounding);
            let better = found < least;
            if better {
                (least, best) = (found, rounding);
            }
            better
        };
        for share in shares(()) {
            if attempt(share, share) {
                (low, high) = (share, share);
            }
        }
        for share in shares(()) {
            if attempt(share, high) {
                low = share;
            }
        }
        for share in shares(()) {
            attempt(low, share);
        }
        best
    }
}

/// What was observed of all tensors that may be rounded.
pub(super) struct Observed(HashMap<String, TensorRange>);

impl Observed {
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorRange> {
        self.0.get(name)
    }
}

/// Runs the network on pictures and observes the tensors that the plan reads and writes.
pub(super) fn observe(graph: &Graph, plan: &Plan, pictures: &[Tensor]) -> Result<Observed, TrainError> {
    let first = pictures.first().ok_or_else(|| TrainError::weights("there are no pictures to calibrate with"))?;
    let mut names: Vec<&str> = plan.tensors(graph).into_iter().collect();
    let nodes = plan.nodes.iter().map(|&index| graph.nodes[index].output[0].as_str());
    names.extend(nodes.collect::<Vec<_>>());
    names.sort_unstable();
    names.dedup();
    let mut state = guarded(|| compile(graph, &graph.nodes, Vec::new(), &names, &first.shape)?.spawn())?;
    let mut found: HashMap<String, TensorRange> = HashMap::new();
    let mut random = fastrand::Rng::with_seed(1);
    for picture in pictures {
        if picture.shape != first.shape {
            return Err(TrainError::weights(format!(
                "calibration pictures of shapes {:?} and {:?}; all must have one",
                first.shape, picture.shape
            )));
        }
        let input = TractTensor::from_shape(&picture.shape, &picture.data).map_err(failed)?;
        let outputs = guarded(|| state.run(tvec!(input.into())))?;
        for (name, output) in names.iter().zip(&outputs) {
            let plain = output.try_as_plain_ram().map_err(failed)?;
            let values = plain.as_slice::<f32>().map_err(failed)?;
            found.entry((*name).to_owned()).or_default().add(output.shape(), values, &mut random);
        }
    }
    found.values_mut().for_each(|range| range.rounding = range.best_rounding());
    Ok(Observed(found))
}

/// Calls the engine and turns a panic inside it, which unusual networks can cause, into an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> TractResult<T>) -> Result<T, TrainError> {
    let panicked =
        |_| Err(TrainError::weights("the engine that runs the network panicked: the network is not supported"));
    catch_unwind(AssertUnwindSafe(|| call().map_err(failed))).unwrap_or_else(panicked)
}

pub(super) fn failed(error: tract_onnx::prelude::TractError) -> TrainError {
    TrainError::weights(format!("{error:#}"))
}

/// A network of these nodes, with more constants and the given tensors as outputs.
pub(super) fn compile(
    graph: &Graph,
    nodes: &[NodeProto],
    constants: Vec<TensorProto>,
    outputs: &[&str],
    shape: &[usize],
) -> TractResult<std::sync::Arc<TypedSimplePlan>> {
    let weights = graph.constants().map(|(name, constant)| float_tensor(name, constant));
    let proto = ModelProto {
        ir_version: 8,
        opset_import: vec![tract_onnx::pb::OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(GraphProto {
            name: "calibration".into(),
            node: nodes.to_vec(),
            initializer: weights.chain(graph.others.iter().cloned()).chain(constants).collect(),
            input: vec![graph.input.clone()],
            output: Vec::new(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let parsed = tract_onnx::onnx().parse(&proto, None)?;
    let mut model = parsed.model;
    let outlet = |name: &str| {
        let known = parsed.outlets_by_name.get(name).copied();
        known.ok_or_else(|| tract_onnx::prelude::TractError::msg(format!("nothing computes the tensor `{name}`")))
    };
    let outlets: Vec<OutletId> = outputs.iter().map(|name| outlet(name)).collect::<TractResult<_>>()?;
    model.set_input_outlets(&[outlet(&graph.input.name)?])?;
    model.select_output_outlets(&outlets)?;
    let model = model.with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?;
    TypedSimplePlan::new(model.into_optimized()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_large_value_does_not_widen_the_range() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut values: Vec<f32> = (0..400).map(|_| random.f32() * 2.0 - 1.0).collect();
        values[17] = 2.2;
        let mut range = TensorRange::default();
        range.add(&[1, 1, 20, 20], &values, &mut random);
        let rounding = range.best_rounding();
        let plain = Rounding::of(-1.0, 2.2);
        assert!(rounding.scale < plain.scale, "{rounding:?}");
        assert_eq!((range.area, range.means().len()), (400, 1));
    }
}
