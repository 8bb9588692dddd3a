//! One ONNX Runtime library: whether it is usable, and which execution providers it has.

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Once;

use serde::Serialize;

/// An ONNX Runtime that loads and is new enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Library {
    /// The file, or a bare name that the system's loader resolves.
    pub path: PathBuf,
    /// Such as `1.32.0`.
    pub version: String,
    /// The execution providers that it was built with.
    pub providers: Vec<String>,
}

impl Library {
    /// Loads a library and checks that it is an ONNX Runtime that this program can use.
    ///
    /// # Errors
    /// The reason, as text.
    pub(crate) fn probe(path: &Path) -> Result<Self, String> {
        disable_telemetry();
        // SAFETY: loading runs the library's initialisers. The user, the installer or the system put this file where
        // libraries belong, so running it is intended.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| causes(&error))?;
        // SAFETY: the C header of ONNX Runtime declares this symbol with this type.
        let base =
            unsafe { library.get::<unsafe extern "system" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0") }
                .map_err(|_| "it is no ONNX Runtime: it has no symbol OrtGetApiBase".to_owned())?;
        // SAFETY: the function takes no argument and returns a pointer to a static struct, or null.
        let base = unsafe { base().as_ref() }.ok_or("its OrtGetApiBase gives nothing")?;
        // SAFETY: the string is static and ends with a zero.
        let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
        check_version(&version)?;
        // SAFETY: the function returns a pointer to a static struct of the requested version, or null.
        let api = unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION).as_ref() }
            .ok_or_else(|| format!("version {version} lacks the interface of 1.{}", ort::MINOR_VERSION))?;
        let providers = providers(api);
        // The library will be used, and unloading an ONNX Runtime that has threads is not safe.
        std::mem::forget(library);
        Ok(Self { path: path.to_owned(), version, providers })
    }
}

/// Before a library is loaded: an official build of ONNX Runtime writes a number that identifies the machine to a folder of the user,
/// and sends events to its vendor, unless this variable is set when it starts.
fn disable_telemetry() {
    static ONCE: Once = Once::new();
    // SAFETY: this runs when the first library is looked for. The programs and the Python module do that before they start a thread
    // that reads the environment.
    ONCE.call_once(|| unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") });
}

/// The loader's message: the error's own text says only that loading failed.
fn causes(error: &libloading::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn check_version(version: &str) -> Result<(), String> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(1), Some(minor)) if minor >= ort::MINOR_VERSION => Ok(()),
        _ => Err(format!("its version is {version}; at least 1.{} is needed, below 2", ort::MINOR_VERSION)),
    }
}

fn providers(api: &ort::sys::OrtApi) -> Vec<String> {
    let mut names: *mut *mut c_char = ptr::null_mut();
    let mut count = 0;
    // SAFETY: both pointers refer to our variables; a status that is not null means failure and is released below.
    let status = unsafe { (api.GetAvailableProviders)(&raw mut names, &raw mut count) };
    if !status.0.is_null() {
        // SAFETY: the status is ours and was not released before.
        unsafe { (api.ReleaseStatus)(status.0) };
        return Vec::new();
    }
    let found = (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: `names` holds `count` strings that end with a zero.
        .map(|index| unsafe { CStr::from_ptr(*names.add(index)) }.to_string_lossy().into_owned())
        .collect();
    // SAFETY: the list came from GetAvailableProviders and is released once.
    let status = unsafe { (api.ReleaseAvailableProviders)(names, count) };
    if !status.0.is_null() {
        // SAFETY: as above.
        unsafe { (api.ReleaseStatus)(status.0) };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_finds_telemetry_disabled() {
        assert!(Library::probe(Path::new("/no/libonnxruntime.so")).is_err());
        assert_eq!(std::env::var("ORT_DISABLE_TELEMETRY").as_deref(), Ok("1"));
    }

    #[test]
    fn versions() {
        for good in ["1.20.0", "1.32.0", "1.100.3-dev"] {
            check_version(good).unwrap();
        }
        for bad in ["1.19.2", "0.5", "2.0.0", "", "one"] {
            assert!(check_version(bad).unwrap_err().contains("1.20"), "{bad}");
        }
    }
}
