//! The model card of a network.

use std::fmt::Write;

use visavis_infer::Manifest;
use visavis_infer::manifest::{Crop, Figure};

use super::{Check, Export};

/// The parts of a model card that are not in other files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelCard {
    /// Training data and their licences.
    pub data: String,
    /// The commands that make the network.
    pub commands: Vec<String>,
    /// Measured figures, each with the command that prints it.
    pub figures: Vec<Figure>,
    /// Tables of figures by group, as Markdown.
    pub groups: Option<String>,
    /// Its limitations.
    pub limits: Vec<String>,
}

impl ModelCard {
    /// Renders the card as Markdown.
    #[must_use]
    pub fn render(&self, export: &Export, manifest: &Manifest, checks: &[Check], bytes: usize) -> String {
        let mut text = format!("# {}\n\n{}.\n\n", manifest.name, manifest.title);
        let tasks: Vec<String> = manifest.tasks.iter().map(ToString::to_string).collect();
        let [width, height] = manifest.input.size;
        let _ = writeln!(
            text,
            "| | |\n|---|---|\n| tasks | {} |\n| input | {width}×{height} pixels, {} |\n| parameters | {} |\n\
             | file | {:.1} MiB |\n| licence of the weights | {} |\n",
            tasks.join(", "),
            match (&manifest.crop, manifest.input.multiple_of) {
                (Some(Crop::Aligned | Crop::Points { .. }), _) => "aligned by five keypoints".to_owned(),
                (Some(_), _) => "the square around the detector's box".to_owned(),
                (None, Some(multiple)) => format!("or any width and height that are multiples of {multiple}"),
                (None, None) => "the whole picture".to_owned(),
            },
            export.parameters.count(),
            bytes as f64 / f64::from(1 << 20),
            manifest.licence,
        );
        let _ = writeln!(text, "## Data\n\n{}\n", self.data);
        let recipe = export.recipe.without_folders();
        let init = recipe
            .init
            .as_ref()
            .map_or("None: training began with random weights.".into(), |file| format!("`{}`.", file.display()));
        let _ = writeln!(text, "## Initial weights\n\n{init}\n");
        let _ = writeln!(text, "## Recipe\n\n```sh\n{}\n```\n", self.commands.join("\n"));
        let recipe = toml::to_string_pretty(&recipe).unwrap_or_default();
        let _ = writeln!(text, "```toml\n{}\n```\n", recipe.trim_end());
        let _ = writeln!(text, "## Figures\n\n| figure | value | printed by |\n|---|---|---|");
        for figure in &self.figures {
            let _ = writeln!(text, "| {} | {} | `{}` |", figure.what, figure.value, figure.by);
        }
        if let Some(groups) = &self.groups {
            let _ = writeln!(text, "\n## By group\n\n{}", groups.trim_end());
        }
        let _ = writeln!(
            text,
            "\n## Export\n\nLargest difference between an output of the exported file and the trained network, on random pictures:\n"
        );
        for check in checks {
            let _ = writeln!(text, "- {}: {:.1e}", check.engine, check.difference);
        }
        let _ = writeln!(text, "\n## Limits\n");
        for limit in &self.limits {
            let _ = writeln!(text, "- {limit}");
        }
        text
    }
}
