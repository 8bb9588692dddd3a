//! `visavis-lab train preview`: draws training pictures.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Parser;
use visavis_data::Split;
use visavis_data::boxes::FaceBoxes;
use visavis_data::pack::Pack;
use visavis_image::draw::{Colour, outline, paste_rounded};
use visavis_image::{Picture, codec};
use visavis_train::feed::scenes::{Composer, SceneSet, scene_epoch};
use visavis_train::feed::{Augmenter, Sampler, mix};
use visavis_train::recipe::{NetworkRecipe, Recipe};

use crate::endings::check_ending;
use visavis_cli::options::say;
use visavis_cli::output::write_file;

/// Draw the network's training pictures: faces of the first stage, each unchanged and augmented
#[derive(Parser)]
#[command(after_help = "Example:
  visavis-lab train preview --recipe recipes/smile_mobilenetv1.toml --out seen.png")]
pub(super) struct Args {
    /// The recipe
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// The picture to write
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
    /// Number of faces, one per row
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    faces: u32,
    /// Number of variations of each
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    variations: u32,
}

pub(super) fn run(args: &Args) -> Result<()> {
    check_ending(&args.out, &["png"])?;
    let recipe = Recipe::read(&args.recipe)?;
    let stage = recipe.stages.first().context("the recipe has no [[stage]]: nothing would be seen")?;
    if recipe.network.detector_size().is_some() {
        return scenes(args, &recipe);
    }
    let packs = stage.data.iter().map(|source| Ok(Arc::new(Pack::open(&source.pack)?)));
    let packs: Vec<Arc<Pack>> = packs.collect::<Result<_>>()?;
    let (side, marks_points) = match recipe.network {
        NetworkRecipe::Face { side, .. } => (side as u32, false),
        _ => (48, true),
    };
    let crop = recipe.network.crop().context("a network that takes whole pictures has no crop")?;
    let picks = Sampler::new(&packs, &stage.data, Split::Train, recipe.seed).epoch(0, 0);
    if picks.is_empty() {
        bail!("the recipe's first stage has no face to train on");
    }
    let rows = args.faces.min(picks.len() as u32);
    let mut sheet = Picture::new((args.variations + 1) * side, rows * side);
    let mut augmenter = Augmenter::new(recipe.augment.clone(), crop, side);
    for (row, pick) in (0..rows).zip(&picks) {
        let (face, picture) = (&packs[pick.pack].faces()[pick.face], packs[pick.pack].picture(pick.face)?);
        for column in 0..=args.variations {
            let view = if column == 0 {
                augmenter.plain(face, &picture)
            } else {
                let mut random = fastrand::Rng::with_seed(mix(&[recipe.seed, u64::from(row), u64::from(column)]));
                augmenter.vary(face, &picture, &mut random)
            };
            let mut seen = view.picture;
            for point in view.landmarks.iter().flat_map(|landmarks| landmarks.to_array()) {
                let (x, y) = ((point.x * side as f32) as i64, (point.y * side as f32) as i64);
                if marks_points && (0..i64::from(side)).contains(&x) && (0..i64::from(side)).contains(&y) {
                    seen.set_pixel(x as u32, y as u32, [0, 255, 0]);
                }
            }
            paste_rounded(&mut sheet, &seen, (column * side) as i32, (row * side) as i32, 0.0);
        }
    }
    let png = codec::encode_png(&sheet)?;
    write_file(&args.out, png)?;
    say(&format!("{}: {rows} faces, each as it is and {} times varied", args.out.display(), args.variations))
}

/// Training pictures of a detector: composed scenes, with green frames for faces to be found and grey ones for ignored boxes.
fn scenes(args: &Args, recipe: &Recipe) -> Result<()> {
    let mut sets = Vec::new();
    for source in &recipe.stages[0].scenes {
        let boxes = source.boxes.as_deref().map(FaceBoxes::read).transpose()?;
        let set = SceneSet::load(&source.name(), boxes, &source.images)?;
        sets.push((Arc::new(set), source.repeat));
    }
    let picks = scene_epoch(&sets, recipe.seed);
    if picks.is_empty() {
        bail!("the recipe's first stage has no picture to train on");
    }
    let [width, height] = recipe.scenes.sizes[0];
    let columns = (args.variations + 1).min(4);
    let mut sheet = Picture::new(columns * width, args.faces * height);
    let mut composer = Composer::new(recipe.scenes.clone(), recipe.augment.clone());
    for cell in 0..columns * args.faces {
        let mut random = fastrand::Rng::with_seed(mix(&[recipe.seed, u64::from(cell)]));
        let pick = picks[cell as usize % picks.len()];
        let mut view = composer.compose(&sets, pick, [width, height], &mut random);
        for labelled in &view.boxes {
            let colour = if labelled.face { Colour::new(80, 230, 120) } else { Colour::new(150, 150, 150) };
            outline(&mut view.picture, &labelled.rect, 1.0, colour);
            for point in labelled.landmarks.iter().flat_map(|landmarks| landmarks.to_array()) {
                if (0.0..width as f32).contains(&point.x) && (0.0..height as f32).contains(&point.y) {
                    view.picture.set_pixel(point.x as u32, point.y as u32, [255, 230, 0]);
                }
            }
        }
        let (x, y) = (cell % columns * width, cell / columns * height);
        paste_rounded(&mut sheet, &view.picture, x as i32, y as i32, 0.0);
    }
    let png = codec::encode_png(&sheet)?;
    write_file(&args.out, png)?;
    say(&format!("{}: {} pictures of {width}x{height}", args.out.display(), columns * args.faces))
}
