//! `visavis-lab data label`: labels pictures with detectors, for training another detector.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use visavis_data::boxes::{FaceBoxes, Label, LabelledImage, Teacher, TeacherParams, label};
use visavis_data::layout::{picture_names, table};
use visavis_face::detect::{DetectorParams, FaceDetector};
use visavis_image::{Landmarks, Picture, codec};
use visavis_infer::{Registry, Runtime};

use super::bar;
use visavis_cli::options::{EngineArgs, complain, cores, say, say_json};

/// Label faces in pictures with detectors, for training another detector
///
/// The first teacher searches each picture at all sizes, and mirrored; the others at every second size. A detection with a high
/// score of the first teacher that another one confirms becomes a face with keypoints; one by a single teacher becomes a region
/// that training ignores. Photos that cannot be read are left out.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab data label --images photos --teacher yunet_n --teacher ultraface_rfb_320 --models DIR --out photos.json
  visavis-lab data label --images mtfl --keypoints mtfl/labels.csv --teacher yunet_n --models DIR --out mtfl.json")]
pub(super) struct Args {
    /// Folder of the pictures
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Network that labels; the first one must give keypoints, others confirm. May be given more than once; without --boxes and
    /// --keypoints, two are needed
    #[arg(long = "teacher", value_name = "NETWORK", required = true)]
    teachers: Vec<String>,
    /// Known boxes, COCO JSON: they are kept and get keypoints, and others are added
    #[arg(long, value_name = "FILE")]
    boxes: Option<PathBuf>,
    /// Keypoints labelled by people, as a table (`visavis-lab data pack --help`) with one face per picture. Only the pictures
    /// of the table are labelled
    #[arg(long, value_name = "FILE")]
    keypoints: Option<PathBuf>,
    /// Longer side in pixels to which pictures are scaled; may be given more than once [default: 416, 624, 832, 1248]
    #[arg(long = "side", value_name = "PIXELS")]
    sides: Vec<u32>,
    /// The file to write; an existing one is replaced when the new one is complete
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    check_teachers(args)?;
    let mut params = TeacherParams::default();
    if !args.sides.is_empty() {
        params.sides.clone_from(&args.sides);
    }
    let (mut images, points) = listed(args)?;
    let registry = Registry::open(&args.engines.models)?;
    let entries = args.teachers.iter().map(|name| registry.get(name)).collect::<Result<Vec<_>, _>>()?;
    let runtime = Runtime::discover(args.engines.onnxruntime.as_deref());
    let teachers = || -> Result<Vec<Teacher>> {
        let make = |entry: &&visavis_infer::Entry| {
            let model = entry.load(&runtime, &args.engines.recognition())?;
            let input = &entry.manifest.input;
            let any = input.multiple_of.is_some();
            let seen =
                DetectorParams { native_size: any, score: Some(params.doubtful[0]), ..DetectorParams::default() };
            let detector = FaceDetector::new(&entry.manifest, model, seen)?;
            Ok(Teacher { detector: Box::new(detector), tile: (!any).then_some(input.size) })
        };
        entries.iter().map(make).collect()
    };
    let progress = bar(images.len(), "pictures");
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(images.len()));
    let work = || -> Result<()> {
        let mut teachers = teachers()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(image) = images.get(index) else { return Ok(()) };
            let path = args.images.join(&image.file_name);
            let labelled = match decoded(&path) {
                Ok(_) if image.negative => Ok((image.width, image.height, Vec::new())),
                Ok(picture) => {
                    let points = points.get(&image.file_name).copied();
                    let faces = label(&picture, &mut teachers, &image.faces, points, &params)
                        .with_context(|| path.display().to_string())?;
                    Ok((picture.width(), picture.height(), faces))
                }
                Err(reason) => Err(format!("left out, not readable: {}: {reason}", path.display())),
            };
            results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, labelled));
            progress.inc(1);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    progress.finish_and_clear();
    let mut unreadable = Vec::new();
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    for (index, labelled) in results {
        match labelled {
            Ok((width, height, faces)) => {
                (images[index].width, images[index].height, images[index].faces) = (width, height, faces);
            }
            Err(reason) => {
                complain(&reason);
                unreadable.push(images[index].file_name.clone());
            }
        }
    }
    images.retain(|image| !unreadable.contains(&image.file_name));
    ensure!(!images.is_empty(), "{}: none of {} pictures could be read", args.images.display(), unreadable.len());
    let boxes = FaceBoxes { images };
    boxes.write(&args.out)?;
    let faces = boxes.images.iter().flat_map(|image| &image.faces);
    let (found, ignored): (Vec<_>, Vec<_>) = faces.partition(|face| face.label == Label::Face);
    let pointed = found.iter().filter(|face| face.landmarks.is_some()).count();
    if args.json {
        return say_json(&serde_json::json!({
            "out": args.out, "pictures": boxes.images.len(), "faces": found.len(), "with_keypoints": pointed,
            "ignored": ignored.len(), "unreadable": unreadable,
        }));
    }
    say(&format!(
        "{}: {} faces on {} pictures, {pointed} of them with keypoints; {} regions to be ignored; pictures not readable {}",
        args.out.display(),
        found.len(),
        boxes.images.len(),
        ignored.len(),
        unreadable.len()
    ))
}

/// Fails if no detection could become a face, or if a detector would confirm its own detections.
fn check_teachers(args: &Args) -> Result<()> {
    let mut names = args.teachers.clone();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("--teacher names {} twice: it would confirm its own detections", pair[0]);
    }
    if let ([alone], None, None) = (&args.teachers[..], &args.boxes, &args.keypoints) {
        bail!(
            "{alone} alone labels no face, since another detector must confirm each: name a second one with --teacher, or give \
             --boxes or --keypoints"
        );
    }
    Ok(())
}

/// Decodes a picture, or gives the reason why that is not possible.
fn decoded(path: &Path) -> Result<Picture, String> {
    // Opening a pipe waits until a program writes to it.
    if !path.is_file() {
        return Err("there is no such file".into());
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    codec::decode(&bytes, codec::MAX_PIXELS).map_err(|error| error.to_string())
}

/// The pictures with their known boxes, and labelled keypoints by file name.
fn listed(args: &Args) -> Result<(Vec<LabelledImage>, HashMap<String, Landmarks>)> {
    let mut points = HashMap::new();
    let fresh = |(id, file_name): (u64, String)| LabelledImage {
        id,
        file_name,
        width: 0,
        height: 0,
        source: None,
        negative: false,
        faces: Vec::new(),
    };
    let images = match (&args.boxes, &args.keypoints) {
        (Some(_), Some(_)) => bail!("give either --boxes or --keypoints"),
        (Some(boxes), None) => FaceBoxes::read(boxes)?.images,
        (None, Some(list)) => {
            let set = table::read(list)?;
            points.extend(set.samples.iter().filter_map(|sample| Some((sample.file.clone(), sample.landmarks?))));
            (1..).zip(set.samples.into_iter().map(|sample| sample.file)).map(fresh).collect()
        }
        (None, None) => (1..).zip(picture_names(&args.images)?).map(fresh).collect(),
    };
    Ok((images, points))
}
