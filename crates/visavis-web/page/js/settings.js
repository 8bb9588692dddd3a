// Settings: thresholds, smoothing, mirroring, theme, workers, alarms, growth.

import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { attempt } from "./notice.js";
import { applyTheme, preferences, remember } from "./preferences.js";

export class SettingsPane {
  id = "settings";
  label = "Settings";
  #root = null;
  #settings = null;
  #networks = [];
  #status = null;

  async show(root) {
    this.#root = root;
    await attempt(async () => {
      [this.#settings, this.#networks] = await Promise.all([api.get("settings"), api.get("networks")]);
      this.#render();
    });
  }

  hide() {
    this.#root = null;
  }

  status(status) {
    const before = this.#status;
    this.#status = status;
    const told = (status) => [status.tasks.detection.network, status.tasks.detection.input, status.source.mirrored, status.gallery?.grows].join();
    const changed = before && told(before) !== told(status);
    if (this.#root && changed) this.show(this.#root);
  }

  async #set(change) {
    const done = await attempt(async () => (this.#settings = await api.patch("settings", change)));
    if (!done) this.#render();
  }

  #range(label, { value, least, most, step, show, unset, change }) {
    const output = h("output", {}, value === null ? unset : show(value));
    const input = h("input", { type: "range", min: least, max: most, step, value: value ?? (least + most) / 2, "aria-label": label });
    input.addEventListener("input", () => (output.textContent = show(Number(input.value))));
    input.addEventListener("change", () => this.#set(change(Number(input.value))));
    return h("div", { class: "field" }, h("div", { class: "row" }, h("span", {}, label), output), input);
  }

  #render() {
    if (!this.#root || !this.#settings) return;
    const now = this.#settings;
    const mirror = h("input", { type: "checkbox", checked: now.mirror });
    mirror.addEventListener("change", () => this.#set({ mirror: mirror.checked }));
    const theme = h("select", { "aria-label": "Theme" }, [["system", "System setting"], ["dark", "Dark"], ["light", "Light"]].map(([id, label]) =>
      h("option", { value: id, selected: preferences.theme === id }, label)));
    theme.addEventListener("change", () => {
      remember({ theme: theme.value });
      applyTheme();
    });
    const share = (value) => value.toFixed(2);
    fill(this.#root,
      h("div", { class: "group" }, h("h3", {}, "Picture"), h("label", { class: "toggle" }, "Mirrored", mirror), h("div", { class: "field" }, h("span", {}, "Theme"), theme)),
      h("div", { class: "group" }, h("h3", {}, "Face detection"),
        this.#range("Minimum score", { value: now.score, least: 0.05, most: 0.99, step: 0.01, show: share, unset: "default of the network", change: (score) => ({ score }) }),
        now.score !== null && h("button", { class: "plain", onclick: async () => { await this.#set({ score: null }); this.#render(); } }, "Use the default of the network"),
        this.#range("Minimum face width", { value: now.smallest_face, least: 0, most: 300, step: 5, show: (value) => (value ? `${value} pixels` : "any"), change: (smallest_face) => ({ smallest_face }) }),
        this.#size()),
      h("div", { class: "group" }, h("h3", {}, "Weight of a new result"),
        ...[["Age", "age_weight"], ["Gender", "gender_weight"], ["Smile", "smile_weight"]].map(([label, key]) =>
          this.#range(label, { value: now[key], least: 0.01, most: 1, step: 0.01, show: share, change: (value) => ({ [key]: value }) })),
        h("p", { class: "quiet" }, "Small: steadier values. Large: faster changes.")),
      h("div", { class: "group" }, h("h3", {}, "Resemblance"),
        this.#range("Comparisons that decide together", { value: now.resemblance_looks, least: 1, most: 60, step: 1, show: String, change: (resemblance_looks) => ({ resemblance_looks }) })),
      h("div", { class: "group" }, h("h3", {}, "Recognition"),
        this.#range("Workers", { value: now.workers, least: 1, most: 8, step: 1, show: String, change: (workers) => ({ workers }) }),
        h("p", { class: "quiet" }, "With one camera, the number of CPU cores minus one is usually best; with several, the number of CPU cores. All cameras share the workers, the networks and the settings of face detection.")),
      ...(now.gallery ? this.#gallery(now.gallery) : []),
      h("div", { class: "group" }, h("h3", {}, "People in front of the camera"),
        h("p", {}, h("a", { href: "notice", target: "_blank", rel: "noopener" }, "The notice for them")),
        h("p", { class: "quiet" }, "What is analysed and stored now, who is responsible, their rights. It needs no token; `visavis notice` writes a sheet with a QR code for it.")));
  }

  /** Alarms and growth. */
  #gallery(now) {
    const toggle = (label, key) => {
      const input = h("input", { type: "checkbox", checked: now[key] });
      input.addEventListener("change", async () => {
        await this.#set({ gallery: { [key]: input.checked } });
        this.#render();
      });
      return h("label", { class: "toggle" }, label, input);
    };
    const range = (label, key, rest) => this.#range(label, { value: now[key], ...rest, change: (value) => ({ gallery: { [key]: value } }) });
    const rates = [0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001, 0.00001];
    const nearest = now.alarm_rate === null ? -1 : rates.reduce((best, rate, at) => (Math.abs(Math.log(rate / now.alarm_rate)) < Math.abs(Math.log(rates[best] / now.alarm_rate)) ? at : best), 0);
    const rate = h("select", { "aria-label": "False alarms" }, nearest < 0 && h("option", { value: "", selected: true }, "default of the network"),
      rates.map((share, at) => h("option", { value: share, selected: at === nearest }, `1 of ${Math.round(1 / share).toLocaleString()} comparisons of strangers`)));
    rate.addEventListener("change", () => rate.value && this.#set({ gallery: { alarm_rate: Number(rate.value) } }));
    return [
      h("div", { class: "group" }, h("h3", {}, "Alarms"),
        h("div", { class: "field" }, h("span", {}, "False alarms"), rate),
        range("Comparisons that must agree", "alarm_confirm", { least: 1, most: 20, step: 1, show: String }),
        range("Time out of view before the next alarm", "alarm_cool_down", { least: 0, most: 600, step: 10, show: (value) => `${value} s` }),
        toggle("Alarms for people not in the gallery", "alarm_unknown"),
        toggle("Store the picture of the face", "alarm_crops")),
      h("div", { class: "group" }, h("h3", {}, "Growing gallery"),
        toggle("Add every visitor", "grows"),
        now.keep_days !== null && range("Delete visitors not seen for", "keep_days", { least: 1, most: 365, step: 1, show: (value) => (value === 1 ? "1 day" : `${Math.round(value)} days`) })),
    ];
  }

  /** Input sizes of a detector that accepts several. Automatic: depends on the size of the source and the time that detection takes. */
  #size() {
    const detector = this.#networks.find((network) => network.name === this.#status?.tasks.detection.network);
    if (!detector?.multiple_of) return null;
    const fit = (side) => Math.max(detector.multiple_of, Math.round(side / detector.multiple_of) * detector.multiple_of);
    const sizes = [0.5, 0.75, 1, 1.5, 2, 3].map((factor) => detector.input.map((side) => fit(side * factor)));
    const now = this.#settings.detector_size;
    if (now && !sizes.some((size) => size.join() === now.join())) sizes.push(now);
    const input = this.#status?.tasks.detection.input;
    const select = h("select", { "aria-label": "Detector input size" }, h("option", { value: "" }, now === null && input ? `automatic (now ${input.join("×")})` : "automatic"),
      sizes.map((size) => h("option", { value: size.join(), selected: now?.join() === size.join() }, size.join("×"))));
    select.addEventListener("change", () => this.#set({ detector_size: select.value ? select.value.split(",").map(Number) : null }));
    return h("div", { class: "field" }, h("span", {}, "Detector input size"), select);
  }
}
