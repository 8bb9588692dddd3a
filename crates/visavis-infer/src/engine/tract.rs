//! tract: pure Rust, always available.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Extent;
use tract_onnx::prelude::{
    Datum, DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, OutletId, Tensor as TractTensor,
    TractResult, TypedSimplePlan, TypedSimpleState, tvec,
};

use crate::device::EngineKind;
use crate::{InferError, Manifest, Model, Placement, Tensor, contract};

/// The version in the lock file; a test compares the two.
const VERSION: &str = "0.23.9";

/// A network is compiled once per input shape; the limit bounds the memory when a detector's input size changes often.
const SHAPES_KEPT: usize = 8;

/// A network in tract.
pub(crate) struct TractModel {
    manifest: Manifest,
    placement: Placement,
    graph: InferenceModel,
    /// Compiled for one shape each, the most recently used first.
    compiled: Vec<(Vec<usize>, TypedSimpleState)>,
}

impl TractModel {
    /// Parses the weights and compiles them for the manifest's own input size.
    pub(crate) fn load(manifest: &Manifest, weights: &[u8]) -> Result<Self, InferError> {
        let graph = guarded(|| parse(manifest, weights)).map_err(|failure| failure.into_load(manifest))?;
        let [width, height] = manifest.input.size;
        let shape = manifest.input.shape(1, width, height).to_vec();
        let state = guarded(|| compile(&graph, &shape)).map_err(|failure| failure.into_load(manifest))?;
        for (index, tensor) in manifest.output_tensors().iter().enumerate() {
            let fact = state.model().output_fact(index).map_err(|e| Failure::from(e).into_load(manifest))?;
            if fact.datum_type != DatumType::F32 {
                return Err(InferError::Shape {
                    model: manifest.name.clone(),
                    tensor: tensor.clone(),
                    expected: "32-bit floats".into(),
                    found: format!("{:?}", fact.datum_type),
                });
            }
            let extents: Vec<Option<usize>> =
                fact.shape.dims().iter().map(|dim| dim.as_i64().and_then(|n| usize::try_from(n).ok())).collect();
            contract::check_output(manifest, index, &extents)?;
        }
        Ok(Self {
            manifest: manifest.clone(),
            placement: Placement { engine: format!("tract {VERSION}"), device: "CPU".into(), threads: 1 },
            graph,
            compiled: vec![(shape, state)],
        })
    }

    /// Moves the network compiled for `shape` to the front; compiles it if needed.
    fn prepare(&mut self, shape: &[usize]) -> Result<(), Failure> {
        if let Some(found) = self.compiled.iter().position(|(known, _)| known == shape) {
            self.compiled[..=found].rotate_right(1);
            return Ok(());
        }
        let state = guarded(|| compile(&self.graph, shape))?;
        self.compiled.truncate(SHAPES_KEPT - 1);
        self.compiled.insert(0, (shape.to_vec(), state));
        Ok(())
    }
}

impl Model for TractModel {
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, InferError> {
        contract::check_input(&self.manifest, input)?;
        let result = self.prepare(&input.shape).and_then(|()| {
            let state = &mut self.compiled[0].1;
            guarded(|| execute(state, input))
        });
        result.map_err(|failure| {
            // A state that failed in the middle of a run may be inconsistent.
            self.compiled.retain(|(shape, _)| *shape != input.shape);
            InferError::Run { model: self.manifest.name.clone(), reason: failure.reason() }
        })
    }

    fn placement(&self) -> &Placement {
        &self.placement
    }
}

/// How a call into tract can fail.
enum Failure {
    /// An error of this crate.
    Ours(InferError),
    /// tract's message, or that of a panic inside it.
    Theirs(String),
}

impl From<tract_onnx::prelude::TractError> for Failure {
    fn from(error: tract_onnx::prelude::TractError) -> Self {
        // The alternate form prints the chain of causes on one line.
        Self::Theirs(format!("{error:#}"))
    }
}

impl From<InferError> for Failure {
    fn from(error: InferError) -> Self {
        Self::Ours(error)
    }
}

impl Failure {
    fn reason(self) -> String {
        match self {
            Self::Ours(error) => error.to_string(),
            Self::Theirs(reason) => reason,
        }
    }

    fn into_load(self, manifest: &Manifest) -> InferError {
        match self {
            Self::Ours(error) => error,
            Self::Theirs(reason) => {
                InferError::Load { model: manifest.name.clone(), engine: EngineKind::Tract, reason }
            }
        }
    }
}

/// Runs `call` and turns a panic inside tract, which unusual networks can cause, into an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(Failure::Theirs(words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given");
    format!("it panicked: {text}")
}

