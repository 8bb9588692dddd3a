// One face in detail: what is seen of it, its age distribution, its expression of late, whom it resembles.

import { api } from "./api.js";
import { ages, course } from "./charts.js";
import { fill, h, percent } from "./dom.js";
import { resembling } from "./gallery.js";
import { askName, attempt, notice } from "./notice.js";

const REMEMBERED = 30;
const LOOKED_EVERY = 500;
/** Pictures of a face that are enrolled, and the time between them: a head that moves is known better. */
const LOOKS = 3;
const BETWEEN = 700;

export class FacePane {
  id = "face";
  label = "Face";
  #root = null;
  #stage;
  #track = null;
  #timer = 0;
  #smiles = new Map();
  #detail = null;
  #hasGallery = false;
  /** The task whose network's view of the face is shown. */
  #task = null;

  constructor(stage) {
    this.#stage = stage;
  }

  show(root) {
    this.#root = root;
    this.#timer = setInterval(() => this.#look(), LOOKED_EVERY);
    this.#build();
    this.#look();
  }

  hide() {
    clearInterval(this.#timer);
    this.#root = null;
    this.#stage.overlay.chosen = null;
  }

  status(status) {
    this.#hasGallery = Boolean(status.gallery);
    this.#task = ["similarity", "age", "gender", "smile"].find((task) => status.tasks[task].network) ?? null;
  }

  choose(face) {
    this.#track = face.track;
    this.#detail = null;
  }

  /** Remembers expressions, so that a face that is opened has a past. */
  note(scene) {
    const now = performance.now() / 1000;
    for (const face of scene.faces) {
      if (face.smile === undefined) continue;
      const samples = this.#smiles.get(face.track) ?? [];
      if (samples.length && now - samples.at(-1)[0] < 0.1) continue;
      samples.push([now, face.smile]);
      while (samples[0][0] < now - REMEMBERED) samples.shift();
      this.#smiles.set(face.track, samples);
    }
    for (const [track, samples] of this.#smiles) if (samples.at(-1)[0] < now - REMEMBERED) this.#smiles.delete(track);
  }

  async #look() {
    if (!this.#root || document.hidden) return;
    const faces = this.#stage.scene?.faces ?? [];
    // Without a choice, or when the chosen one has gone, the largest face.
    if (!faces.some((face) => face.track === this.#track)) {
      const largest = [...faces].sort((a, b) => b.box[2] - a.box[2])[0];
      if (!largest) return this.#render(null);
      this.#track = largest.track;
    }
    this.#stage.overlay.chosen = this.#track;
    try {
      this.#detail = await api.get(`faces/${this.#track}`);
    } catch {
      // It has just left; the next look takes another.
      return;
    }
    this.#render(this.#detail);
    await this.#asSeen(this.#track);
  }

  /** Shows the face as a network is shown it. */
  async #asSeen(track) {
    if (!this.#task) return;
    try {
      const seen = await api.get(`faces/${track}/crop?task=${this.#task}`);
      if (!seen) return;
      const picture = await createImageBitmap(seen);
      const canvas = this.#root?.querySelector("canvas");
      if (!canvas || track !== this.#track) return;
      const context = canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.setAttribute("aria-label", `The face as the ${this.#task} network is shown it`);
      canvas.title = `As the ${this.#task} network is shown it`;
    } catch {
      // It has just left; the next look takes another.
    }
  }

  #build() {
    fill(this.#root, h("p", { class: "empty" }, "Nobody is in view."));
  }

  #render(face) {
    if (!this.#root) return;
    if (!face) return this.#build();
    if (!this.#root.querySelector(".head")) {
      fill(this.#root,
        h("div", { class: "head" }, h("canvas", { width: 192, height: 192, role: "img", "aria-label": "The face, upright" }), h("dl", { class: "facts" })),
        h("div", { class: "actions enrol" }),
        h("div", { class: "group ages" }), h("div", { class: "group course" }), h("div", { class: "group top" }));
      if (this.#hasGallery) this.#root.querySelector(".enrol").append(h("button", { class: "main", onclick: () => this.#enrol() }, "Add to the gallery"));
    }
    // Without a network that is shown faces, the face is turned here.
    if (!this.#task) this.#crop(this.#root.querySelector("canvas"), face);
    const facts = [["Face", `#${face.track}`]];
    if (face.age !== undefined) facts.push(["Age", `about ${face.age.toFixed(0)}`]);
    if (face.female !== undefined) facts.push(["Gender", `${face.female >= 0.5 ? "woman" : "man"}, ${percent(Math.max(face.female, 1 - face.female))}`]);
    if (face.smile !== undefined) facts.push(["Smile", `${face.smiling ? "yes" : "no"}, ${percent(face.smile)}`]);
    facts.push(["Found with", percent(face.score)]);
    fill(this.#root.querySelector(".facts"), ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "number" }, value)]));
    this.#fill(".ages", face.ages && face.age !== undefined && [h("h3", {}, "How likely each age is"), ages(face.ages, face.age)]);
    const samples = this.#smiles.get(face.track) ?? [];
    this.#fill(".course", samples.length > 1 && [h("h3", {}, "Smile"), course(samples, REMEMBERED, performance.now() / 1000)]);
    this.#fill(".top", face.candidates.length > 0 && [h("h3", {}, "Resembles"), resembling(face.candidates)]);
  }

  #fill(place, content) {
    const group = this.#root.querySelector(place);
    group.hidden = !content;
    group.replaceChildren(...(content || []));
  }

  /** The face turned so that its eyes are level, where its keypoints are known. */
  #crop(canvas, face) {
    const { bitmap } = this.#stage;
    if (!bitmap) return;
    const [x, y, width, height] = face.box;
    const context = canvas.getContext("2d");
    const scale = canvas.width / (Math.max(width, height) * 1.25);
    const [left, right] = face.landmarks ?? [];
    const angle = left ? Math.atan2(right[1] - left[1], right[0] - left[0]) : 0;
    context.setTransform(1, 0, 0, 1, canvas.width / 2, canvas.height / 2);
    context.clearRect(-canvas.width, -canvas.height, canvas.width * 2, canvas.height * 2);
    context.rotate(-angle);
    context.scale(scale, scale);
    context.drawImage(bitmap, -(x + width / 2), -(y + height / 2));
  }

  async #enrol() {
    const track = this.#track;
    const known = this.#detail?.candidates.find((other) => other.same_person)?.name ?? "";
    const name = await askName("Who is this?", { value: known, action: "Add" });
    if (!name) return;
    const button = this.#root?.querySelector(".enrol button");
    if (button) button.disabled = true;
    let added = 0;
    for (let look = 0; look < LOOKS; look += 1) {
      if (look) await new Promise((resolve) => setTimeout(resolve, BETWEEN));
      try {
        added += (await api.post("people/from-face", { track, name })).photos;
      } catch (error) {
        // One good look is enough.
        if (!added && look === LOOKS - 1) notice(error.message, { bad: true });
      }
    }
    if (button) button.disabled = false;
    if (added) notice(`${name} is in the gallery now`);
  }
}
