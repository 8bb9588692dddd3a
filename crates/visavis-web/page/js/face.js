// One face in detail: its picture, age distribution, expressions, recent smile, and the most similar people.

import { api } from "./api.js";
import { ages, course, shares } from "./charts.js";
import { fill, h, percent } from "./dom.js";
import { resembling } from "./gallery.js";
import { askName, attempt, notice } from "./notice.js";

const REMEMBERED = 30;
const LOOKED_EVERY = 500;
/** Number of pictures that are enrolled, and the time between them: several views of a moving head are recognised better. */
const LOOKS = 3;
const BETWEEN = 700;

/** The head pose in whole degrees, as seen in the picture. */
function poseInWords({ yaw, pitch, roll }) {
  const angle = (value, above, below) => {
    const degrees = Math.round(Math.abs(value));
    return degrees ? `${degrees}° ${value > 0 ? above : below}` : null;
  };
  const parts = [angle(yaw, "right", "left"), angle(pitch, "up", "down"), angle(roll, "clockwise", "anticlockwise")];
  return parts.filter(Boolean).join(", ") || "straight ahead";
}

export class FacePane {
  id = "face";
  label = "Face";
  #root = null;
  #stage;
  #sightings;
  /** The track that is shown next: the chosen one, or another if it has left. */
  #track = null;
  /** What the pane shows: a face's `{ track, detail, photo }`. Its buttons act on it, also when the face has left. */
  #shown = null;
  #timer = 0;
  #smiles = new Map();
  #hasGallery = false;
  #enrolling = false;
  /** The task whose input picture of the face is shown. */
  #task = null;

  constructor(stage, sightings) {
    this.#stage = stage;
    this.#sightings = sightings;
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
  }

