//! User names and passwords of cameras, from a file.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use visavis_video::CameraCredentials;

/// Entries of a file in the format of `.netrc`, which curl and ftp also read: `machine HOST login USER password PASSWORD`, with
/// `default` in place of `machine HOST` for every other camera. `HOST` may have a port.
#[derive(Clone, Debug, Default)]
pub struct CredentialsFile(pub Vec<CameraCredentials>);

impl FromStr for CredentialsFile {
    type Err = anyhow::Error;

    /// Reads the file with this name.
    fn from_str(path: &str) -> Result<Self> {
        let path = Path::new(path);
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path)?.permissions().mode();
            if mode & 0o077 != 0 {
                crate::terminal::complain(&format!(
                    "warning: other users can read the passwords in {}: change its mode with `chmod 600`",
                    path.display()
                ));
            }
        }
        parse(&text).with_context(|| path.display().to_string()).map(Self)
    }
}

fn parse(text: &str) -> Result<Vec<CameraCredentials>> {
    let uncommented = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut words = uncommented.flat_map(str::split_whitespace);
    let mut entries: Vec<CameraCredentials> = Vec::new();
    let entry = |host: Option<&str>| CameraCredentials {
        host: host.map(str::to_owned),
        user: String::new(),
        password: String::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("a value is missing after `{word}`"));
        match word {
            "machine" => entries.push(entry(Some(value()?))),
            "default" => entries.push(entry(None)),
            "login" | "password" => {
                let value = value()?.to_owned();
                let Some(last) = entries.last_mut() else {
                    bail!("`{word}` comes before the first `machine` or `default`")
                };
                if word == "login" { last.user = value } else { last.password = value }
            }
            // The unknown word may be a password, so the error does not repeat it.
            _ => bail!(
                "unknown word: only `machine HOST login USER password PASSWORD` and `default login …` are allowed"
            ),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let text = "# the door\nmachine 10.0.0.7:554 login ada\n  password l0ve\ndefault login eve password x\n";
        let entries = parse(text).unwrap();
        let hosts: Vec<_> = entries.iter().map(|entry| (entry.host.as_deref(), entry.user.as_str())).collect();
        assert_eq!(hosts, [(Some("10.0.0.7:554"), "ada"), (None, "eve")]);
        assert_eq!(entries[0].password, "l0ve");
        for bad in ["login x", "machine", "machine a secret", "machine a login"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
