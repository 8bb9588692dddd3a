// Builds the page from its parts.

import { Alarms } from "./alarms.js";
import { address, api } from "./api.js";
import { $, h, icon } from "./dom.js";
import { FacePane } from "./face.js";
import { Freshness } from "./freshness.js";
import { Gallery } from "./gallery.js";
import { Insight } from "./insight.js";
import { Link } from "./link.js";
import { Networks } from "./networks.js";
import { attempt, notice } from "./notice.js";
import { Panels } from "./panels.js";
import { applyTheme, remember, theme } from "./preferences.js";
import { SettingsPane } from "./settings.js";
import { BrowserCamera } from "./camera.js";
import { Sightings } from "./sightings.js";
import { Sources } from "./sources.js";
import { Stage, curtainOf } from "./stage.js";
import { inWords } from "./words.js";

applyTheme();
const [link, stage, panels, sources] = [new Link(), new Stage(), new Panels(), new Sources()];
const networks = new Networks();
const sightings = new Sightings(panels);
const gallery = new Gallery(sightings);
const alarms = new Alarms(panels, stage.overlay.ringing);
const insight = new Insight();
const face = new FacePane(stage, sightings);
const settings = new SettingsPane();
const freshness = new Freshness();
for (const pane of [networks, gallery, sightings, alarms, face, insight, settings]) panels.add(pane);

function tool(name, label, run) {
  const button = h("button", { class: "plain icon", title: label, "aria-label": label, onclick: run }, icon(name));
  $("tools").append(button);
  return button;
}

const themeTool = tool("moon", "Dark or light", () => {
  remember({ theme: theme() === "dark" ? "light" : "dark" });
  applyTheme();
  themeTool.replaceChildren(icon(theme() === "dark" ? "sun" : "moon"));
});
themeTool.replaceChildren(icon(theme() === "dark" ? "sun" : "moon"));
tool("camera", "Snapshot", async () => {
  const picture = await stage.snapshot();
  if (!picture) return;
  const local = URL.createObjectURL(picture);
  h("a", { href: local, download: `visavis-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png` }).click();
  setTimeout(() => URL.revokeObjectURL(local), 10_000);
});
const recordTool = tool("record", "Record", () => attempt(async () => {
  if (!status?.recording) return api.post("recording");
  await api.remove("recording");
  h("a", { href: address("recording"), download: "visavis.mp4" }).click();
}));
tool("expand", "Kiosk: only the picture (k)", () => stage.kiosk(true));
tool("panel", "Controls", () => panels.bare(!document.body.classList.contains("bare")));

let status = null;
let connected = false;
let shown = false;
/** When the connection was lost; null while connected and before the first connection. */
let lost = null;

/** Shows a message over the picture if the connection, the source or the picture is missing. */
function explain() {
  const start = () => h("button", { class: "main", onclick: () => sources.camera.start() }, "Use this browser's camera");
  const other = () => h("button", { onclick: () => sources.open() }, "Choose a source");
  if (!connected && lost) {
    const since = lost.toLocaleTimeString();
    stage.curtain(...curtainOf("Connection lost", `visavis has not answered since ${since}. The page reconnects automatically.`));
  } else if (!connected) stage.curtain(...curtainOf("Connecting …", "Waiting for visavis to answer."));
  else if (status?.source.waiting) {
    const hindrance = BrowserCamera.hindrance();
    stage.curtain(...curtainOf("No camera yet", hindrance ?? "Its pictures are sent only to the computer that runs visavis.", ...(hindrance ? [] : [start()]), other()));
  } else if (!shown) stage.curtain(...curtainOf("Waiting for the picture", "The source has not delivered one yet."));
  else stage.curtain();
}

function galleryChanged() {
  stage.overlay.forgetPhotos();
  gallery.changed();
  alarms.changed();
  sightings.changed();
}

/** After a lost connection: there were no messages about changes, and visavis may have been started again with other data. */
function readAgain() {
  networks.changed();
  galleryChanged();
}

link.addEventListener("link", ({ detail }) => {
  if (connected && !detail) lost = new Date();
  else if (detail && lost) {
    lost = null;
    readAgain();
  }
  connected = detail;
  if (!connected) {
    shown = false;
    alarms.note(null);
  }
  freshness.reset();
  explain();
});
link.addEventListener("frame", ({ detail }) => {
  freshness.note(detail.scene);
  stage.show(detail);
  face.note(detail.scene);
  alarms.note(detail.scene);
  if (!shown) {
    shown = true;
    explain();
  }
});
link.addEventListener("status", ({ detail }) => {
  status = detail;
  recordTool.classList.toggle("recording", detail.recording);
  recordTool.setAttribute("aria-pressed", String(detail.recording));
  recordTool.title = detail.recording ? "Stop recording" : "Record";
  for (const part of [sources, networks, gallery, sightings, alarms, face, settings]) part.status(detail);
  explain();
});
link.addEventListener("statistics", ({ detail }) => {
  networks.statistics(detail);
  insight.statistics(detail);
  $("pulse").textContent = `${detail.shown_fps.toFixed(0)} fps · ${detail.latency_p50_ms.toFixed(0)} ms`;
});
link.addEventListener("event", ({ detail }) => {
  if (detail.failure) notice(detail.text, { bad: true });
});
link.addEventListener("alarm", ({ detail }) => alarms.ring(detail));
link.addEventListener("gallery_changed", galleryChanged);
link.addEventListener("sighting", () => sightings.changed());
link.addEventListener("sightings_changed", () => sightings.changed());
stage.addEventListener("face", ({ detail }) => {
  face.choose(detail);
  if (panels.current !== "face" || document.body.classList.contains("bare")) panels.open("face");
});

/** With several cameras, the page of each is at `cameras/NUMBER/`, below the list of all. It shows the name of its camera. */
async function nameCamera() {
  const path = location.pathname.match(/cameras\/\d+\/$/)?.[0];
  const answer = path && (await fetch(new URL("../../api/v1/cameras", document.baseURI)));
  // A proxy may serve a single camera under such a path.
  if (!answer?.ok) return;
  const name = (await answer.json()).find((camera) => camera.path === path)?.name;
  if (!name) return;
  document.title = `${name} · visavis`;
  $("camera").textContent = name;
  document.body.classList.add("named");
}

// A description of the canvas for screen readers.
setInterval(() => ($("heard").textContent = inWords(stage.scene)), 1000);

panels.start();
explain();
link.open();
nameCamera();
if (location.hash === "#kiosk") stage.kiosk(true);
