//! Tables as Markdown.

use super::layout::{NOTHING, Table, number, speeds};
use super::paper::{PaperAttributes, TABLE_II, TABLE_III, TABLE_IV, TABLE_V};
use super::{AttributeFigures, Cell, KeypointFigures, MULTITASK, SimilarityFigures, Tables, same_network};
use crate::bootstrap::Estimate;

pub(super) fn document(tables: &Tables) -> String {
    let mut text = String::from("# Our figures beside the paper's\n\n");
    text += &format!("Measured by `{}` on {}.\n\n", tables.command, tables.machine);
    text += "Our figures have a 95 % interval, by the bootstrap over faces or, for speeds, over runs. ";
    text += "Speeds are pictures per second, one at a time, of the network alone. For keypoint networks they include \
     cropping the face, which cannot be separated for a regression forest; for detectors, decoding and \
     suppression. ";
    if let Some(view) = tables.view {
        text += &format!("Accuracies for faces were measured in the view `{view}` (see Robustness). ");
    }
    text += "The paper, \"Real-time facial analysis\", measured on other faces (AFLW, ChaLearn LAP, GENKI-4K) and on another \
     computer, so its figures cannot be compared directly with ours. *not trained*: the network has random weights; only \
     its speed was measured.\n";
    text += &super::detectors::section(tables);
    text += &keypoints(tables);
    text += &similarity(tables);
    text += &attributes("Table IV: stages", tables, &TABLE_IV, |figures| !figures.network.starts_with(MULTITASK));
    text += &attributes("Table V: backbones of the multitask network", tables, &TABLE_V, |figures| {
        figures.network.starts_with(MULTITASK)
    });
    if !tables.robustness.is_empty() {
        text += &robustness(tables);
    }
    text
}

fn keypoints(tables: &Tables) -> String {
    let name = set_and_count(&tables.sets.keypoints, tables.keypoints.iter().map(|figures| &figures.interocular));
    let mut header = vec![
        "method".to_owned(),
        "network".to_owned(),
        "paper: error, %".to_owned(),
        format!("ours: error, % of the eye distance{name}"),
        "% of the box".to_owned(),
        "above 10 %, % of faces".to_owned(),
        "paper: CPU, 1/s".to_owned(),
    ];
    header.extend(tables.engines.iter().map(|engine| format!("ours: {engine}, 1/s")));
    let mut table = Table::new(&header);
    let mut row = |label: &str, paper: Option<(f64, f64)>, network: &str, figures: Option<&KeypointFigures>| {
        let percent = |pick: fn(&KeypointFigures) -> Cell| cell(figures.map(pick), 100.0, 2);
        let mut cells = vec![
            label.to_owned(),
            format!("`{network}`"),
            number(paper.map(|paper| paper.0), 2),
            percent(|figures| figures.interocular),
            percent(|figures| figures.by_box),
            percent(|figures| figures.failures),
            number(paper.map(|paper| paper.1), 2),
        ];
        cells.extend(speeds(tables, figures.map(|figures| &figures.speeds[..])));
        table.row(&cells);
    };
    for paper in &TABLE_II {
        let figures = tables.keypoints.iter().find(|figures| same_network(&figures.network, paper.network));
        let network = figures.map_or(paper.network, |figures| figures.network.as_str());
        row(paper.label, Some((paper.error, paper.cpu)), network, figures);
    }
    for figures in &tables.keypoints {
        if !TABLE_II.iter().any(|paper| same_network(&figures.network, paper.network)) {
            row("not in the paper", None, &figures.network, Some(figures));
        }
    }
    format!("\n## Table II: keypoints\n\n{}", table.text)
}

fn similarity(tables: &Tables) -> String {
    let name = set_and_count(&tables.sets.similarity, tables.similarity.iter().map(|figures| &figures.rank_1));
    let mut header = vec!["backbone".to_owned(), "network".to_owned()];
    for figure in ["mAP", "rank-1", "rank-5"] {
        header.extend([format!("paper: {figure}"), format!("ours: {figure}{name}")]);
    }
    header.extend(tables.engines.iter().map(|engine| format!("ours: {engine}, 1/s")));
    let mut table = Table::new(&header);
    let mut row = |label: &str, paper: Option<[f64; 3]>, network: &str, figures: Option<&SimilarityFigures>| {
        let mut cells = vec![label.to_owned(), format!("`{network}`")];
        let ours = figures.map(|figures| [figures.mean_average_precision, figures.rank_1, figures.rank_5]);
        for place in 0..3 {
            cells.push(number(paper.map(|paper| paper[place]), 3));
            cells.push(cell(ours.map(|ours| ours[place]), 1.0, 3));
        }
        cells.extend(speeds(tables, figures.map(|figures| &figures.speeds[..])));
        table.row(&cells);
    };
    for paper in &TABLE_III {
        let figures = tables.similarity.iter().find(|figures| same_network(&figures.network, paper.network));
        row(paper.label, Some(paper.found), figures.map_or(paper.network, |figures| &figures.network), figures);
    }
    for figures in &tables.similarity {
        if !TABLE_III.iter().any(|paper| same_network(&figures.network, paper.network)) {
            row("not in the paper", None, &figures.network, Some(figures));
        }
    }
    let explained = "The paper does not say how it divided CelebA into queries and gallery. Here a third of the photos of \
     each person are queries; the others, and the photos of people with a single one, are the gallery. The \
     networks of this project were not trained on any of these people; for other networks this is not known.";
    format!("\n## Table III: similarity\n\n{explained}\n\n{}", table.text)
}

