//! A picture of some faces of a pack.

use visavis_image::draw::{Colour, TextPainter, Weight, disc, outline, paste_rounded};
use visavis_image::{Landmarks, Picture};

use super::{Pack, PackedFace};
use crate::{DataError, Gender};

/// Height of the text line below each crop.
const CAPTION: u32 = 18;
const TEXT_SIZE: u32 = 12;
const TEXT: Colour = Colour::new(235, 235, 235);
const LABELLED: Colour = Colour::new(80, 230, 120);
const DETECTED: Colour = Colour::new(255, 190, 60);

/// `count` faces, evenly chosen from the pack, `columns` in a row: the crop, its box and labelled keypoints in green, those
/// of the detector in orange, the labels below.
///
/// # Errors
/// [`DataError::Layout`] if a crop is damaged.
pub fn contact_sheet(pack: &Pack, count: usize, columns: u32) -> Result<Picture, DataError> {
    let faces = pack.faces();
    let count = count.min(faces.len());
    let columns = columns.max(1);
    let side = pack.info().params.side;
    let rows = (count as u32).div_ceil(columns);
    let mut sheet = Picture::filled(columns * side, rows * (side + CAPTION), [24, 24, 28]);
    let mut painter = TextPainter::new();
    for cell in 0..count {
        // Spread evenly: sets are often sorted, by age or by name.
        let index = cell * faces.len() / count;
        let mut crop = pack.picture(index)?;
        draw(&mut crop, &faces[index]);
        let (x, y) = (cell as u32 % columns * side, cell as u32 / columns * (side + CAPTION));
        paste_rounded(&mut sheet, &crop, x as i32, y as i32, 0.0);
        let text = caption(&faces[index]);
        let text = painter.fitted(&text, Weight::Regular, TEXT_SIZE, side as f32 - 6.0).into_owned();
        let baseline = (y + side + CAPTION - 5) as i32;
        painter.draw(&mut sheet, x as f32 + 3.0, baseline, &text, Weight::Regular, TEXT_SIZE, TEXT);
    }
    Ok(sheet)
}

fn draw(crop: &mut Picture, face: &PackedFace) {
    if let Some(found) = face.detected {
        outline(crop, &found.rect, 1.0, DETECTED);
        found.landmarks.iter().for_each(|points| dots(crop, points, DETECTED));
    }
    outline(crop, &face.rect, 1.0, LABELLED);
    face.landmarks.iter().for_each(|points| dots(crop, points, LABELLED));
}

fn dots(crop: &mut Picture, landmarks: &Landmarks, colour: Colour) {
    for point in landmarks.to_array() {
        disc(crop, point, 1.5, colour);
    }
}

fn caption(face: &PackedFace) -> String {
    let labels = &face.labels;
    let parts = [
        labels.age.map(|age| format!("{age:.0}")),
        labels.gender.map(|gender| if gender == Gender::Female { "♀" } else { "♂" }.to_owned()),
        labels.smile.map(|smile| if smile { "smiles" } else { "–" }.to_owned()),
        labels.glasses.filter(|&glasses| glasses).map(|_| "glasses".to_owned()),
        labels.pose.map(|pose| format!("pose {pose}")),
        labels.race.map(|race| format!("race {race}")),
        face.identity.clone(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}
