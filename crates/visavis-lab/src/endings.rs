//! The extensions of files that are written.

use std::path::Path;

use anyhow::{Result, bail};

/// The extensions of pictures: PNG and JPEG.
pub(crate) const PICTURES: &[&str] = &["png", "jpg", "jpeg"];

/// The extension of a file in lower case; empty if it has none.
pub(crate) fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Rejects a file with another extension. Called before a long run, rather than at its end; it also keeps a file of another kind,
/// such as a recipe or a list, from being replaced by a picture.
pub(crate) fn check_ending(path: &Path, endings: &[&str]) -> Result<()> {
    if !endings.contains(&ending(path).as_str()) {
        bail!("{}: name a file that ends with .{}", path.display(), endings.join(" or ."));
    }
    Ok(())
}
