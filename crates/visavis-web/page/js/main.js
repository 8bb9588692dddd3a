// Puts the page together.

import { Alarms } from "./alarms.js";
import { api } from "./api.js";
import { $, h, icon } from "./dom.js";
import { FacePane } from "./face.js";
import { Gallery } from "./gallery.js";
import { Insight } from "./insight.js";
import { Link } from "./link.js";
import { Networks } from "./networks.js";
import { attempt, notice } from "./notice.js";
import { Panels } from "./panels.js";
import { applyTheme, remember, theme } from "./preferences.js";
import { SettingsPane } from "./settings.js";
import { BrowserCamera } from "./camera.js";
import { Sources } from "./sources.js";
import { Stage, curtainOf } from "./stage.js";
import { inWords } from "./words.js";

applyTheme();
const [link, stage, panels, sources] = [new Link(), new Stage(), new Panels(), new Sources()];
const networks = new Networks();
const gallery = new Gallery();
const alarms = new Alarms(panels, stage.overlay.ringing);
const insight = new Insight();
const face = new FacePane(stage);
const settings = new SettingsPane();
for (const pane of [networks, gallery, alarms, face, insight, settings]) panels.add(pane);

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
  const address = URL.createObjectURL(picture);
  h("a", { href: address, download: `visavis-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
});
const recordTool = tool("record", "Record", () => attempt(async () => {
  if (!status?.recording) return api.post("recording");
  await api.remove("recording");
  h("a", { href: "/api/v1/recording", download: "visavis.mp4" }).click();
}));
tool("expand", "Kiosk: only the picture (k)", () => stage.kiosk(true));
tool("panel", "Controls", () => panels.bare(!document.body.classList.contains("bare")));

let status = null;
let connected = false;
let shown = false;

/** Says over the picture what is missing. */
function explain() {
  const start = () => h("button", { class: "main", onclick: () => sources.camera.start() }, "Use this browser's camera");
  const other = () => h("button", { onclick: () => sources.open() }, "Choose a source");
  if (!connected) stage.curtain(...curtainOf("Connecting …", "The page looks for the program."));
  else if (status?.source.waiting) {
    const hindrance = BrowserCamera.hindrance();
    stage.curtain(...curtainOf("No camera yet", hindrance ?? "Nothing that it sees leaves this machine.", ...(hindrance ? [] : [start()]), other()));
  } else if (!shown) stage.curtain(...curtainOf("Waiting for the picture", "The source has not brought one yet."));
  else stage.curtain();
}

link.addEventListener("link", ({ detail }) => {
  connected = detail;
  if (!connected) shown = false;
  explain();
});
link.addEventListener("frame", ({ detail }) => {
  stage.show(detail);
  face.note(detail.scene);
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
  for (const part of [sources, networks, gallery, alarms, face, settings]) part.status(detail);
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
link.addEventListener("gallery_changed", () => {
  stage.overlay.forgetPhotos();
  gallery.changed();
  alarms.changed();
});
stage.addEventListener("face", ({ detail }) => {
  face.choose(detail);
  if (panels.current !== "face" || document.body.classList.contains("bare")) panels.open("face");
});

// What the canvas shows, in words, for who does not see it.
setInterval(() => ($("heard").textContent = inWords(stage.scene)), 1000);

panels.start();
explain();
link.open();
if (location.hash === "#kiosk") stage.kiosk(true);