fn attributes(
    title: &str,
    tables: &Tables,
    paper: &[PaperAttributes],
    belongs: impl Fn(&AttributeFigures) -> bool,
) -> String {
    let gpus = paper.iter().any(|row| row.gpus.is_some());
    let of = |set: &Option<String>, pick: fn(&AttributeFigures) -> &Cell| {
        set_and_count(set, tables.attributes.iter().map(pick))
    };
    let mut header = vec![
        if gpus { "stage" } else { "backbone" }.to_owned(),
        "network".to_owned(),
        "paper: age MAE, years".to_owned(),
        format!("ours: age{}", of(&tables.sets.age, |figures| &figures.age)),
        "paper: gender, %".to_owned(),
        format!("ours: gender{}", of(&tables.sets.gender, |figures| &figures.gender)),
        "paper: smile, %".to_owned(),
        format!("ours: smile{}", of(&tables.sets.smile, |figures| &figures.smile)),
        "paper: CPU, 1/s".to_owned(),
    ];
    if gpus {
        header.extend(["paper: 1050 Ti, 1/s", "paper: 1080 Ti, 1/s"].map(str::to_owned));
    }
    header.extend(tables.engines.iter().map(|engine| format!("ours: {engine}, 1/s")));
    let mut table = Table::new(&header);
    let mut row = |label: &str, paper: Option<&PaperAttributes>, network: &str, figures: Option<&AttributeFigures>| {
        let mut cells = vec![
            label.to_owned(),
            format!("`{network}`"),
            number(paper.and_then(|paper| paper.age), 2),
            cell(figures.map(|figures| figures.age), 1.0, 2),
            number(paper.and_then(|paper| paper.gender), 1),
            cell(figures.map(|figures| figures.gender), 100.0, 1),
            number(paper.and_then(|paper| paper.smile), 1),
            cell(figures.map(|figures| figures.smile), 100.0, 1),
            number(paper.map(|paper| paper.cpu), 2),
        ];
        if gpus {
            let both = paper.and_then(|paper| paper.gpus);
            cells.extend([0, 1].map(|place| number(both.map(|both| both[place]), 2)));
        }
        cells.extend(speeds(tables, figures.map(|figures| &figures.speeds[..])));
        table.row(&cells);
    };
    for paper in paper {
        let figures = tables.attributes.iter().find(|figures| same_network(&figures.network, paper.network));
        let network = figures.map_or(paper.network, |figures| figures.network.as_str());
        row(paper.label, Some(paper), network, figures);
    }
    for figures in tables.attributes.iter().filter(|figures| belongs(figures)) {
        if !paper.iter().any(|paper| same_network(&figures.network, paper.network)) {
            row("not in the paper", None, &figures.network, Some(figures));
        }
    }
    format!("\n## {title}\n\n{}", table.text)
}

fn robustness(tables: &Tables) -> String {
    let mut header = vec!["figure".to_owned(), "network".to_owned()];
    header.extend(tables.views.iter().map(|view| format!("`{view}`")));
    let mut table = Table::new(&header);
    for row in &tables.robustness {
        let mut cells = vec![row.figure.clone(), format!("`{}`", row.network)];
        let shown = |estimate: &Option<Estimate>| {
            let text = |estimate: &Estimate| format!("{}, n = {}", estimate.text(row.decimals), estimate.n);
            estimate.as_ref().map_or(NOTHING.to_owned(), text)
        };
        cells.extend(row.by_view.iter().map(shown));
        table.row(&cells);
    }
    let explained = "`labelled`: labelled box and keypoints. `detected`: the box of the detector. `jitter`: the labelled box, \
     moved and scaled by up to 10 %. `small`: the picture shrunk until the box is at most 64 pixels wide. If a keypoint \
     network was chosen, it locates the keypoints in all views but `labelled`.";
    format!("\n## Robustness\n\n{explained}\n\n{}", table.text)
}

/// ` (utkface, n = 1080)`, for a header.
fn set_and_count<'a>(set: &Option<String>, cells: impl Iterator<Item = &'a Cell>) -> String {
    let counts = cells.filter_map(|cell| match cell {
        Cell::Measured(estimate) => Some(estimate.n),
        _ => None,
    });
    match (set, counts.max()) {
        (Some(set), Some(count)) => format!(" ({set}, n = {count})"),
        _ => String::new(),
    }
}

fn cell(cell: Option<Cell>, factor: f64, decimals: usize) -> String {
    match cell {
        Some(Cell::Measured(estimate)) => estimate.times(factor).text(decimals),
        Some(Cell::NotTrained) => "not trained".into(),
        Some(Cell::Nothing) | None => NOTHING.into(),
    }
}
