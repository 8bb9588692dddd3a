//! Checks the fields of a manifest.

use super::{Anchor, Crop, Detector, DetectorDecode, FORMAT, FileKind, Head, HeadDecode, Input, Manifest, Task};
use crate::InferError;

/// Larger sides than this are taken for a typing error.
const LARGEST_SIDE: u32 = 8192;

/// Most anchors of a detector at the size of its manifest. The largest known ones have some hundred thousand.
const MOST_ANCHORS: u64 = 4_000_000;

/// A field and what is wrong with it.
type Complaint = (String, String);

fn complain<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T, Complaint> {
    Err((field.into(), reason.into()))
}

impl Manifest {
    /// Checks each field, and the fields together.
    ///
    /// # Errors
    /// [`InferError::ManifestField`] for the first wrong field, with `origin`, the field, its value and what would be
    /// right.
    pub fn validate(&self, origin: &str) -> Result<(), InferError> {
        self.check().map_err(|(field, reason)| InferError::ManifestField { origin: origin.into(), field, reason })
    }

    fn check(&self) -> Result<(), Complaint> {
        if self.format != FORMAT {
            return complain("format", format!("{} is unknown; this program reads format {FORMAT}", self.format));
        }
        check_name(&self.name)?;
        for (field, text) in [("title", &self.title), ("licence", &self.licence), ("source", &self.source)] {
            if text.trim().is_empty() {
                return complain(field, "is empty");
            }
        }
        check_weights("", &self.file, &self.sha256)?;
        if let Some(version) = &self.quantised {
            check_weights("quantised.", &version.file, &version.sha256)?;
            if FileKind::of(&version.file) != Some(FileKind::Onnx) {
                return complain("quantised.file", format!("`{}` is no ONNX file", version.file));
            }
        }
        if self.file_kind() == FileKind::Forest {
            return self.check_forest();
        }
        check_input(&self.input)?;
        self.check_tasks()?;
        match (&self.detector, &self.crop) {
            (Some(_), Some(_)) => complain("crop", "a detector takes the whole picture: remove the crop"),
            (Some(detector), None) => check_detector(detector, &self.input),
            (None, None) => complain("crop", "is missing: say how a face is cut out for this network"),
            (None, Some(crop)) => check_crop(crop),
        }?;
        self.heads.iter().enumerate().try_for_each(|(index, head)| check_head(index, head))
    }

