//! The audit log: who changed what, when and from where, as JSON lines in a file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use visavis_cli::options::complain;
use visavis_live::{Event, rfc3339};
use visavis_web::{Audit, AuditRecord};

/// Flags about the audit log.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct AuditArgs {
    /// Append who changed what, when and from where to this file as JSON lines, such as /var/log/visavis/audit.jsonl
    ///
    /// The file contains names of people, but no pictures and no embeddings. Only its owner can read it.
    #[arg(long, value_name = "FILE", env = "VISAVIS_AUDIT_LOG", hide_env_values = true, hide_short_help = true)]
    pub(crate) audit_log: Option<PathBuf>,
}

/// A file to which records are appended. It is never read or shortened by this program.
#[derive(Clone)]
pub(crate) struct AuditLog(Arc<Inner>);

struct Inner {
    path: PathBuf,
    file: Mutex<File>,
    /// Whether the last record could not be written.
    failing: AtomicBool,
}

impl AuditArgs {
    /// Opens the log; `None` if nothing is recorded.
    ///
    /// # Errors
    /// If the file cannot be opened for writing.
    pub(crate) fn open(&self) -> Result<Option<AuditLog>> {
        self.audit_log.as_deref().map(AuditLog::open).transpose()
    }
}

impl AuditLog {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path);
        let file = file.with_context(|| format!("{} cannot be opened for the audit log", path.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let metadata = file.metadata()?;
            if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
                complain(&format!(
                    "warning: other users can read the audit log {}: change its mode with `chmod 600`",
                    path.display()
                ));
            }
        }
        Ok(Self(Arc::new(Inner { path: path.to_owned(), file: Mutex::new(file), failing: AtomicBool::new(false) })))
    }

    /// Appends a record. `details` must be an object. A failure is reported once until a record is written again; the change that
    /// is recorded was made already.
    pub(crate) fn write(&self, who: &Value, action: &str, details: &Value) {
        let Inner { path, file, failing } = &*self.0;
        let mut line = json!({ "time": rfc3339(SystemTime::now()), "who": who, "action": action });
        if let (Some(line), Some(details)) = (line.as_object_mut(), details.as_object()) {
            line.extend(details.clone());
        }
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // In one call, so that records of several programs are not mixed.
        let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.flush());
        match written {
            Ok(()) => failing.store(false, Ordering::Relaxed),
            Err(error) if !failing.swap(true, Ordering::Relaxed) => {
                complain(&format!(
                    "{}: the audit log could not be written: {error}; changes are made without it",
                    path.display()
                ));
            }
            Err(_) => {}
        }
    }

    /// For the page and the API.
    pub(crate) fn for_page(&self) -> Audit {
        let log = self.clone();
        Arc::new(move |AuditRecord { who, action, details }: &AuditRecord| log.write(who, action, details))
    }

    /// Records a change that the pipeline made by itself: visitors who were added, merged or removed.
    pub(crate) fn write_event(&self, event: &Event, camera: &str) {
        let details = match event {
            Event::PersonAdded { person } => json!({ "person": person.0, "camera": camera }),
            Event::PeopleMerged { from, into } => json!({ "person": from.0, "into": into.0, "camera": camera }),
            Event::VisitorsRemoved { people } => json!({ "people": people, "camera": camera }),
            _ => return,
        };
        self.write(&json!({ "via": "pipeline" }), event.kind(), &details);
    }
}

/// The user who runs the program. `via`: `command line` or `standard input`.
pub(crate) fn user(via: &str) -> Value {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    #[cfg(target_os = "linux")]
    let number = std::fs::metadata("/proc/self").ok().map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
    #[cfg(not(target_os = "linux"))]
    let number: Option<u32> = None;
    json!({ "via": via, "user": name, "user_id": number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_appended_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for person in [1, 2] {
            let log = AuditLog::open(&path).unwrap();
            log.write(&user("command line"), "person_removed", &json!({ "person": person, "name": "A\nb" }));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.iter().map(|record| record["person"].as_i64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert_eq!((&records[0]["name"], &records[0]["who"]["via"]), (&json!("A\nb"), &json!("command line")));
        assert!(records[0]["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let Err(error) = AuditLog::open(&folder.path().join("no/audit.jsonl")) else {
            panic!("there is no such folder")
        };
        assert!(error.to_string().contains("audit.jsonl"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_stops_nothing() {
        let log = AuditLog::open(Path::new("/dev/full")).unwrap();
        for _ in 0..3 {
            log.write(&user("command line"), "person_removed", &json!({}));
        }
        assert!(log.0.failing.load(Ordering::Relaxed));
    }
}
