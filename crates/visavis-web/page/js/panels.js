// The panel beside the picture: one pane at a time, chosen by tabs.

import { $, h } from "./dom.js";
import { preferences, remember } from "./preferences.js";

export class Panels {
  #panes = new Map();
  #current = null;

  /** Adds a pane: { id, label, show(root), hide() }. `show` is called whenever it is opened. */
  add(pane) {
    const tab = h("button", { role: "tab", id: `tab-${pane.id}`, "aria-controls": "sheet", "aria-selected": "false", tabindex: -1,
      onclick: () => this.open(pane.id) }, pane.label);
    tab.addEventListener("keydown", (event) => this.#keys(event));
    $("tabs").append(tab);
    this.#panes.set(pane.id, { ...pane, tab, show: (root) => pane.show(root), hide: () => pane.hide?.() });
  }

  /** Opens a pane, and the panel if it was hidden. */
  open(id, { reveal = true } = {}) {
    const pane = this.#panes.get(id) ?? this.#panes.values().next().value;
    this.#current?.hide();
    for (const other of this.#panes.values()) {
      other.tab.setAttribute("aria-selected", String(other === pane));
      other.tab.tabIndex = other === pane ? 0 : -1;
    }
    const root = h("div", { class: "pane", role: "tabpanel", tabindex: -1, "aria-labelledby": pane.tab.id });
    const focused = $("sheet").contains(document.activeElement);
    $("sheet").replaceChildren(root);
    if (focused) root.focus();
    $("sheet").scrollTop = 0;
    this.#current = pane;
    pane.show(root);
    remember({ panel: pane.id });
    if (reveal) this.bare(false);
  }

  get current() {
    return this.#current?.id;
  }

  /** Shows or hides the whole panel. */
  bare(on) {
    document.body.classList.toggle("bare", on);
    remember({ bare: on });
  }

  /** Sets the number beside a tab; 0 shows none. */
  count(id, number) {
    const tab = this.#panes.get(id).tab;
    tab.querySelector(".count")?.remove();
    if (number) tab.append(h("span", { class: "count", "aria-label": `${number} open` }, String(number)));
  }

  start() {
    this.open(preferences.panel, { reveal: false });
    document.body.classList.toggle("bare", preferences.bare);
  }

  #keys(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const ids = [...this.#panes.keys()];
    const next = ids[(ids.indexOf(this.#current.id) + step + ids.length) % ids.length];
    this.open(next);
    this.#panes.get(next).tab.focus();
  }
}
