//! `visavis models`: what networks there are.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use visavis_infer::{Manifest, Registry, Task};

use crate::options::{complain, say, say_json};

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
    /// All networks on the shelves
    List {
        #[command(flatten)]
        shelves: Shelves,
        /// Only those that do this: detection, keypoints, smile, age, gender or similarity
        #[arg(long)]
        task: Option<Task>,
    },
    /// Everything known of one network
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        shelves: Shelves,
    },
    /// Check the weights of one network, or of all, against their manifests
    Verify {
        /// Its name; all if left out
        name: Option<String>,
        #[command(flatten)]
        shelves: Shelves,
    },
}

#[derive(clap::Args)]
struct Shelves {
    /// Folder of networks besides the user's own; may be given more than once
    #[arg(long = "models", value_name = "DIR", env = "VISAVIS_MODELS")]
    models: Vec<PathBuf>,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    title: &'a str,
    tasks: &'a [Task],
    licence: &'a str,
    /// Width and height; absent for a forest, which takes any picture.
    input: Option<[u32; 2]>,
    /// Where the weights are; absent where only the manifest is known.
    weights: Option<String>,
}

fn row(manifest: &Manifest, weights: Option<String>) -> Row<'_> {
    let Manifest { name, title, tasks, licence, input, .. } = manifest;
    Row { name, title, tasks, licence, input: (!input.is_empty()).then_some(input.size), weights }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let shelves = match &args.command {
        Command::List { shelves, .. } | Command::Show { shelves, .. } | Command::Verify { shelves, .. } => shelves,
    };
    let registry = Registry::open(&shelves.models)?;
    for problem in registry.problems() {
        complain(&format!("warning: {problem}"));
    }
    match &args.command {
        Command::List { task, .. } => list(&registry, *task, shelves.json),
        Command::Show { name, .. } => {
            let manifest = match registry.get(name) {
                Ok(entry) => &entry.manifest,
                Err(error) => match registry.known_without_weights().find(|known| known.name == *name) {
                    Some(known) => known,
                    None => {
                        let known: Vec<&str> = registry.known_without_weights().map(|known| &*known.name).collect();
                        bail!("{error}; known, but not here: {}", known.join(", "));
                    }
                },
            };
            if shelves.json { say_json(manifest) } else { show(manifest) }
        }
        Command::Verify { name, .. } => verify(&registry, name.as_deref(), shelves.json),
    }
}

fn list(registry: &Registry, task: Option<Task>, json: bool) -> Result<()> {
    let does = |manifest: &Manifest| task.is_none_or(|task| manifest.tasks.contains(&task));
    let here = registry.entries().filter(|entry| does(&entry.manifest));
    let mut rows: Vec<Row<'_>> = here.map(|entry| row(&entry.manifest, Some(entry.weights.to_string()))).collect();
    rows.extend(registry.known_without_weights().filter(|known| does(known)).map(|known| row(known, None)));
    if json {
        return say_json(&rows);
    }
    let wide = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in &rows {
        let tasks = row.tasks.iter().map(Task::to_string).collect::<Vec<_>>().join(", ");
        let input = row.input.map_or("any".to_owned(), |[width, height]| format!("{width}x{height}"));
        let missing = if row.weights.is_some() { "" } else { "   (weights not here: add their folder with --models)" };
        say(&format!("{:wide$}  {tasks:22}  {input:9} {:18} {}{missing}", row.name, row.licence, row.title))?;
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
    for figure in &manifest.figures {
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
        bail!("{bad} network{} cannot be used", if bad == 1 { "" } else { "s" });
    }
    Ok(())
}
