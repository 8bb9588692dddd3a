//! A detector in training as a `Model`, so that validation runs the same code as live.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor as BurnTensor, TensorData};
use visavis_face::detect::AnchorGrid;
use visavis_image::Rect;
use visavis_infer::{InferError, Model, Placement, Tensor};

use super::regions;
use crate::network::{CellOutput, Mode, Network, Parameters, Pass};

/// A network with its current weights.
pub(crate) struct Running {
    network: Network,
    parameters: Parameters,
    placement: Placement,
}

impl Running {
    pub(crate) fn new(network: &Network, parameters: &Parameters) -> Self {
        let placement =
            Placement { engine: "training".into(), device: "CPU".into(), threads: rayon::current_num_threads() };
        Self { network: network.clone(), parameters: parameters.clone(), placement }
    }
}

impl Model for Running {
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, InferError> {
        let [_, 3, _, _] = input.shape[..] else {
            return Err(InferError::Run {
                model: "the network in training".into(),
                reason: format!("an input of shape {:?}", input.shape),
            });
        };
        Ok(infer(&self.network, &self.parameters, input))
    }

    fn placement(&self) -> &Placement {
        &self.placement
    }
}

/// The output of the exported detector for pictures `[N, 3, H, W]`: scores and boxes. A two-stage detector takes one picture.
pub(crate) fn infer(network: &Network, parameters: &Parameters, pictures: &Tensor) -> Vec<Tensor> {
    let device = Device::flex();
    let shape: [usize; 4] = std::array::from_fn(|axis| pictures.shape[axis]);
    let data = TensorData::new(pictures.data.clone(), shape);
    let input = BurnTensor::<4>::from_data(data, &device).swap_dims(0, 1);
    let mut pass = Pass::new(parameters, &device, Mode::Infer);
    if !network.pyramid.is_empty() {
        return by_level(network, pass.detect_cells(network, input), [shape[3], shape[2]]);
    }
    let ([scores, offsets], planes) = pass.detect(network, input);
    let Some(regions) = &network.regions else { return vec![plain(scores), plain(offsets)] };
    let [.., height, width] = shape;
    let boxes = propose(network, regions.proposals, &scores, &offsets, [width as u32, height as u32]);
    let stride = network.levels[0].anchors.stride;
    let (mut scores, mut corners) = (Vec::new(), Vec::new());
    if let Some([said, offsets]) = pass.classify_regions(regions, &planes, stride, &boxes) {
        let (said, offsets) = (plain(said), plain(offsets));
        for (rect, (score, offset)) in boxes.iter().flatten().zip(said.data.iter().zip(offsets.data.chunks_exact(4))) {
            let rect = regions::decode(rect, offset);
            scores.push(1.0 / (1.0 + (-score).exp()));
            let (w, h) = (width as f32, height as f32);
            corners.extend([rect.x / w, rect.y / h, rect.right() / w, rect.bottom() / h]);
        }
    }
    let count = scores.len();
    vec![Tensor { shape: vec![1, count, 1], data: scores }, Tensor { shape: vec![1, count, 4], data: corners }]
}

/// The boxes that a first stage proposes in each picture of this size, by its scores `[N, A, 1]` and offsets `[N, A, 4]`.
pub(crate) fn propose(
    network: &Network,
    count: usize,
    scores: &BurnTensor<3>,
    offsets: &BurnTensor<3>,
    [width, height]: [u32; 2],
) -> Vec<Vec<Rect>> {
    let level = &network.levels[0].anchors;
    let mut grid = AnchorGrid::default();
    let anchors = grid.for_input(std::slice::from_ref(level), width, height);
    let places = [width, height].map(|side| side.div_ceil(level.stride) as usize);
    let (scores, offsets) = (plain(scores.clone()), plain(offsets.clone()));
    let pictures = scores.data.chunks_exact(anchors.len()).zip(offsets.data.chunks_exact(4 * anchors.len()));
    let boxes = pictures.map(|(scores, offsets)| {
        let chosen = regions::choose(scores, level, places, count).into_iter();
        chosen.map(|at| regions::decode(&anchors[at], &offsets[4 * at..4 * at + 4])).collect()
    });
    boxes.collect()
}

/// The outputs of an anchor-free detector for pictures of this size, level by level in the order of [`CellOutput::ALL`].
fn by_level(network: &Network, outputs: [BurnTensor<3>; 4], [width, height]: [usize; 2]) -> Vec<Tensor> {
    let mut first = 0;
    let levels = network.pyramid.iter().flat_map(|level| {
        let stride = level.stride as usize;
        let range = first..first + (width / stride) * (height / stride);
        first = range.end;
        let part = |(output, all): (CellOutput, &BurnTensor<3>)| {
            let [pictures, _, columns] = all.dims();
            let part = all.clone().slice([0..pictures, range.clone(), 0..columns]);
            plain(match output {
                CellOutput::Class | CellOutput::Object => sigmoid(part),
                CellOutput::Box | CellOutput::Keypoints => part,
            })
        };
        CellOutput::ALL.into_iter().zip(&outputs).map(part).collect::<Vec<_>>()
    });
    levels.collect()
}

fn plain(tensor: BurnTensor<3>) -> Tensor {
    let shape = tensor.dims().to_vec();
    Tensor { shape, data: tensor.into_data().try_into_vec::<f32>().unwrap_or_default() }
}
