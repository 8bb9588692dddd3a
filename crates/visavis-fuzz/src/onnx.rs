//! A small network as an ONNX file.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Extent;
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};

/// `picture` `[N, 3, 12, 16]` to `age` `[N, 1]` and `gender` `[N, 2]`: convolution, rectifier, mean, fully connected layers, softmax.
pub(crate) fn face_network() -> Vec<u8> {
    let numbers = |count: usize| (0..count).map(|at| (at as f32 * 0.37).sin()).collect::<Vec<f32>>();
    let graph = GraphProto {
        name: "face".into(),
        node: vec![
            node("Conv", &["picture", "kernel", "bias"], "c", &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])]),
            node("Relu", &["c"], "r", &[]),
            node("Clip", &["r", "low", "high"], "k", &[]),
            node("GlobalAveragePool", &["k"], "p", &[]),
            node("Flatten", &["p"], "f", &[("axis", &[1])]),
            node("Gemm", &["f", "to_age"], "age", &[("transB", &[1])]),
            node("Gemm", &["f", "to_gender"], "g", &[("transB", &[1])]),
            node("Softmax", &["g"], "gender", &[("axis", &[1])]),
        ],
        initializer: vec![
            weight("kernel", &[4, 3, 3, 3], &numbers(108)),
            weight("bias", &[4], &numbers(4)),
            weight("low", &[], &[0.0]),
            weight("high", &[], &[6.0]),
            weight("to_age", &[1, 4], &numbers(4)),
            weight("to_gender", &[2, 4], &numbers(8)),
        ],
        input: vec![value("picture", &[None, Some(3), Some(12), Some(16)])],
        output: vec![value("age", &[None, Some(1)]), value("gender", &[None, Some(2)])],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        ..ModelProto::default()
    }
    .encode_to_vec()
}

fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> NodeProto {
    let attribute = attributes.iter().map(|(name, values)| match values {
        [value] => AttributeProto {
            name: (*name).into(),
            i: *value,
            r#type: AttributeType::Int as i32,
            ..AttributeProto::default()
        },
        values => AttributeProto {
            name: (*name).into(),
            ints: values.to_vec(),
            r#type: AttributeType::Ints as i32,
            ..AttributeProto::default()
        },
    });
    NodeProto {
        op_type: kind.into(),
        name: format!("make_{output}"),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        attribute: attribute.collect(),
        ..NodeProto::default()
    }
}

fn weight(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn value(name: &str, extents: &[Option<i64>]) -> ValueInfoProto {
    let extent = |extent: &Option<i64>| match extent {
        Some(number) => Extent::DimValue(*number),
        None => Extent::DimParam("N".into()),
    };
    let dim = extents.iter().map(|dim| Dimension { value: Some(extent(dim)), ..Dimension::default() }).collect();
    let tensor = Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
