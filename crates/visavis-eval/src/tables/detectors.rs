//! Table I: detectors at several input sizes.

use super::layout::{NOTHING, Table, number, speeds};
use super::paper::{DETECTOR_SIZES, PaperDetection, TABLE_I};
use super::{DetectorFigures, Tables, same_network};
use crate::bootstrap::Estimate;

const NOT_TRAINED: &str = "not trained";

pub(super) fn section(tables: &Tables) -> String {
    let mut header: Vec<String> =
        ["detector", "network", "input", "paper: AP@0.5:0.95", "paper: AP@0.5"].map(str::to_owned).into();
    header.extend(["paper: TF-CPU, 1/s", "paper: TF-GPU, 1/s", "paper: OpenCV, 1/s"].map(str::to_owned));
    if tables.box_sets.is_empty() {
        header.extend(["ours: AP@0.5:0.95", "ours: AP@0.5"].map(str::to_owned));
    }
    for set in &tables.box_sets {
        header.extend([format!("ours: AP@0.5:0.95 ({set})"), format!("ours: AP@0.5 ({set})")]);
    }
    for engine in &tables.engines {
        header.extend([format!("ours: {engine}, 1/s"), "times the paper's TF-CPU / OpenCV".to_owned()]);
    }
    let mut table = Table::new(&header);
    for family in &TABLE_I {
        for (size, paper) in DETECTOR_SIZES.into_iter().zip(&family.at) {
            let belongs =
                |figures: &&DetectorFigures| figures.size == size && same_network(&figures.network, family.network);
            let figures = tables.detectors.iter().find(belongs);
            let network = figures.map_or(family.network, |figures| figures.network.as_str());
            table.row(&cells(tables, family.label, network, size, Some(paper), figures));
        }
    }
    for figures in &tables.detectors {
        let in_paper = DETECTOR_SIZES.contains(&figures.size)
            && TABLE_I.iter().any(|family| same_network(&figures.network, family.network));
        if !in_paper {
            table.row(&cells(tables, "not in the paper", &figures.network, figures.size, None, Some(figures)));
        }
    }
    format!("\n## Table I: detectors\n\n{}{}", preface(tables), table.text)
}

fn preface(tables: &Tables) -> String {
    let mut text = String::from("The paper does not say on which faces it measured. AP comes without an interval. ");
    text += tables.box_note.as_deref().unwrap_or_default();
    if tables.detectors.iter().any(|figures| figures.padded.is_some()) {
        text += "Where the input is \"A in B\", the network does not accept size A: pictures are scaled to fit A and padded with \
         black to B. The speed was measured with B. ";
    }
    text.trim_end().to_owned() + "\n\n"
}

fn cells(
    tables: &Tables,
    label: &str,
    network: &str,
    size: [u32; 2],
    paper: Option<&PaperDetection>,
    figures: Option<&DetectorFigures>,
) -> Vec<String> {
    let by = |[width, height]: [u32; 2]| format!("{width}×{height}");
    let padded = figures.and_then(|figures| figures.padded);
    let input = padded.map_or_else(|| by(size), |padded| format!("{} in {}", by(size), by(padded)));
    let mut cells = vec![label.to_owned(), format!("`{network}`"), input];
    cells.extend([0, 1].map(|place| number(paper.map(|paper| paper.precision[place]), 3)));
    cells.extend([0, 1, 2].map(|place| number(paper.map(|paper| paper.speeds[place]), 2)));
    let trained = figures.filter(|figures| !figures.untrained);
    for set in 0..tables.box_sets.len().max(1) {
        let precision = trained.map(|figures| figures.precisions.get(set).copied().unwrap_or_default());
        let cell = |value: Option<f64>| if trained.is_none() { NOT_TRAINED.to_owned() } else { number(value, 3) };
        cells.extend([cell(precision.and_then(|p| p.ap50_95)), cell(precision.and_then(|p| p.ap50))]);
    }
    let measured = figures.map(|figures| &figures.speeds[..]);
    for (engine, speed) in speeds(tables, measured).into_iter().enumerate() {
        let ours = measured.and_then(|measured| measured.get(engine).copied().flatten());
        cells.extend([speed, ratios(ours, paper)]);
    }
    cells
}

/// The factors between our speed and the paper's two figures for a CPU.
fn ratios(ours: Option<Estimate>, paper: Option<&PaperDetection>) -> String {
    match (ours, paper) {
        (Some(ours), Some(PaperDetection { speeds: [cpu, _, opencv], .. })) => {
            format!("{:.1} / {:.1}", ours.value / cpu, ours.value / opencv)
        }
        _ => NOTHING.into(),
    }
}
