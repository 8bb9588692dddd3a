// The network of each task, and switching to another one.

import { api } from "./api.js";
import { fill, h } from "./dom.js";
import { attempt } from "./notice.js";

const TASKS = [
  ["detection", "Face detection"], ["keypoints", "Keypoints"], ["age", "Age"], ["gender", "Gender"],
  ["smile", "Smile"], ["expression", "Expression"], ["head_pose", "Head pose"], ["similarity", "Similarity"],
];

/** Legal notes on tasks. */
const LAW = {
  expression: "In the EU, inferring emotions at work or in education is prohibited, except for medical or safety reasons (AI Act, Article 5(1)(f)).",
};

const size = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} KB`);

export class Networks {
  id = "networks";
  label = "Networks";
  #networks = null;
  #status = null;
  #stages = {};
  #root = null;
  #open = new Set();

  show(root) {
    this.#root = root;
    if (this.#networks) this.#render();
    else this.changed();
  }

  /** Reads the list of networks again. */
  async changed() {
    await attempt(async () => {
      this.#networks = await api.get("networks");
      this.#render();
    });
  }

  hide() {
    this.#root = null;
  }

  /** Takes the networks in use. */
  status(status) {
    this.#status = status;
    this.#render();
  }

  /** Takes new measurements. */
  statistics(statistics) {
    this.#stages = statistics.stages;
    for (const place of this.#root?.querySelectorAll("[data-speed]") ?? []) place.textContent = this.#speed(place.dataset.speed);
  }

  #speed(stage) {
    const measured = this.#stages[stage];
    return measured?.per_second ? `${measured.per_second.toFixed(0)}/s · ${measured.p50_ms.toFixed(1)} ms` : "";
  }

  #render() {
    if (!this.#root || !this.#networks || !this.#status) return;
    fill(this.#root, ...TASKS.map(([task, label]) => this.#task(task, label)));
  }

  #task(task, label) {
    const now = this.#status.tasks[task];
    const known = this.#networks.filter((network) => network.tasks.includes(task));
    const none = task === "keypoints" ? "those of the detector" : "off";
    const stage = { detection: "detection", keypoints: "keypoints" }[task] ?? now.network ?? "";
    const before = this.#root.querySelector(`details[data-row="${task}"]`);
    const details = h("details", { class: "task", "data-row": task, open: before?.open ?? this.#open.has(task) },
      h("summary", { "data-action": "open" },
        h("span", { class: "what" }, h("small", {}, label), h("b", {}, now.network ?? none)),
        now.loading ? h("span", { class: "spinner", role: "progressbar", "aria-label": `Loading ${now.loading}` })
          : h("span", { class: "speed number", "data-speed": stage }, this.#speed(stage))),
      now.failure && h("p", { class: "bad", role: "alert" }, now.failure),
      LAW[task] && h("p", { class: "quiet" }, LAW[task]),
      now.runs_with && h("p", { class: "quiet" }, `Runs with ${now.runs_with}${now.input ? `, input ${now.input.join("×")}` : ""}`),
      h("div", { class: "choices", role: "radiogroup", "aria-label": label },
        known.map((network) => this.#choice(task, network, now)),
        task !== "detection" && this.#choice(task, null, now)));
    details.addEventListener("toggle", () => (details.open ? this.#open.add(task) : this.#open.delete(task)));
    return details;
  }

  #choice(task, network, now) {
    const name = network?.name ?? null;
    const chosen = (now.network ?? null) === name;
    const loading = now.loading && now.loading === name;
    const facts = network && [network.bytes && size(network.bytes), network.licence, network.input && network.input.join("×")].filter(Boolean).join(" · ");
    return h("button", { class: "choice", role: "radio", "aria-checked": String(chosen), "data-choice": `${task} ${name ?? "none"}`,
      // Not `disabled`, which would lose the keyboard focus.
      "aria-disabled": String(Boolean(now.loading)), onclick: () => chosen || now.loading || attempt(() => api.put(`tasks/${task}`, { network: name })) },
      loading ? h("span", { class: "spinner" }) : h("span", { class: "dot" }),
      h("b", {}, name ?? (task === "keypoints" ? "those of the detector" : "off")),
      network && h("p", {}, network.title),
      facts && h("p", {}, facts),
      network?.figures.length > 0 && h("ul", { class: "figures" },
        network.figures.slice(0, 3).map((figure) => h("li", { title: figure.by }, h("span", {}, figure.what), h("span", { class: "number" }, figure.value)))));
  }
}
