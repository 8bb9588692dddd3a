//! `visavis health`: whether a running visavis answers, for services and containers.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use ureq::tls::TlsConfig;
use url::Url;
use visavis_cli::options::say;

/// Ask a running visavis whether it answers; the exit code is 0 if it does
///
/// For the health check of a container or a service. No token is needed.
#[derive(Parser)]
#[command(after_help = "Examples:\n  visavis health\n  visavis health https://127.0.0.1:8443/faces/")]
pub(crate) struct Args {
    /// Address of the page
    #[arg(default_value = "http://127.0.0.1:8080/")]
    address: String,
    /// Seconds after which a program that does not answer has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Asks for `/healthz`.
pub(crate) fn run(args: &Args) -> Result<()> {
    let parsed = Url::parse(&args.address).ok();
    if !parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        bail!("`{}` is not the address of a page: give one such as http://127.0.0.1:8080/", args.address);
    }
    let address = args.address.trim_end_matches('/');
    let config = ureq::Agent::config_builder()
        // The certificate may be the program's own. Nothing secret is sent, and only the status code is used.
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .timeout_global(Some(Duration::from_secs(args.timeout)))
        .max_redirects(0)
        .http_status_as_error(false)
        .build();
    let agent: ureq::Agent = config.into();
    let status = match agent.get(format!("{address}/healthz")).call() {
        Ok(answer) => answer.status().as_u16(),
        Err(error) => {
            let reason = match error {
                ureq::Error::Io(error) => error.to_string(),
                ureq::Error::Timeout(_) => format!("there was no answer within {} s", args.timeout),
                error => error.to_string(),
            };
            bail!("visavis at {address} does not answer: {reason}: check the address, and whether visavis runs")
        }
    };
    match status {
        200 => say("visavis answers"),
        421 => bail!(
            "visavis at {address} refuses this host name (status 421): use an IP address, or allow the name with --allow-host"
        ),
        _ => bail!(
            "{address}/healthz has the status {status}, so it is not from visavis: give the address of its page, such as \
             http://127.0.0.1:8080/; a proxy that does not reach visavis answers like this too"
        ),
    }
}
