//! Installs ONNX Runtime: the CPU library from the wheel of the Python package.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::search::file_name;
use crate::InferError;
use crate::manifest::identity::hex;

/// The version that [`install`] fetches.
pub const VERSION: &str = "1.32.0";

/// A wheel and the library in it. All are for one Python version, so that the hash does not depend on the user's Python.
struct Wheel {
    os: &'static str,
    arch: &'static str,
    platform: &'static str,
    sha256: &'static str,
    member: &'static str,
}

const WHEELS: [Wheel; 4] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        member: "onnxruntime/capi/libonnxruntime.so.1.32.0",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
        member: "onnxruntime/capi/libonnxruntime.so.1.32.0",
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
        member: "onnxruntime/capi/libonnxruntime.1.32.0.dylib",
    },
    Wheel {
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        sha256: "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40",
        member: "onnxruntime/capi/onnxruntime.dll",
    },
];

/// Downloads ONNX Runtime [`VERSION`] for this system with pip, which follows the user's settings, checks its SHA-256
/// and puts the library into `cache/VERSION/`; see [`super::cache`]. Returns the library's path.
///
/// `progress` is called with a short text at each step.
///
/// # Errors
/// [`InferError::Install`] if there is no wheel for this system, no pip, no connection, or the hash is wrong;
/// [`InferError::File`] if the cache cannot be written.
pub fn install(cache: &Path, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, InferError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let wheel = WHEELS.iter().find(|wheel| wheel.os == os && wheel.arch == arch).ok_or_else(|| {
        refuse(format!(
            "there is no ready-made library for {os} on {arch}; build one and set {} to its path",
            super::VARIABLE
        ))
    })?;
    fs::create_dir_all(cache).map_err(|error| InferError::file(cache, error))?;
    // Inside the cache, so that the last step is a rename within one file system.
    let scratch = tempfile::Builder::new()
        .prefix(".install-")
        .tempdir_in(cache)
        .map_err(|error| InferError::file(cache, error))?;
    progress(&format!("fetching ONNX Runtime {VERSION} for {}", wheel.platform));
    let archive = download(wheel, scratch.path())?;
    progress("checking its SHA-256");
    check_hash(&archive, wheel.sha256)?;
    progress("unpacking the library");
    let loose = scratch.path().join(file_name());
    unpack(&archive, wheel.member, &loose)?;
    let library = place(&loose, &cache.join(VERSION))?;
    progress(&format!("installed {}", library.display()));
    Ok(library)
}

fn refuse(reason: impl Into<String>) -> InferError {
    InferError::Install { reason: reason.into() }
}

/// Runs pip to download the wheel with the pinned hash into `folder`.
fn download(wheel: &Wheel, folder: &Path) -> Result<PathBuf, InferError> {
    let python = find_python()?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, format!("onnxruntime=={VERSION} --hash=sha256:{}\n", wheel.sha256))
        .map_err(|error| InferError::file(&requirements, error))?;
    let wheels = folder.join("wheels");
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--implementation", "cp", "--python-version", "312", "--abi", "cp312"])
        .args(["--platform", wheel.platform])
        .arg("-r")
        .arg(&requirements)
        .arg("-d")
        .arg(&wheels)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| refuse(format!("{python} does not start: {error}")))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(refuse(format!("pip could not fetch it ({}): {}", output.status, words.trim())));
    }
    let entries = fs::read_dir(&wheels).map_err(|error| InferError::file(&wheels, error))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| refuse("pip succeeded but left no wheel"))
}

