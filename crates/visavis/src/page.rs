//! The page of a live run: flags and glue.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, bail};
use visavis_face::gallery::Gallery;
use visavis_live::{Delivery, Pipeline, PipelineParams, Prepared, RegistryLoader, Subscription};
use visavis_video::{OpenOptions, Source, SourceSwitch, standby, switched};
use visavis_web::{BeginRecord, Listener, Parts, Server};

use crate::film::Film;
use crate::options::complain;

/// Flags about the page.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Where the page is served; if the port is taken, the next free one. Off this machine it asks for a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The token that the page asks for [default off this machine: a new one, in the link that is printed]
    #[arg(long, value_name = "TOKEN", env = "VISAVIS_TOKEN", hide_env_values = true, value_parser = parse_token)]
    token: Option<String>,
    /// Another source that may be chosen on the page: a film, a folder …; may be given more than once
    #[arg(long, value_name = "SOURCE")]
    offer: Vec<String>,
    /// Serve no page
    #[arg(long)]
    no_page: bool,
}

/// It stands in links, cookies and headers, and is worth guessing.
fn parse_token(text: &str) -> Result<String> {
    if text.len() < 16 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        bail!("a token has 16 or more letters, digits, - and _");
    }
    Ok(text.to_owned())
}

impl PageArgs {
    pub(crate) fn is_wanted(&self) -> bool {
        !self.no_page
    }
}

/// A page whose pipeline does not run yet.
pub(crate) struct Opening {
    listener: Listener,
    switch: SourceSwitch,
    waiting: bool,
    offers: Vec<String>,
    reading: OpenOptions,
}

/// A page with its parts, before the pipeline starts.
pub(crate) struct Ready {
    opening: Opening,
    scenes: Subscription,
    params: PipelineParams,
    loader: Arc<RegistryLoader>,
    record: BeginRecord,
}

impl Opening {
    /// Takes the port, and makes a source of `first` that the page can switch. Without a first source there is a dark picture
    /// until one is chosen.
    pub(crate) fn new(
        args: &PageArgs,
        first: Option<Box<dyn Source>>,
        mirror: Option<bool>,
        reading: OpenOptions,
    ) -> Result<(Self, Box<dyn Source>)> {
        let listener = Listener::bind(args.listen, args.token.clone())?;
        let waiting = first.is_none();
        let (source, switch) = switched(first.unwrap_or_else(standby), mirror);
        Ok((Self { listener, switch, waiting, offers: args.offer.clone(), reading }, source))
    }

    /// Subscribes to what is shown.
    pub(crate) fn subscribe(
        self,
        prepared: &mut Prepared,
        params: PipelineParams,
        loader: &Arc<RegistryLoader>,
        gallery: Option<Arc<dyn Gallery>>,
        frame_rate: f64,
    ) -> Ready {
        let scenes = prepared.subscribe(Delivery::Newest);
        let record: BeginRecord = Box::new(move |path| Ok(Box::new(Film::begin(path, gallery.clone(), frame_rate))));
        Ready { opening: self, scenes, params, loader: Arc::clone(loader), record }
    }
}

impl Ready {
    /// Serves the page of a running pipeline, and says where.
    pub(crate) fn serve(self, pipeline: &Pipeline) -> Result<Server> {
        let Self { opening: Opening { listener, switch, waiting, offers, reading }, scenes, params, loader, record } =
            self;
        let link = listener.link();
        let parts =
            Parts { steering: pipeline.steering(), loader, params, switch, waiting, offers, opening: reading, record };
        let server = listener.serve(parts, scenes)?;
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