    /// A forest locates keypoints in the picture itself; its file holds everything else.
    fn check_forest(&self) -> Result<(), Complaint> {
        if self.tasks != [Task::Keypoints] {
            return complain(
                "tasks",
                format!("a regression forest gives `keypoints` alone, not {}", list(&self.tasks)),
            );
        }
        let said = [
            ("quantised", self.quantised.is_some()),
            ("input", !self.input.is_empty()),
            ("crop", self.crop.is_some()),
            ("detector", self.detector.is_some()),
            ("head", !self.heads.is_empty()),
        ];
        match said.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => complain(field, "a regression forest has none: its own file says how it works"),
            None => Ok(()),
        }
    }

    fn check_tasks(&self) -> Result<(), Complaint> {
        if self.tasks.is_empty() {
            return complain("tasks", format!("is empty; name at least one of {}", task_names()));
        }
        for (index, task) in self.tasks.iter().enumerate() {
            if self.tasks[..index].contains(task) {
                return complain("tasks", format!("`{task}` is listed twice"));
            }
        }
        for (index, head) in self.heads.iter().enumerate() {
            if !self.tasks.contains(&head.task) {
                return complain(
                    format!("head[{index}].task"),
                    format!("`{}` is not among tasks ({})", head.task, list(&self.tasks)),
                );
            }
            if self.heads[..index].iter().any(|other| other.task == head.task) {
                return complain(format!("head[{index}].task"), format!("a second head for `{}`", head.task));
            }
            let earlier = self.heads[..index].iter().filter(|other| !may_share(other, head));
            if let Some(tensor) = earlier.filter_map(|other| shared_tensor(other, head)).next() {
                return complain(
                    format!("head[{index}].tensor"),
                    format!("a second head on `{tensor}`: only two heads with the same labels may share a tensor"),
                );
            }
        }
        if let Some(detector) = &self.detector {
            return self.check_detector_tasks(detector);
        }
        for task in &self.tasks {
            match task {
                Task::Detection => {
                    return complain("detector", "is missing, but `detection` is among tasks: say how to decode it");
                }
                task if !self.heads.iter().any(|head| head.task == *task) => {
                    return complain("head", format!("none for `{task}`, which is among tasks"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_detector_tasks(&self, detector: &Detector) -> Result<(), Complaint> {
        if !self.heads.is_empty() {
            return complain("head", "a detector has none; its outputs are named in `detector.decode`");
        }
        if !self.tasks.contains(&Task::Detection) {
            return complain("tasks", format!("has no `detection` ({}), but there is a detector", list(&self.tasks)));
        }
        let keypoints = match &detector.decode {
            DetectorDecode::Yunet { .. } => true,
            DetectorDecode::Corners { .. } => false,
            DetectorDecode::Anchors { keypoints, .. } => keypoints.is_some(),
        };
        for task in &self.tasks {
            match task {
                Task::Detection => {}
                Task::Keypoints if keypoints => {}
                Task::Keypoints => return complain("tasks", "`keypoints`: the detector's decode gives none"),
                task => {
                    return complain("tasks", format!("`{task}`: a detector cannot have this task; use two manifests"));
                }
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Complaint> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-');
    if good {
        return Ok(());
    }
    complain("name", format!("`{name}` must be 1 to 64 of a-z, 0-9, _ and -, and begin with a letter or a digit"))
}

/// A tensor that both heads read.
fn shared_tensor<'a>(a: &'a Head, b: &'a Head) -> Option<&'a str> {
    a.tensors().find(|tensor| b.tensors().any(|other| other == *tensor))
}

/// Whether two heads read one tensor as the probabilities of the same classes, as a smile and an expression may.
fn may_share(a: &Head, b: &Head) -> bool {
    match (labels_of(&a.decode), labels_of(&b.decode)) {
        (Some(a), Some(b)) => a.len() == b.len(),
        _ => false,
    }
}

fn labels_of(decode: &HeadDecode) -> Option<&[String]> {
    match decode {
        HeadDecode::Label { labels, .. } | HeadDecode::Classes { labels, .. } => Some(labels),
        _ => None,
    }
}

fn check_labels(field: &str, labels: &[String]) -> Result<(), Complaint> {
    let named = labels.iter().enumerate().all(|(i, label)| !label.trim().is_empty() && !labels[..i].contains(label));
    if labels.len() < 2 || !named {
        return complain(format!("{field}.decode.labels"), format!("{labels:?}: needs two or more, all different"));
    }
    Ok(())
}

/// Three angles are in one tensor, or each has its own.
fn check_angles(field: &str, head: &Head, signs: [f32; 3]) -> Result<(), Complaint> {
    let tensors: Vec<&str> = head.tensors().collect();
    if tensors.len() == 2 {
        return complain(
            format!("{field}.decode"),
            "names only one of `pitch` and `roll`: name both tensors, or neither if all angles are in one tensor",
        );
    }
    for (index, tensor) in tensors.iter().enumerate() {
        if tensor.is_empty() || tensors[..index].contains(tensor) {
            return complain(format!("{field}.decode"), format!("`{tensor}`: each angle needs a tensor of its own"));
        }
    }
    if signs.iter().any(|sign| sign.abs() != 1.0) {
        return complain(format!("{field}.decode.signs"), format!("{signs:?}: each must be 1 or -1"));
    }
    Ok(())
}

/// A bare file name, since a manifest must not reach outside its folder, and a hash. `table` is the prefix of their fields.
fn check_weights(table: &str, file: &str, sha256: &str) -> Result<(), Complaint> {
    let field = format!("{table}file");
    if file.contains(['/', '\\', ':', '\0']) || file.starts_with('.') || file.trim() != file {
        return complain(field, format!("`{file}` must be a plain file name in the manifest's folder"));
    }
    if FileKind::of(file).is_none() {
        return complain(field, format!("`{file}` must end in .onnx (a network) or .forest (a regression forest)"));
    }
    if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return complain(format!("{table}sha256"), format!("`{sha256}` is not 64 hexadecimal digits"));
    }
    Ok(())
}

fn check_input(input: &Input) -> Result<(), Complaint> {
    if input.is_empty() {
        return complain("input", "is missing: say what picture the network takes");
    }
    if input.tensor.is_empty() {
        return complain("input.tensor", "is empty");
    }
    if input.size.iter().any(|side| !(1..=LARGEST_SIDE).contains(side)) {
        return complain("input.size", format!("{:?}: both sides must lie between 1 and {LARGEST_SIDE}", input.size));
    }
    if let Some(step) = input.multiple_of {
        if !(1..=1024).contains(&step) {
            return complain("input.multiple_of", format!("{step} is not between 1 and 1024"));
        }
        if input.size.iter().any(|side| side % step != 0) {
            return complain("input.size", format!("{:?} are not multiples of multiple_of = {step}", input.size));
        }
    }
    if !input.mean.iter().all(|value| value.is_finite()) {
        return complain("input.mean", format!("{:?} must be numbers", input.mean));
    }
    if !input.std.iter().all(|value| value.is_finite() && *value > 0.0) {
        return complain("input.std", format!("{:?} divides the pixels: all three must be above 0", input.std));
    }
    Ok(())
}

fn check_crop(crop: &Crop) -> Result<(), Complaint> {
    match crop {
        Crop::Aligned => Ok(()),
        Crop::Box { expand, .. } if expand.is_finite() && (0.1..=10.0).contains(expand) => Ok(()),
        Crop::Box { expand, .. } => complain("crop.expand", format!("{expand} is not between 0.1 and 10")),
        Crop::Points { points } => check_points(points),
    }
}

fn check_points(points: &[Anchor]) -> Result<(), Complaint> {
    if points.len() < 2 {
        return complain("crop.points", format!("{} given; a similarity transform needs at least 2", points.len()));
    }
    for (index, Anchor { landmarks, at }) in points.iter().enumerate() {
        let field = format!("crop.points[{index}]");
        let sum: f32 = landmarks.iter().sum();
        if !sum.is_finite() || (sum - 1.0).abs() > 1e-3 {
            return complain(format!("{field}.landmarks"), format!("{landmarks:?} sum to {sum}, not to 1"));
        }
        // Template points may lie outside the picture, by its own size at most.
        if !at.iter().all(|share| (-1.0..=2.0).contains(share)) {
            return complain(format!("{field}.at"), format!("{at:?} are shares of the input's sides, about 0 to 1"));
        }
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        for other in &points[..index] {
            if near(&other.at, at) || near(&other.landmarks, landmarks) {
                return complain(field, "coincides with an earlier point, which leaves the transform undetermined");
            }
        }
    }
    Ok(())
}

fn check_detector(detector: &Detector, input: &Input) -> Result<(), Complaint> {
    if !(detector.score > 0.0 && detector.score < 1.0) {
        return complain("detector.score", format!("{} is not between 0 and 1", detector.score));
    }
    if !(detector.nms_iou > 0.0 && detector.nms_iou <= 1.0) {
        return complain("detector.nms_iou", format!("{} is not between 0 and 1", detector.nms_iou));
    }
    match &detector.decode {
        DetectorDecode::Yunet { strides } => check_strides(strides, input),
        DetectorDecode::Corners { scores, boxes, .. } => check_distinct(&[scores, boxes]),
        DetectorDecode::Anchors { scores, boxes, keypoints, variances, levels, .. } => {
            let names: Vec<&String> = [scores, boxes].into_iter().chain(keypoints).collect();
            check_distinct(&names)?;
            if !variances.iter().all(|v| v.is_finite() && *v > 0.0) {
                return complain("detector.decode.variances", format!("{variances:?} must be above 0"));
            }
            if levels.is_empty() {
                return complain("detector.decode.levels", "is empty");
            }
            let mut anchors = 0_u64;
            for (index, level) in levels.iter().enumerate() {
                let field = format!("detector.decode.levels[{index}]");
                if level.stride == 0 || level.stride > LARGEST_SIDE {
                    return complain(format!("{field}.stride"), format!("{} is no cell size", level.stride));
                }
                for (name, values) in [("sizes", &level.sizes), ("ratios", &level.ratios)] {
                    if values.is_empty() || !values.iter().all(|v| v.is_finite() && *v > 0.0) {
                        return complain(format!("{field}.{name}"), format!("{values:?}: needs numbers above 0"));
                    }
                }
                let cells: u64 = input.size.iter().map(|side| u64::from(side.div_ceil(level.stride))).product();
                let shapes = level.sizes.len().saturating_mul(level.ratios.len()) as u64;
                anchors = anchors.saturating_add(cells.saturating_mul(shapes));
            }
            if anchors > MOST_ANCHORS {
                let reason = format!("{anchors} anchors for an input of {:?}, of at most {MOST_ANCHORS}", input.size);
                return complain("detector.decode.levels", reason);
            }
            Ok(())
        }
    }
}

fn check_strides(strides: &[u32], input: &Input) -> Result<(), Complaint> {
    let field = "detector.decode.strides";
    if strides.is_empty() {
        return complain(field, "is empty");
    }
    for (index, &stride) in strides.iter().enumerate() {
        if stride == 0 || strides[..index].contains(&stride) {
            return complain(field, format!("{strides:?}: each must be above 0 and appear once"));
        }
        let sides = input.multiple_of.map_or(input.size, |step| [step, step]);
        if sides.iter().any(|side| side % stride != 0) {
            return complain(field, format!("{stride} does not divide the input's sides ({sides:?})"));
        }
    }
    Ok(())
}

fn check_distinct(names: &[&String]) -> Result<(), Complaint> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || names[..index].contains(name) {
            return complain("detector.decode", format!("`{name}`: tensor names must be non-empty and different"));
        }
    }
    Ok(())
}

fn check_head(index: usize, head: &Head) -> Result<(), Complaint> {
    let field = format!("head[{index}]");
    if head.tensor.is_empty() {
        return complain(format!("{field}.tensor"), "is empty");
    }
    let (kind, fits) = match &head.decode {
        HeadDecode::Years => ("years", head.task == Task::Age),
        HeadDecode::Distribution { .. } => ("distribution", head.task == Task::Age),
        HeadDecode::Label { .. } => ("label", matches!(head.task, Task::Gender | Task::Smile)),
        HeadDecode::Classes { .. } => ("classes", head.task == Task::Expression),
        HeadDecode::Angles { .. } => ("angles", head.task == Task::HeadPose),
        HeadDecode::Points { .. } => ("points", head.task == Task::Keypoints),
        HeadDecode::Embedding { .. } => ("embedding", head.task == Task::Similarity),
    };
    if !fits {
        return complain(format!("{field}.decode.kind"), format!("`{kind}` does not fit the task `{}`", head.task));
    }
    match &head.decode {
        HeadDecode::Label { labels, positive, threshold, .. } => {
            check_labels(&field, labels)?;
            if !labels.contains(positive) {
                return complain(
                    format!("{field}.decode.positive"),
                    format!("`{positive}` is not among the labels {labels:?}"),
                );
            }
            if !(*threshold > 0.0 && *threshold < 1.0) {
                return complain(format!("{field}.decode.threshold"), format!("{threshold} is not between 0 and 1"));
            }
            Ok(())
        }
        HeadDecode::Classes { labels, .. } => check_labels(&field, labels),
        HeadDecode::Angles { signs, .. } => check_angles(&field, head, *signs),
        HeadDecode::Embedding { likeness: Some(likeness), .. } if likeness.fault().is_some() => {
            complain(format!("{field}.decode.likeness"), likeness.fault().unwrap_or_default())
        }
        HeadDecode::Embedding { same_person, .. } if !(same_person.is_finite() && *same_person > 0.0) => {
            complain(format!("{field}.decode.same_person"), format!("{same_person} must be a distance above 0"))
        }
        _ => Ok(()),
    }
}

fn list(tasks: &[Task]) -> String {
    tasks.iter().map(Task::to_string).collect::<Vec<_>>().join(", ")
}

fn task_names() -> String {
    list(&Task::ALL)
}
