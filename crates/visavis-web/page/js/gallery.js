// The people of the gallery: browse, enrol, rename, merge, watch, export, remove, search by photo.

import { address, api, photo, portrait } from "./api.js";
import { $, ago, fill, h, holdFocus, icon, verdict } from "./dom.js";
import { askName, attempt, notice } from "./notice.js";

const PAGE = 60;

/** The photo of a person; a blank if there is none. */
export function face(person, name) {
  const image = h("img", { src: portrait(person), alt: "", loading: "lazy", width: 96, height: 96 });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "blank", "aria-label": `No photo of ${name}` })));
  return image;
}

/** A list of people with a bar for their similarity to a face, and the probability if the face is identified as them. `more` adds
 *  an element to each. */
export const resembling = (people, more = () => null) => h("ul", { class: "found" }, people.map((found) => {
  const bar = h("i");
  bar.style.width = `${Math.round(found.likeness * 100)}%`;
  return h("li", {}, face(found.person, found.name), h("span", { class: "name" }, found.name),
    h("span", { class: "number", title: "The bar shows the similarity of the faces. Only “identified” has a probability that it is the same person" }, verdict(found), more(found)),
    h("span", { class: "meter" }, bar));
}));

/** Enrols photos one after the other, and reports the result. */
async function enrol(name, files, accept_poor = false) {
  let added = 0;
  for (const file of files) {
    try {
      const done = await api.upload(`people?${new URLSearchParams({ name, file: file.name, accept_poor })}`, file);
      added += done.photos;
      for (const warning of done.warnings) notice(`${file.name}: ${warning}`);
    } catch (error) {
      const run = () => enrol(name, [file], true);
      const action = error.flaws?.length ? { label: "Add anyway", run, seconds: 20 } : undefined;
      notice(`${file.name}: ${error.flaws?.join(", ") || error.message}`, { bad: true, action });
    }
  }
  if (added) notice(added === 1 ? `${name}: one photo added` : `${name}: ${added} photos added`);
}

/** Reports what was done, with a button to undo it if that is possible. */
function undoable(text, { undo, undo_seconds }) {
  const run = () => attempt(() => api.post("people/undo", { undo }));
  notice(text, undo === null ? {} : { action: { label: "Undo", run, seconds: Math.min(undo_seconds, 20) } });
}

/** The name of a person from the file name of a photo: Ada_Lovelace_2.jpg is Ada Lovelace, 0001.jpg is 0001. */
const nameOf = (file) => {
  const name = file.name.replace(/\.[^.]+$/, "");
  return (name.replace(/[_ -]*\(?\d*\)?$/, "") || name).replaceAll("_", " ").trim();
};

/** An area on which photos are dropped, or which is clicked to choose them. */
export function drop(text, hint, take) {
  const input = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
  input.addEventListener("change", () => {
    if (input.files.length) take([...input.files]);
    input.value = "";
  });
  const zone = h("button", { class: "drop", type: "button", onclick: () => input.click() }, h("b", {}, text), h("span", {}, hint), input);
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = [...event.dataTransfer.files].filter((file) => file.type.startsWith("image/"));
    if (files.length) take(files);
  });
  return zone;
}

export class Gallery {
  id = "gallery";
  label = "Gallery";
  #root = null;
  #gallery = null;
  #query = "";
  #watched = false;
  #shown = PAGE;
  #person = null;
  /** The person whose page was left, until the list is shown. */
  #left = null;
  #sightings;

  constructor(sightings) {
    this.#sightings = sightings;
  }

  show(root) {
    this.#root = root;
    this.#refresh();
  }

  hide() {
    this.#root = null;
    this.#person = null;
  }

  status(status) {
    const changed = this.#gallery?.network !== status.gallery?.network || this.#gallery?.grows !== status.gallery?.grows;
    this.#gallery = status.gallery;
    if (changed) this.#refresh();
  }

  /** Reads the shown data again. */
  changed() {
    this.#refresh();
  }

