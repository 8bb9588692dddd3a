//! The sample photos of `visavis demo`. They are not part of the program: they are extracted from two public Python packages.
//!
//! The tests of `face-recognition` 1.3.0 contain official, public-domain portraits of two US presidents; `scikit-image` 0.26.0
//! contains NASA's portrait of Eileen Collins.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use visavis_cli::options::complain;
use visavis_cli::output::write_file;

/// One photo.
pub(crate) struct Sample {
    /// Its file name in the cache.
    pub(crate) file: &'static str,
    /// The person on it.
    pub(crate) person: &'static str,
    /// Whether the photo is added to the gallery. The others are played by the virtual camera.
    pub(crate) enrolled: bool,
    /// Number of faces on it.
    #[cfg(test)]
    pub(crate) faces: usize,
    member: &'static str,
    sha256: &'static str,
}

const OBAMA: &str = "Barack Obama";

/// All photos, in the order in which they are played.
pub(crate) const SAMPLES: [Sample; 6] = [
    Sample {
        file: "obama3.jpg",
        person: OBAMA,
        enrolled: true,
        #[cfg(test)]
        faces: 1,
        member: "tests/test_images/obama3.jpg",
        sha256: "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
    },
    Sample {
        file: "biden.jpg",
        person: "Joe Biden",
        enrolled: true,
        #[cfg(test)]
        faces: 1,
        member: "tests/test_images/biden.jpg",
        sha256: "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
    },
    Sample {
        file: "collins.png",
        person: "Eileen Collins",
        enrolled: true,
        #[cfg(test)]
        faces: 1,
        member: "skimage/data/astronaut.png",
        sha256: "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    },
    Sample {
        file: "obama.jpg",
        person: OBAMA,
        enrolled: false,
        #[cfg(test)]
        faces: 1,
        member: "tests/test_images/obama.jpg",
        sha256: "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
    },
    Sample {
        file: "obama2.jpg",
        person: OBAMA,
        enrolled: false,
        #[cfg(test)]
        faces: 1,
        member: "tests/test_images/obama2.jpg",
        sha256: "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
    },
    Sample {
        file: "obama_partial_face2.jpg",
        person: OBAMA,
        enrolled: false,
        #[cfg(test)]
        faces: 1,
        member: "tests/test_images/obama_partial_face2.jpg",
        sha256: "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028",
    },
];

/// A Python package: its name, version and hash, and the pip flags that select the same file on every system.
struct Package {
    requirement: &'static str,
    sha256: &'static str,
    flags: &'static [&'static str],
}

const PACKAGES: [Package; 2] = [
    Package {
        requirement: "face-recognition==1.3.0",
        sha256: "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
        flags: &["--no-binary", ":all:"],
    },
    Package {
        requirement: "scikit-image==0.26.0",
        sha256: "7df650e79031634ac90b11e64a9eedaf5a5e06fcd09bcd03a34be01745744466",
        flags: &[
            "--only-binary=:all:",
            "--implementation",
            "cp",
            "--python-version",
            "312",
            "--abi",
            "cp312",
            "--platform",
            "manylinux_2_28_x86_64",
        ],
    },
];

/// What to do if the photos cannot be downloaded.
const ALTERNATIVE: &str = "without them, use a camera (`visavis live`) or photos of your own \
                       (`visavis gallery build FOLDER --out FILE`, `visavis live virtual:FOLDER --gallery FILE`)";

/// Returns the folder with all sample photos. Downloads missing photos with pip into the cache, and checks the hash of every file.
pub(crate) fn fetch() -> Result<PathBuf> {
    let cache = dirs::cache_dir().context("this user has no cache folder: set XDG_CACHE_HOME or HOME")?;
    let folder = cache.join("visavis").join("samples");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let missing = || SAMPLES.iter().filter(|sample| !is_intact(&folder.join(sample.file), sample.sha256));
    if missing().next().is_none() {
        return Ok(folder);
    }
    complain("downloading six sample photos with pip (17 MB, once)");
    for package in &PACKAGES {
        let scratch = folder.join(".fetching");
        let _ = fs::remove_dir_all(&scratch);
        let done = download(package, &scratch).and_then(|archive| unpack(&archive, &folder));
        let _ = fs::remove_dir_all(&scratch);
        done.with_context(|| format!("the sample photos could not be downloaded; {ALTERNATIVE}"))?;
    }
    if let Some(sample) = missing().next() {
        bail!("the downloaded package does not contain {}; {ALTERNATIVE}", sample.file);
    }
    Ok(folder)
}

fn is_intact(path: &Path, sha256: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| hash(&bytes) == sha256)
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn download(package: &Package, into: &Path) -> Result<PathBuf> {
    fs::create_dir_all(into).with_context(|| format!("{} cannot be made", into.display()))?;
    let list = into.join("requirements.txt");
    fs::write(&list, format!("{} --hash=sha256:{}\n", package.requirement, package.sha256))?;
    let archives = into.join("archives");
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
        .args(package.flags)
        .arg("--require-hashes")
        .arg("-r")
        .arg(&list)
        .arg("-d")
        .arg(&archives)
        .stdin(Stdio::null())
        .output()
        .context("python3 could not be started: install Python 3 with pip")?;
    if !output.status.success() {
        bail!("pip failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let mut files = fs::read_dir(&archives)?.filter_map(|entry| Some(entry.ok()?.path()));
    files.next().context("pip reported success but downloaded no file")
}

/// Extracts the photos from an archive.
fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let wanted = |name: &str| SAMPLES.iter().find(|sample| name.ends_with(sample.member));
    let keep = |sample: &Sample, bytes: &[u8]| -> Result<()> {
        if hash(bytes) != sample.sha256 {
            bail!("{} does not have the expected SHA-256", sample.member);
        }
        write_file(&folder.join(sample.file), bytes)
    };
    let file = File::open(archive)?;
    let mut bytes = Vec::new();
    if archive.extension().is_some_and(|extension| extension == "whl") {
        let mut wheel = zip::ZipArchive::new(file)?;
        for index in 0..wheel.len() {
            let mut member = wheel.by_index(index)?;
            let name = member.name()?.into_owned();
            if let Some(sample) = wanted(&name) {
                bytes.clear();
                member.read_to_end(&mut bytes)?;
                keep(sample, &bytes)?;
            }
        }
        return Ok(());
    }
    for member in tar::Archive::new(GzDecoder::new(file)).entries()? {
        let mut member = member?;
        let name = member.path()?.to_string_lossy().into_owned();
        if let Some(sample) = wanted(&name) {
            bytes.clear();
            member.read_to_end(&mut bytes)?;
            keep(sample, &bytes)?;
        }
    }
    Ok(())
}
