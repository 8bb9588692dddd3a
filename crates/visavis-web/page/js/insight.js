// Rates and times of all stages, with charts of the last minute.

import { address } from "./api.js";
import { sparkline } from "./charts.js";
import { fill, h } from "./dom.js";

const REMEMBERED = 60;
const ORDER = ["grabber", "detection", "controller", "keypoints"];
const NAMES = { grabber: "Source", detection: "Detection", controller: "Controller", keypoints: "Keypoints" };

export class Insight {
  id = "insight";
  label = "Insight";
  #root = null;
  #latest = null;
  /** The last rates by stage. */
  #history = new Map();

  show(root) {
    this.#root = root;
    this.#render();
  }

  hide() {
    this.#root = null;
  }

  statistics(statistics) {
    this.#latest = statistics;
    const rates = { shown: statistics.shown_fps };
    for (const [name, stage] of Object.entries(statistics.stages)) rates[name] = stage.per_second;
    for (const [name, rate] of Object.entries(rates)) {
      const values = this.#history.get(name) ?? [];
      values.push(rate);
      this.#history.set(name, values.slice(-REMEMBERED));
    }
    this.#render();
  }

  #render() {
    if (!this.#root) return;
    const now = this.#latest;
    if (!now) return fill(this.#root, h("p", { class: "empty" }, "Measuring …"));
    const tile = (value, unit, label) => h("div", { class: "tile" }, h("b", {}, value, h("small", {}, ` ${unit}`)), h("span", {}, label));
    const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
    // Networks that are no longer in use are not shown.
    const stages = Object.entries(now.stages).filter(([name, stage]) => rank(name) < ORDER.length || stage.per_second > 0)
      .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
    fill(this.#root,
      h("div", { class: "tiles" },
        tile(now.shown_fps.toFixed(1), "fps", "shown"),
        tile(now.latency_p50_ms.toFixed(0), "ms", "capture to display"),
        tile(now.latency_p95_ms.toFixed(0), "ms", "95th percentile"),
        tile(String(now.dropped_frames), "", "dropped"),
        tile(String(now.undetected_frames), "", "without detection"),
        tile(String(now.buffered_frames), "", "in the buffer")),
      h("div", { class: "group" }, h("h3", {}, "Shown, last minute"), sparkline(this.#history.get("shown") ?? [0], "Frames shown per second, last minute")),
      h("div", { class: "group" }, h("h3", {}, "Stages"),
        h("div", { class: "stages" },
          h("div", { class: "stage-row titles" }, h("span", {}, "stage"), h("span", {}, "last minute"), h("span", { class: "number" }, "per second"), h("span", { class: "number" }, "median")),
          stages.map(([name, stage]) => h("div", { class: "stage-row", title: `95 % within ${stage.p95_ms.toFixed(1)} ms; busy ${(stage.busy * 100).toFixed(0)} % of one thread` },
            h("span", { class: "name" }, NAMES[name] ?? name),
            sparkline(this.#history.get(name) ?? [0], `${name}, rate over the last minute`),
            h("span", { class: "number" }, stage.per_second.toFixed(1)),
            h("span", { class: "number" }, `${stage.p50_ms < 10 ? stage.p50_ms.toFixed(1) : stage.p50_ms.toFixed(0)} ms`))))),
      h("p", { class: "quiet" }, "Other programs: ", h("a", { href: address("docs/"), target: "_blank" }, "the API")));
  }
}
