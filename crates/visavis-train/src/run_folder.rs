//! The files of a run: recipe, data, revision, tables, weights.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use visavis_data::pack::Pack;
use visavis_eval::plots::curves;
use visavis_infer::manifest::sha256;

use crate::TrainError;
use crate::checkpoint::write_aside;
use crate::network::Parameters;
use crate::recipe::Recipe;
use crate::report::{EpochReport, StepLine};
use crate::validation::Figures;

/// The folder of a run.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    recipe_hash: String,
    resumed: bool,
}

impl RunFolder {
    /// Makes the folder and writes the recipe into it, or opens it to continue.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if it contains a run that would be overwritten, [`TrainError::Run`] if it contains another
    /// recipe, [`TrainError::File`].
    pub(crate) fn open(path: &Path, recipe: &Recipe, resume: bool) -> Result<Self, TrainError> {
        let file = |error| TrainError::file(path, error);
        if !resume && path.join(RECIPE).exists() && !path.join(REVISION).exists() {
            let reason = format!("it contains a file {RECIPE} that is not of a run: give another folder");
            return Err(TrainError::Run { path: path.to_owned(), reason });
        }
        fs::create_dir_all(path.join("teacher")).map_err(file)?;
        if !resume && Self::checkpoint_in(path).exists() {
            return Err(TrainError::RunExists { path: path.to_owned() });
        }
        let text = toml::to_string_pretty(recipe).map_err(|error| TrainError::Recipe { reason: error.to_string() })?;
        let portable = toml::to_string(&recipe.without_folders());
        let portable = portable.map_err(|error| TrainError::Recipe { reason: error.to_string() })?;
        let recipe_hash = sha256(portable.as_bytes());
        let folder = Self { path: path.to_owned(), recipe_hash, resumed: resume };
        if !resume {
            write_aside(&path.join(RECIPE), text.as_bytes())?;
            for name in [STEPS, EPOCHS, DATA] {
                let _ = fs::remove_file(path.join(name));
            }
            folder.write_json(REVISION, &json!({ "visavis": env!("CARGO_PKG_VERSION"), "git": revision() }))?;
        }
        Ok(folder)
    }

    /// SHA-256 of the recipe.
    #[must_use]
    pub(crate) fn recipe_hash(&self) -> &str {
        &self.recipe_hash
    }

    /// The path of the checkpoint in `folder`.
    #[must_use]
    pub(crate) fn checkpoint_in(folder: &Path) -> PathBuf {
        folder.join("checkpoint.safetensors")
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        Self::checkpoint_in(&self.path)
    }

    pub(crate) fn checkpoint(&self) -> Option<PathBuf> {
        Some(self.checkpoint_path()).filter(|path| path.is_file())
    }

    /// The path of a teacher's results for a pack.
    pub(crate) fn answers_path(&self, teacher: &str, pack: &Pack) -> PathBuf {
        self.path.join("teacher").join(format!("{teacher}-{}.safetensors", &pack.fingerprint()[..16]))
    }

    /// The path of the false positives in a set of pictures.
    pub(crate) fn mistakes_path(&self, stage: usize, set: &str) -> PathBuf {
        self.path.join(format!("mistakes-{}-{set}.json", stage + 1))
    }

    /// Records the data of the run.
    ///
    /// # Errors
    /// [`TrainError::Run`] if the run that is continued was begun with other data of this name.
    pub(crate) fn note_data(&self, given: &Path, examples: usize, hash: &str) -> Result<(), TrainError> {
        let path = self.path.join(DATA);
        let mut noted: BTreeMap<String, serde_json::Value> =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let name = given.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Data in several folders may have the same name.
        let names = (1..).map(|number| if number == 1 { name.clone() } else { format!("{name} ({number})") });
        let same_or_free = |name: &String| noted.get(name).is_none_or(|before| before["sha256"] == hash);
        let key = names.into_iter().find(same_or_free).unwrap_or_default();
        if self.resumed && key != name && !noted.contains_key(&key) {
            let reason = format!("it was begun with other data named {name}: give those, or another folder");
            return Err(TrainError::Run { path: self.path.clone(), reason });
        }
        noted.insert(key, json!({ "examples": examples, "sha256": hash }));
        self.write_json(DATA, &json!(noted))
    }