fn parse(manifest: &Manifest, weights: &[u8]) -> Result<InferenceModel, Failure> {
    // Intermediate shapes in the file may name symbols that contradict the concrete size given later.
    let onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
    let proto = onnx
        .proto_model_for_read(&mut &*weights)
        .map_err(|error| Failure::Theirs(format!("not an ONNX file, or a damaged one: {error:#}")))?;
    let Some(graph) = &proto.graph else {
        return Err(Failure::Theirs("not an ONNX file, or a damaged one: it has no graph".into()));
    };
    let input = find_input(manifest, graph)?;
    let parsed = onnx.parse(&proto, None)?;
    if !parsed.unresolved_inputs.is_empty() {
        return Err(Failure::Theirs(format!("tensors that nothing computes: {}", parsed.unresolved_inputs.join(", "))));
    }
    let mut model = parsed.model;
    let outlet = |name: &str| parsed.outlets_by_name.get(name).copied();
    let outputs = manifest
        .output_tensors()
        .iter()
        .map(|name| {
            // Only the outputs that the file declares: every engine must see the same ones.
            let declared = graph.output.iter().any(|output| output.name == *name);
            outlet(name).filter(|_| declared).ok_or_else(|| InferError::MissingTensor {
                model: manifest.name.clone(),
                side: "output",
                tensor: name.clone(),
                available: names(graph.output.iter().map(|output| output.name.as_str())),
            })
        })
        .collect::<Result<Vec<OutletId>, InferError>>()?;
    let input = outlet(&input.name).ok_or_else(|| Failure::Theirs(format!("input `{}` is not wired", input.name)))?;
    model.set_input_outlets(&[input])?;
    model.select_output_outlets(&outputs)?;
    Ok(model)
}

/// The input that the manifest names. Older files list their weights among the inputs too; those are ignored.
fn find_input<'a>(manifest: &Manifest, graph: &'a pb::GraphProto) -> Result<&'a pb::ValueInfoProto, Failure> {
    let fed: Vec<&pb::ValueInfoProto> =
        graph.input.iter().filter(|input| !graph.initializer.iter().any(|weight| weight.name == input.name)).collect();
    let Some(input) = fed.iter().find(|input| input.name == manifest.input.tensor) else {
        return Err(Failure::Ours(InferError::MissingTensor {
            model: manifest.name.clone(),
            side: "input",
            tensor: manifest.input.tensor.clone(),
            available: names(fed.iter().map(|input| input.name.as_str())),
        }));
    };
    if fed.len() > 1 {
        let all = names(fed.iter().map(|input| input.name.as_str()));
        return Err(Failure::Theirs(format!(
            "it wants {} inputs ({all}); a network here takes one picture",
            fed.len()
        )));
    }
    let Some(pb::type_proto::Value::TensorType(kind)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Err(Failure::Theirs(format!("input `{}` has no type", input.name)));
    };
    if kind.elem_type != pb::tensor_proto::DataType::Float as i32 {
        return Err(Failure::Ours(InferError::Shape {
            model: manifest.name.clone(),
            tensor: input.name.clone(),
            expected: "32-bit floats".into(),
            found: format!("ONNX element type {}", kind.elem_type),
        }));
    }
    if let Some(shape) = &kind.shape {
        let declared: Vec<Option<usize>> = shape
            .dim
            .iter()
            .map(|dim| match &dim.value {
                Some(Extent::DimValue(n)) => usize::try_from(*n).ok().filter(|n| *n > 0),
                _ => None,
            })
            .collect();
        contract::check_declared_input(manifest, &declared)?;
    }
    Ok(input)
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn compile(graph: &InferenceModel, shape: &[usize]) -> Result<TypedSimpleState, Failure> {
    let model = graph.clone().with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?;
    let plan = TypedSimplePlan::new(model.into_optimized()?)?;
    Ok(plan.spawn()?)
}

fn execute(state: &mut TypedSimpleState, input: &Tensor) -> Result<Vec<Tensor>, Failure> {
    let input = TractTensor::from_shape(&input.shape, &input.data)?;
    let outputs = state.run(tvec!(input.into()))?;
    let outputs: TractResult<Vec<Tensor>> = outputs
        .iter()
        .map(|output| {
            let data = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
            Ok(Tensor { shape: output.shape().to_vec(), data })
        })
        .collect();
    Ok(outputs?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_locked_one() {
        let lock = include_str!("../../../../Cargo.lock");
        let entry = lock.split("[[package]]").find(|entry| entry.contains("name = \"tract-onnx\"")).unwrap();
        assert!(entry.contains(&format!("version = \"{VERSION}\"")), "VERSION is {VERSION}, the lock file has {entry}");
    }

    #[test]
    fn panics_become_errors() {
        let failure = guarded::<()>(|| panic!("odd network")).unwrap_err();
        assert_eq!(failure.reason(), "it panicked: odd network");
    }
}
