//! The page of a live run: its flags, and how it is connected to the pipeline.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use visavis_face::default_network;
use visavis_gallery::Gallery;
use visavis_infer::Task;
use visavis_live::{Delivery, Pipeline, Prepared, RegistryLoader, Subscription};
use visavis_video::{OpenOptions, SourceSwitch};
use visavis_web::{
    Access, Audit, BeginRecord, Camera, Listener, NoticeParams, OutputCounts, Server, ServerConfig, Tls, WebError,
    base_path, frame_origin, host_name, own_names,
};

use crate::film::Film;
use visavis_cli::options::complain;

/// Flags about the page.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Address and port of the page
    ///
    /// If the port is taken, the next free one is used. 127.0.0.1 is reached from this machine only, 0.0.0.0 from the whole
    /// network. Any address other than the loopback asks for a token.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Token that clients must present: 16 or more letters, digits, `-` and `_`
    ///
    /// By default, a page on the loopback needs no token, and a page on any other address gets a new random token at each
    /// start, which is part of the printed link.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "VISAVIS_TOKEN",
        hide_env_values = true,
        value_parser = parse_token,
        hide_short_help = true
    )]
    token: Option<String>,
    /// Additional source that can be chosen on the page, such as a film or a folder; may be given more than once
    #[arg(long, value_name = "SOURCE", hide_short_help = true)]
    pub(crate) offer: Vec<String>,
    /// Host name under which the page may be requested; may be given more than once
    ///
    /// `localhost` and IP addresses are always allowed. Give the name of a proxy, or the name of this machine on the network.
    #[arg(long, value_name = "NAME", value_parser = host_name, hide_short_help = true)]
    allow_host: Vec<String>,
    /// Path under which a proxy serves the page, such as /cameras/door
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = base_path, hide_short_help = true)]
    base_path: String,
    /// Origin of a page that may show this page in a frame, such as `https://home.example:8123`; may be given more than once
    #[arg(long, value_name = "ORIGIN", value_parser = frame_origin, hide_short_help = true)]
    allow_frame: Vec<String>,
    /// Serve over https with a self-signed certificate
    ///
    /// The certificate is created once and kept in the user's data folder. Browsers warn about it; after the warning is
    /// accepted, a phone lets the page use its camera.
    #[arg(long)]
    tls: bool,
    /// Serve over https with this certificate (PEM file, followed by its intermediate certificates)
    #[arg(long, value_name = "FILE", requires = "tls_key", hide_short_help = true)]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM file)
    #[arg(long, value_name = "FILE", requires = "tls_cert", hide_short_help = true)]
    pub(crate) tls_key: Option<PathBuf>,
    /// Who is responsible for the analysis: a name and, if wanted, an address, for the notice page
    ///
    /// The page at the path `notice` tells the people in front of the camera what is analysed and stored now, who is responsible, and
    /// which rights they have. It needs no token. `visavis notice` makes a sheet with a QR code for it.
    #[arg(long, value_name = "TEXT", value_parser = parse_notice, hide_short_help = true)]
    notice_operator: Option<String>,
    /// How the responsible person is reached, for the notice page
    #[arg(long, value_name = "TEXT", value_parser = parse_notice, hide_short_help = true)]
    notice_contact: Option<String>,
    /// Why the camera is analysed, for the notice page
    #[arg(long, value_name = "TEXT", value_parser = parse_notice, hide_short_help = true)]
    notice_purpose: Option<String>,
    /// Do not serve the page
    #[arg(long)]
    no_page: bool,
}

/// Accepts a token that is hard to guess and needs no escaping in links, cookies and headers.
fn parse_token(text: &str) -> Result<String> {
    if text.len() < 16 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        bail!("a token must have 16 or more characters: letters, digits, - and _");
    }
    Ok(text.to_owned())
}

/// Accepts a text for the notice page.
fn parse_notice(text: &str) -> Result<String> {
    const MOST: usize = 2000;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MOST {
        bail!("a text of 1 to {MOST} characters is needed");
    }
    Ok(text.to_owned())
}

/// Where results go besides the page, for the notice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Destinations {
    /// The whole run is recorded as a film.
    pub(crate) film: bool,
    /// Results are written to files.
    pub(crate) files: bool,
    /// Results are sent to other programs.
    pub(crate) sent: bool,
    /// The gallery is in a database.
    pub(crate) database: bool,
}

impl PageArgs {
    fn notice(&self, destinations: Destinations) -> NoticeParams {
        let Destinations { film, files, sent, database } = destinations;
        let (operator, contact) = (self.notice_operator.clone(), self.notice_contact.clone());
        NoticeParams { operator, contact, purpose: self.notice_purpose.clone(), film, files, sent, database }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !self.no_page
    }