/// The first Python that has pip.
fn find_python() -> Result<&'static str, InferError> {
    ["python3", "python"]
        .into_iter()
        .find(|python| {
            Command::new(python)
                .args(["-m", "pip", "--version"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .ok_or_else(|| {
            refuse(format!(
                "downloading it needs Python with pip, and none was found; install python3 and python3-pip, or get \
                 an ONNX Runtime library and set {} to its path",
                super::VARIABLE
            ))
        })
}

fn check_hash(path: &Path, expected: &str) -> Result<(), InferError> {
    let bytes = fs::read(path).map_err(|error| InferError::file(path, error))?;
    let found = hex(&Sha256::digest(&bytes));
    if found == expected {
        return Ok(());
    }
    Err(refuse(format!("{} has the SHA-256 {found}, but {expected} was expected", path.display())))
}

/// Extracts one file from a wheel, which is a ZIP archive.
fn unpack(archive: &Path, member: &str, target: &Path) -> Result<(), InferError> {
    let file = File::open(archive).map_err(|error| InferError::file(archive, error))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file))
        .map_err(|error| refuse(format!("{} is no wheel: {error}", archive.display())))?;
    let mut member_file =
        archive.by_name(member).map_err(|error| refuse(format!("the wheel has no {member}: {error}")))?;
    let mut out = File::create(target).map_err(|error| InferError::file(target, error))?;
    // The reader checks the archive's own checksum at the end.
    io::copy(&mut Read::by_ref(&mut member_file), &mut out)
        .and_then(|_| out.sync_all())
        .map_err(|error| InferError::file(target, error))
}

/// Moves a complete library into its version's folder in one step: a reader sees the whole file or none.
fn place(loose: &Path, folder: &Path) -> Result<PathBuf, InferError> {
    fs::create_dir_all(folder).map_err(|error| InferError::file(folder, error))?;
    let library = folder.join(file_name());
    fs::rename(loose, &library).map_err(|error| InferError::file(&library, error))?;
    // Syncing the folder writes the rename to the disk; Windows has no such operation.
    if cfg!(unix) {
        File::open(folder).and_then(|handle| handle.sync_all()).map_err(|error| InferError::file(folder, error))?;
    }
    Ok(library)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn wheel_with(member: &str, content: &[u8], path: &Path) {
        let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("onnxruntime/__init__.py", options).unwrap();
        archive.write_all(b"# not wanted").unwrap();
        archive.start_file(member, options).unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap();
    }

    #[test]
    fn takes_only_the_library_out_of_a_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("w.whl");
        wheel_with("onnxruntime/capi/lib.so", b"library", &wheel);
        let loose = folder.path().join("loose");
        unpack(&wheel, "onnxruntime/capi/lib.so", &loose).unwrap();
        let library = place(&loose, &folder.path().join("cache").join(VERSION)).unwrap();
        assert_eq!(fs::read(&library).unwrap(), b"library");
        assert!(!loose.exists());
        assert!(unpack(&wheel, "other.so", &loose).unwrap_err().to_string().contains("other.so"));
    }

    #[test]
    fn a_wrong_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.whl");
        fs::write(&path, b"abc").unwrap();
        check_hash(&path, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
        let error = check_hash(&path, WHEELS[0].sha256).unwrap_err().to_string();
        assert!(error.contains("ba7816bf") && error.contains(WHEELS[0].sha256), "{error}");
        assert!(unpack(&path, "x", &folder.path().join("y")).unwrap_err().to_string().contains("no wheel"));
    }

    #[test]
    #[ignore = "fetches 17 to 28 MB"]
    fn installs_a_library_that_is_then_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut steps = Vec::new();
        let library = install(folder.path(), &mut |step| steps.push(step.to_owned())).unwrap();
        assert_eq!(steps.len(), 4, "{steps:?}");
        let search =
            crate::runtime::Search { cache: Some(folder.path().to_owned()), ..crate::runtime::Search::default() };
        let runtime = crate::Runtime::from_search(&search);
        let found = runtime.report().library.clone().unwrap();
        assert_eq!((found.path, found.version.as_str()), (library, VERSION));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
    }

    #[test]
    fn every_wheel_is_pinned() {
        for wheel in &WHEELS {
            assert_eq!(wheel.sha256.len(), 64);
            assert!(wheel.member.contains("onnxruntime"), "{}", wheel.member);
        }
    }
}
