//! Draws every kind of plot from synthetic numbers: `cargo run -p visavis-eval --example plots -- DIR`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use visavis_eval::attributes::{AgePair, Confusion};
use visavis_eval::detection::CurvePoint;
use visavis_eval::plots::{
    AgeMap, ConfusionMatrix, CumulativeErrors, DetectorCurve, ErrorCurve, Plot, PrecisionRecall, TrainingCurves,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("name a folder for the plots")?.into();
    fs::create_dir_all(&folder)?;
    let write = |name: &str, svg: String, png: Vec<u8>| {
        fs::write(folder.join(format!("{name}.svg")), svg)
            .and_then(|()| fs::write(folder.join(format!("{name}.png")), png))
    };
    let curve = |name: &str, mean: f64, spread: f64| ErrorCurve {
        name: name.into(),
        errors: (1..1000).map(|i| mean * (1.0 + spread * (f64::from(i) / (1000.0 - f64::from(i))).ln())).collect(),
    };
    let plot = CumulativeErrors {
        title: "Keypoint error".into(),
        subtitle: "999 made-up faces".into(),
        curves: vec![curve("one", 0.035, 0.2), curve("two", 0.05, 0.25), curve("three", 0.07, 0.2)],
        most: 0.25,
    };
    write("cumulative", plot.svg()?, plot.png()?)?;
    let detector = |name: &str, most: f64| DetectorCurve {
        name: name.into(),
        points: (1..=1000)
            .map(|i| f64::from(i) / 1000.0)
            .map(|share| CurvePoint {
                score: 1.0 - share as f32,
                recall: share * most,
                precision: 1.0 - 0.6 * share.powi(6),
                false_positives_per_image: 0.0,
            })
            .collect(),
        threshold: 0.4,
    };
    let plot = PrecisionRecall {
        title: "Precision and recall".into(),
        subtitle: "made-up detectors".into(),
        curves: vec![detector("one", 0.95), detector("two", 0.9), detector("three", 0.7)],
    };
    write("precision", plot.svg()?, plot.png()?)?;
    let pairs = |i: usize| (i % 2, if i.is_multiple_of(13) { 1 - i % 2 } else { i % 2 });
    let confusion = Confusion::count(&["female", "male"], (0..500).map(pairs));
    let plot = ConfusionMatrix { title: "Gender".into(), subtitle: "500 made-up faces".into(), confusion };
    write("confusion", plot.svg()?, plot.png()?)?;
    let ages = |i: u32| {
        let labelled = 2.0 + (f64::from(i) * 0.618_034).fract().powf(1.4) * 90.0;
        let predicted = labelled * 0.85 + 6.0 + ((f64::from(i) * 0.754_878).fract() - 0.5) * 18.0;
        AgePair { labelled: labelled as f32, predicted: predicted as f32 }
    };
    let plot =
        AgeMap { title: "Age".into(), subtitle: "3000 made-up faces".into(), pairs: (0..3000).map(ages).collect() };
    write("ages", plot.svg()?, plot.png()?)?;
    let mut csv = String::from(
        "step,epoch,train_loss,validation_loss,validation_age_mae,validation_smile_accuracy,learning_rate\n",
    );
    for step in 1..=300_u32 {
        let x = f64::from(step);
        let noise = (x * 0.618_034).fract() * 0.3;
        csv += &format!("{},{},{:.4},", step * 50, step / 30, 4.0 / (1.0 + x / 40.0) + noise);
        if step % 30 == 0 {
            csv += &format!(
                "{:.4},{:.3},{:.4},",
                4.2 / (1.0 + x / 50.0) + 0.3,
                12.0 / (1.0 + x / 100.0) + 2.0,
                0.95 - 6.0 / (x + 20.0)
            );
        } else {
            csv += ",,,";
        }
        csv += &format!("{:.6}\n", 0.001 * (0.5 + 0.5 * (x / 300.0 * std::f64::consts::PI).cos()));
    }
    let plot = TrainingCurves::from_csv("Training", &csv)?;
    write("training", plot.svg()?, plot.png()?)?;
    Ok(())
}
