// Faces over the picture: animated brackets, labels with the results, and cards with the most similar person, or only their name.

import { portrait } from "./api.js";
import { certainty, dots, percent } from "./dom.js";
import { place } from "./layout.js";
import { calm, preferences } from "./preferences.js";

/** Time constant with which a bracket follows its face. */
const GLIDE = 0.055;
/** Time constants with which a new face fades in, and labels and cards follow. */
const FADE = 0.18;
const FOLLOW = 0.12;
/** Narrower faces, in CSS pixels, get a card or name only under the pointer. */
const SMALL_FACE = 46;
/** A similar person that is not identified gets a name without a photo only if the face takes this share of the picture's width. */
const LARGE_FACE = 0.3;
/** What is placed beside a face, the most important first. */
const PARTS = ["label", "card", "name"];
/** Longest line of a name without a photo, in text sizes. */
const NAME_WIDTH = 12;
const ACCENT = "#2dd4bf";
const ALARM = "#ff6b6b";
const PLATE = "rgb(9 12 16 / 0.78)";
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

const approach = (from, to, seconds, time) => to + (from - to) * Math.exp(-seconds / time);

export class Overlay {
  #faces = new Map();
  #photos = new Map();
  #held = new Map();
  #last = 0;
  /** Faces with an open alarm. */
  ringing = new Set();
  /** The face under the pointer or the keyboard, and the one that is open. */
  pointed = null;
  chosen = null;

  #moves = !calm.matches;

