//! `visavis evaluate`: measure networks on labelled data.

mod attributes;
mod detection;
mod detectors;
mod faces;
mod faults;
mod keypoints;
mod machine;
mod main_face;
mod sheet;
mod similarity;
mod speed;
mod tables;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measure networks on labelled data
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis evaluate detection --boxes wider/boxes.json --detector yunet_n --plot curve.svg --sheet faults.png
  visavis evaluate main-face --layout table --from mine --sheet missed.png
  visavis evaluate keypoints --data packs/mtfl --network mtcnn_onet,yunet_n --view labelled,detected
  visavis evaluate attributes --data packs/utkface --network faceapi_age_gender --groups
  visavis evaluate similarity --data packs/lfw --pairs pairs.txt --network dlib_face_recognition --split all
  visavis evaluate speed --network yunet_n")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Detection(detection::Args),
    MainFace(main_face::Args),
    Keypoints(keypoints::Args),
    Attributes(attributes::Args),
    Similarity(similarity::Args),
    Speed(speed::Args),
    Tables(tables::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Detection(args) => detection::run(args),
        Command::MainFace(args) => main_face::run(args),
        Command::Keypoints(args) => keypoints::run(args),
        Command::Attributes(args) => attributes::run(args),
        Command::Similarity(args) => similarity::run(args),
        Command::Speed(args) => speed::run(args),
        Command::Tables(args) => tables::run(args),
    }
}
