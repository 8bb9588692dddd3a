//! What is still to be sent to the broker: the newest value of each retained topic, and a bounded queue of events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Largest number of events that wait. Beyond it the oldest is dropped.
pub(super) const MOST_EVENTS: usize = 256;

/// A message for the broker.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outgoing {
    /// The value of a topic, which the broker keeps; an empty one deletes the topic.
    Retained { topic: String, payload: Arc<[u8]> },
    /// An event, which the broker passes on once.
    Event { topic: String, payload: Arc<[u8]> },
}

/// What the broker shall know, and what of it was not sent yet.
#[derive(Default)]
pub(super) struct Outbox {
    /// The wanted value of each retained topic.
    wanted: BTreeMap<String, Arc<[u8]>>,
    /// Topics whose wanted value was not sent since it changed. One that is not wanted is deleted.
    dirty: BTreeSet<String>,
    /// Topics that are deleted before anything else is sent.
    emptied: VecDeque<String>,
    events: VecDeque<Outgoing>,
    /// Messages that were given to the connection and not confirmed by the broker, in their order, each with its number once the
    /// connection has assigned it.
    sent: VecDeque<(Option<u16>, Outgoing)>,
}

impl Outbox {
    /// Sets the value of a retained topic.
    pub(super) fn set(&mut self, topic: &str, payload: &[u8]) {
        if self.wanted.get(topic).is_none_or(|known| **known != *payload) {
            self.wanted.insert(topic.to_owned(), payload.into());
            self.dirty.insert(topic.to_owned());
        }
    }

    /// Deletes a retained topic.
    pub(super) fn clear(&mut self, topic: &str) {
        if self.wanted.remove(topic).is_some() {
            self.dirty.insert(topic.to_owned());
        }
    }

    /// Deletes a retained topic at once, also if it gets a new value afterwards.
    pub(super) fn empty(&mut self, topic: &str) {
        if self.wanted.remove(topic).is_some() {
            self.dirty.remove(topic);
            self.emptied.push_back(topic.to_owned());
        }
    }

    /// The broker has a value of this topic from an earlier run: deletes it if it is not wanted.
    pub(super) fn found(&mut self, topic: &str) {
        if !self.wanted.contains_key(topic) {
            self.dirty.insert(topic.to_owned());
        }
    }

    /// Adds an event. Returns whether an older one was dropped for it.
    pub(super) fn add(&mut self, topic: String, payload: String) -> bool {
        let full = self.events.len() >= MOST_EVENTS;
        if full {
            self.events.pop_front();
        }
        self.events.push_back(Outgoing::Event { topic, payload: payload.into_bytes().into() });
        full
    }

    /// The broker knows nothing, since the connection is new: everything is sent again, also the events that were not confirmed.
    /// Returns the number of events that were dropped because too many wait.
    pub(super) fn restart(&mut self) -> usize {
        while let Some((_, message)) = self.sent.pop_back() {
            if matches!(message, Outgoing::Event { .. }) {
                self.events.push_front(message);
            }
        }
        let dropped = self.events.len().saturating_sub(MOST_EVENTS);
        self.events.drain(..dropped);
        self.dirty.extend(self.wanted.keys().cloned());
        dropped
    }

    /// Gives the next messages to `send` until it returns false, which means that the message was not taken.
    pub(super) fn flush(&mut self, mut send: impl FnMut(&Outgoing) -> bool) {
        while let Some(message) = self.next() {
            if !send(&message) {
                return;
            }
            match &message {
                Outgoing::Event { .. } => drop(self.events.pop_front()),
                Outgoing::Retained { .. } if self.emptied.pop_front().is_some() => {}
                Outgoing::Retained { topic, .. } => drop(self.dirty.remove(topic)),
            }
            self.sent.push_back((None, message));
        }
    }

    /// The next message: deletions, then retained values, then events.
    fn next(&self) -> Option<Outgoing> {
        if let Some(topic) = self.emptied.front() {
            return Some(Outgoing::Retained { topic: topic.clone(), payload: Arc::new([]) });
        }
        if let Some(topic) = self.dirty.first() {
            let payload = self.wanted.get(topic).map_or_else(|| Arc::from([]), Arc::clone);
            return Some(Outgoing::Retained { topic: topic.clone(), payload });
        }
        self.events.front().cloned()
    }