  constructor() {
    calm.addEventListener("change", () => (this.#moves = !calm.matches));
  }

  /** An overlay that shows only this scene, without animation. */
  still(scene) {
    const still = new Overlay();
    still.#photos = this.#photos;
    still.#moves = false;
    still.ringing = this.ringing;
    still.update(scene);
    return still;
  }

  /** Takes the results of a new frame. */
  update(scene) {
    const seen = new Set();
    for (const face of scene.faces) {
      seen.add(face.track);
      const [x, y, width, height] = face.box;
      const known = this.#faces.get(face.track);
      const target = { x, y, width, height };
      if (known) Object.assign(known, { target, face });
      else this.#faces.set(face.track, { target, face, now: { ...target }, alpha: this.#moves ? 0 : 1, size: width, plates: new Map() });
    }
    for (const track of this.#faces.keys()) if (!seen.has(track)) this.#faces.delete(track);
  }

  /** Removes cached photos, for example after a change of the gallery. */
  forgetPhotos() {
    this.#photos.clear();
  }

  /** The face at a point of the picture. */
  at(x, y) {
    const inside = [...this.#faces.values()].filter(({ now }) =>
      x >= now.x && y >= now.y && x <= now.x + now.width && y <= now.y + now.height);
    inside.sort((a, b) => a.now.width - b.now.width);
    return inside[0]?.face ?? null;
  }

  get faces() {
    return [...this.#faces.values()].map((held) => held.face).sort((a, b) => a.box[0] - b.box[0]);
  }

  #photo(person) {
    if (!this.#photos.has(person)) {
      const image = new Image();
      image.src = portrait(person);
      this.#photos.set(person, image);
    }
    const image = this.#photos.get(person);
    return image.complete && image.naturalWidth ? image : null;
  }

  /** Draws at `time` (seconds). `view` maps the picture to the canvas: { scale, x, y, width, height, left, top, large }, in CSS
   *  pixels; width and height are those of the canvas, left and top where the visible part of the picture begins. */
  draw(context, view, time) {
    const seconds = this.#moves ? Math.min(time - this.#last, 0.25) : Infinity;
    this.#last = time;
    const on = preferences.layers;
    const wishes = [];
    const onScreen = new Map();
    const order = [...this.#faces.values()].sort((a, b) => b.now.width - a.now.width);
    for (const held of order) {
      for (const side of ["x", "y", "width", "height"]) held.now[side] = approach(held.now[side], held.target[side], seconds, GLIDE);
      held.alpha = approach(held.alpha, 1, seconds, FADE);
      // Sizes change in steps; otherwise the text would change its size with every frame.
      if (Math.abs(held.now.width / held.size - 1) > 0.08) held.size = held.now.width;
      const face = {
        x: view.x + held.now.x * view.scale,
        y: view.y + held.now.y * view.scale,
        width: held.now.width * view.scale,
        height: held.now.height * view.scale,
      };
      onScreen.set(held.face.track, face);
      const large = view.large ? 1.35 : 1;
      const wide = held.size * view.scale;
      const most = Math.min((view.bottom - view.top) * 0.08, 30);
      const text = Math.max(Math.min(wide * 0.105, most), wide < 60 ? 11 : 12.5) * large;
      held.text = text;
      held.label = held.face.ignored ? null : this.#label(context, held.face, text, on, wide);
      const near = wide >= SMALL_FACE || held.face.track === this.pointed || held.face.track === this.chosen;
      const known = near && on.likeness && !held.face.ignored && held.face.resembles;
      held.card = known ? this.#card(context, held, text, Math.min(Math.max(wide * 0.62, text * 4.4), 190)) : null;
      // Not for everyone, since many names without photos are hard to assign to faces.
      const named = known?.same_person || face.width > (view.right - view.left) * LARGE_FACE;
      held.name = known && named ? this.#card(context, held, text) : null;
      const key = (part) => `${held.face.track} ${part}`;
      for (const kind of PARTS) if (held[kind]) wishes.push({ key: key(kind), face, size: held[kind], kind, unless: kind === "name" && key("card") });
    }
    // All labels are placed before the first card. Names are for faces without enough room for a card beside them.
    wishes.sort((a, b) => PARTS.indexOf(a.kind) - PARTS.indexOf(b.kind));
    const bounds = { x: view.left + 8, y: view.top + 8, width: view.right - view.left - 16, height: view.bottom - view.top - 16 };
    const places = place(wishes, [...onScreen.values()], bounds, this.#held, 10);
    for (const held of order) {
      const track = held.face.track;
      context.globalAlpha = held.face.ignored ? held.alpha * 0.35 : held.alpha;
      if (on.brackets) this.#brackets(context, onScreen.get(track), held);
      if (on.keypoints && held.face.landmarks) this.#keypoints(context, held.face.landmarks, view);
    }
    // Labels are drawn over all cards.
    for (const part of PARTS.toReversed()) {
      for (const held of order) {
        context.globalAlpha = held.alpha;
        this.#drawPlate(context, part, places.get(`${held.face.track} ${part}`), held, seconds);
      }
    }
    context.globalAlpha = 1;
  }

  /** Moves a label or card towards its place, and draws it. */
  #drawPlate(context, part, target, held, seconds) {
    if (!target) {
      held.plates.delete(part);
      return;
    }
    const box = held.plates.get(part) ?? { ...target };
    for (const side of ["x", "y"]) box[side] = approach(box[side], target[side], seconds, FOLLOW);
    held.plates.set(part, box);
    if (part === "label") this.#drawLabel(context, box, held);
    else this.#drawCard(context, box, held, held[part]);
  }

  #colour(face) {
    if (this.ringing.has(face.track)) return ALARM;
    return face.resembles?.same_person ? ACCENT : "#ffffff";
  }

  #brackets(context, box, held) {
    const colour = this.#colour(held.face);
    const arm = Math.min(box.width, box.height) * 0.22;
    const round = arm * 0.42;
    const width = Math.min(Math.max(box.width * 0.018, 2), 5) * (held.face.track === this.pointed || held.face.track === this.chosen ? 1.5 : 1);
    const corners = [[box.x, box.y, 1, 1], [box.x + box.width, box.y, -1, 1], [box.x + box.width, box.y + box.height, -1, -1], [box.x, box.y + box.height, 1, -1]];
    context.beginPath();
    for (const [x, y, right, down] of corners) {
      context.moveTo(x, y + arm * down);
      context.lineTo(x, y + round * down);
      context.quadraticCurveTo(x, y, x + round * right, y);
      context.lineTo(x + arm * right, y);
    }
    context.lineCap = "round";
    context.lineJoin = "round";
    // A dark outline, so that white lines are visible on white walls.
    context.strokeStyle = "rgb(0 0 0 / 0.45)";
    context.lineWidth = width + 2.5;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  #keypoints(context, points, view) {
    for (const [x, y] of points) {
      context.beginPath();
      context.arc(view.x + x * view.scale, view.y + y * view.scale, 2.6, 0, 2 * Math.PI);
      context.fillStyle = "#fff";
      context.strokeStyle = "rgb(0 0 0 / 0.6)";
      context.lineWidth = 1.5;
      context.stroke();
      context.fill();
    }
  }

  /** The contents and size of the label of a face; null if it is empty. A narrow face gets a shorter label. */
  #label(context, face, text, on, wide) {
    const parts = [];
    if (on.age && face.age !== undefined) parts.push({ bold: true, text: `${Math.round(face.age)}` });
    if (on.gender && face.female !== undefined && (wide > text * 4.2 || !parts.length)) {
      const female = face.female >= 0.5;
      parts.push({ text: female ? "woman" : "man" });
      if (wide > text * 6.4) parts.push({ quiet: true, text: percent(female ? face.female : 1 - face.female) });
    }
    if (on.expression && face.expression && (wide > text * 6.4 || !parts.length)) parts.push({ quiet: true, text: face.expression.name });
    const smile = on.smile && face.smile !== undefined;
    if (!parts.length && !smile) return null;
    const space = text * 0.42;
    let width = 0;
    for (const part of parts) {
      context.font = this.#font(part, text);
      part.width = context.measureText(part.text).width;
      width += part.width + space;
    }
    width += smile ? text * 1.25 : -space;
    return { parts, smile, width: width + text * 1.3, height: text * 1.85 };
  }

  #font(part, text) {
    return `${part.bold ? 700 : 500} ${part.quiet ? text * 0.82 : text}px ${FONT}`;
  }

