// The menu of sources.

import { api } from "./api.js";
import { BrowserCamera } from "./camera.js";
import { $, h, icon } from "./dom.js";
import { attempt } from "./notice.js";

const KINDS = { start: "First source", camera: "Cameras of this machine", offer: "Other sources" };

export class Sources {
  camera = new BrowserCamera();
  #status = null;
  #menu = null;

  constructor() {
    $("source").addEventListener("click", () => (this.#menu ? this.#close() : this.open()));
    this.camera.addEventListener("change", () => this.#name());
    addEventListener("resize", () => this.#close());
    document.addEventListener("pointerdown", (event) => {
      if (this.#menu && !this.#menu.contains(event.target) && !$("source").contains(event.target)) this.#close();
    });
  }

  status(status) {
    this.#status = status;
    this.#name();
  }

  #name() {
    const source = this.#status?.source;
    if (!source) return;
    const name = source.waiting ? "No source" : source.name;
    $("source").classList.toggle("live", !source.waiting);
    $("source").setAttribute("aria-label", `Source: ${name}`);
    $("source").replaceChildren(h("span", {}, name), icon("chevron", 16));
  }

  /** Opens the menu below its button. */
  async open() {
    const menu = h("div", { class: "menu", role: "menu", "aria-label": "Sources" });
    this.#menu = menu;
    $("source").setAttribute("aria-expanded", "true");
    const box = $("source").getBoundingClientRect();
    menu.style.top = `${box.bottom + 6}px`;
    menu.style.left = `${Math.max(12, Math.min(box.left, innerWidth - 332))}px`;
    document.body.append(menu);
    menu.addEventListener("keydown", (event) => this.#keys(event));
    await attempt(async () => {
      const sources = await api.get("sources");
      const groups = Object.entries(KINDS).flatMap(([kind, title]) => {
        const some = sources.filter((source) => source.kind === kind);
        return some.length ? [h("h3", {}, title), ...some.map((source) => this.#item(source))] : [];
      });
      menu.replaceChildren(...groups, h("h3", {}, "This device"), ...(await this.#cameraItems()));
      menu.querySelector("button:not(:disabled)")?.focus();
    });
  }

  #close() {
    if (this.#menu?.contains(document.activeElement)) $("source").focus();
    this.#menu?.remove();
    this.#menu = null;
    $("source").setAttribute("aria-expanded", "false");
  }

  #item({ id, name }) {
    const checked = this.#status?.source.id === id;
    const choose = async () => {
      this.#close();
      this.camera.stop();
      await attempt(() => api.put("source", { id }));
    };
    return h("button", { role: "menuitemradio", "aria-checked": String(checked), onclick: choose }, name);
  }

  /** One item for each camera of this device. */
  async #cameraItems() {
    const hindrance = BrowserCamera.hindrance();
    if (hindrance) return [h("p", { class: "quiet empty" }, hindrance)];
    const { runs, device } = this.camera;
    const item = (checked, name, act) => {
      const turn = () => {
        this.#close();
        act();
      };
      return h("button", { role: "menuitemradio", "aria-checked": String(checked), onclick: turn }, icon("camera"), name);
    };
    const named = (await BrowserCamera.list()).filter(({ name }) => name);
    // The browser reveals the names of cameras only after it was allowed to use one.
    const several = named.length > 1;
    const items = several ? named.map(({ id, name }) => item(id === device, name, () => this.camera.start(id))) : [];
    if (!several && !runs) items.push(item(false, "Use this browser's camera", () => this.camera.start()));
    if (runs) items.push(item(false, "Stop this browser's camera", () => this.camera.stop()));
    return items;
  }

  #keys(event) {
    const items = [...this.#menu.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      items[(items.indexOf(document.activeElement) + step + items.length) % items.length]?.focus();
      event.preventDefault();
    } else if (event.key === "Escape") this.#close();
  }
}
