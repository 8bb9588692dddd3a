// Sightings: who was seen when, a day at a time; and those of one face or one person.

import { api, sightingCrop } from "./api.js";
import { clock, fill, h, icon } from "./dom.js";
import { drop } from "./gallery.js";
import { askName, attempt, notice } from "./notice.js";

const PAGE = 60;
/** Milliseconds for which changes are collected before the list is read again. */
const PAUSE = 1000;
const DAY = 86_400;

/** A date as an input of type date has it. */
const dayOf = (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

/** How long a visit took, in words. */
function duration({ first_seen, last_seen }) {
  const seconds = Math.max(1, last_seen - first_seen);
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function traits({ age, female }) {
  const words = [];
  if (female !== null) words.push(female >= 0.5 ? "woman" : "man");
  if (age !== null) words.push(`about ${Math.round(age)}`);
  return words.join(", ");
}

export class Sightings {
  id = "sightings";
  label = "Sightings";
  #root = null;
  #panels;
  #hasGallery = false;
  #today = dayOf(new Date());
  #day = this.#today;
  #camera = "";
  #unnamed = false;
  #shown = PAGE;
  /** What is listed instead of a day: { title, read() }, where `read` gives the sightings. */
  #search = null;
  /** Numbers of the chosen sightings. */
  #chosen = new Set();
  #timer = 0;

  constructor(panels) {
    this.#panels = panels;
  }

  show(root) {
    this.#root = root;
    this.#read();
  }

  hide() {
    this.#root = null;
    this.#search = null;
    this.#chosen.clear();
  }

  status(status) {
    const has = Boolean(status.gallery);
    if (has === this.#hasGallery) return;
    this.#hasGallery = has;
    this.#read();
  }

  /** Reads the list again, soon. */
  changed() {
    if (!this.#root) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), PAUSE);
  }

  /** Shows the sightings of a person of the gallery. */
  ofPerson({ id, name }) {
    const read = async () => (await api.get(`sightings?person=${id}&limit=200`)).sightings;
    this.#open({ title: `Sightings of ${name}`, read });
  }

  /** Shows the earlier sightings of a face in view. */
  ofFace(track) {
    // The face may leave: its sightings are read once.
    const found = api.get(`faces/${track}/sightings`);
    this.#open({ title: `Sightings like face #${track}`, read: () => found });
  }

  #open(search) {
    this.#panels.open(this.id);
    this.#search = search;
    this.#read();
  }

  #close() {
    this.#search = null;
    this.#chosen.clear();
    fill(this.#root);
    this.#read();
  }

  async #read() {
    if (!this.#root) return;
    if (!this.#hasGallery) {
      return fill(this.#root, h("p", { class: "empty" }, "Sightings need a gallery: start visavis with --gallery FILE --remember."));
    }
    const [search, today] = [this.#search, dayOf(new Date())];
    // The page may be open since yesterday.
    if (this.#day === this.#today) this.#day = today;
    this.#today = today;
    await attempt(async () => {
      if (search) {
        const found = await search.read();
        if (this.#root && this.#search === search) this.#renderSearch(search, found);
        return;
      }
      const [page, groups] = await Promise.all(
        [api.get(`sightings?${this.#query()}`), this.#unnamed ? api.get(`sightings/groups?${this.#query()}`) : null]);
      if (this.#root && !this.#search) this.#renderDay(page, groups);
    });
  }

  #query() {
    const from = Math.floor(new Date(`${this.#day}T00:00`).getTime() / 1000);
    // A day with a change to or from summer time has another length.
    const next = new Date(`${this.#day}T12:00`);
    next.setDate(next.getDate() + 1);
    const until = Math.floor(new Date(`${dayOf(next)}T00:00`).getTime() / 1000) || from + DAY;
    const query = new URLSearchParams({ from, until, unnamed: this.#unnamed, limit: this.#shown });
    if (this.#camera) query.set("camera", this.#camera);
    return query;
  }

  #renderDay({ recording, cameras, sightings }, groups) {
    // The fields are not replaced, so they keep their focus.
    if (!this.#root.querySelector(".timeline")) fill(this.#root, ...this.#frame());
    this.#root.querySelector(".cameras").replaceChildren(h("option", { value: "" }, "All cameras"),
      ...cameras.map((name) => h("option", { value: name, selected: name === this.#camera }, name)));
    const none = recording ? "There are no sightings on this day." : "There are no sightings on this day. Sightings are not recorded at present: start visavis with --remember.";
    fill(this.#root.querySelector(".timeline"), this.#selection(sightings),
      !sightings.length ? h("p", { class: "empty" }, none)
        : groups ? h("ul", { class: "log" }, groups.map(({ sightings: group }) => this.#group(group))) : this.#list(sightings),
      !groups && sightings.length === this.#shown && this.#shown < 200 && h("button", { onclick: () => { this.#shown += PAGE; this.#read(); } }, "Show more"));
  }

  #renderSearch({ title }, found) {
    const sightings = found.filter((sighting) => !sighting.removed);
    const same = sightings.filter((sighting) => sighting.same_person !== false);
    const similar = sightings.filter((sighting) => sighting.same_person === false).slice(0, 6);
    fill(this.#root,
      h("button", { class: "plain", onclick: () => this.#close() }, icon("back"), "All sightings"),
      h("h3", {}, title), this.#selection(sightings),
      same.length ? this.#list(same) : h("p", { class: "empty" }, "This face was not seen before."),
      similar.length > 0 && h("h3", {}, "Similar, but probably another person"), similar.length > 0 && this.#list(similar));
  }

  #frame() {
    const day = h("input", { type: "date", value: this.#day, max: dayOf(new Date()), "aria-label": "Day" });
    day.addEventListener("change", () => this.#filter({ day: day.value || dayOf(new Date()) }));
    const camera = h("select", { class: "cameras", "aria-label": "Camera" });
    camera.addEventListener("change", () => this.#filter({ camera: camera.value }));
    const unnamed = h("input", { type: "checkbox", checked: this.#unnamed });
    unnamed.addEventListener("change", () => this.#filter({ unnamed: unnamed.checked }));
    return [
      h("div", { class: "group" }, h("div", { class: "filters" }, day, camera), h("label", { class: "row quiet" }, unnamed, "Unknown people only")),
      drop("Was this person here?", "Drop a photo to search all sightings", ([file]) => {
        const found = api.upload("sightings/search", file);
        this.#open({ title: `Sightings like ${file.name}`, read: () => found });
      }),
      h("div", { class: "group timeline" }),
    ];
  }

  #filter({ day = this.#day, camera = this.#camera, unnamed = this.#unnamed }) {
    [this.#day, this.#camera, this.#unnamed, this.#shown] = [day, camera, unnamed, PAGE];
    this.#chosen.clear();
    this.#read();
  }

  /** Buttons for the chosen sightings. */
  #selection(sightings) {
    const chosen = sightings.filter((sighting) => this.#chosen.has(sighting.id));
    if (!chosen.length) return null;
    return h("div", { class: "actions" },
      h("button", { class: "main", "data-action": "name", onclick: () => this.#name(chosen) }, chosen.length === 1 ? "Who is this?" : `Name these ${chosen.length}`),
      h("button", { class: "danger", onclick: () => this.#remove(chosen) }, "Delete"));
  }

  #list(sightings) {
    const rows = [];
    let heading = "";
    for (const sighting of sightings) {
      const date = new Date(sighting.first_seen * 1000);
      const hour = this.#search ? date.toLocaleDateString() : `${String(date.getHours()).padStart(2, "0")}:00`;
      if (hour !== heading) rows.push(h("li", { class: "hour" }, hour));
      heading = hour;
      rows.push(this.#row(sighting));
    }
    return h("ul", { class: "log" }, rows);
  }

  #row(sighting) {
    const { id, name, camera, first_seen, has_crop } = sighting;
    const who = name ?? "Unknown person";
    const picture = has_crop ? h("img", { src: sightingCrop(id), alt: "", loading: "lazy" }) : h("span", { class: "blank" });
    const choose = h("input", { type: "checkbox", checked: this.#chosen.has(id), "data-action": "choose", "aria-label": `Choose the sighting of ${who} at ${clock(first_seen)}` });
    choose.addEventListener("change", () => {
      if (choose.checked) this.#chosen.add(id);
      else this.#chosen.delete(id);
      this.#read();
    });
    return h("li", { class: "card sighting", "data-row": id },
      h("button", { class: "plain look", "data-action": "look", title: "Sightings of the same face", "aria-label": `Sightings of the same face as ${who} at ${clock(first_seen)}`, onclick: () => this.#alike(sighting) }, picture),
      h("div", { class: "what" }, h("b", {}, who),
        h("small", { title: new Date(first_seen * 1000).toLocaleString() }, `${clock(first_seen)} · ${duration(sighting)} · ${camera}`), h("small", {}, traits(sighting))),
      choose);
  }

  /** Sightings of one unknown person, who is named for all at once. */
  #group(sightings) {
    const [newest, oldest] = [sightings[0], sightings.at(-1)];
    const count = sightings.length === 1 ? "1 sighting" : `${sightings.length} sightings`;
    const when = sightings.length === 1 ? clock(newest.first_seen) : `${clock(oldest.first_seen)} – ${clock(newest.first_seen)}`;
    const cameras = [...new Set(sightings.map(({ camera }) => camera))].join(", ");
    const picture = newest.has_crop ? h("img", { src: sightingCrop(newest.id), alt: "", loading: "lazy" }) : h("span", { class: "blank" });
    const open = () => this.#open({ title: `${count} of an unknown person`, read: () => sightings });
    return h("li", { class: "card sighting", "data-row": `group of ${oldest.id}` },
      h("button", { class: "plain look", "data-action": "look", title: "These sightings", "aria-label": `${count} of an unknown person, ${when}`, onclick: open }, picture),
      h("div", { class: "what" }, h("b", {}, count), h("small", {}, `${when} · ${cameras}`), h("small", {}, traits(newest))),
      h("div", { class: "buttons" }, h("button", { class: "main", onclick: () => this.#name(sightings) }, "Who is this?")));
  }

  #alike({ id, name, first_seen }) {
    const read = () => api.get(`sightings/${id}/alike`);
    this.#open({ title: `Sightings like that of ${name ?? "an unknown person"} at ${clock(first_seen)}`, read });
  }

  async #name(sightings) {
    const value = sightings.find((sighting) => sighting.name)?.name ?? "";
    const name = await askName("Who is this?", { value, action: "Save" });
    if (!name) return;
    await attempt(async () => {
      await api.post("sightings/name", { name, sightings: sightings.map((sighting) => sighting.id), learn: true });
      this.#chosen.clear();
      // The results of a search are not read again.
      for (const sighting of sightings) sighting.name = name;
      notice(sightings.length === 1 ? `The sighting is of ${name} now` : `${sightings.length} sightings are of ${name} now`);
    });
    this.#read();
  }

  async #remove(sightings) {
    await attempt(async () => {
      for (const sighting of sightings) {
        await api.remove(`sightings/${sighting.id}`);
        sighting.removed = true;
      }
      this.#chosen.clear();
      notice(sightings.length === 1 ? "The sighting was deleted" : `${sightings.length} sightings were deleted`);
    });
    this.#read();
  }
}
