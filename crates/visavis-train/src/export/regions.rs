//! Exports a two-stage detector as one graph of standard ONNX operators: the same as `detector::regions`.
//!
//! Boxes are chosen by a maximum over neighbours and `TopK`, without suppression. Features of a box are read from the planes
//! by two matrix products with the weights of linear interpolation.

use tract_onnx::pb::ValueInfoProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::graph::{Extent, Graph, INPUT, Value, int, ints, value_info, window_attributes};
use crate::detector::regions::{MOST_OFFSET, thinning};
use crate::detector::{BOXES, SCORES, VARIANCES};
use crate::network::{Level, Regions};
use crate::ops::Window;

/// Boxes in the graph: centres and sizes in pixels, each `[boxes, 1]`.
struct Boxes {
    centre: [String; 2],
    size: [String; 2],
}

impl Graph<'_> {
    /// Adds the whole detector; returns its inputs and outputs.
    pub(super) fn two_stages(&mut self, level: &Level, regions: &Regions) -> (ValueInfoProto, Vec<ValueInfoProto>) {
        let count = regions.proposals as i64;
        let planes = self.sequence(&level.features, Value::planes(INPUT.into()));
        let shared = self.sequence(&level.shared, planes.clone());
        let scores = self.sequence(&level.scores, shared.clone());
        let offsets = self.sequence(&level.boxes, shared);

        // The best of [places · anchors], without neighbours of better ones.
        let best = self.push("MaxPool", &[&scores.name], &window_attributes(Window::centred(3, 1)), None);
        let better = self.push("Sub", &[&best, &scores.name], &[], None);
        let factors = thinning(&level.anchors);
        let factors = self.weight(&[factors.len(), 1, 1], &factors);
        let loss = self.push("Mul", &[&better, &factors], &[], None);
        let thinned = self.push("Sub", &[&scores.name, &loss], &[], None);
        let thinned = self.places_last(&thinned, &[-1]);
        let amount = self.whole(&[count]);
        let chosen = self.top(&thinned, &amount);
        let offsets = self.places_last(&offsets.name, &[-1, 4]);
        let offsets = self.push("Gather", &[&offsets, &chosen], &[int("axis", 0)], None);

        let anchors = self.anchors(level, &planes.name, &chosen);
        let proposed = self.moved(&anchors, &offsets);
        let read = self.read(regions, level.anchors.stride, &planes.name, &proposed);
        let features = self.sequence(&regions.body, Value::planes(read));
        let said = self.sequence(&regions.scores, features.clone());
        let share = self.push("Sigmoid", &[&said.name], &[], None);
        let shape = self.whole(&[1, count, 1]);
        self.push("Reshape", &[&share, &shape], &[], Some(SCORES));

        let offsets = self.sequence(&regions.boxes, features);
        let found = self.moved(&proposed, &offsets.name);
        let half = self.weight(&[], &[0.5]);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (axis, extent) in [(0, 3), (1, 2)] {
            let side = self.extent(INPUT, extent);
            let reach = self.push("Mul", &[&found.size[axis], &half], &[], None);
            for (kind, corners) in [("Sub", &mut first), ("Add", &mut second)] {
                let pixel = self.push(kind, &[&found.centre[axis], &reach], &[], None);
                corners.push(self.push("Div", &[&pixel, &side], &[], None));
            }
        }
        let corners: Vec<&str> = first.iter().chain(&second).map(String::as_str).collect();
        let corners = self.push("Concat", &corners, &[int("axis", 1)], None);
        let shape = self.whole(&[1, count, 4]);
        self.push("Reshape", &[&corners, &shape], &[], Some(BOXES));

        let outputs = [(SCORES, 1), (BOXES, 4)].map(|(name, columns)| {
            value_info(name, &[Extent::Fixed(1), Extent::Fixed(regions.proposals), Extent::Fixed(columns)])
        });
        let input = [Extent::Fixed(1), Extent::Fixed(3), Extent::Free("H"), Extent::Free("W")];
        (value_info(INPUT, &input), outputs.into())
    }

    /// Converts `[1, C, H, W]` to rows, place after place.
    fn places_last(&mut self, planes: &str, rows: &[i64]) -> String {
        let turned = self.push("Transpose", &[planes], &[ints("perm", &[0, 2, 3, 1])], None);
        let shape = self.whole(rows);
        self.push("Reshape", &[&turned, &shape], &[], None)
    }

    /// Indices of the largest values of a list, descending.
    fn top(&mut self, list: &str, amount: &str) -> String {
        self.push_two("TopK", &[list, amount], &[int("axis", 0)])[1].clone()
    }

    /// The size of a tensor's axis as an integer.
    fn places(&mut self, tensor: &str, axis: i64) -> String {
        let shape = self.push("Shape", &[tensor], &[], None);
        let axis = self.whole_number(axis);
        self.push("Gather", &[&shape, &axis], &[int("axis", 0)], None)
    }

    /// The same as a float.
    fn extent(&mut self, tensor: &str, axis: i64) -> String {
        let places = self.places(tensor, axis);
        self.float(&places)
    }

    fn float(&mut self, numbers: &str) -> String {
        self.push("Cast", &[numbers], &[int("to", DataType::Float as i64)], None)
    }

    /// The anchors with these indices in the list of all.
    fn anchors(&mut self, level: &Level, planes: &str, chosen: &str) -> Boxes {
        let anchors = &level.anchors;
        let each = (anchors.sizes.len() * anchors.ratios.len()) as i64;
        let (each, across) = (self.whole_number(each), self.places(planes, 3));
        let (place, anchor) = self.divide(chosen, &each);
        let (row, column) = self.divide(&place, &across);
        let column_shape = self.whole(&[-1, 1]);
        let centre = [column, row].map(|at| {
            let at = self.float(&at);
            let (half, stride) = (self.weight(&[], &[0.5]), self.weight(&[], &[anchors.stride as f32]));
            let middle = self.push("Add", &[&at, &half], &[], None);
            let pixel = self.push("Mul", &[&middle, &stride], &[], None);
            self.push("Reshape", &[&pixel, &column_shape], &[], None)
        });
        let sides = |side: fn(f32, f32) -> f32| -> Vec<f32> {
            anchors
                .sizes
                .iter()
                .flat_map(|size| anchors.ratios.iter().map(move |ratio| side(*size, ratio.sqrt())))
                .collect()
        };
        let size = [sides(|size, ratio| size * ratio), sides(|size, ratio| size / ratio)].map(|sides| {
            let all = self.weight(&[sides.len()], &sides);
            let sides = self.push("Gather", &[&all, &anchor], &[int("axis", 0)], None);
            self.push("Reshape", &[&sides, &column_shape], &[], None)
        });
        Boxes { centre, size }
    }

    /// Integer division: quotient and remainder.
    fn divide(&mut self, numbers: &str, by: &str) -> (String, String) {
        let quotient = self.push("Div", &[numbers, by], &[], None);
        let whole = self.push("Mul", &[&quotient, by], &[], None);
        let rest = self.push("Sub", &[numbers, &whole], &[], None);
        (quotient, rest)
    }

    /// Applies offsets `[boxes, 4]` to boxes.
    fn moved(&mut self, from: &Boxes, offsets: &str) -> Boxes {
        let (low, high) = (self.weight(&[], &[-MOST_OFFSET]), self.weight(&[], &[MOST_OFFSET]));
        let limited = self.push("Clip", &[offsets, &low, &high], &[], None);
        let column = |graph: &mut Self, at: i64, variance: f32| {
            let [start, end, axis] = [at, at + 1, 1].map(|number| graph.whole(&[number]));
            let column = graph.push("Slice", &[&limited, &start, &end, &axis], &[], None);
            let variance = graph.weight(&[], &[variance]);
            graph.push("Mul", &[&column, &variance], &[], None)
        };
        let [near, far] = VARIANCES;
        let centre = [0, 1].map(|axis| {
            let share = column(self, axis as i64, near);
            let shift = self.push("Mul", &[&share, &from.size[axis]], &[], None);
            self.push("Add", &[&from.centre[axis], &shift], &[], None)
        });
        let size = [0, 1].map(|axis| {
            let power = column(self, axis as i64 + 2, far);
            let factor = self.push("Exp", &[&power], &[], None);
            self.push("Mul", &[&from.size[axis], &factor], &[], None)
        });
        Boxes { centre, size }
    }

    /// Reads the planes `[1, C, H, W]` in each box: `[boxes, C, side, side]`.
    fn read(&mut self, regions: &Regions, stride: u32, planes: &str, boxes: &Boxes) -> String {
        let (count, side) = (regions.proposals as i64, regions.side as i64);
        let down = self.reading(regions.side, stride, planes, 2, [&boxes.centre[1], &boxes.size[1]]);
        let across = self.reading(regions.side, stride, planes, 3, [&boxes.centre[0], &boxes.size[0]]);
        // [H, C · W]: a row contains all channels.
        let turned = self.push("Transpose", &[planes], &[ints("perm", &[0, 2, 1, 3])], None);
        let axis = self.whole(&[0]);
        let turned = self.push("Squeeze", &[&turned, &axis], &[], None);
        let shape = self.whole(&[0, -1]);
        let rows = self.push("Reshape", &[&turned, &shape], &[], None);
        // [boxes · side, H] · [H, C · W] = [boxes, side · C, W] · [boxes, W, side].
        let height = self.places(planes, 2);
        let (axis, all) = (self.whole(&[0]), self.whole(&[count * side]));
        let height = self.push("Unsqueeze", &[&height, &axis], &[], None);
        let shape = self.push("Concat", &[&all, &height], &[int("axis", 0)], None);
        let down = self.push("Reshape", &[&down, &shape], &[], None);
        let read = self.push("MatMul", &[&down, &rows], &[], None);
        let width = self.places(planes, 3);
        let axis = self.whole(&[0]);
        let width = self.push("Unsqueeze", &[&width, &axis], &[], None);
        let (boxes, rest) = (self.whole(&[count]), self.whole(&[-1]));
        let shape = self.push("Concat", &[&boxes, &rest, &width], &[int("axis", 0)], None);
        let read = self.push("Reshape", &[&read, &shape], &[], None);
        let across = self.push("Transpose", &[&across], &[ints("perm", &[0, 2, 1])], None);
        let read = self.push("MatMul", &[&read, &across], &[], None);
        let shape = self.whole(&[count, side, -1, side]);
        let read = self.push("Reshape", &[&read, &shape], &[], None);
        self.push("Transpose", &[&read], &[ints("perm", &[0, 2, 1, 3])], None)
    }

    /// The weights of linear interpolation `[boxes, side, length]` along one axis of the planes.
    fn reading(&mut self, side: usize, stride: u32, planes: &str, axis: i64, [centre, size]: [&str; 2]) -> String {
        let stride = stride as f32;
        // Points in pixels from the centre, as shares of the size; then in coordinates of the plane.
        let shares: Vec<f32> = (0..side).map(|point| (point as f32 + 0.5) / side as f32 - 0.5).collect();
        let (shares, places) = (self.weight(&[1, side], &shares), self.weight(&[], &[1.0 / stride]));
        let away = self.push("Mul", &[size, &shares], &[], None);
        let pixel = self.push("Add", &[centre, &away], &[], None);
        let place = self.push("Mul", &[&pixel, &places], &[], None);
        let half = self.weight(&[], &[0.5]);
        let place = self.push("Sub", &[&place, &half], &[], None);
        let (zero, one, length) = (self.weight(&[], &[0.0]), self.weight(&[], &[1.0]), self.extent(planes, axis));
        let last = self.push("Sub", &[&length, &one], &[], None);
        let place = self.push("Max", &[&place, &zero], &[], None);
        let place = self.push("Min", &[&place, &last], &[], None);
        let at = self.whole(&[2]);
        let place = self.push("Unsqueeze", &[&place, &at], &[], None);
        let all = self.push("Range", &[&zero, &length, &one], &[], None);
        let away = self.push("Sub", &[&place, &all], &[], None);
        let away = self.push("Abs", &[&away], &[], None);
        let near = self.push("Sub", &[&one, &away], &[], None);
        self.push("Relu", &[&near], &[], None)
    }
}
