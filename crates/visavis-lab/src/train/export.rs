//! `visavis-lab train export`: ONNX file, manifest and model card of a finished run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use visavis_infer::Runtime;
use visavis_infer::manifest::{Figure, Likeness, Strangers};
use visavis_train::export::{Export, ModelCard, Precision, Reading, export, figure};
use visavis_train::network::{Parameters, blend, fold_norms, load_pretrained};
use visavis_train::recipe::{NetworkRecipe, Recipe};

use visavis_cli::options::{parse_share, say};

/// Export the network of a run: ONNX file, manifest, model card
///
/// Uses the weights of the run's best validation. The output of every available engine must equal that of the trained network
/// to 1e-4; otherwise nothing is written. Use the network with --models FOLDER and its name.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab train export --run runs/smile --out networks/
  visavis-lab train export --run runs/smile --out networks/ --half --about \"photos of my friends, with their consent\"")]
pub(super) struct Args {
    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Store weights as 16-bit floats: half the file size, the same speed
    #[arg(long)]
    half: bool,
    /// Head to leave out, such as the imitation of an embedding; may be given more than once
    #[arg(long, value_name = "TASK")]
    without: Vec<String>,
    /// Licence of the network, an SPDX expression
    #[arg(long, default_value = "MIT OR Apache-2.0", value_name = "SPDX")]
    licence: String,
    /// Training data and their licence, for manifest and model card
    #[arg(long, default_value = "not said", value_name = "TEXT")]
    about: String,
    /// A measured figure: name, value and the command that prints it, separated by `|`; may be given more than once
    #[arg(long, value_name = "WHAT|VALUE|COMMAND", value_parser = parse_figure)]
    figure: Vec<Figure>,
    /// Markdown with figures by group, for the model card
    #[arg(long, value_name = "FILE")]
    groups: Option<PathBuf>,
    /// A limitation of the network; may be given more than once
    #[arg(long, value_name = "TEXT")]
    limit: Vec<String>,
    /// For an embedding: largest distance of two faces of one person, as printed by `visavis-lab evaluate similarity`
    #[arg(long, value_name = "DISTANCE", requires = "likeness")]
    same_person: Option<f32>,
    /// For an embedding: meaning of distances, five numbers as printed by `visavis-lab evaluate similarity`
    #[arg(long, value_name = "MEDIAN,SPREAD,WITHIN,SCALE,SHAPE", value_parser = parse_likeness, requires = "same_person")]
    likeness: Option<Likeness>,
    /// For a detector: default of the least score of a face, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    score: Option<f32>,
    /// Interpolate between the weights of the recipe's `init` file (0) and those of the run (1). The file must have the whole
    /// network. A lower share keeps more of the published network's abilities [default: 1]
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    blend: Option<f32>,
    /// The library of ONNX Runtime, or its folder
    #[arg(long, value_name = "PATH")]
    onnxruntime: Option<PathBuf>,
}

impl Args {
    fn reading(&self) -> Option<Reading> {
        Some(Reading { same_person: self.same_person?, likeness: self.likeness? })
    }
}

/// Parses a value of `--figure`.
pub(super) fn parse_figure(text: &str) -> Result<Figure> {
    let mut parts = text.splitn(3, '|').map(str::trim);
    let parts = [parts.next(), parts.next(), parts.next()];
    let [Some(what), Some(value), Some(by)] = parts else {
        anyhow::bail!("`{text}` is no figure: give what | value | command");
    };
    Ok(figure(what, value, by))
}

fn parse_likeness(text: &str) -> Result<Likeness> {
    let numbers: Vec<f64> = text.split(',').map_while(|number| number.trim().parse().ok()).collect();
    match numbers[..] {
        [median, spread, within, scale, shape] => {
            Ok(Likeness { median, spread, strangers: Strangers { within, scale, shape } })
        }
        _ => anyhow::bail!("give five numbers as `visavis-lab evaluate similarity` prints them, not `{text}`"),
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut recipe = Recipe::read(&args.run.join("recipe.toml"))?;
    let (mut network, mut parameters) = recipe.network.build(recipe.seed)?;
    take_best(&mut parameters, args)?;
    if let Some(share) = args.blend {
        let Some(init) = &recipe.init else { anyhow::bail!("--blend: the recipe has no `init` to blend with") };
        let (_, mut published) = recipe.network.build(recipe.seed)?;
        let taken = load_pretrained(&network, &mut published, init, recipe.init_bgr)?;
        if let Some(missing) = taken.missing.first() {
            anyhow::bail!("--blend: {} lacks `{missing}`, so it is not the same network", init.display());
        }
        fold_norms(&network, &mut parameters);
        fold_norms(&network, &mut published);
        blend(&mut published, &parameters, share);
        parameters = published;
    }
    network.heads.retain(|head| !args.without.contains(&head.name));
    if let NetworkRecipe::Face { tasks, .. } = &mut recipe.network {
        tasks.retain(|task| !args.without.contains(&task.to_string()));
    }
    let groups = args
        .groups
        .as_ref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display())));
    let name = &recipe.name;
    let card = ModelCard {
        data: args.about.clone(),
        commands: vec![
            format!("visavis-lab train network --recipe recipes/{name}.toml --out runs/{name}"),
            format!(
                "visavis-lab train export --run runs/{name} --out models{}{}{}",
                if args.half { " --half" } else { "" },
                args.blend.map_or(String::new(), |share| format!(" --blend {share}")),
                args.score.map_or(String::new(), |score| format!(" --score {score}")),
            ),
        ],
        figures: args.figure.clone(),
        groups: groups.transpose()?,
        limits: args.limit.clone(),
    };
    let reading = args.reading();
    let precision = if args.half { Precision::Half } else { Precision::Single };
    let licence = args.licence.clone();
    let task = Export {
        recipe: &recipe,
        network: &network,
        parameters: &parameters,
        precision,
        licence,
        card,
        reading,
        score: args.score,
    };
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
