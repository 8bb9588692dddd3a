//! The topics of a run, and what Home Assistant is told about them.

use serde_json::{Value, json};
use visavis_gallery::PersonId;

use super::address::check_topic;

/// The longest name of a level that is taken as it is; a longer one is cut.
const LEVEL: usize = 64;

/// The names of all topics of a run.
#[derive(Clone)]
pub(super) struct Topics {
    prefix: String,
    /// The first levels of the topics of Home Assistant's discovery; `None`: no discovery.
    discovery: Option<String>,
    /// Names this program in discovery topics and as a client.
    pub(super) node: String,
}

/// A camera in topics.
#[derive(Clone)]
pub(super) struct CameraTopics {
    /// The name, for people.
    pub(super) name: String,
    /// The name as a level of topics.
    level: String,
}

impl Topics {
    /// # Errors
    /// If `discovery` cannot begin topics.
    pub(super) fn new(prefix: &str, discovery: Option<&str>) -> anyhow::Result<Self> {
        discovery.map(check_topic).transpose()?;
        let node = format!("visavis_{}", plain(prefix));
        let node = if prefix == "visavis" { "visavis".to_owned() } else { node };
        Ok(Self { prefix: prefix.to_owned(), discovery: discovery.map(str::to_owned), node })
    }

    /// `online` or `offline`.
    pub(super) fn availability(&self) -> String {
        format!("{}/availability", self.prefix)
    }

    pub(super) fn camera(name: &str) -> CameraTopics {
        // A level must have no slash and no wildcard.
        CameraTopics { name: name.to_owned(), level: plain(name) }
    }

    fn of(&self, camera: &CameraTopics, what: &str) -> String {
        format!("{}/cameras/{}/{what}", self.prefix, camera.level)
    }

    /// Status, rate and number of faces.
    pub(super) fn state(&self, camera: &CameraTopics) -> String {
        self.of(camera, "state")
    }

    /// Alarms and events of sightings, not retained.
    pub(super) fn events(&self, camera: &CameraTopics) -> String {
        self.of(camera, "events")
    }

    /// The last of these events.
    pub(super) fn last_event(&self, camera: &CameraTopics) -> String {
        self.of(camera, "last_event")
    }

    /// The last picture of a face.
    pub(super) fn snapshot(&self, camera: &CameraTopics) -> String {
        self.of(camera, "snapshot")
    }

    /// Whether a person is in view: `ON` or `OFF`.
    pub(super) fn person(&self, camera: &CameraTopics, PersonId(person): PersonId) -> String {
        self.of(camera, &format!("people/{person}"))
    }

    /// Filters that match every retained topic of this program, also those of earlier runs.
    pub(super) fn own(&self) -> Vec<String> {
        let discovery = self.discovery.as_ref().map(|discovery| format!("{discovery}/+/{}/+/config", self.node));
        std::iter::once(format!("{}/cameras/#", self.prefix)).chain(discovery).collect()
    }

