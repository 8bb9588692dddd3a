//! `visavis models`: lists, shows and verifies networks.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use visavis_face::default_network;
use visavis_infer::{EngineKind, Manifest, Registry, Task};

use visavis_cli::options::{complain, say, say_json};

/// List, show and verify networks
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  visavis models list --models DIR --task age\n  visavis models verify --models DIR"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List all networks
    List {
        #[command(flatten)]
        registry_args: RegistryArgs,
        /// Only networks with this task: detection, keypoints, smile, expression, age, gender, head_pose or similarity
        #[arg(long)]
        task: Option<Task>,
    },
    /// Show everything about one network
    Show {
        /// Name of the network
        name: String,
        #[command(flatten)]
        registry_args: RegistryArgs,
    },
    /// Check the weights of one network, or of all, against their manifests
    Verify {
        /// Name of the network [default: all]
        name: Option<String>,
        #[command(flatten)]
        registry_args: RegistryArgs,
    },
}

#[derive(clap::Args)]
struct RegistryArgs {
    /// Additional folder with networks; may be given more than once
    #[arg(long = "models", value_name = "DIR", env = "VISAVIS_MODELS")]
    models: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    title: &'a str,
    tasks: &'a [Task],
    licence: &'a str,
    /// Width and height; absent for a forest, which takes pictures of any size.
    input: Option<[u32; 2]>,
    /// Where the weights are; absent if only the manifest is known.
    weights: Option<String>,
    /// Whether it is the default for some task with some engine.
    default: bool,
    /// The tasks for which it is the default, by engine.
    default_for: Defaults,
}

/// The tasks for which a network is the default, by engine.
#[derive(Serialize)]
struct Defaults {
    tract: Vec<Task>,
    onnxruntime: Vec<Task>,
}

impl Defaults {
    fn of(registry: &Registry, name: &str) -> Self {
        let with = |engine| {
            let is_default =
                |task: &Task| default_network(registry, *task, engine).is_some_and(|entry| entry.manifest.name == name);
            Task::ALL.into_iter().filter(is_default).collect()
        };
        Self { tract: with(EngineKind::Tract), onnxruntime: with(EngineKind::OnnxRuntime) }
    }

    /// The tasks for which it is the default with either engine.
    fn any(&self) -> Vec<Task> {
        Task::ALL.into_iter().filter(|task| self.tract.contains(task) || self.onnxruntime.contains(task)).collect()
    }
}

fn row<'a>(registry: &Registry, manifest: &'a Manifest, weights: Option<String>) -> Row<'a> {
    let Manifest { name, title, tasks, licence, input, .. } = manifest;
    // A network without weights is never a default.
    let default_for = Defaults::of(registry, if weights.is_some() { name } else { "" });
    let default = !default_for.any().is_empty();
    Row { name, title, tasks, licence, input: (!input.is_empty()).then_some(input.size), weights, default, default_for }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let registry_args = match &args.command {
        Command::List { registry_args, .. }
        | Command::Show { registry_args, .. }
        | Command::Verify { registry_args, .. } => registry_args,
    };
    let registry = Registry::open(&registry_args.models)?;
    for problem in registry.problems() {
        complain(&format!("warning: {problem}"));
    }
    match &args.command {
        Command::List { task, .. } => list(&registry, *task, registry_args.json),
        Command::Show { name, .. } => {
            let manifest = match registry.get(name) {
                Ok(entry) => &entry.manifest,
                Err(error) => match registry.known_without_weights().find(|known| known.name == *name) {
                    Some(known) => known,
                    None => {
                        let known: Vec<&str> = registry.known_without_weights().map(|known| &*known.name).collect();
                        bail!("{error}; networks that are known but have no weights here: {}", known.join(", "));
                    }
                },
            };
            if registry_args.json { say_json(manifest) } else { show(manifest) }
        }
        Command::Verify { name, .. } => verify(&registry, name.as_deref(), registry_args.json),
    }
}

fn list(registry: &Registry, task: Option<Task>, json: bool) -> Result<()> {
    let does = |manifest: &Manifest| task.is_none_or(|task| manifest.tasks.contains(&task));
    let here = registry.entries().filter(|entry| does(&entry.manifest));
    let mut rows: Vec<Row<'_>> =
        here.map(|entry| row(registry, &entry.manifest, Some(entry.weights.to_string()))).collect();
    rows.extend(registry.known_without_weights().filter(|known| does(known)).map(|known| row(registry, known, None)));
    if json {
        return say_json(&rows);
    }
    let wide = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in &rows {
        let tasks = row.tasks.iter().map(Task::to_string).collect::<Vec<_>>().join(", ");
        let input = row.input.map_or("any".to_owned(), |[width, height]| format!("{width}x{height}"));
        let missing = if row.weights.is_some() { "" } else { "   (weights missing: add their folder with --models)" };
        let default_for = row.default_for.any().iter().map(Task::to_string).collect::<Vec<_>>().join(", ");
        let default = if row.default { format!("   (default for {default_for})") } else { String::new() };
        say(&format!("{:wide$}  {tasks:22}  {input:9} {:18} {}{default}{missing}", row.name, row.licence, row.title))?;
    }
    Ok(())
}

fn show(manifest: &Manifest) -> Result<()> {
    say(&format!("{} — {}", manifest.name, manifest.title))?;
    say(&format!("tasks          {}", manifest.tasks.iter().map(Task::to_string).collect::<Vec<_>>().join(", ")))?;
    say(&format!("licence        {}", manifest.licence))?;
    say(&format!("source         {}", manifest.source))?;
    if let Some(data) = &manifest.training_data {
        say(&format!("training data  {data}"))?;
    }
    if !manifest.input.is_empty() {
        say(&format!("input          {}x{}", manifest.input.size[0], manifest.input.size[1]))?;
    }
    say(&format!("weights        {} (SHA-256 {})", manifest.file, manifest.sha256))?;
    if let Some(version) = &manifest.quantised {
        say(&format!("8-bit version  {} (SHA-256 {}), for ONNX Runtime on the CPU", version.file, version.sha256))?;
    }
    let versions = [Some(&manifest.figures), manifest.quantised.as_ref().map(|version| &version.figures)];
    for figure in versions.into_iter().flatten().flatten() {
        say(&format!("figure         {}: {} ({})", figure.what, figure.value, figure.by))?;
    }
    Ok(())
}

fn verify(registry: &Registry, name: Option<&str>, json: bool) -> Result<()> {
    #[derive(Serialize)]
    struct Verdict {
        name: String,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
    let entries = match name {
        Some(name) => vec![registry.get(name)?],
        None => registry.entries().collect(),
    };
    let verdicts: Vec<Verdict> = entries
        .iter()
        .map(|entry| {
            let error = entry.verify().err().map(|error| error.to_string());
            Verdict { name: entry.manifest.name.clone(), ok: error.is_none(), error }
        })
        .collect();
    if json {
        say_json(&verdicts)?;
    } else {
        for verdict in &verdicts {
            say(&format!("{}  {}", verdict.name, verdict.error.as_deref().unwrap_or("ok")))?;
        }
    }
    let bad = verdicts.iter().filter(|verdict| !verdict.ok).count() + registry.problems().len();
    if bad > 0 {
        bail!("{bad} network{} cannot be used: see the errors above", if bad == 1 { "" } else { "s" });
    }
    Ok(())
}
