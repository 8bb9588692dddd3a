//! The rounding of tensors to 8 bits, as ONNX nodes and constants.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};

use super::graph::Constant;
use crate::numbers::to_bytes;

/// The rounding of a tensor to 0 … 255: `round(value / scale) + zero_point`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rounding {
    pub(super) scale: f32,
    pub(super) zero_point: u8,
}

impl Rounding {
    /// The rounding for values from `lowest` to `highest`; 0 is always represented exactly.
    pub(super) fn of(lowest: f32, highest: f32) -> Self {
        let (lowest, highest) = (lowest.min(0.0), highest.max(0.0));
        let scale = ((highest - lowest) / 255.0).max(f32::MIN_POSITIVE * 1e6);
        Self { scale, zero_point: (-lowest / scale).round().clamp(0.0, 255.0) as u8 }
    }

    /// The value that remains of `value`.
    pub(super) fn rounded(self, value: f32) -> f32 {
        let zero = f32::from(self.zero_point);
        ((value / self.scale).round() + zero).clamp(0.0, 255.0) * self.scale - zero * self.scale
    }
}

/// A tensor of 32-bit floats.
pub(super) fn float_tensor(name: &str, constant: &Constant) -> TensorProto {
    tensor(name, &constant.shape, DataType::Float, to_bytes(&constant.values))
}

/// A constant tensor of any type.
pub(super) fn tensor(name: &str, shape: &[usize], kind: DataType, raw_data: Vec<u8>) -> TensorProto {
    let dims = shape.iter().map(|extent| *extent as i64).collect();
    TensorProto { name: name.into(), dims, data_type: kind as i32, raw_data, ..TensorProto::default() }
}

/// A node with one output.
pub(super) fn node(kind: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: kind.into(),
        name: format!("make_{output}"),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// The nodes that round a tensor to 8 bits, and their constants.
pub(super) fn rounding_of(name: &str, Rounding { scale, zero_point }: Rounding) -> ([NodeProto; 2], [TensorProto; 2]) {
    let names = ["scale", "zero"].map(|part| format!("{name}_{part}"));
    let integers = format!("{name}_integers");
    let constants = [
        tensor(&names[0], &[], DataType::Float, to_bytes(&[scale])),
        tensor(&names[1], &[], DataType::Uint8, vec![zero_point]),
    ];
    let nodes = [
        node("QuantizeLinear", &[name, &names[0], &names[1]], &integers),
        node("DequantizeLinear", &[&integers, &names[0], &names[1]], &after(name)),
    ];
    (nodes, constants)
}

/// The name of a tensor after rounding.
pub(super) fn after(name: &str) -> String {
    format!("{name}_rounded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_the_ends_are_kept() {
        for (lowest, highest) in [(-1.0, 3.0), (0.0, 6.0), (0.5, 2.0), (-4.0, -1.0)] {
            let rounding = Rounding::of(lowest, highest);
            assert_eq!(rounding.rounded(0.0), 0.0, "{lowest} {highest}");
            for end in [lowest, highest] {
                assert!((rounding.rounded(end) - end).abs() <= rounding.scale, "{lowest} {highest}: {end}");
            }
            assert!(rounding.rounded(1e9) <= highest.max(0.0) + rounding.scale);
        }
        let rounding = Rounding::of(0.0, 0.0);
        assert!(rounding.scale > 0.0 && rounding.rounded(0.0) == 0.0, "a tensor of zeros");
    }
}
