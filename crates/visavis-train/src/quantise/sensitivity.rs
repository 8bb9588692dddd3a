//! How much the outputs of a network change if one tensor is rounded.

use std::collections::HashMap;

use rayon::prelude::*;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::prelude::{Tensor as TractTensor, TractResult, tvec};
use visavis_infer::Tensor;

use super::Plan;
use super::calibration::{Observed, compile, guarded};
use super::graph::Graph;
use super::rounding::{after, rounding_of};
use crate::TrainError;

/// Number of pictures with which sensitivities are measured.
const COMPARED: usize = 4;

/// How sensitive the network is to the rounding of each tensor of a plan alone: the squared error of an output as a share of its
/// square, for the output with the largest.
pub(super) fn sensitivities(
    graph: &Graph,
    plan: &Plan,
    observed: &Observed,
    pictures: &[Tensor],
) -> Result<HashMap<String, f32>, TrainError> {
    let pictures = &pictures[..pictures.len().min(COMPARED)];
    let outputs: Vec<&str> = graph.outputs.iter().map(String::as_str).collect();
    let run = |nodes: &[NodeProto], constants: Vec<TensorProto>| -> TractResult<Vec<Vec<f32>>> {
        let mut state = compile(graph, nodes, constants, &outputs, &pictures[0].shape)?.spawn()?;
        let mut values = vec![Vec::new(); outputs.len()];
        for picture in pictures {
            let input = TractTensor::from_shape(&picture.shape, &picture.data)?;
            for (values, output) in values.iter_mut().zip(state.run(tvec!(input.into()))?) {
                values.extend_from_slice(output.try_as_plain_ram()?.as_slice::<f32>()?);
            }
        }
        Ok(values)
    };
    let exact = guarded(|| run(&graph.nodes, Vec::new()))?;
    let tensors: Vec<&str> = plan.tensors(graph).into_iter().collect();
    let deviation = |name: &&str| {
        let (nodes, constants) = with_one_rounded(graph, name, observed);
        let found = guarded(|| run(&nodes, constants))?;
        let share = |(exact, found): (&Vec<f32>, &Vec<f32>)| {
            let error: f32 = exact.iter().zip(found).map(|(a, b)| (a - b).powi(2)).sum();
            error / exact.iter().map(|value| value * value).sum::<f32>().max(f32::MIN_POSITIVE)
        };
        Ok(((*name).to_owned(), exact.iter().zip(&found).map(share).fold(0.0, f32::max)))
    };
    tensors.par_iter().map(deviation).collect()
}

/// The nodes of a network with the rounding of one tensor, and the constants of that rounding.
fn with_one_rounded(graph: &Graph, name: &str, observed: &Observed) -> (Vec<NodeProto>, Vec<TensorProto>) {
    let Some(range) = observed.tensor(name) else { return (graph.nodes.clone(), Vec::new()) };
    let (rounding, constants) = rounding_of(name, range.rounding());
    let mut nodes = if name == graph.input.name { rounding.to_vec() } else { Vec::new() };
    for old in &graph.nodes {
        let mut new = old.clone();
        for input in new.input.iter_mut().filter(|input| *input == name) {
            *input = after(name);
        }
        nodes.push(new);
        if old.output.iter().any(|output| output == name) {
            nodes.extend(rounding.clone());
        }
    }
    (nodes, constants.into())
}
