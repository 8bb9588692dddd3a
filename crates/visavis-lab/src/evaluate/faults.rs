//! The contact sheet of a detector's errors.

use std::path::Path;

use anyhow::Result;
use visavis_data::boxes::{Label, LabelledImage};
use visavis_eval::detection::{FalseAlarm, Miss, faults};
use visavis_eval::fault_sheet::{FaultSheet, Mark};
use visavis_image::Rect;

use super::detectors::{PictureSet, Run};
use super::faces::write_picture;

/// Crops per row: 1,600 pixels in total, the width of a screen.
const COLUMNS: u32 = 8;

/// Draws at most `count` missed faces and as many false positives.
pub(super) fn write_sheet(path: &Path, set: &PictureSet, run: &Run, count: usize) -> Result<()> {
    let found = faults(&set.boxes, &run.detections, &run.params, run.threshold)?;
    let mut sheet = FaultSheet::new(COLUMNS);
    sheet.section(format!(
        "{}: {} of {} faces missed at score {}, largest first (green: labelled, grey: ignored, orange: detected)",
        run.name,
        found.misses.len(),
        found.faces,
        run.threshold
    ));
    for miss in found.misses.iter().take(count) {
        let image = &set.boxes.images[miss.image];
        let rect = image.faces[miss.face].rect;
        add(&mut sheet, set, run, image, (rect, Mark::Labelled), miss_caption(miss, &rect))?;
    }
    let strong = found.false_alarms.iter().filter(|alarm| alarm.detection.score >= run.threshold).count();
    sheet.section(format!("{}: false positives, strongest first; {strong} reach score {}", run.name, run.threshold));
    for alarm in found.false_alarms.iter().take(count) {
        let image = &set.boxes.images[alarm.image];
        add(&mut sheet, set, run, image, (alarm.detection.rect, Mark::Detected), alarm_caption(alarm))?;
    }
    let sheet = sheet.draw();
    write_picture(path, &sheet)
}

fn miss_caption(miss: &Miss, rect: &Rect) -> String {
    let weaker = miss.weaker.map_or("no box fits".to_owned(), |score| format!("score {score:.2}"));
    format!("{weaker}, {} px", size(rect))
}

fn alarm_caption(alarm: &FalseAlarm) -> String {
    let near = if alarm.overlap >= 0.05 { format!(", IoU {:.2}", alarm.overlap) } else { " px".into() };
    format!("score {:.2}, {}{near}", alarm.detection.score, size(&alarm.detection.rect))
}

fn size(rect: &Rect) -> String {
    format!("{:.0}×{:.0}", rect.width, rect.height)
}

/// Adds a crop with the labelled boxes, and the detections with a score near the threshold or above.
fn add(
    sheet: &mut FaultSheet,
    set: &PictureSet,
    run: &Run,
    image: &LabelledImage,
    subject: (Rect, Mark),
    caption: String,
) -> Result<()> {
    let picture = set.picture(image)?;
    let labelled = image.faces.iter().map(|face| {
        let mark = if face.label == Label::Face { Mark::Labelled } else { Mark::Ignored };
        (face.rect, mark)
    });
    let there = run.detections.iter().filter(|detection| detection.image_id == image.id);
    let detected = there.filter(|detection| detection.score >= run.threshold).map(|found| (found.rect, Mark::Detected));
    let marks: Vec<(Rect, Mark)> = labelled.chain(detected).filter(|mark| mark.0 != subject.0).collect();
    sheet.add(&picture, subject, &marks, [caption, image.file_name.clone()]);
    Ok(())
}
