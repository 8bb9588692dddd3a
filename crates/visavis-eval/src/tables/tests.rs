//! The tables against a golden file. `VISAVIS_UPDATE_GOLDEN=1 cargo test -p visavis-eval` writes it anew.

use std::path::PathBuf;

use super::*;

fn estimate(value: f64, half: f64, n: usize) -> Estimate {
    Estimate { value, low: value - half, high: value + half, n }
}

fn measured(value: f64, half: f64, n: usize) -> Cell {
    Cell::Measured(estimate(value, half, n))
}

fn tables() -> Tables {
    let speeds = |tract: f64, other: Option<f64>| {
        vec![Some(estimate(tract, tract * 0.02, 60)), other.map(|other| estimate(other, other * 0.01, 90))]
    };
    Tables {
        command: "visavis evaluate tables --data a b".into(),
        machine: "two cores of a test".into(),
        engines: vec!["tract".into(), "ONNX Runtime".into()],
        sets: SetNames {
            keypoints: Some("a".into()),
            age: Some("a".into()),
            gender: Some("a".into()),
            smile: Some("b".into()),
        },
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
        if ["| stage", "| backbone", "| method", "| figure"].iter().any(|header| line.starts_with(header)) {
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
    assert!(expected.contains(&("onet", true)) && expected.contains(&("multitask_vgg16", false)));
}
