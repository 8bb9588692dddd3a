//! `visavis notice`: a sheet of paper with a QR code that leads to the notice page.

mod sheet;

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use qrcode::{EcLevel, QrCode};
use url::Url;
use visavis_cli::options::say;
use visavis_cli::output::write_file;
use visavis_image::codec;
use visavis_web::Language;

use sheet::Sheet;

/// Make a sheet with a QR code for the people in front of the camera: it leads to the notice page
///
/// The notice page of a running `visavis live` says what is analysed and stored now, who is responsible, and which rights people have.
/// It is at the path `notice` of the page and needs no token. The code contains the address only, so the sheet stays valid when
/// settings change.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis notice --address https://faces.example/notice --qr notice.svg
  visavis notice --address http://192.168.1.7:8080/notice --qr notice.png --paper a4 --language de --language en")]
pub(crate) struct Args {
    /// Address of the notice, as the phones of people reach it
    #[arg(long, value_name = "URL", value_parser = parse_address)]
    address: Url,
    /// File to write, .svg or .png (300 dots per inch)
    #[arg(long, value_name = "FILE")]
    qr: PathBuf,
    /// Language of the text: en, de, fr, es or it; may be given more than once [default: all]
    #[arg(long, value_name = "LANGUAGE", value_parser = parse_language)]
    language: Vec<Language>,
    /// Size of the sheet
    #[arg(long, value_enum, default_value_t = Paper::A5)]
    paper: Paper,
}

/// Size of a sheet (ISO 216), upright.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Paper {
    /// 210 mm × 297 mm
    A4,
    /// 148 mm × 210 mm
    A5,
}

impl Paper {
    /// Width and height in millimetres.
    fn size(self) -> [f32; 2] {
        match self {
            Self::A4 => [210.0, 297.0],
            Self::A5 => [148.0, 210.0],
        }
    }
}

fn parse_language(text: &str) -> Result<Language, String> {
    text.parse()
}

/// Accepts the address of a web page without a token: everybody can read the sheet.
fn parse_address(text: &str) -> Result<Url> {
    let address = Url::parse(text).context("this is not an address such as https://faces.example/notice")?;
    if !matches!(address.scheme(), "http" | "https") {
        bail!("the address must begin with http:// or https://");
    }
    if address.query_pairs().any(|(name, _)| name == "token") || address.password().is_some() {
        bail!(
            "the address contains a token or a password, which everybody could read on the sheet: leave it out; the notice needs none"
        );
    }
    Ok(address)
}

/// Writes the sheet.
pub(crate) fn run(args: &Args) -> Result<()> {
    let address = args.address.as_str();
    let code = QrCode::with_error_correction_level(address, EcLevel::M)
        .with_context(|| format!("{address} is too long for a QR code"))?;
    let languages = if args.language.is_empty() { Language::ALL.to_vec() } else { args.language.clone() };
    let sheet = Sheet::new(&code, address, &languages, args.paper.size());
    let bytes = match args.qr.extension().and_then(OsStr::to_str) {
        Some("svg") => sheet.svg().into_bytes(),
        Some("png") => codec::encode_png(&sheet.picture())?,
        _ => bail!("{}: the name must end in .svg or .png", args.qr.display()),
    };
    write_file(&args.qr, bytes)?;
    if !args.address.path().trim_end_matches('/').ends_with("/notice") {
        visavis_cli::options::complain(&format!(
            "warning: the notice is at the path `notice` of the page, but the address is {address}"
        ));
    }
    if args.address.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.")) {
        visavis_cli::options::complain(
            "warning: phones cannot reach this address: give that of this machine on the network",
        );
    }
    say(&format!("{}: a sheet with a QR code for {address}", args.qr.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_without_secrets_are_printed() {
        assert!(parse_address("https://faces.example/cams/notice?lang=de").is_ok());
        for bad in
            ["faces.example/notice", "ftp://a/notice", "http://a/notice?token=0123456789abcdef", "http://u:p@a/notice"]
        {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
