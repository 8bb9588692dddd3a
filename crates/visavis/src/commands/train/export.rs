//! `visavis train export`: an ONNX file, a manifest and a model card of a finished run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use visavis_infer::Runtime;
use visavis_infer::manifest::Likeness;
use visavis_train::export::{Export, ModelCard, Precision, Reading, export, figure};
use visavis_train::network::Parameters;
use visavis_train::recipe::{NetworkRecipe, Recipe};

use crate::options::say;

/// Make a network of a run: ONNX file, manifest, model card
///
/// Takes the weights of the run's best validation. Every engine that is there must give what the trained network gives, to
/// 1e-4; otherwise nothing is written. Put the folder behind --models and choose the network by its name.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis train export --run runs/smile --out networks/
  visavis train export --run runs/smile --out networks/ --half --about \"photos of my friends, with their consent\"")]
pub(super) struct Args {
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Store weights as 16-bit floats: half the file, the same speed
    #[arg(long)]
    half: bool,
    /// Heads to leave out, such as the imitation of an embedding
    #[arg(long, value_name = "TASK")]
    without: Vec<String>,
    /// Licence of the network, an SPDX expression
    #[arg(long, default_value = "MIT OR Apache-2.0", value_name = "SPDX")]
    licence: String,
    /// What it was trained on and on what terms, for manifest and model card
    #[arg(long, default_value = "not said", value_name = "TEXT")]
    about: String,
    /// A measured figure: what, value and the command that prints it, with `|` between; may be given more than once
    #[arg(long, value_name = "WHAT|VALUE|COMMAND")]
    figure: Vec<String>,
    /// Markdown with figures by group, to be put into the model card
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// Something that the network is not good for; may be given more than once
    #[arg(long, value_name = "TEXT")]
    limit: Vec<String>,
    /// An embedding: the distance up to which two faces are of one person, as `visavis evaluate similarity` prints it
    #[arg(long, value_name = "DISTANCE", requires = "likeness")]
    same_person: Option<f32>,
    /// An embedding: middle and width of the curve from distance to likelihood and how near strangers come, as `visavis
    /// evaluate similarity` prints them
    #[arg(long, value_name = "MIDDLE,WIDTH[,…]", value_parser = parse_likeness, requires = "same_person")]
    likeness: Option<Likeness>,
    /// The library of ONNX Runtime, or its folder
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
}

impl Args {
    fn reading(&self) -> Option<Reading> {
        Some(Reading { same_person: self.same_person?, likeness: self.likeness? })
    }
}

fn parse_likeness(text: &str) -> Result<Likeness> {
    let numbers: Vec<f32> = text.split(',').map_while(|number| number.trim().parse().ok()).collect();
    match numbers[..] {
        [middle, width] => Ok(Likeness { middle, width, strangers: None }),
        [middle, width, a, b, c] => Ok(Likeness { middle, width, strangers: Some([a, b, c]) }),
        _ => anyhow::bail!("give middle, width and three distances as 0.07,0.01,0.04,0.03,0.02, not `{text}`"),
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut recipe = Recipe::read(&args.run.join("recipe.toml"))?;
    let (mut network, mut parameters) = recipe.network.build(recipe.seed)?;
    take_best(&mut parameters, args)?;
    network.heads.retain(|head| !args.without.contains(&head.name));
    if let NetworkRecipe::Face { tasks, .. } = &mut recipe.network {
        tasks.retain(|task| !args.without.contains(&task.to_string()));
    }
    let figures = args.figure.iter().map(|text| {
        let mut parts = text.splitn(3, '|').map(str::trim);
        let parts = [parts.next(), parts.next(), parts.next()];
        let [Some(what), Some(value), Some(by)] = parts else {
            anyhow::bail!("`{text}` is no figure: give what | value | command");
        };
        Ok(figure(what, value, by))
    });
    let groups = args
        .groups
        .as_ref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display())));
    let name = &recipe.name;
    let card = ModelCard {
        data: args.about.clone(),
        commands: vec![
            format!("visavis train network --recipe recipes/{name}.toml --out runs/{name}"),
            format!("visavis train export --run runs/{name} --out models{}", if args.half { " --half" } else { "" }),
        ],
        figures: figures.collect::<Result<_>>()?,
        groups: groups.transpose()?,
        limits: args.limit.clone(),
    };
    let reading = args.reading();
    let precision = if args.half { Precision::Half } else { Precision::Single };
    let licence = args.licence.clone();
    let task =
        Export { recipe: &recipe, network: &network, parameters: &parameters, precision, licence, card, reading };
    let written = export(&task, &Runtime::discover(args.onnxruntime.as_deref()), &args.out)?;
    for check in &written.checks {
        say(&format!("{}: at most {:.1e} from the trained network", check.engine, check.difference))?;
    }
    say(&format!("{} ({:.1} MiB)", written.onnx.display(), written.bytes as f64 / f64::from(1 << 20)))?;
    say(&format!("{}\n{}", written.manifest.display(), written.card.display()))
}

fn take_best(parameters: &mut Parameters, args: &Args) -> Result<()> {
    let best = args.run.join("best.safetensors");
    let taken = parameters
        .take_from_file(&best)
        .with_context(|| format!("{} has no finished epoch yet", args.run.display()))?;
    if let Some(missing) = taken.missing.first() {
        anyhow::bail!("{} lacks `{missing}`: it belongs to another recipe", best.display());
    }
    Ok(())
}
