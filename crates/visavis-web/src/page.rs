//! The files of the page, which are part of the program.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

macro_rules! assets {
    ($($file:literal: $kind:literal),* $(,)?) => {
        /// Path under `/`, content type, content.
        const ASSETS: &[(&str, &str, &[u8])] =
            &[$((concat!("/", $file), $kind, include_bytes!(concat!("../page/", $file)))),*];
    };
}

assets! {
    "icon.svg": "image/svg+xml",
    "style/base.css": "text/css; charset=utf-8",
    "style/grid.css": "text/css; charset=utf-8",
    "style/stage.css": "text/css; charset=utf-8",
    "style/panels.css": "text/css; charset=utf-8",
    "js/main.js": "text/javascript; charset=utf-8",
    "js/api.js": "text/javascript; charset=utf-8",
    "js/alarms.js": "text/javascript; charset=utf-8",
    "js/camera.js": "text/javascript; charset=utf-8",
    "js/charts.js": "text/javascript; charset=utf-8",
    "js/dom.js": "text/javascript; charset=utf-8",
    "js/face.js": "text/javascript; charset=utf-8",
    "js/freshness.js": "text/javascript; charset=utf-8",
    "js/gallery.js": "text/javascript; charset=utf-8",
    "js/grid.js": "text/javascript; charset=utf-8",
    "js/insight.js": "text/javascript; charset=utf-8",
    "js/layout.js": "text/javascript; charset=utf-8",
    "js/link.js": "text/javascript; charset=utf-8",
    "js/networks.js": "text/javascript; charset=utf-8",
    "js/notice.js": "text/javascript; charset=utf-8",
    "js/overlay.js": "text/javascript; charset=utf-8",
    "js/panels.js": "text/javascript; charset=utf-8",
    "js/preferences.js": "text/javascript; charset=utf-8",
    "js/settings.js": "text/javascript; charset=utf-8",
    "js/sightings.js": "text/javascript; charset=utf-8",
    "js/sources.js": "text/javascript; charset=utf-8",
    "js/stage.js": "text/javascript; charset=utf-8",
    "js/words.js": "text/javascript; charset=utf-8",
}

/// The page of one camera.
const INDEX: &[u8] = include_bytes!("../page/index.html");
/// The page with the pictures of all cameras.
const GRID: &[u8] = include_bytes!("../page/grid.html");

fn file(kind: &'static str, content: &'static [u8]) -> Response {
    // Not cached, since a newer version has other files with the same names.
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), content).into_response()
}

/// The page of one camera.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    with_files(INDEX)
}

/// The page with the pictures of all cameras.
pub(crate) fn grid<S: Clone + Send + Sync + 'static>() -> Router<S> {
    with_files(GRID)
}

/// Serves a page and the files listed here, and no others. Paths of this machine are never used.
fn with_files<S: Clone + Send + Sync + 'static>(page: &'static [u8]) -> Router<S> {
    let mut router = Router::new().route("/", get(move || async move { file("text/html; charset=utf-8", page) }));
    for &(path, kind, content) in ASSETS {
        router = router.route(path, get(move || async move { file(kind, content) }));
    }
    router
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Files under a folder of the page.
    fn on_disk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                on_disk(&path, found);
            } else {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
                found.insert(format!("/{}", path.strip_prefix(root).unwrap().display()));
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served_and_every_import_exists() {
        let mut found = BTreeSet::new();
        on_disk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("page"), &mut found);
        found.remove("/index.html");
        found.remove("/grid.html");
        // Served without a token: see `notice.rs`.
        found.remove("/style/notice.css");
        let served: BTreeSet<String> = ASSETS.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(served, found);
        for (path, _, content) in ASSETS.iter().filter(|(path, ..)| path.ends_with(".js")) {
            for line in str::from_utf8(content).unwrap().lines().filter(|line| line.starts_with("import ")) {
                let name = line.split('"').nth(1).unwrap().trim_start_matches("./");
                assert!(served.contains(&format!("/js/{name}")), "{path}: {line}");
            }
        }
    }
}
