// The picture with the faces drawn over it, at any size and pixel density.

import { $, h, icon } from "./dom.js";
import { Overlay } from "./overlay.js";
import { preferences, remember } from "./preferences.js";

const LAYERS = [
  ["brackets", "Brackets"], ["age", "Age"], ["gender", "Gender"], ["smile", "Smile"], ["expression", "Expression"], ["likeness", "Resemblance"],
  ["keypoints", "Keypoints"],
];
/** In kiosk mode the picture fills the screen if at most this share of it is cropped. */
const MOST_CUT = 0.25;
const IDLE_AFTER = 2500;

export class Stage extends EventTarget {
  overlay = new Overlay();
  #frame = $("frame");
  #picture = $("picture");
  #faces = $("overlay");
  #bitmap = null;
  #scene = null;
  #fresh = false;
  #idle = 0;
  #few = new OffscreenCanvas(12, 8);

  constructor() {
    super();
    new ResizeObserver(() => (this.#fresh = true)).observe(this.#frame);
    const draw = (time) => {
      this.#draw(time / 1000);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    this.#listen();
    $("layers").append(...LAYERS.map(([layer, label]) => this.#toggle(layer, label)));
  }

  /** Shows the newest frame. */
  show({ scene, bitmap }) {
    this.#bitmap?.close();
    [this.#bitmap, this.#scene, this.#fresh] = [bitmap, scene, true];
    this.#frame.style.setProperty("--aspect", `${scene.width} / ${scene.height}`);
    this.overlay.update(scene);
  }

  get scene() {
    return this.#scene;
  }

  /** The current picture; null before the first. */
  get bitmap() {
    return this.#bitmap;
  }

  /** The annotated picture as PNG, at the size of the source. */
  snapshot() {
    if (!this.#bitmap) return Promise.resolve(null);
    const { width, height } = this.#scene;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.drawImage(this.#bitmap, 0, 0);
    const view = { scale: 1, x: 0, y: 0, left: 0, top: 0, right: width, bottom: height, large: false };
    this.overlay.still(this.#scene).draw(context, view, performance.now() / 1000);
    return canvas.convertToBlob({ type: "image/png" });
  }

  kiosk(on) {
    document.body.classList.toggle("kiosk", on);
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen();
    this.#stir();
  }

  /** Shows a message over the picture; without arguments, removes it. */
  curtain(...content) {
    $("curtain").replaceChildren(...content);
  }

  #toggle(layer, label) {
    const button = h("button", { "aria-pressed": String(preferences.layers[layer]), "data-layer": layer }, label);
    button.addEventListener("click", () => {
      const on = !preferences.layers[layer];
      remember({ layers: { ...preferences.layers, [layer]: on } });
      button.setAttribute("aria-pressed", String(on));
    });
    return button;
  }

  /** Scale and position of the picture on a canvas of this size, in CSS pixels. */
  #view(width, height) {
    const kiosk = document.body.classList.contains("kiosk");
    const [fit, fill] = [Math.min, Math.max].map((pick) => pick(width / this.#scene.width, height / this.#scene.height));
    const scale = kiosk && fit / fill >= 1 - MOST_CUT ? fill : fit;
    const [x, y] = [(width - this.#scene.width * scale) / 2, (height - this.#scene.height * scale) / 2];
    const [left, top] = [Math.max(x, 0), Math.max(y, 0)];
    return { scale, x, y, left, top, right: Math.min(width, width - x), bottom: Math.min(height, height - y), large: kiosk && width > 900 };
  }

  #draw(time) {
    if (!this.#bitmap || document.hidden) return;
    const { clientWidth: width, clientHeight: height } = this.#frame;
    const density = window.devicePixelRatio || 1;
    const [across, down] = [Math.round(width * density), Math.round(height * density)];
    for (const canvas of [this.#picture, this.#faces]) {
      if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height, this.#fresh] = [across, down, true];
    }
    if (!across || !down) return;
    const view = this.#view(width, height);
    if (this.#fresh) {
      const context = this.#picture.getContext("2d", { alpha: false });
      context.setTransform(density, 0, 0, density, 0, 0);
      context.imageSmoothingQuality = "high";
      this.#backdrop(context, width, height);
      context.drawImage(this.#bitmap, view.x, view.y, this.#scene.width * view.scale, this.#scene.height * view.scale);
      this.#fresh = false;
    }
    const context = this.#faces.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, height);
    this.overlay.draw(context, view, time);
  }

  /** Fills the margins with a dim blur of the picture: a few pixels, drawn large. */
  #backdrop(context, width, height) {
    const few = this.#few.getContext("2d", { alpha: false });
    few.drawImage(this.#bitmap, 0, 0, this.#few.width, this.#few.height);
    context.drawImage(this.#few, -width * 0.1, -height * 0.1, width * 1.2, height * 1.2);
    context.fillStyle = "rgb(5 7 10 / 0.62)";
    context.fillRect(0, 0, width, height);
  }

  #under(event) {
    if (!this.#scene) return null;
    const box = this.#faces.getBoundingClientRect();
    const view = this.#view(box.width, box.height);
    return this.overlay.at((event.clientX - box.left - view.x) / view.scale, (event.clientY - box.top - view.y) / view.scale);
  }

  #choose(face) {
    this.dispatchEvent(new CustomEvent("face", { detail: face }));
  }

  #listen() {
    const faces = this.#faces;
    faces.addEventListener("pointermove", (event) => {
      const face = this.#under(event);
      this.overlay.pointed = face?.track ?? null;
      faces.classList.toggle("pointing", Boolean(face));
    });
    faces.addEventListener("pointerleave", () => (this.overlay.pointed = null));
    faces.addEventListener("click", (event) => {
      const face = this.#under(event);
      if (face) this.#choose(face);
    });
    faces.addEventListener("dblclick", (event) => {
      if (!this.#under(event)) this.kiosk(!document.body.classList.contains("kiosk"));
    });
    faces.addEventListener("keydown", (event) => {
      const all = this.overlay.faces;
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const place = all.findIndex((face) => face.track === this.overlay.pointed);
      if (step && all.length) {
        const next = all[(place + step + all.length) % all.length];
        this.overlay.pointed = next.track;
        event.preventDefault();
      } else if (event.key === "Enter" && place >= 0) this.#choose(all[place]);
    });
    document.addEventListener("fullscreenchange", () => {
      if (!document.fullscreenElement) document.body.classList.remove("kiosk");
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input, select, textarea, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const kiosk = document.body.classList.contains("kiosk");
      if (event.key === "k") this.kiosk(!kiosk);
      else if (event.key === "Escape" && kiosk) this.kiosk(false);
    });
    for (const type of ["pointermove", "pointerdown", "keydown"]) document.addEventListener(type, () => this.#stir());
  }

  /** Shows the mouse pointer on input, and hides it after a while. */
  #stir() {
    document.body.classList.remove("idle");
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => document.body.classList.add("idle"), IDLE_AFTER);
  }
}

/** The contents of a message over the picture. */
export function curtainOf(title, text, ...buttons) {
  return [icon("camera", 44), h("p", { class: "title" }, title), h("p", {}, text), h("div", { class: "row" }, ...buttons)];
}
