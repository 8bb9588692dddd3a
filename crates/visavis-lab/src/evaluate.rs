//! `visavis-lab evaluate`: measure networks on labelled data.

mod attributes;
mod detection;
mod detectors;
mod faces;
mod faults;
mod keypoints;
mod machine;
mod main_face;
mod similarity;
mod speed;
mod tables;
mod text_table;
mod trust;

use anyhow::Result;
use clap::{Parser, Subcommand};

pub(crate) use self::tables::{Args as TablesArgs, run as tables};

/// Measure networks on labelled data
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab evaluate detection --boxes wider/boxes.json --detector yunet_n --plot curve.svg --sheet faults.png
  visavis-lab evaluate main-face --layout table --from mine --sheet missed.png
  visavis-lab evaluate keypoints --data packs/mtfl --network mtcnn_onet,yunet_n --view labelled,detected
  visavis-lab evaluate attributes --data packs/utkface --network faceapi_age_gender --groups
  visavis-lab evaluate similarity --data packs/lfw --pairs pairs.txt --network dlib_face_recognition --split all
  visavis-lab evaluate speed --network yunet_n")]
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
    Trust(trust::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Detection(args) => detection::run(args),
        Command::MainFace(args) => main_face::run(args),
        Command::Keypoints(args) => keypoints::run(args),
        Command::Attributes(args) => attributes::run(args),
        Command::Similarity(args) => similarity::run(args),
        Command::Speed(args) => speed::run(args),
        Command::Trust(args) => trust::run(args),
    }
}
