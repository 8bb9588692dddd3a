//! Checks of tensor shapes against a manifest, the same for every engine.

use crate::manifest::{Detector, DetectorDecode, HeadDecode, Layout};
use crate::{InferError, Manifest, Tensor};

/// A shape; an extent may be unknown until the network runs.
pub(crate) type Extents = [Option<usize>];

/// Checks the input tensor's shape as the file declares it.
pub(crate) fn check_declared_input(manifest: &Manifest, declared: &Extents) -> Result<(), InferError> {
    let [width, height] = manifest.input.size;
    let want = manifest.input.shape(1, width, height);
    let fixed = manifest.input.multiple_of.is_none();
    let channel = channel_axis(manifest.input.layout);
    let agrees = declared.len() == 4
        && declared.iter().enumerate().all(|(axis, extent)| match extent {
            None => true,
            // A fixed batch of one means that the network takes no larger batch.
            Some(n) if axis == 0 => *n == 1 && !manifest.input.batch,
            Some(n) if axis == channel || fixed => *n == want[axis],
            // A network with a fixed size must have a manifest with this size only.
            Some(_) => false,
        });
    if agrees {
        return Ok(());
    }
    Err(InferError::Shape {
        model: manifest.name.clone(),
        tensor: manifest.input.tensor.clone(),
        expected: promise(manifest),
        found: format!("{} declared in the file", show(declared)),
    })
}

/// Checks an input tensor before a run.
pub(crate) fn check_input(manifest: &Manifest, input: &Tensor) -> Result<(), InferError> {
    let [width, height] = manifest.input.size;
    let want = manifest.input.shape(1, width, height);
    let channel = channel_axis(manifest.input.layout);
    let agrees = input.shape.len() == 4
        && input.shape.iter().enumerate().all(|(axis, &n)| match manifest.input.multiple_of {
            _ if axis == 0 => n == 1 || (n > 1 && manifest.input.batch),
            Some(step) if axis != channel => n > 0 && n % step as usize == 0,
            _ => n == want[axis],
        });
    if !agrees {
        return Err(InferError::Shape {
            model: manifest.name.clone(),
            tensor: manifest.input.tensor.clone(),
            expected: promise(manifest),
            found: format!("{:?}", input.shape),
        });
    }
    let volume = input.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
    if volume != Some(input.data.len()) {
        return Err(InferError::Shape {
            model: manifest.name.clone(),
            tensor: manifest.input.tensor.clone(),
            expected: format!("as many values as {:?} has places", input.shape),
            found: format!("{} values", input.data.len()),
        });
    }
    Ok(())
}

/// Checks the shape of the output tensor `index` of [`Manifest::output_tensors`], as far as it is known.
pub(crate) fn check_output(manifest: &Manifest, index: usize, shape: &Extents) -> Result<(), InferError> {
    let Some(want) = last_extent(manifest, index) else { return Ok(()) };
    let agrees = match (shape.last(), want) {
        (None, _) => false,
        (Some(None), _) => true,
        (Some(Some(n)), Want::Exactly(m)) => *n == m,
        (Some(Some(n)), Want::MoreThan(m)) => *n > m,
    };
    if agrees {
        return Ok(());
    }
    Err(InferError::Shape {
        model: manifest.name.clone(),
        tensor: manifest.output_tensors().swap_remove(index),
        expected: match want {
            Want::Exactly(n) => format!("{n} numbers in the last axis"),
            Want::MoreThan(n) => format!("more than {n} numbers in the last axis"),
        },
        found: show(shape),
    })
}

#[derive(Clone, Copy)]
enum Want {
    Exactly(usize),
    MoreThan(usize),
}

/// The size that the last axis of an output must have to be decoded.
fn last_extent(manifest: &Manifest, index: usize) -> Option<Want> {
    if let Some(Detector { decode, .. }) = &manifest.detector {
        return Some(match decode {
            DetectorDecode::Yunet { .. } => Want::Exactly([1, 1, 4, 10][index % 4]),
            DetectorDecode::Corners { face_class, .. } | DetectorDecode::Anchors { face_class, .. } => match index {
                0 => Want::MoreThan(*face_class),
                1 => Want::Exactly(4),
                _ => Want::Exactly(10),
            },
        });
    }
    let name = manifest.output_tensors().into_iter().nth(index)?;
    let head = manifest.heads.iter().find(|head| head.tensors().any(|tensor| tensor == name))?;
    Some(match &head.decode {
        HeadDecode::Years | HeadDecode::Angles { pitch: Some(_), .. } => Want::Exactly(1),
        HeadDecode::Angles { pitch: None, .. } => Want::Exactly(3),
        HeadDecode::Distribution { .. } | HeadDecode::Embedding { .. } => Want::MoreThan(1),
        HeadDecode::Label { labels, .. } | HeadDecode::Classes { labels, .. } => Want::Exactly(labels.len()),
        HeadDecode::Points { .. } => Want::Exactly(10),
    })
}

fn channel_axis(layout: Layout) -> usize {
    match layout {
        Layout::Nchw => 1,
        Layout::Nhwc | Layout::Nwhc => 3,
    }
}

/// The input shape as text, such as `[N, 3, 112, 112]`.
fn promise(manifest: &Manifest) -> String {
    let input = &manifest.input;
    let batch = if input.batch { "N" } else { "1" };
    let (width, height) = match input.multiple_of {
        Some(step) => (format!("W ({step}k)"), format!("H ({step}k)")),
        None => (input.size[0].to_string(), input.size[1].to_string()),
    };
    match input.layout {
        Layout::Nchw => format!("[{batch}, 3, {height}, {width}]"),
        Layout::Nhwc => format!("[{batch}, {height}, {width}, 3]"),
        Layout::Nwhc => format!("[{batch}, {width}, {height}, 3]"),
    }
}

fn show(shape: &Extents) -> String {
    let extents: Vec<String> =
        shape.iter().map(|extent| extent.map_or_else(|| "?".into(), |n| n.to_string())).collect();
    format!("[{}]", extents.join(", "))
}
