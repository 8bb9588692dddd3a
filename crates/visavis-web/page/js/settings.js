// Thresholds, smoothing, mirror, theme.

import { api } from "./api.js";
import { h } from "./dom.js";
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
    const changed = before?.tasks.detection.network !== status.tasks.detection.network || before?.source.mirrored !== status.source.mirrored;
    if (this.#root && before && changed) this.show(this.#root);
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
    const theme = h("select", { "aria-label": "Theme" }, [["system", "As the system"], ["dark", "Dark"], ["light", "Light"]].map(([id, label]) =>
      h("option", { value: id, selected: preferences.theme === id }, label)));
    theme.addEventListener("change", () => {
      remember({ theme: theme.value });
      applyTheme();
    });
    const share = (value) => value.toFixed(2);
    this.#root.replaceChildren(
      h("div", { class: "group" }, h("h3", {}, "Picture"), h("label", { class: "toggle" }, "Mirrored", mirror), h("div", { class: "field" }, h("span", {}, "Theme"), theme)),
      h("div", { class: "group" }, h("h3", {}, "Finding faces"),
        this.#range("Least score", { value: now.score, least: 0.05, most: 0.99, step: 0.01, show: share, unset: "as the network suggests", change: (score) => ({ score }) }),
        now.score !== null && h("button", { class: "plain", onclick: async () => { await this.#set({ score: null }); this.#render(); } }, "Back to what the network suggests"),
        this.#range("Smallest face", { value: now.smallest_face, least: 0, most: 300, step: 5, show: (value) => (value ? `${value} pixels` : "any"), change: (smallest_face) => ({ smallest_face }) }),
        this.#size()),
      h("div", { class: "group" }, h("h3", {}, "Weight of a new look"),
        ...[["Age", "age_weight"], ["Gender", "gender_weight"], ["Smile", "smile_weight"]].map(([label, key]) =>
          this.#range(label, { value: now[key], least: 0.01, most: 1, step: 0.01, show: share, change: (value) => ({ [key]: value }) })),
        h("p", { class: "quiet" }, "Small: steady. Large: quick.")),
      h("div", { class: "group" }, h("h3", {}, "Resemblance"),
        this.#range("Looks that vote", { value: now.resemblance_looks, least: 1, most: 60, step: 1, show: String, change: (resemblance_looks) => ({ resemblance_looks }) })));
  }

  /** Input sizes, for a detector that takes several. */
  #size() {
    const detector = this.#networks.find((network) => network.name === this.#status?.tasks.detection.network);
    if (!detector?.multiple_of) return null;
    const fit = (side) => Math.max(detector.multiple_of, Math.round(side / detector.multiple_of) * detector.multiple_of);
    const sizes = [0.5, 0.75, 1, 1.5, 2, 3].map((factor) => detector.input.map((side) => fit(side * factor)));
    const now = this.#settings.detector_size;
    const select = h("select", { "aria-label": "Input of the detector" }, h("option", { value: "" }, `${detector.input.join("×")}, as it suggests`),
      sizes.filter((size) => size.join() !== detector.input.join()).map((size) => h("option", { value: size.join(), selected: now?.join() === size.join() }, size.join("×"))));
    select.addEventListener("change", () => this.#set({ detector_size: select.value ? select.value.split(",").map(Number) : null }));
    return h("div", { class: "field" }, h("span", {}, "Input of the detector"), select);
  }
}