    /// The connection has written the oldest message that has no number yet, as this number.
    pub(super) fn numbered(&mut self, number: u16) {
        if let Some((place, _)) = self.sent.iter_mut().find(|(place, _)| place.is_none()) {
            *place = Some(number);
        }
    }

    /// The broker has confirmed the message with this number. Returns whether it was an event.
    pub(super) fn confirmed(&mut self, number: u16) -> bool {
        let place = self.sent.iter().position(|(known, _)| *known == Some(number));
        let message = place.and_then(|place| self.sent.remove(place));
        matches!(message, Some((_, Outgoing::Event { .. })))
    }

    /// Whether everything was sent and confirmed.
    pub(super) fn is_empty(&self) -> bool {
        self.emptied.is_empty() && self.dirty.is_empty() && self.events.is_empty() && self.sent.is_empty()
    }

    /// Number of events that the broker has not confirmed.
    pub(super) fn events(&self) -> usize {
        let sent = self.sent.iter().filter(|(_, message)| matches!(message, Outgoing::Event { .. })).count();
        self.events.len() + sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends up to `most` messages; what was sent, as `topic=payload`.
    fn sent(outbox: &mut Outbox, most: usize) -> Vec<String> {
        let mut sent = Vec::new();
        outbox.flush(|message| {
            if sent.len() == most {
                return false;
            }
            let (Outgoing::Retained { topic, payload } | Outgoing::Event { topic, payload }) = message;
            sent.push(format!("{topic}={}", String::from_utf8_lossy(payload)));
            true
        });
        sent
    }

    #[test]
    fn only_the_newest_value_of_a_topic_is_sent_and_deleted_ones_are_emptied() {
        let mut outbox = Outbox::default();
        outbox.set("a", b"1");
        outbox.set("a", b"2");
        outbox.set("b", b"1");
        assert_eq!(sent(&mut outbox, 9), ["a=2", "b=1"]);
        outbox.set("a", b"2");
        assert_eq!(sent(&mut outbox, 9), Vec::<String>::new(), "the broker knows it");
        outbox.clear("b");
        outbox.clear("c");
        outbox.found("a");
        outbox.found("d");
        assert_eq!(sent(&mut outbox, 9), ["b=", "d="]);
        // A new value after a deletion does not hide the deletion.
        outbox.empty("a");
        outbox.set("a", b"3");
        assert_eq!(sent(&mut outbox, 9), ["a=", "a=3"]);
        assert!(!outbox.is_empty(), "nothing was confirmed yet");
        outbox.restart();
        assert_eq!(sent(&mut outbox, 9), ["a=3"]);
    }

    #[test]
    fn an_event_is_kept_until_the_broker_has_confirmed_it() {
        let mut outbox = Outbox::default();
        for event in ["1", "2", "3"] {
            assert!(!outbox.add("e".into(), event.into()));
        }
        assert_eq!(sent(&mut outbox, 2), ["e=1", "e=2"]);
        outbox.numbered(7);
        outbox.numbered(8);
        assert!(outbox.confirmed(7) && !outbox.confirmed(7) && !outbox.confirmed(9));
        // The connection is lost before the second one is confirmed.
        assert_eq!((outbox.events(), outbox.restart()), (2, 0));
        assert_eq!(sent(&mut outbox, 9), ["e=2", "e=3"]);
    }

    #[test]
    fn the_oldest_events_are_dropped() {
        let mut outbox = Outbox::default();
        let dropped = (0..MOST_EVENTS + 3).filter(|number| outbox.add("e".into(), number.to_string())).count();
        assert_eq!((dropped, outbox.events()), (3, MOST_EVENTS));
        assert_eq!(sent(&mut outbox, 1), ["e=3"]);
        outbox.add("e".into(), "x".into());
        assert_eq!(outbox.restart(), 1);
        assert_eq!(outbox.events(), MOST_EVENTS);
    }
}