    /// Whether the topic is one that [`Topics::own`] matches.
    pub(super) fn is_own(&self, topic: &str) -> bool {
        let cameras = topic.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with("/cameras/"));
        let discovery = self.discovery.as_ref().and_then(|discovery| topic.strip_prefix(discovery.as_str()));
        cameras || discovery.is_some_and(|rest| rest.split('/').nth(2) == Some(self.node.as_str()))
    }

    /// The entities of a camera besides its people: the topic and the configuration of each.
    pub(super) fn entities(&self, camera: &CameraTopics, snapshots: bool) -> Vec<(String, String)> {
        let state = self.state(camera);
        let mut entities = vec![
            self.entity(
                camera,
                "binary_sensor",
                "connectivity",
                false,
                &json!({
                    "name": "Picture",
                    "device_class": "connectivity",
                    "entity_category": "diagnostic",
                    "state_topic": state,
                    "value_template": "{{ 'ON' if value_json.status == 'online' else 'OFF' }}",
                    "json_attributes_topic": state,
                }),
            ),
            self.entity(
                camera,
                "sensor",
                "faces",
                true,
                &json!({
                    "name": "Faces",
                    "icon": "mdi:face-recognition",
                    "state_class": "measurement",
                    "state_topic": state,
                    "value_template": "{{ value_json.faces }}",
                }),
            ),
            self.entity(
                camera,
                "sensor",
                "rate",
                true,
                &json!({
                    "name": "Pictures per second",
                    "icon": "mdi:speedometer",
                    "entity_category": "diagnostic",
                    "state_class": "measurement",
                    "unit_of_measurement": "1/s",
                    "state_topic": state,
                    "value_template": "{{ value_json.pictures_per_second }}",
                }),
            ),
            self.entity(
                camera,
                "sensor",
                "last_event",
                false,
                &json!({
                    "name": "Last event",
                    "device_class": "timestamp",
                    "state_topic": self.last_event(camera),
                    "value_template": "{{ value_json.time }}",
                    "json_attributes_topic": self.last_event(camera),
                }),
            ),
            self.entity(
                camera,
                "event",
                "events",
                false,
                &json!({
                    "name": "Events",
                    "event_types": ["alarm", "appeared", "identified", "left"],
                    "state_topic": self.events(camera),
                }),
            ),
        ];
        if snapshots {
            entities.push(self.entity(
                camera,
                "image",
                "face",
                false,
                &json!({
                    "name": "Last face",
                    "content_type": "image/jpeg",
                    "image_topic": self.snapshot(camera),
                }),
            ));
        }
        entities.into_iter().flatten().collect()
    }

    /// The presence of a person at a camera: the topic and the configuration of the entity; `None` without discovery.
    pub(super) fn presence(&self, camera: &CameraTopics, person: PersonId, name: &str) -> Option<(String, String)> {
        self.entity(
            camera,
            "binary_sensor",
            &format!("person_{}", person.0),
            true,
            &json!({
                "name": name,
                "device_class": "occupancy",
                "icon": "mdi:account",
                "state_topic": self.person(camera, person),
            }),
        )
    }

    /// `live`: whether the entity has no value while the camera delivers no pictures.
    fn entity(
        &self,
        camera: &CameraTopics,
        component: &str,
        what: &str,
        live: bool,
        specific: &Value,
    ) -> Option<(String, String)> {
        let discovery = self.discovery.as_ref()?;
        let device = format!("{}_{}", self.node, camera.level);
        let mut availability = vec![json!({ "topic": self.availability() })];
        if live {
            availability.push(json!({
                "topic": self.state(camera),
                "value_template": "{{ 'online' if value_json.status == 'online' else 'offline' }}",
            }));
        }
        let mut config = json!({
            "unique_id": format!("{device}_{what}"),
            "availability": availability,
            "availability_mode": "all",
            "device": {
                "identifiers": [device],
                "name": camera.name,
                "manufacturer": "visavis",
                "model": "camera",
                "sw_version": env!("CARGO_PKG_VERSION"),
            },
            "origin": { "name": "visavis", "sw_version": env!("CARGO_PKG_VERSION") },
        });
        if let (Some(config), Some(specific)) = (config.as_object_mut(), specific.as_object()) {
            config.extend(specific.clone());
        }
        let topic = format!("{discovery}/{component}/{}/{}_{what}/config", self.node, camera.level);
        Some((topic, config.to_string()))
    }
}

/// The text with letters, digits, `-` and `_` of ASCII only, as Home Assistant requires. Different texts stay different.
fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let replaced: String = text.chars().take(LEVEL).map(|c| if is_plain(c) { c } else { '_' }).collect();
    if replaced == text { replaced } else { format!("{replaced}_{:08x}", checksum(text)) }
}

/// FNV-1a.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_plain_levels_and_stay_different() {
        let topics = Topics::new("home/faces", Some("homeassistant")).unwrap();
        let (door, other) = (Topics::camera("Tür/1"), Topics::camera("Tür+1"));
        assert_ne!(topics.state(&door), topics.state(&other));
        for topic in [
            topics.state(&door),
            topics.person(&door, PersonId(7)),
            topics.presence(&door, PersonId(7), "Ada").unwrap().0,
        ] {
            assert!(topics.is_own(&topic), "{topic}");
            assert!(!topic.contains(['+', '#', 'ü']), "{topic}");
        }
        // Topics of other programs are left alone.
        let neighbour = Topics::new("home/faces2", Some("homeassistant")).unwrap();
        for topic in
            ["home/faces/x", "home/kitchen/cameras/x", "homeassistant/status", "homeassistant/sensor/visavis/x/config"]
        {
            assert!(!topics.is_own(topic), "{topic}");
        }
        assert!(!topics.is_own(&neighbour.state(&door)));
        assert!(!topics.is_own(&neighbour.presence(&door, PersonId(7), "Ada").unwrap().0));
        assert!(Topics::new("a", Some("#")).is_err());
    }

    #[test]
    fn without_discovery_there_are_no_entities() {
        let topics = Topics::new("visavis", None).unwrap();
        let camera = Topics::camera("door");
        assert!(topics.entities(&camera, true).is_empty() && topics.presence(&camera, PersonId(1), "Ada").is_none());
        assert_eq!(topics.own(), ["visavis/cameras/#"]);
    }

    #[test]
    fn entities_name_their_device_and_the_picture_of_a_face_only_if_allowed() {
        let topics = Topics::new("visavis", Some("homeassistant")).unwrap();
        let camera = Topics::camera("door");
        assert_eq!(topics.entities(&camera, true).len(), topics.entities(&camera, false).len() + 1);
        let (topic, config) = topics.presence(&camera, PersonId(7), "Ada").unwrap();
        assert_eq!(topic, "homeassistant/binary_sensor/visavis/door_person_7/config");
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!((&config["unique_id"], &config["name"]), (&json!("visavis_door_person_7"), &json!("Ada")));
        assert_eq!(config["device"]["identifiers"], json!(["visavis_door"]));
        assert_eq!(config["state_topic"], "visavis/cameras/door/people/7");
    }
}