    fn access(&self) -> Result<Access> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::from_files(certificate, key)?),
            _ if self.tls => {
                let folder = dirs::data_dir().context(
                    "this user has no data folder for the certificate: set XDG_DATA_HOME or HOME, or use --tls-cert and --tls-key",
                )?;
                let names: Vec<String> = own_names(self.listen).into_iter().chain(self.allow_host.clone()).collect();
                Some(Tls::self_signed(&folder.join("visavis/tls"), &names)?)
            }
            _ => None,
        };
        Ok(Access {
            token: self.token.clone(),
            hosts: self.allow_host.clone(),
            base_path: self.base_path.clone(),
            frames: self.allow_frame.clone(),
            tls,
        })
    }
}

/// A page whose pipelines do not run yet.
pub(crate) struct Page {
    listener: Listener,
    offers: Vec<String>,
    reading: OpenOptions,
    /// Whether no source is expected.
    sourceless: bool,
    audit: Option<Audit>,
    notice: NoticeParams,
    cameras: Vec<PageCamera>,
}

/// What the page needs of a camera.
struct PageCamera {
    name: String,
    switch: SourceSwitch,
    /// Whether there is no source until one is chosen on the page.
    waiting: bool,
    scenes: Subscription,
    record: BeginRecord,
}

impl Page {
    /// Binds the port. `sourceless`: whether the page is ready without a source. `destinations`: where results go besides
    /// the page.
    pub(crate) fn open(
        args: &PageArgs,
        reading: OpenOptions,
        sourceless: bool,
        audit: Option<Audit>,
        destinations: Destinations,
    ) -> Result<Self> {
        let listener = Listener::bind(args.listen, args.access()?).map_err(|error| match error {
            // `visavis serve` needs a page.
            WebError::Listen { .. } if sourceless => anyhow!("{error}: choose another address with --listen"),
            WebError::Listen { .. } => {
                anyhow!("{error}: choose another address with --listen, or run without a page with --no-page")
            }
            error => error.into(),
        })?;
        let (offers, notice) = (args.offer.clone(), args.notice(destinations));
        Ok(Self { listener, offers, reading, sourceless, audit, notice, cameras: Vec::new() })
    }

    /// Adds a camera: subscribes to the scenes that the page shows.
    pub(crate) fn add(
        &mut self,
        name: &str,
        switch: SourceSwitch,
        waiting: bool,
        prepared: &mut Prepared,
        gallery: Option<Arc<Gallery>>,
        frame_rate: f64,
    ) {
        let scenes = prepared.subscribe(Delivery::Newest);
        let record: BeginRecord = Box::new(move |path| Ok(Box::new(Film::begin(path, gallery.clone(), frame_rate))));
        self.cameras.push(PageCamera { name: name.to_owned(), switch, waiting, scenes, record });
    }

    /// Serves the page of the running pipelines, which are in the order of the cameras, and prints its address. `outputs` are shown
    /// by the metrics.
    pub(crate) fn serve(
        self,
        pipelines: &[Pipeline],
        loader: &Arc<RegistryLoader>,
        outputs: Vec<Arc<OutputCounts>>,
    ) -> Result<Server> {
        let Self { listener, offers, reading, sourceless, audit, notice, cameras } = self;
        let link = listener.link();
        let engine = loader.runtime.choose(&loader.recognition).ok();
        let comparing = engine.and_then(|engine| default_network(&loader.registry, Task::Similarity, engine));
        let comparing = comparing.map(|entry| entry.manifest.name.clone());
        let cameras = cameras.into_iter().zip(pipelines).map(|(camera, pipeline)| {
            let PageCamera { name, switch, waiting, scenes, record } = camera;
            let config = ServerConfig {
                pipeline: pipeline.handle(),
                loader: Arc::clone(loader),
                switch,
                waiting,
                sourceless,
                offers: offers.clone(),
                opening: reading.clone(),
                comparing: comparing.clone(),
                record,
                audit: audit.clone(),
                name: name.clone(),
                notice: notice.clone(),
            };
            Camera { name, config, scenes }
        });
        let server = listener.serve(cameras.collect(), outputs)?;
        complain(&format!("the page: {link}"));
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_plain() {
        assert!(parse_token("0123456789abcdef").is_ok());
        for bad in ["", "short", "0123456789abcde;", "0123456789 abcdef"] {
            assert!(parse_token(bad).is_err(), "{bad}");
        }
    }
}
