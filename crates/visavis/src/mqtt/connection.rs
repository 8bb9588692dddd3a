//! The connection to the broker: opened again, after growing waits, whenever it fails.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rumqttc::{
    Client, ConnectReturnCode, Connection, ConnectionError, Event, Incoming, MqttOptions, SubscribeReasonCode,
};
use visavis_cli::options::complain;

/// Number of messages that the connection takes before it has written the first of them.
const QUEUE: usize = 64;
/// The wait after the first failure; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A connection that lasted this long was a success: the next wait is short again.
const LASTING: Duration = Duration::from_secs(30);

/// What the connection tells.
pub(super) enum Notice {
    /// The broker has accepted the connection.
    Connected(Client),
    /// The connection has failed. Messages that were not confirmed are lost.
    Lost,
    /// The next message was written, under this number.
    Sent(u16),
    /// The broker has confirmed the message with this number.
    Confirmed(u16),
    /// The broker has a value of this topic.
    Found(String),
}

/// Keeps a connection until `over` is disconnected and the connection is closed, or `notices` is disconnected. `broker` names the
/// broker in messages.
pub(super) fn run<M: From<Notice>>(options: &MqttOptions, broker: &str, notices: &SyncSender<M>, over: &Receiver<()>) {
    let mut wait = FIRST_WAIT;
    let mut reported = false;
    loop {
        // A new client for each connection: it contains no message of the connection before.
        let (client, mut connection) = Client::new(options.clone(), QUEUE);
        let mut since = None;
        let end = pass_on(&mut connection, |notice| match notice {
            Passed::Accepted => {
                since = Some(Instant::now());
                if reported {
                    complain(&format!("MQTT: connected with {broker}"));
                    reported = false;
                }
                notices.send(Notice::Connected(client.clone()).into()).is_ok()
            }
            Passed::Notice(notice) => notices.send(notice.into()).is_ok(),
        });
        let Some(error) = end else { return };
        if notices.send(Notice::Lost.into()).is_err() {
            return;
        }
        let lasting = since.is_some_and(|since: Instant| since.elapsed() >= LASTING);
        if lasting {
            wait = FIRST_WAIT;
        }
        if !reported {
            complain(&format!("MQTT: {}; it is tried again", describe(&error, broker, since.is_some() && !lasting)));
            reported = true;
        }
        match over.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => wait = (wait * 2).min(LONGEST_WAIT),
            _ => return,
        }
    }
}

enum Passed {
    Accepted,
    Notice(Notice),
}

/// Passes on what happens on a connection until it fails. `None` if it was closed by this side, or if `take` returns false.
fn pass_on(connection: &mut Connection, mut take: impl FnMut(Passed) -> bool) -> Option<ConnectionError> {
    for event in connection.iter() {
        let passed = match event {
            Err(error) => return Some(error),
            Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return None,
            Ok(Event::Outgoing(rumqttc::Outgoing::Publish(number))) => Passed::Notice(Notice::Sent(number)),
            Ok(Event::Incoming(Incoming::ConnAck(_))) => Passed::Accepted,
            Ok(Event::Incoming(Incoming::PubAck(confirmed))) => Passed::Notice(Notice::Confirmed(confirmed.pkid)),
            Ok(Event::Incoming(Incoming::Publish(found))) if found.retain && !found.payload.is_empty() => {
                Passed::Notice(Notice::Found(found.topic))
            }
            Ok(Event::Incoming(Incoming::SubAck(answer)))
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) =>
            {
                complain(
                    "MQTT: the broker does not let this program read its own topics: values of earlier runs, such as those of \
                     deleted people, stay there",
                );
                continue;
            }
            Ok(_) => continue,
        };
        if !take(passed) {
            return None;
        }
    }
    None
}

/// What is wrong, and what to do. `accepted`: the broker accepted the connection and closed it soon after.
fn describe(error: &ConnectionError, broker: &str, accepted: bool) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => {
            format!(
                "{broker} refuses the user name or the password: give the user in the address of --mqtt, and the password in \
                 VISAVIS_MQTT_PASSWORD or with --mqtt-password-file"
            )
        }
        ConnectionError::ConnectionRefused(code) => format!("{broker} refuses the connection: {code:?}"),
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => format!("{broker} does not answer"),
        ConnectionError::Tls(error) => format!(
            "no encrypted connection with {broker}: {error} (--mqtt-ca names the certificate authority of a private broker)"
        ),
        error if accepted => format!(
            "the connection with {broker} was closed: {error}; if this repeats, another program uses the same prefix of topics"
        ),
        error => format!("{broker} cannot be reached: {error}"),
    }
}
