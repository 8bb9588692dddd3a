//! `visavis-lab data boxes`: converts face boxes in the layouts of data sets to COCO JSON.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::Parser;
use serde::Serialize;
use visavis_data::boxes::{FaceBoxes, Label, set_name};
use visavis_data::layout::boxes::{BoxLayout, read};
use visavis_data::{Split, SplitRule};

use visavis_cli::options::{complain, say, say_json};

/// Convert face boxes in any layout to COCO JSON, for training and `visavis-lab evaluate detection`
#[derive(Parser)]
#[command(after_help = after_help())]
pub(super) struct Args {
    /// Layout of the boxes (see below)
    #[arg(long, value_name = "LAYOUT", value_parser = BoxLayout::from_str)]
    layout: BoxLayout,
    /// The list of boxes, or the folder that contains it
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Folder of the pictures [default: that of the layout]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The file to write; an existing one is replaced when the new one is complete
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

fn after_help() -> String {
    let lines: Vec<String> =
        BoxLayout::ALL.iter().map(|layout| format!("  {:10} {}", layout.name(), layout.description())).collect();
    format!(
        "Layouts:\n{}\n\nExamples:\n  \
         visavis-lab data boxes --layout wider --from wider_face_split/wider_face_val_bbx_gt.txt --out wider.json\n  \
         visavis-lab data boxes --layout voc --from mine/Annotations --images mine/photos --out mine/boxes.json",
        lines.join("\n")
    )
}

pub(super) fn run(args: &Args) -> Result<()> {
    let set = read(args.layout, &args.from, args.images.as_deref())?;
    for note in &set.notes {
        complain(note);
    }
    set.boxes.write(&args.out)?;
    let summary = Summary::of(&set.boxes, &set_name(&set.images));
    if args.json {
        return say_json(&serde_json::json!({
            "out": args.out, "images": set.images, "notes": set.notes, "summary": summary,
        }));
    }
    say(&format!(
        "{}: {} faces on {} pictures, {} pictures without one; {} boxes to be ignored",
        summary.set, summary.faces, summary.pictures, summary.negatives, summary.ignored
    ))?;
    let bands = summary.by_side.iter().map(|band| format!("{} {}", band.faces, band.side));
    say(&format!("shorter side of a face in pixels: {}", bands.collect::<Vec<_>>().join(", ")))?;
    say(&format!(
        "{} pictures train, {} validate; pictures in {}, boxes in {}",
        summary.train,
        summary.validation,
        set.images.display(),
        args.out.display()
    ))
}

/// Summary of a box set.
#[derive(Serialize)]
struct Summary {
    /// Its name, which determines the split.
    set: String,
    pictures: usize,
    /// Number of pictures without boxes.
    negatives: usize,
    faces: usize,
    ignored: usize,
    by_side: Vec<Band>,
    /// Number of pictures on each side of the split.
    train: usize,
    validation: usize,
}

#[derive(Serialize)]
struct Band {
    side: String,
    faces: usize,
}

impl Summary {
    fn of(boxes: &FaceBoxes, set: &str) -> Self {
        const EDGES: [f32; 5] = [0.0, 16.0, 32.0, 64.0, 128.0];
        let all = || boxes.images.iter().flat_map(|image| &image.faces);
        let faces = all().filter(|face| face.label == Label::Face);
        let sides: Vec<f32> = faces.map(|face| face.rect.width.min(face.rect.height)).collect();
        let by_side = EDGES.iter().enumerate().map(|(place, &from)| {
            let to = EDGES.get(place + 1).copied();
            let side = to.map_or(format!("from {from} up"), |to| format!("from {from} to {to}"));
            let within = |side: &&f32| **side >= from && to.is_none_or(|to| **side < to);
            Band { side, faces: sides.iter().filter(within).count() }
        });
        Self {
            set: set.to_owned(),
            pictures: boxes.images.len(),
            negatives: boxes.images.iter().filter(|image| image.negative).count(),
            faces: sides.len(),
            ignored: all().count() - sides.len(),
            by_side: by_side.collect(),
            train: boxes.part(SplitRule::default(), set, Split::Train).images.len(),
            validation: boxes.part(SplitRule::default(), set, Split::Validation).images.len(),
        }
    }
}
