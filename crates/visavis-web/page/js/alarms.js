// Alarms: a banner and a sound for a new one, and the list of all.

import { alarmCrop, api } from "./api.js";
import { $, ago, certainty, clock, fill, h, holdFocus, icon } from "./dom.js";
import { face } from "./gallery.js";
import { attempt } from "./notice.js";
import { preferences, remember } from "./preferences.js";

const MOST_SHOWN = 3;

/** Two soft tones, synthesised without a file. */
class Bell {
  #context;

  ring() {
    if (!preferences.sound) return;
    this.#context ??= new AudioContext();
    // Browsers allow sound only after the user has interacted with the page.
    this.#context.resume().catch(() => {});
    const start = this.#context.currentTime;
    for (const [at, pitch] of [[0, 880], [0.22, 660], [0.6, 880], [0.82, 660]]) {
      const [tone, volume] = [this.#context.createOscillator(), this.#context.createGain()];
      tone.type = "sine";
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0, start + at);
      volume.gain.linearRampToValueAtTime(0.25, start + at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.001, start + at + 0.4);
      tone.connect(volume).connect(this.#context.destination);
      tone.start(start + at);
      tone.stop(start + at + 0.45);
    }
  }
}

export class Alarms {
  id = "alarms";
  label = "Alarms";
  #root = null;
  #panels;
  #ringing;
  #keeps = false;
  #bell = new Bell();
  /** Banners by the number of their alarm. */
  #banners = new Map();

  constructor(panels, ringing) {
    this.#panels = panels;
    this.#ringing = ringing;
  }

  show(root) {
    this.#root = root;
    this.changed();
  }

  hide() {
    this.#root = null;
  }

  status(status) {
    const keeps = Boolean(status.gallery);
    if (keeps !== this.#keeps) {
      this.#keeps = keeps;
      this.changed();
    }
  }

  /** Shows a new alarm. */
  ring(alarm) {
    this.#bell.ring();
    this.#ringing.add(alarm.track);
    // Not read out again when the person leaves.
    const said = h("small", { "aria-live": "off", title: new Date(alarm.time * 1000).toLocaleString() });
    const banner = h("div", { class: "alarm" },
      alarm.person !== null && face(alarm.person, alarm.name),
      h("div", {}, h("b", {}, alarm.name ?? "Unknown person"), said),
      h("div", { class: "row" },
        alarm.person !== null && h("button", { onclick: () => this.#answer(alarm.id, "denied") }, "Not this person"),
        h("button", { class: "main", onclick: () => this.#answer(alarm.id, "acknowledged") }, "Acknowledge")));
    const key = alarm.id ?? `face ${alarm.track}`;
    const shown = { banner, track: alarm.track, alarm, said, left: false };
    this.#say(shown, true);
    this.#banners.set(key, shown);
    $("banner").prepend(banner);
    while ($("banner").children.length > MOST_SHOWN) $("banner").lastChild.remove();
    this.changed();
  }

  /** Says in each banner whether the person is in view, or when they were seen. `scene`: null if nothing is known. */
  note(scene) {
    for (const shown of this.#banners.values()) {
      const { track, alarm } = shown;
      const isHere = scene?.faces.some((face) => face.track === track) ?? false;
      // A program that was started again gives the number of a track to another face.
      shown.left ||= !isHere;
      const isBack = ({ resembles }) => resembles?.same_person && resembles.person === alarm.person;
      this.#say(shown, !shown.left || (scene?.faces.some(isBack) ?? false));
    }
  }

  #say({ alarm, said }, inView) {
    const when = inView ? "is in view" : `was seen at ${clock(alarm.time)}`;
    const text = alarm.identified === null ? when : `${when} · identified ${certainty(alarm.identified)}`;
    if (said.textContent !== text) said.textContent = text;
  }

  /** Reads the list again. */
  async changed() {
    if (!this.#keeps) return this.#render([]);
    await attempt(async () => {
      // Banners that are added meanwhile are not among the alarms that are read.
      const shown = [...this.#banners.values()];
      const alarms = await api.get("alarms");
      this.#panels.count("alarms", alarms.filter((alarm) => alarm.answer === "open").length);
      const open = new Set(alarms.filter((alarm) => alarm.answer === "open").map((alarm) => alarm.id));
      // It was answered on another page, or removed with its person.
      for (const { alarm } of shown) if (alarm.id !== null && !open.has(alarm.id)) this.#drop(alarm.id);
      this.#render(alarms);
    });
  }

  async #answer(id, answer) {
    if (id === null) return [...this.#banners.keys()].forEach((key) => this.#drop(key));
    await attempt(() => api.patch(`alarms/${id}`, { answer }));
    this.#drop(id);
  }

  #drop(id) {
    const shown = this.#banners.get(id);
    if (!shown) return;
    const keepFocus = holdFocus($("banner"));
    shown.banner.remove();
    keepFocus();
    this.#banners.delete(id);
    this.#ringing.delete(shown.track);
  }

  #render(alarms) {
    if (!this.#root) return;
    const sound = h("input", { type: "checkbox", checked: preferences.sound });
    sound.addEventListener("change", () => {
      remember({ sound: sound.checked });
      this.#bell.ring();
    });
    const none = this.#keeps ? "No alarms yet. An alarm is raised when a watched person of the gallery is seen."
      : "Alarms need a gallery: start visavis with --gallery FILE.";
    fill(this.#root,
      h("label", { class: "toggle" }, h("span", { class: "row" }, icon("bell"), "Sound"), sound),
      alarms.length ? h("ul", { class: "log" }, alarms.map((alarm) => this.#entry(alarm))) : h("p", { class: "empty" }, none));
  }

  #entry(alarm) {
    const open = alarm.answer === "open";
    const said = { open: "", acknowledged: " · acknowledged", denied: " · not this person" }[alarm.answer];
    const like = alarm.identified === null ? "" : ` · identified ${certainty(alarm.identified)}`;
    const picture = alarm.has_crop ? h("img", { src: alarmCrop(alarm.id), alt: "" }) : alarm.person !== null ? face(alarm.person, alarm.name) : h("span", { class: "blank" });
    return h("li", { class: open ? "card open" : "card", "data-row": alarm.id }, picture,
      h("div", { class: "what" }, h("b", {}, alarm.name ?? "Unknown person"), h("small", { title: new Date(alarm.time * 1000).toLocaleString() }, `${ago(alarm.time)}${alarm.source === null ? "" : ` · ${alarm.source}`}${like}${said}`)),
      open && h("div", { class: "buttons" },
        h("button", { class: "main", onclick: () => this.#answer(alarm.id, "acknowledged") }, "Acknowledge"),
        alarm.person !== null && h("button", { onclick: () => this.#answer(alarm.id, "denied") }, "Not this person")));
  }
}
