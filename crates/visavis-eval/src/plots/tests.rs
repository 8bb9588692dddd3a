//! Plots are well-formed SVG and contain every series.

use super::*;
use crate::attributes::{AgePair, Confusion};
use crate::detection::CurvePoint;

/// How often a tag is opened.
fn count(svg: &str, tag: &str) -> usize {
    svg.matches(&format!("<{tag} ")).count()
}

/// Every tag that is opened is closed, in order; attributes are quoted.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "stray > before {}", &rest[start..]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} left open");
    assert!(svg.starts_with("<svg ") && svg.contains("xmlns="));
}

fn assert_png(plot: &impl Plot) {
    let picture = codec::decode(&plot.png().unwrap(), codec::MAX_PIXELS).unwrap();
    let (width, height) = plot.size();
    assert_eq!((picture.width(), picture.height()), (width * PNG_SCALE, height * PNG_SCALE));
    let inked = picture.pixels().chunks_exact(3).filter(|pixel| pixel.iter().any(|&value| value < 128)).count();
    assert!(inked > 500, "{inked} dark pixels");
}

#[test]
fn cumulative_errors_have_a_curve_for_each_network() {
    let curve = |name: &str, scale: f64| ErrorCurve {
        name: name.into(),
        errors: (0..100).map(|face| f64::from(face) * scale).collect(),
    };
    let plot = CumulativeErrors {
        title: "Keypoints <of> \"test\" & more".into(),
        subtitle: "n = 100".into(),
        curves: vec![curve("one", 0.001), curve("two", 0.002), curve("three", 0.01)],
        most: 0.25,
    };
    let svg = plot.svg().unwrap();
    assert_well_formed(&svg);
    // Has more points than the lines of the grid and the legend.
    let long = svg.split("<polyline ").filter(|line| line.matches(',').count() > 100).count();
    assert_eq!(long, 3);
    for name in ["one", "two", "three"] {
        assert!(svg.contains(&format!("\n{name}\n")), "{name}");
    }
    assert!(svg.contains("&lt;of&gt;"));
    assert_png(&plot);
}

#[test]
fn precision_and_recall_have_a_curve_and_a_disc_for_each_detector() {
    let curve = |name: &str, end: u32| DetectorCurve {
        name: name.into(),
        points: (1..=end)
            .map(|i| CurvePoint {
                score: 1.0 - i as f32 / 1000.0,
                recall: f64::from(i) / 1000.0,
                precision: 1.0 - f64::from(i * i) / 2e6,
                false_positives_per_image: 0.0,
            })
            .collect(),
        threshold: 0.5,
    };
    let plot = PrecisionRecall {
        title: "Detectors".into(),
        subtitle: String::new(),
        curves: vec![curve("one", 900), curve("two", 700), curve("nothing found", 0)],
    };
    let svg = plot.svg().unwrap();
    assert_well_formed(&svg);
    let long = svg.split("<polyline ").filter(|line| line.matches(',').count() > 100).count();
    assert_eq!(long, 2);
    assert_eq!(count(&svg, "circle"), 2);
    for name in ["one", "two", "nothing found"] {
        assert!(svg.contains(&format!("\n{name}\n")), "{name}");
    }
    assert_png(&plot);
}

#[test]
fn confusion_matrices_have_a_cell_for_each_pair() {
    for labels in [&["female", "male"][..], &["a", "b", "c", "d", "e", "f", "g"][..]] {
        let confusion = Confusion::count(labels, [(0, 0), (0, 1), (1, 1), (1, 1)]);
        let plot = ConfusionMatrix { title: "gender".into(), subtitle: String::new(), confusion };
        let svg = plot.svg().unwrap();
        assert_well_formed(&svg);
        // Each cell has a filled and a stroked rectangle; one more is the background.
        assert_eq!(count(&svg, "rect"), labels.len() * labels.len() * 2 + 1);
        assert!(svg.contains("50.0 %") && svg.contains("100.0 %"));
        assert_png(&plot);
    }
}

#[test]
fn age_maps_show_every_cell() {
    let pairs = (0..90).map(|age| AgePair { labelled: age as f32, predicted: age as f32 * 0.8 + 5.0 }).collect();
    let plot = AgeMap { title: "age".into(), subtitle: "MAE 5".into(), pairs };
    let svg = plot.svg().unwrap();
    assert_well_formed(&svg);
    assert_eq!(count(&svg, "circle"), 18, "a mean for each five years");
    assert_png(&plot);
    assert_well_formed(&AgeMap { title: String::new(), subtitle: String::new(), pairs: Vec::new() }.svg().unwrap());
}

#[test]
fn training_curves_have_a_line_for_each_series() {
    let mut csv = String::from("step,epoch,train_loss,validation_loss,validation_accuracy,learning_rate\n");
    for step in 0..100 {
        csv += &format!("{step},{},{},{},0.5,0.001\n", step / 10, 3.0 / (1.0 + f64::from(step)), 3.0);
    }
    let svg = curves(&csv).unwrap();
    assert_well_formed(&svg);
    let long = svg.split("<polyline ").filter(|line| line.matches(',').count() > 90).count();
    assert_eq!(long, 4);
    assert_png(&TrainingCurves::from_csv("run", &csv).unwrap());
    assert_well_formed(&curves("step\n").unwrap());
}