  /** Records results, so that a face has a history when it is opened. */
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
    // If no face is chosen, or the chosen one has left, the largest face is shown.
    if (!faces.some((face) => face.track === this.#track)) {
      const largest = [...faces].sort((a, b) => b.box[2] - a.box[2])[0];
      if (!largest) return this.#render(null);
      this.#track = largest.track;
    }
    const track = this.#track;
    this.#stage.overlay.chosen = track;
    const photo = this.#photo(track);
    try {
      this.#shown = { track, detail: await api.get(`faces/${track}`), photo };
    } catch {
      // The face has just left; the next update shows another one.
      return;
    }
    this.#render(this.#shown.detail);
    await this.#asSeen(track);
    if (this.#hasGallery) await this.#why(track);
  }

  /** Shows what decided whether the face was identified. */
  async #why(track) {
    try {
      const why = await api.get(`faces/${track}/recognition`);
      if (!this.#root || track !== this.#shown.track) return;
      const facts = [`${why.size} pixels wide`, `sharpness ${why.sharpness.toFixed(0)}`];
      if (why.distance !== null) facts.push(`distance ${why.distance.toFixed(2)}, at most ${why.limit.toFixed(2)} counts`);
      this.#fill(".why", [h("h3", {}, why.identified ? "Why identified" : "Why not identified"), h("p", {}, `${why.reason[0].toUpperCase()}${why.reason.slice(1)}.`),
        h("p", { class: "quiet" }, facts.join(" · ")), ...why.flaws.map((flaw) => h("p", { class: "quiet" }, flaw))]);
    } catch {
      // The face has just left; the next update shows another one.
    }
  }

  /** Shows the face as the network gets it. */
  async #asSeen(track) {
    if (!this.#task) return;
    try {
      const seen = await api.get(`faces/${track}/crop?task=${this.#task}`);
      if (!seen) return;
      const picture = await createImageBitmap(seen);
      const canvas = this.#root?.querySelector("canvas");
      if (!canvas || track !== this.#shown.track) return;
      const context = canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.setAttribute("aria-label", `The face as input of the ${this.#task} network`);
      canvas.title = `Input of the ${this.#task} network`;
    } catch {
      // The face has just left; the next update shows another one.
    }
  }

  #build() {
    fill(this.#root, h("p", { class: "empty" }, "No face is in view."));
  }

  #render(face) {
    if (!this.#root) return;
    if (!face) return this.#build();
    if (!this.#root.querySelector(".head")) {
      fill(this.#root,
        h("div", { class: "head" }, h("canvas", { width: 192, height: 192, role: "img", "aria-label": "The face, upright" }), h("dl", { class: "facts" })),
        h("div", { class: "actions enrol" }),
        h("div", { class: "group ages" }), h("div", { class: "group expressions" }), h("div", { class: "group course" }), h("div", { class: "group top" }), h("div", { class: "group why", hidden: true }));
      if (this.#hasGallery) {
        this.#root.querySelector(".enrol").append(
          h("button", { class: "main", onclick: () => this.#enrol() }, "Add to the gallery"),
          h("button", { onclick: () => this.#sightings.ofFace(this.#shown.track) }, "Seen before?"),
          h("button", { title: "For a face on a poster or a screen: it is not recorded and raises no alarm", onclick: () => this.#ignore() }, "Ignore"));
      }
    }
    // If no network gets the face, it is rotated here.
    if (!this.#task) this.#crop(this.#root.querySelector("canvas"), face);
    const facts = [["Face", `#${face.track}`]];
    if (face.age !== undefined) facts.push(["Age", `about ${face.age.toFixed(0)}`]);
    if (face.female !== undefined) facts.push(["Gender", `${face.female >= 0.5 ? "woman" : "man"}, ${percent(Math.max(face.female, 1 - face.female))}`]);
    if (face.smile !== undefined) facts.push(["Smile", `${face.smiling ? "yes" : "no"}, ${percent(face.smile)}`]);
    if (face.expression) facts.push(["Expression", `${face.expression.name}, ${percent(face.expression.share)}`]);
    if (face.head_pose) facts.push(["Head", poseInWords(face.head_pose)]);
    facts.push(["Detection score", percent(face.score)]);
    fill(this.#root.querySelector(".facts"), ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "number" }, value)]));
    this.#fill(".ages", face.ages && face.age !== undefined && [h("h3", {}, "Probability of each age"), ages(face.ages, face.age)]);
    this.#fill(".expressions", face.expressions && [h("h3", {}, "Expressions"), shares(face.expressions)]);
    const samples = this.#smiles.get(face.track) ?? [];
    this.#fill(".course", samples.length > 1 && [h("h3", {}, "Smile"), course(samples, REMEMBERED, performance.now() / 1000)]);
    this.#fill(".top", face.candidates.length > 0 && [h("h3", {}, "Looks like"), resembling(face.candidates)]);
  }

  #fill(place, content) {
    const group = this.#root.querySelector(place);
    group.hidden = !content;
    group.replaceChildren(...(content || []));
  }

  /** The face rotated so that its eyes are level, if its keypoints are known. */
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

  /** A photo of a face in the current picture and of its surroundings, as canvas. */
  #photo(track) {
    const { bitmap, scene } = this.#stage;
    const scale = bitmap.width / scene.width;
    const [x, y, width, height] = scene.faces.find((face) => face.track === track).box.map((value) => value * scale);
    const [left, top] = [Math.max(0, x - width), Math.max(0, y - height)];
    const [right, bottom] = [Math.min(bitmap.width, x + 2 * width), Math.min(bitmap.height, y + 2 * height)];
    const canvas = new OffscreenCanvas(right - left, bottom - top);
    canvas.getContext("2d").drawImage(bitmap, -left, -top);
    return canvas;
  }

  /** Adds a photo of a face that has left. */
  async #addPhoto(photo, name) {
    return api.upload(`people?${new URLSearchParams({ name, file: "photo of a face", accept_poor: true })}`, await photo.convertToBlob());
  }

  /** Adds the face as a person who is ignored. */
  async #ignore() {
    const { track, photo } = this.#shown;
    const name = await askName("Ignore this face for good", { value: `Ignored ${new Date().toLocaleString()}`, action: "Ignore" });
    if (!name) return;
    await attempt(async () => {
      const { person } = await api.post("people/from-face", { track, name }).catch(() => this.#addPhoto(photo, name));
      await api.patch(`people/${person}`, { ignored: true });
      notice(`${name}: the gallery lists it; there it can be removed`);
    });
  }

  async #enrol() {
    if (this.#enrolling) return;
    const { track, detail, photo } = this.#shown;
    const known = detail.candidates.find((other) => other.same_person)?.name ?? "";
    const name = await askName("Who is this?", { value: known, action: "Add" });
    if (!name) return;
    const button = this.#root?.querySelector(".enrol button");
    // Not `disabled`, which would lose the keyboard focus.
    button?.setAttribute("aria-disabled", "true");
    this.#enrolling = true;
    let [added, failure] = [0, null];
    const enrol = async (request) => {
      try {
        added += (await request).photos;
      } catch (error) {
        failure = error;
      }
    };
    for (let look = 0; look < LOOKS; look += 1) {
      if (look) await new Promise((resolve) => setTimeout(resolve, BETWEEN));
      await enrol(api.post("people/from-face", { track, name }));
    }
    // The face may have left, also while its name was typed. Then the photo that was shown is enrolled.
    if (!added) await enrol(this.#addPhoto(photo, name));
    button?.removeAttribute("aria-disabled");
    this.#enrolling = false;
    // One good picture is enough.
    if (added) notice(`${name} was added to the gallery`);
    else notice(failure.message, { bad: true });
  }
}