  #refresh() {
    if (!this.#root) return;
    if (!this.#gallery) {
      fill(this.#root, h("div", { class: "empty" }, h("p", {}, "visavis runs without a gallery."),
        h("p", {}, "Start it with --gallery FILE to compare faces with people and to add people.")));
    } else attempt(() => (this.#person === null ? this.#list() : this.#detail(this.#person)));
  }

  async #list() {
    const query = `people?name=${encodeURIComponent(this.#query)}&watched=${this.#watched}&limit=${this.#shown}`;
    const { total, people } = await api.get(query);
    if (!this.#root || this.#person !== null) return;
    // The search field is not replaced, so it keeps its focus and text.
    if (!this.#root.querySelector(".people-list")) fill(this.#root, ...this.#frame());
    const empty = this.#query || this.#watched ? "No matches." : "The gallery is empty. Click a face in the picture, or drop photos below.";
    fill(this.#root.querySelector(".people-list"),
      total ? h("div", { class: "people" }, people.map((person) => this.#tile(person))) : h("p", { class: "empty" }, empty),
      total > people.length && h("button", { "data-action": "more", onclick: () => { this.#shown += PAGE; this.#refresh(); } }, `Show more (${total - people.length})`));
    this.#root.querySelector(".total").textContent = total === 1 ? "1 person" : `${total} people`;
    this.#root.querySelector(".grows").checked = this.#gallery.grows;
    if (document.activeElement === this.#root) this.#root.querySelector(`.person[data-row="${this.#left}"]`)?.focus();
    this.#left = null;
  }

  #frame() {
    const field = h("input", { type: "search", placeholder: "Search by name", "aria-label": "Search by name", value: this.#query });
    field.addEventListener("input", () => {
      this.#query = field.value;
      this.#refresh();
    });
    const watched = h("input", { type: "checkbox", checked: this.#watched });
    watched.addEventListener("change", () => {
      this.#watched = watched.checked;
      this.#refresh();
    });
    return [
      h("div", { class: "group" }, field,
        h("div", { class: "row apart" }, h("span", { class: "quiet total" }), h("label", { class: "row quiet" }, watched, "Watched only"))),
      h("div", { class: "group people-list" }),
      h("label", { class: "toggle" }, h("span", {}, h("b", {}, "Grow"), h("small", { class: "quiet" }, " · add every visitor who is seen well")), this.#growth()),
      h("div", { class: "group" },
        drop("Add people", "Drop photos here: each person is named after the file", (files) => this.#enrolNew(files)),
        drop("Who is this?", "Drop a photo to search for the person", ([file]) => this.#search(file))),
      h("button", { onclick: () => this.#check() }, "Check the gallery"),
      h("div", { class: "group results" }),
    ];
  }

  /** Lists wrong names, people with two names and repeated photos, each with a button that mends it. */
  async #check() {
    const results = () => this.#root?.querySelector(".results");
    results()?.replaceChildren(h("p", { class: "quiet" }, "Comparing all photos …"));
    await attempt(async () => {
      const findings = await api.get("people/check");
      results()?.replaceChildren(h("h3", {}, "Findings"), findings.length
        ? h("ul", { class: "found findings" }, findings.map((finding) => this.#finding(finding)))
        : h("p", { class: "quiet" }, "Nothing was found: all photos fit."));
      results()?.scrollIntoView({ block: "nearest" });
    });
  }

  #finding({ kind, person, name, photo: id, other, other_name }) {
    const text = {
      other_person: `This photo of ${name} looks like ${other_name}`,
      unlike: `This photo looks like no other one of ${name}`,
      same_person: `${name} and ${other_name} are probably one person`,
      redundant: `This photo of ${name} repeats another one`,
    }[kind];
    const row = h("li", {}, id === undefined ? face(person, name) : h("img", { class: "face", src: photo(id), alt: "" }), h("span", { class: "name" }, text));
    const mend = () => {
      const keepFocus = holdFocus(row.parentElement);
      row.remove();
      keepFocus();
      if (id === undefined) this.#join({ id: person, name }, other);
      else this.#removePhoto({ id: person, name }, id);
    };
    row.append(h("button", { onclick: mend }, id === undefined ? "Merge" : "Remove photo"));
    return row;
  }

  #growth() {
    const grows = h("input", { type: "checkbox", class: "grows" });
    grows.addEventListener("change", () => attempt(() => api.patch("settings", { gallery: { grows: grows.checked } })));
    return grows;
  }

  #tile(person) {
    return h("button", { class: "person", "data-row": person.id, "data-action": "open", onclick: () => this.#openPerson(person.id), "aria-label": `${person.name}, ${person.photos} photos${person.watched ? ", watched" : ""}` },
      face(person.id, person.name), h("span", {}, person.name),
      person.watched && h("i", { class: "watched" }, icon("bell", 14)));
  }

  #openPerson(id) {
    this.#person = id;
    $("sheet").scrollTop = 0;
    this.#root.focus();
    this.#refresh();
  }

  #back() {
    [this.#left, this.#person] = [this.#person, null];
    fill(this.#root);
    this.#refresh();
  }

  async #enrolNew(files) {
    if (files.length === 1) {
      const name = await askName("Who is on this photo?", { value: nameOf(files[0]), action: "Add" });
      if (name) await enrol(name, files);
    } else for (const file of files) await enrol(nameOf(file) || "Unnamed", [file]);
  }

  async #search(file) {
    await attempt(async () => {
      const found = await api.upload("people/search", file);
      this.#root?.querySelector(".results")?.replaceChildren(h("h3", {}, "Most similar people"), found.length ? resembling(found) : h("p", { class: "quiet" }, "The gallery is empty."));
      this.#root?.querySelector(".results")?.scrollIntoView({ block: "nearest" });
    });
  }

  async #detail(id) {
    const [person, { people }] = await Promise.all([api.get(`people/${id}`).catch(() => null), api.get("people?limit=200")]);
    if (!this.#root || this.#person !== id) return;
    if (!person) return this.#back();
    const [photos, alike] = await Promise.all(
      [api.get(`people/${id}/photos`).catch(() => []), api.get(`people/${id}/alike`).catch(() => [])]);
    if (!this.#root || this.#person !== id) return;
    const watch = h("input", { type: "checkbox", checked: person.watched });
    watch.addEventListener("change", () => attempt(() => api.patch(`people/${id}`, { watched: watch.checked })));
    const ignore = h("input", { type: "checkbox", checked: person.ignored });
    ignore.addEventListener("change", () => attempt(() => api.patch(`people/${id}`, { ignored: ignore.checked })));
    const seen = person.seen ? `seen ${person.seen === 1 ? "once" : `${person.seen} times`}, last ${ago(person.last_seen)}` : null;
    const others = people.filter((other) => other.id !== id);
    const into = h("select", { "aria-label": "The same person as" }, h("option", { value: "" }, "Another person …"),
      others.map((other) => h("option", { value: other.id }, other.name)));
    into.addEventListener("change", () => into.value && this.#join(person, Number(into.value)));
    const same = (other) => h("button", { class: "same", title: `${person.name} is the same person as ${other.name}`, onclick: () => this.#join(person, other.person) }, "Merge");
    fill(this.#root,
      h("button", { class: "plain", onclick: () => this.#back() }, icon("back"), "All people"),
      h("div", { class: "head" }, face(id, person.name),
        h("div", {}, h("b", {}, person.name), h("p", { class: "quiet" }, person.photos === 1 ? "1 photo" : `${person.photos} photos`, person.met && ", a visitor"), seen && h("p", { class: "quiet" }, seen))),
      photos.length > 1 && h("div", { class: "portraits" }, photos.map((each, at) => h("div", { "data-row": each },
        h("img", { src: photo(each), alt: `Photo ${at + 1} of ${person.name}`, loading: "lazy" }),
        h("button", { class: "remove", "data-action": "remove photo", title: "Remove this photo", "aria-label": `Remove photo ${at + 1} of ${person.name}`, onclick: () => this.#removePhoto(person, each) }, icon("cross", 14))))),
      h("label", { class: "toggle card" }, h("span", {}, h("b", {}, "Watch"), h("small", {}, " · raise an alarm when they are seen")), watch),
      h("label", { class: "toggle card" }, h("span", {}, h("b", {}, "Ignore"), h("small", {}, " · a face on a poster or a screen: no sightings")), ignore),
      drop("Add photos", `of ${person.name}`, (files) => enrol(person.name, files)),
      others.length > 0 && h("div", { class: "group" }, h("h3", {}, "May be the same person as"), resembling(alike, same), into),
      h("div", { class: "actions" },
        h("button", { onclick: () => this.#rename(person) }, "Rename"),
        h("button", { onclick: () => this.#sightings.ofPerson(person) }, "Sightings"),
        h("button", { title: "Everything stored about this person, as a ZIP file", onclick: () => h("a", { href: address(`people/${id}/export`), download: `person-${id}.zip` }).click() }, "Export"),
        h("button", { class: "danger", onclick: () => this.#remove(person) }, "Remove")));
  }

  async #join(person, into) {
    // Leave the page of the person before they are removed.
    this.#openPerson(into);
    await attempt(async () => {
      const done = await api.post(`people/${person.id}/merge`, { into });
      undoable(`${person.name} was merged into ${done.person.name}`, done);
    });
  }

  async #rename(person) {
    const name = await askName("Rename", { value: person.name });
    if (name && name !== person.name) await attempt(() => api.patch(`people/${person.id}`, { name }));
  }

  async #remove(person) {
    await attempt(async () => {
      this.#back();
      const done = await api.remove(`people/${person.id}`);
      undoable(`${person.name} was removed`, done);
    });
  }

  async #removePhoto(person, id) {
    await attempt(async () => undoable(`A photo of ${person.name} was removed`, await api.remove(`photos/${id}`)));
  }
}
