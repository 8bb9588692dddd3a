//! Compares the tables with a golden file. `VISAVIS_UPDATE_GOLDEN=1 cargo test -p visavis-eval` writes it anew.

use std::path::PathBuf;

use super::*;

fn estimate(value: f64, half: f64, n: usize) -> Estimate {
    Estimate { value, low: value - half, high: value + half, n }
}

fn measured(value: f64, half: f64, n: usize) -> Cell {
    Cell::Measured(estimate(value, half, n))
}

fn precision(ap50_95: f64, ap50: f64) -> Precision {
    Precision { ap50_95: Some(ap50_95), ap50: Some(ap50) }
}

fn tables() -> Tables {
    let speeds = |tract: f64, other: Option<f64>| {
        vec![Some(estimate(tract, tract * 0.02, 60)), other.map(|other| estimate(other, other * 0.01, 90))]
    };
    Tables {
        command: "visavis-lab tables --data a b".into(),
        machine: "two cores of a test".into(),
        engines: vec!["tract".into(), "ONNX Runtime".into()],
        sets: SetNames {
            keypoints: Some("a".into()),
            age: Some("a".into()),
            gender: Some("a".into()),
            smile: Some("b".into()),
            similarity: Some("c".into()),
        },
        box_sets: vec!["wider, n = 1293".into(), "c, validation, n = 77".into()],
        box_note: Some("Only faces of 16 px and more at the input are to be found. ".into()),
        detectors: vec![
            DetectorFigures {
                network: "ssd_mobilenet_v1".into(),
                size: [240, 180],
                precisions: vec![precision(0.31, 0.62), precision(0.5, 0.81)],
                speeds: speeds(103.2, Some(206.4)),
                ..DetectorFigures::default()
            },
            DetectorFigures {
                network: "ssdlite_mobilenetv2".into(),
                size: [300, 300],
                untrained: true,
                speeds: speeds(56.92, None),
                ..DetectorFigures::default()
            },
            DetectorFigures {
                network: "peer_n".into(),
                size: [300, 300],
                padded: Some([320, 320]),
                precisions: vec![precision(0.4, 0.7), Precision::default()],
                speeds: speeds(150.0, Some(300.0)),
                ..DetectorFigures::default()
            },
        ],
        view: Some(View::Labelled),
        keypoints: vec![
            KeypointFigures {
                network: "onet".into(),
                interocular: measured(0.0371, 0.001, 980),
                by_box: measured(0.0152, 0.0005, 980),
                failures: measured(0.011, 0.004, 980),
                speeds: speeds(812.0, Some(2100.0)),
            },
            KeypointFigures {
                network: "someone_else".into(),
                interocular: measured(0.05, 0.002, 978),
                ..KeypointFigures::default()
            },
        ],
        similarity: vec![
            SimilarityFigures {
                network: "similarity_mobilenetv1".into(),
                mean_average_precision: measured(0.7, 0.02, 308),
                rank_1: measured(0.74, 0.05, 308),
                rank_5: measured(0.87, 0.04, 308),
                speeds: speeds(140.0, None),
            },
            SimilarityFigures {
                network: "similarity_resnet50".into(),
                mean_average_precision: Cell::NotTrained,
                rank_1: Cell::NotTrained,
                rank_5: Cell::NotTrained,
                speeds: speeds(9.0, Some(30.0)),
            },
        ],
        attributes: vec![
            AttributeFigures {
                network: "age_mobilenetv1".into(),
                age: measured(4.87, 0.25, 1080),
                speeds: speeds(151.0, None),
                ..AttributeFigures::default()
            },
            AttributeFigures {
                network: "multitask_mobilenet_v1".into(),
                age: measured(4.912, 0.25, 1080),
                gender: measured(0.9324, 0.015, 1080),
                smile: measured(0.941, 0.031, 201),
                speeds: speeds(149.0, Some(350.25)),
            },
            AttributeFigures {
                network: "multitask_vgg16".into(),
                age: Cell::NotTrained,
                gender: Cell::NotTrained,
                smile: Cell::NotTrained,
                speeds: speeds(1.234, Some(4.5)),
            },
            AttributeFigures {
                network: "multitask_mobilenetv2".into(),
                age: measured(5.0, 0.3, 1080),
                ..AttributeFigures::default()
            },
            AttributeFigures {
                network: "peer".into(),
                gender: measured(0.92, 0.02, 1080),
                ..AttributeFigures::default()
            },
        ],
        views: vec![View::Labelled, View::Detected],
        robustness: vec![RobustnessRow {
            figure: "age MAE, years (a)".into(),
            network: "multitask_mobilenet_v1".into(),
            by_view: vec![Some(estimate(4.912, 0.25, 1080)), None],
            decimals: 2,
        }],
    }
}

#[test]
fn document_is_the_golden_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tables.md");
    let found = tables().markdown();
    if std::env::var_os("VISAVIS_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{} is out of date", path.display());
}

#[test]
fn every_row_has_as_many_cells_as_its_header() {
    let mut bars = 0;
    for line in tables().markdown().lines().filter(|line| line.starts_with('|')) {
        let found = line.matches('|').count();
        if ["| detector", "| stage", "| backbone", "| method", "| figure"].iter().any(|header| line.starts_with(header))
        {
            bars = found;
        }
        assert_eq!(found, bars, "{line}");
    }
}

#[test]
fn names_of_one_network() {
    assert!(same_network("multitask_efficientnet_b0", "multitask-EfficientNetB0"));
    assert!(!same_network("multitask_efficientnet_b1", "multitask_efficientnet_b0"));
    let expected = expected_networks();
    assert_eq!(expected.len(), 12, "{expected:?}");
    assert_eq!(expected_detectors().len(), 5);
    assert!(expected.contains(&("onet", true)) && expected.contains(&("multitask_vgg16", false)));
}

#[test]
fn every_detector_has_three_rows_and_says_what_is_not_trained() {
    for tables in [tables(), Tables { engines: vec!["tract".into()], ..Tables::default() }] {
        let text = tables.markdown();
        for network in expected_detectors() {
            let rows = text.lines().filter(|line| line.contains(&format!("| `{network}` |")) && line.contains('×'));
            let rows: Vec<&str> = rows.collect();
            // One row of this family is filled by a network with another spelling.
            let spelled = network == "ssd_mobilenetv1" && !tables.detectors.is_empty();
            assert_eq!(rows.len(), if spelled { 2 } else { 3 }, "{network}");
            assert!(rows.iter().all(|row| row.contains("not trained")), "{network}");
        }
    }
    let text = tables().markdown();
    let row = text.lines().find(|line| line.contains("`ssd_mobilenet_v1`")).unwrap();
    assert!(
        row.contains("| 240×180 | 0.684 | 0.868 | 51.60 | 105.46 | 70.09 | 0.310 | 0.620 | 0.500 | 0.810 |"),
        "{row}"
    );
    // 103.2 / 51.6 and 103.2 / 70.09, twice that with the other engine.
    assert!(row.contains("| 2.0 / 1.5 |") && row.ends_with("| 4.0 / 2.9 |"), "{row}");
    assert!(text.contains("| not in the paper | `peer_n` | 300×300 in 320×320 | – | – |"));
}