  #plate(context, box, radius) {
    context.beginPath();
    context.roundRect(box.x, box.y, box.width, box.height, radius);
    context.fillStyle = PLATE;
    context.fill();
  }

  #drawLabel(context, at, held) {
    const { text, label, face } = held;
    const box = { ...at, width: label.width, height: label.height };
    this.#plate(context, box, box.height / 2);
    context.textBaseline = "middle";
    const middle = box.y + box.height / 2 + text * 0.04;
    let x = box.x + text * 0.65;
    for (const part of label.parts) {
      context.font = this.#font(part, text);
      context.fillStyle = part.quiet ? "#b9c4d0" : "#fff";
      context.fillText(part.text, x, middle);
      x += part.width + text * 0.42;
    }
    if (label.smile) this.#smiley(context, x + text * 0.62, box.y + box.height / 2, text * 0.62, face);
  }

  /** An icon of a face whose mouth shows the probability of a smile. */
  #smiley(context, x, y, radius, face) {
    context.strokeStyle = face.smiling ? "#ffd166" : "#9aa7b6";
    context.fillStyle = context.strokeStyle;
    context.lineWidth = Math.max(radius * 0.17, 1.3);
    context.lineCap = "round";
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
    for (const side of [-1, 1]) {
      context.beginPath();
      context.arc(x + side * radius * 0.36, y - radius * 0.22, radius * 0.12, 0, 2 * Math.PI);
      context.fill();
    }
    const bend = (face.smile - 0.25) * radius * 0.75;
    context.beginPath();
    context.moveTo(x - radius * 0.46, y + radius * 0.28);
    context.quadraticCurveTo(x, y + radius * 0.28 + bend, x + radius * 0.46, y + radius * 0.28);
    context.stroke();
  }

  /** The size of the card with the most similar person: with a photo of this side length, or the name without a photo. */
  #card(context, held, text, photo = 0) {
    const inset = text * 0.5;
    context.font = `600 ${text}px ${FONT}`;
    const found = held.face.resembles;
    const lines = wrap(context, found.name, photo || text * NAME_WIDTH);
    const widest = Math.max(...[...lines, verdictOf(found).join("  ")].map((line) => context.measureText(line).width));
    const side = photo || widest;
    return { photo, side, inset, lines, width: side + inset * 2, height: photo + inset * 2 + text * (1.2 * lines.length + (photo ? 1.75 : 1.4)) };
  }

  #drawPhoto(context, x, y, side, { text, face }) {
    const photo = this.#photo(face.resembles.person);
    context.save();
    context.beginPath();
    context.roundRect(x, y, side, side, text * 0.5);
    context.fillStyle = "#222b36";
    context.fill();
    context.clip();
    if (photo) context.drawImage(photo, x, y, side, side);
    context.restore();
  }

  #drawCard(context, at, held, card) {
    const { text, face } = held;
    const found = face.resembles;
    const box = { ...at, width: card.width, height: card.height };
    this.#plate(context, box, text * 0.85);
    const x = box.x + card.inset;
    let y = box.y + card.inset + text * 0.6;
    if (card.photo) {
      this.#drawPhoto(context, x, y - text * 0.6, card.photo, held);
      y += card.photo + text * 0.35;
    }
    context.textBaseline = "middle";
    context.font = `600 ${text}px ${FONT}`;
    context.fillStyle = "#fff";
    for (const line of card.lines) {
      context.fillText(line, x, y);
      y += text * 1.2;
    }
    const colour = this.ringing.has(face.track) ? ALARM : found.same_person ? ACCENT : "#cbd5df";
    context.font = `500 ${text * 0.82}px ${FONT}`;
    context.fillStyle = "#b9c4d0";
    const [verdict, share] = verdictOf(found);
    const room = context.measureText(`${verdict}  ${share}`).width <= card.side;
    if (room) context.fillText(verdict, x, y);
    context.fillStyle = colour;
    context.font = `700 ${text * 0.82}px ${FONT}`;
    context.fillText(share, room ? x + card.side - context.measureText(share).width : x, y);
    // The bar shows a probability. A likeness has dots instead and no bar.
    if (!found.same_person || found.identified === undefined) return;
    y += text * 0.85;
    context.fillStyle = "rgb(255 255 255 / 0.18)";
    context.beginPath();
    context.roundRect(x, y, card.side, 3, 1.5);
    context.fill();
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(x, y, Math.max(card.side * Math.min(found.identified, 0.99), 3), 3, 1.5);
    context.fill();
  }
}

/** Whether a person is identified or only similar, and the probability or the similarity. */
function verdictOf(found) {
  if (!found.same_person) return ["looks like", dots(found.likeness)];
  return ["identified", found.identified === undefined ? "" : certainty(found.identified)];
}

/** A name in as many lines as it needs. A word that is wider than a line is broken. */
function wrap(context, name, width) {
  const fits = (text) => context.measureText(text).width <= width;
  const lines = [];
  let line = "";
  for (const word of name.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (fits(longer)) {
      line = longer;
      continue;
    }
    if (line) lines.push(line);
    line = "";
    for (const letter of word) {
      if (line && !fits(line + letter)) {
        lines.push(line);
        line = "";
      }
      line += letter;
    }
  }
  return [...lines, line];
}
