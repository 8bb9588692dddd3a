//! The reference script, a simple sequential program with which the pipeline is compared.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use visavis_cli::options::say;

/// The measurements that the script prints.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sequential {
    frames: u64,
    frames_per_second: f64,
    /// CPU time of all threads over all frames.
    processor_seconds: f64,
    threads: usize,
    /// The detector's input, such as `416x256`.
    size: String,
}

impl Sequential {
    /// Runs the script on a film. `size`: width and height of the detector's input.
    pub(super) fn run(
        python: &Path,
        script: &Path,
        models: &Path,
        film: &str,
        threads: usize,
        size: Option<[u32; 2]>,
    ) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(script).arg("--models").arg(models).args(["--video", film, "--threads", &threads.to_string()]);
        if let Some([width, height]) = size {
            command.args(["--size", &format!("{width}x{height}")]);
        }
        let output = command.output().with_context(|| format!("{} does not start", python.display()))?;
        if !output.status.success() {
            bail!("{} failed: {}", script.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let line = printed.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .with_context(|| format!("the last line of {} is not a result: `{line}`", script.display()))
    }

    fn processor_ms_per_frame(&self) -> f64 {
        self.processor_seconds * 1000.0 / self.frames.max(1) as f64
    }

    /// Prints the results, compared with those of the pipeline: CPU milliseconds per frame, and frames per second if the pipeline
    /// dropped no frames.
    pub(super) fn print(&self, processor_ms: Option<f64>, frames_per_second: Option<f64>) -> Result<()> {
        let own = self.processor_ms_per_frame();
        let share = processor_ms.map(|ms| format!("; the pipeline takes {:.2} times as much", ms / own));
        let times = frames_per_second
            .map(|fps| format!("; the pipeline analyses {:.2} times as many", fps / self.frames_per_second));
        say(&format!("the sequential reference, {} thread(s), detection at {}:", self.threads, self.size))?;
        say(&format!("  {own:.1} ms of CPU time per frame{}", share.unwrap_or_default()))?;
        say(&format!("  {:.1} frames/s{}", self.frames_per_second, times.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_line_is_read() {
        let line = r#"{"frames": 590, "seconds": 20.1, "frames_per_second": 29.35, "processor_seconds": 29.5, "faces": 2360,
            "threads": 2, "size": "320x192", "keypoints": "onet", "stage_ms": {"decode": 3.1}}"#;
        let found: Sequential = serde_json::from_str(line).unwrap();
        assert!((found.processor_ms_per_frame() - 50.0).abs() < 1e-9, "{found:?}");
    }
}
