// The pictures of all cameras side by side. A click opens the page of a camera.

import { $, h } from "./dom.js";
import { Link } from "./link.js";
import { applyTheme } from "./preferences.js";

/** A picture is old after this many milliseconds. */
const OLD = 2000;
/** How long a tile stays marked after an alarm, in milliseconds. */
const MARKED = 10_000;

applyTheme();

/** The text beside a face: the person if identified, else age and gender. */
function label(face) {
  if (face.resembles?.same_person) return face.resembles.name;
  const gender = face.female === undefined ? "" : face.female >= 0.5 ? "woman" : "man";
  return [gender, face.age === undefined ? "" : Math.round(face.age)].filter((part) => part !== "").join(", ");
}

function draw(canvas, { scene, bitmap }) {
  [canvas.width, canvas.height] = [scene.width, scene.height];
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, scene.width, scene.height);
  bitmap.close();
  const unit = Math.max(scene.width, scene.height) / 640;
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  context.lineWidth = 2 * unit;
  context.font = `${14 * unit}px system-ui, sans-serif`;
  for (const face of scene.faces) {
    const [x, y, width, height] = face.box;
    context.strokeStyle = colour;
    context.strokeRect(x, y, width, height);
    const text = label(face);
    if (!text) continue;
    const room = context.measureText(text).width + 8 * unit;
    const top = Math.min(y + height, scene.height - 20 * unit);
    const left = Math.max(0, Math.min(x, scene.width - room));
    context.fillStyle = "#000000b0";
    context.fillRect(left, top, room, 20 * unit);
    context.fillStyle = "#ffffff";
    context.fillText(text, left + 4 * unit, top + 15 * unit);
  }
}

/** The picture of one camera with its name, the number of faces, and a mark if the picture is old. */
function tile({ name, path }) {
  const canvas = h("canvas", { role: "img", "aria-label": `The live picture of ${name}`, width: 640, height: 360 });
  const faces = h("span", { class: "quiet" });
  const old = h("span", { class: "old", role: "status", hidden: true });
  const link = new Link(new URL(`${path}api/v1/live`, document.baseURI).href.replace(/^http/, "ws"));
  const element = h("a", { class: "tile", href: path }, canvas, old, h("span", { class: "caption" }, h("b", {}, name), faces));
  let [shown, connected] = [performance.now(), true];
  const mark = () => {
    const age = performance.now() - shown;
    old.hidden = connected && age < OLD;
    old.textContent = connected ? `No new picture for ${Math.round(age / 1000)} s` : "visavis does not answer";
  };
  link.addEventListener("frame", ({ detail }) => {
    draw(canvas, detail);
    const count = detail.scene.faces.length;
    faces.textContent = count === 1 ? "1 face" : `${count} faces`;
    if (!detail.scene.stalled_since) shown = performance.now();
    mark();
  });
  link.addEventListener("link", ({ detail }) => {
    connected = detail;
    mark();
  });
  link.addEventListener("alarm", () => {
    element.classList.add("alarm");
    setTimeout(() => element.classList.remove("alarm"), MARKED);
  });
  setInterval(mark, 500);
  link.open();
  return element;
}

const cameras = await (await fetch(new URL("api/v1/cameras", document.baseURI))).json();
$("cameras").replaceChildren(...cameras.map(tile));
