//! The part of the ONNX file format, a protocol buffer, that small networks need.

use super::noise;

/// A protocol-buffer message under construction.
#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn messages(self, field: u64, values: &[Message]) -> Self {
        values.iter().fold(self, |message, value| message.message(field, value))
    }
}

/// An extent of a shape: a number, or a symbol.
pub(crate) enum Dim {
    Fixed(i64),
    Symbol(&'static str),
}

/// A network under construction.
#[derive(Default)]
pub(crate) struct Network {
    nodes: Vec<Message>,
    weights: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
}

impl Network {
    /// A weight of 32-bit floats.
    pub(crate) fn weight(mut self, name: &str, dims: &[i64], data: &[f32]) -> Self {
        let raw: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.weights.push(tensor(name, dims, 1, &raw));
        self
    }

    /// A weight of integers, as used for shapes and axes.
    pub(crate) fn integers(mut self, name: &str, data: &[i64]) -> Self {
        let raw: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.weights.push(tensor(name, &[data.len() as i64], 7, &raw));
        self
    }

    /// An input of 32-bit floats.
    pub(crate) fn input(mut self, name: &str, dims: &[Dim]) -> Self {
        self.inputs.push(value_info(name, dims));
        self
    }

    /// An output of 32-bit floats; the engine infers its shape.
    pub(crate) fn output(mut self, name: &str, dims: &[Dim]) -> Self {
        self.outputs.push(value_info(name, dims));
        self
    }

    /// An operation; `ints` are attributes that are lists of numbers, `int` those that are one number.
    pub(crate) fn node(
        mut self,
        kind: &str,
        inputs: &[&str],
        output: &str,
        ints: &[(&str, &[i64])],
        int: &[(&str, i64)],
    ) -> Self {
        let mut node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        node = node.text(2, output).text(3, &format!("make_{output}")).text(4, kind);
        for (name, values) in ints {
            let attribute = Message::default().text(1, name);
            let attribute = values.iter().fold(attribute, |attribute, value| attribute.int(8, *value));
            node = node.message(5, &attribute.int(20, 7));
        }
        for (name, value) in int {
            node = node.message(5, &Message::default().text(1, name).int(3, *value).int(20, 2));
        }
        self.nodes.push(node);
        self
    }

    /// The file.
    pub(crate) fn build(self) -> Vec<u8> {
        let graph = Message::default()
            .messages(1, &self.nodes)
            .text(2, "made by a test")
            .messages(5, &self.weights)
            .messages(11, &self.inputs)
            .messages(12, &self.outputs);
        let operators = Message::default().text(1, "").int(2, 13);
        Message::default().int(1, 8).message(7, &graph).message(8, &operators).0
    }
}

fn tensor(name: &str, dims: &[i64], kind: i64, raw: &[u8]) -> Message {
    let tensor = dims.iter().fold(Message::default(), |tensor, dim| tensor.int(1, *dim));
    tensor.int(2, kind).text(8, name).bytes(9, raw)
}

fn value_info(name: &str, dims: &[Dim]) -> Message {
    let shape = dims.iter().fold(Message::default(), |shape, dim| {
        shape.message(
            1,
            &match dim {
                Dim::Fixed(extent) => Message::default().int(1, *extent),
                Dim::Symbol(symbol) => Message::default().text(2, symbol),
            },
        )
    });
    let tensor = Message::default().int(1, 1).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

/// `[N, 3, 12, 16]` to `age` `[N, 1]` and `gender` `[N, 2]`: convolution, relu, mean, fully connected, softmax. The
/// convolution's weight is also listed among the graph's inputs, as older exporters do; no manifest names the output
/// `spare`.
pub(crate) fn face_network(seed: u32) -> Vec<u8> {
    use Dim::{Fixed, Symbol};
    Network::default()
        .input("kernel", &[Fixed(4), Fixed(3), Fixed(3), Fixed(3)])
        .input("picture", &[Symbol("N"), Fixed(3), Fixed(12), Fixed(16)])
        .weight("kernel", &[4, 3, 3, 3], &noise(108, seed, -0.5, 0.5))
        .weight("bias", &[4], &noise(4, seed + 1, -0.1, 0.1))
        .weight("to_age", &[1, 4], &noise(4, seed + 2, 0.0, 1.0))
        .weight("to_gender", &[2, 4], &noise(8, seed + 3, -1.0, 1.0))
        .node("Conv", &["picture", "kernel", "bias"], "c", &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])], &[])
        .node("Relu", &["c"], "r", &[], &[])
        .node("GlobalAveragePool", &["r"], "p", &[], &[])
        .node("Flatten", &["p"], "spare", &[], &[("axis", 1)])
        .node("Gemm", &["spare", "to_age"], "age", &[], &[("transB", 1)])
        .node("Gemm", &["spare", "to_gender"], "g", &[], &[("transB", 1)])
        .node("Softmax", &["g"], "gender", &[], &[("axis", 1)])
        .output("spare", &[Symbol("N"), Fixed(4)])
        .output("age", &[Symbol("N"), Fixed(1)])
        .output("gender", &[Symbol("N"), Fixed(2)])
        .build()
}

/// `[1, H, W, 3]` with symbolic sides to `boxes` `[1, n, 4]` and `scores` `[1, n, 2]`, n = H/8 · W/8: transpose,
/// strided convolution, transpose, reshape.
pub(crate) fn detector_network(seed: u32) -> Vec<u8> {
    use Dim::{Fixed, Symbol};
    let cells = |network: Network, part: &str, channels: i64, last: &str| {
        let (conv, turned) = (format!("{part}_conv"), format!("{part}_turned"));
        let (kernel, shape) = (format!("{part}_kernel"), format!("{part}_shape"));
        network
            .weight(&kernel, &[channels, 3, 8, 8], &noise(channels as usize * 192, seed, -0.1, 0.1))
            .integers(&shape, &[1, -1, channels])
            .node("Conv", &["planes", &kernel], &conv, &[("strides", &[8, 8])], &[])
            .node("Transpose", &[&conv], &turned, &[("perm", &[0, 2, 3, 1])], &[])
            .node("Reshape", &[&turned, &shape], last, &[], &[])
    };
    let network = Network::default().input("picture", &[Fixed(1), Symbol("height"), Symbol("width"), Fixed(3)]).node(
        "Transpose",
        &["picture"],
        "planes",
        &[("perm", &[0, 3, 1, 2])],
        &[],
    );
    let network = cells(network, "box", 4, "boxes");
    cells(network, "score", 2, "score_rows")
        .node("Softmax", &["score_rows"], "scores", &[], &[("axis", 2)])
        .output("boxes", &[Fixed(1), Symbol("n"), Fixed(4)])
        .output("scores", &[Fixed(1), Symbol("n"), Fixed(2)])
        .build()
}