    /// Removes the lines of steps that will be repeated from the tables.
    pub(crate) fn drop_after(&self, step: usize) -> Result<(), TrainError> {
        for name in [STEPS, EPOCHS] {
            let path = self.path.join(name);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let kept = |line: &&str| {
                line.split(',').next().and_then(|first| first.parse::<usize>().ok()).is_none_or(|at| at <= step)
            };
            let lines: Vec<&str> = text.lines().filter(kept).collect();
            write_aside(&path, (lines.join("\n") + "\n").as_bytes())?;
        }
        Ok(())
    }

    pub(crate) fn note_steps(
        &self,
        step: usize,
        progress: f64,
        rate: f64,
        line: &mut StepLine,
    ) -> Result<(), TrainError> {
        let mut columns = vec![("step".to_owned(), step.to_string()), ("stage".to_owned(), format!("{progress:.4}"))];
        columns.push(("rate".to_owned(), format!("{rate:.3e}")));
        columns.extend(line.take().into_iter().map(|(name, value)| (name, format!("{value:.5}"))));
        self.append(STEPS, &columns)
    }

    pub(crate) fn note_epoch(&self, report: &EpochReport) -> Result<(), TrainError> {
        let mut columns = vec![
            ("step".to_owned(), report.step.to_string()),
            ("stage".to_owned(), (report.stage + 1).to_string()),
            ("epoch".to_owned(), (report.epoch + 1).to_string()),
            ("loss".to_owned(), format!("{:.5}", report.loss)),
            ("score".to_owned(), format!("{:.5}", report.score)),
        ];
        columns.extend(report.figures.iter().map(|(name, value)| (name.clone(), format!("{value:.5}"))));
        self.append(EPOCHS, &columns)
    }

    /// Writes the best weights so far.
    pub(crate) fn keep_best(&self, weights: &Parameters, figures: &Figures) -> Result<(), TrainError> {
        let notes = figures.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        write_aside(&self.best_path(), &weights.to_safetensors(notes)?)
    }

    /// The best weights, for a network with the layout of `layout`.
    pub(crate) fn best(&self, layout: &Parameters) -> Result<(Parameters, Figures), TrainError> {
        let mut parameters = layout.clone();
        parameters.take_from_file(&self.best_path())?;
        let bytes = fs::read(self.best_path()).map_err(|error| TrainError::file(&self.best_path(), error))?;
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).map_err(TrainError::weights)?;
        let notes = header.metadata().clone().unwrap_or_default();
        Ok((parameters, notes.into_iter().filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()))
    }

    fn best_path(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Appends a line to a table. If it has columns that the table lacks (because another stage has other figures), the table is
    /// rewritten with these columns, empty in the earlier lines.
    fn append(&self, name: &str, columns: &[(String, String)]) -> Result<(), TrainError> {
        let path = self.path.join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut header: Vec<&str> = text.lines().next().map(|line| line.split(',').collect()).unwrap_or_default();
        let known = header.len();
        header.extend(
            columns.iter().map(|(name, _)| name.as_str()).filter(|name| !header.contains(name)).collect::<Vec<_>>(),
        );
        let value = |name: &&str| columns.iter().find(|(column, _)| column == name).map_or("", |(_, value)| value);
        let line = header.iter().map(value).collect::<Vec<_>>().join(",");
        if known == header.len() {
            let opened = OpenOptions::new().append(true).open(&path);
            let written = opened.and_then(|mut file| writeln!(file, "{line}"));
            return written.map_err(|error| TrainError::file(&path, error));
        }
        let empty = ",".repeat(if known == 0 { 0 } else { header.len() - known });
        let before = text.lines().skip(1).map(|line| format!("{line}{empty}\n")).collect::<String>();
        write_aside(&path, format!("{}\n{before}{line}\n", header.join(",")).as_bytes())
    }

    /// Draws the tables of steps and epochs as SVG.
    pub(crate) fn draw_curves(&self) -> Result<(), TrainError> {
        for (table, picture) in [(STEPS, "steps.svg"), (EPOCHS, "epochs.svg")] {
            let Ok(text) = fs::read_to_string(self.path.join(table)) else { continue };
            // A table of one line has no curve yet.
            if text.lines().count() > 2 {
                match curves(&text) {
                    Ok(svg) => write_aside(&self.path.join(picture), svg.as_bytes())?,
                    Err(error) => log::warn!("{table} was not drawn: {error}"),
                }
            }
        }
        Ok(())
    }

    fn write_json(&self, name: &str, value: &serde_json::Value) -> Result<(), TrainError> {
        write_aside(&self.path.join(name), format!("{value:#}\n").as_bytes())
    }
}

