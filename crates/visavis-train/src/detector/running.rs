//! A detector in training as a model like any other, so that validation runs the very code that live runs.

use burn::tensor::{Device, Tensor as BurnTensor, TensorData};
use visavis_infer::{InferError, Model, Placement, Tensor};

use crate::network::{Mode, Network, Parameters, Pass};

/// A network with the weights that it has at the moment.
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
        let device = Device::flex();
        let [n, c, h, w] = input.shape[..] else {
            return Err(InferError::Run {
                model: "the network in training".into(),
                reason: format!("an input of shape {:?}", input.shape),
            });
        };
        let data = TensorData::new(input.data.clone(), [n, c, h, w]);
        let pictures = BurnTensor::<4>::from_data(data, &device).swap_dims(0, 1);
        let ([scores, offsets], _) = Pass::new(&self.parameters, &device, Mode::Infer).detect(&self.network, pictures);
        let plain = |tensor: BurnTensor<3>| {
            let shape = tensor.dims().to_vec();
            Tensor { shape, data: tensor.into_data().try_into_vec::<f32>().unwrap_or_default() }
        };
        Ok(vec![plain(scores), plain(offsets)])
    }

    fn placement(&self) -> &Placement {
        &self.placement
    }
}