const RECIPE: &str = "recipe.toml";
const REVISION: &str = "revision.json";
const DATA: &str = "data.json";
const STEPS: &str = "steps.csv";
const EPOCHS: &str = "epochs.csv";

/// The git revision of the sources that this program was built from, if they are still there.
fn revision() -> Option<String> {
    let git = ["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"];
    let output = std::process::Command::new("git").args(git).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = RunFolder { path: place.path().to_owned(), recipe_hash: String::new(), resumed: false };
        (place, folder)
    }

    fn columns(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tables_grow_by_columns_and_lose_what_is_done_again() {
        let (place, folder) = folder();
        let read = || fs::read_to_string(place.path().join(STEPS)).unwrap();
        folder.append(STEPS, &columns(&[("step", "20"), ("loss", "3")])).unwrap();
        folder.append(STEPS, &columns(&[("step", "40"), ("loss", "2")])).unwrap();
        assert_eq!(read(), "step,loss\n20,3\n40,2\n");
        folder.append(STEPS, &columns(&[("step", "60"), ("age", "9")])).unwrap();
        assert_eq!(read(), "step,loss,age\n20,3,\n40,2,\n60,,9\n");
        folder.drop_after(45).unwrap();
        assert_eq!(read(), "step,loss,age\n20,3,\n40,2,\n");
    }

    #[test]
    fn a_run_is_continued_with_its_own_data_only() {
        let (place, mut folder) = folder();
        let note = |folder: &RunFolder, name: &str, hash| folder.note_data(Path::new(name), 9, hash);
        note(&folder, "a/faces", "one").unwrap();
        note(&folder, "b/faces", "two").unwrap();
        let noted: serde_json::Value = serde_json::from_slice(&fs::read(place.path().join(DATA)).unwrap()).unwrap();
        assert_eq!((&noted["faces"]["sha256"], &noted["faces (2)"]["sha256"]), (&json!("one"), &json!("two")));
        folder.resumed = true;
        note(&folder, "c/faces", "two").unwrap();
        note(&folder, "other", "three").unwrap();
        let error = note(&folder, "a/faces", "changed").unwrap_err().to_string();
        assert!(error.contains("other data named faces"), "{error}");
    }

    #[test]
    fn a_recipe_in_the_folder_of_a_run_to_be_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join(RECIPE);
        fs::write(&own, "# mine").unwrap();
        let recipe: Recipe = toml::from_str("name = \"a\"\ntitle = \"A\"\n[network]\nkind = \"onet\"\n").unwrap();
        let error = RunFolder::open(place.path(), &recipe, false).unwrap_err().to_string();
        assert!(error.contains("is not of a run"), "{error}");
        assert_eq!(fs::read_to_string(own).unwrap(), "# mine");
    }

    #[test]
    fn the_best_weights_come_back_with_their_figures() {
        let (_place, folder) = folder();
        let (_, parameters) = crate::network::onet(4);
        let figures = Figures::from([("keypoint_error".to_owned(), 0.0312)]);
        folder.keep_best(&parameters, &figures).unwrap();
        let (_, layout) = crate::network::onet(5);
        assert_eq!(folder.best(&layout).unwrap(), (parameters, figures));
    }
}
