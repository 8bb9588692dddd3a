// Creates elements. Texts, such as names of people, are never parsed as markup.

/** An element with properties, listeners (`onclick`), `class`, `aria…` and `data…` attributes, and children. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...present(children));
  return element;
}

/** The children without false and null ones, which come from conditions. */
const present = (children) => children.flat().filter((child) => child !== undefined && child !== null && child !== false);

/** Replaces the children of an element. The keyboard focus stays where it was: see `holdFocus`. */
export function fill(element, ...children) {
  const keepFocus = holdFocus(element);
  element.replaceChildren(...present(children));
  keepFocus();
}

const controlsIn = (container) =>
  [...container.querySelectorAll("a[href], button:enabled, input:enabled, select:enabled, summary")].filter((control) => control.checkVisibility());
/** What a control does, the same in all rows: `data-action` if its label changes, else its label. */
const actionOf = (control) => control.dataset.action ?? control.getAttribute("aria-label") ?? (control.closest("label") ?? control).textContent;
const rowOf = (control) => control.closest("[data-row]")?.dataset.row;

/** Call this before elements in `container` are replaced or removed, and the returned function afterwards. If the control with the
 *  keyboard focus was among them, it focuses the control with the same action in the same row (`data-row`). If the row has gone, it
 *  focuses that of the next row; if no row has this action, the control that is in its place now, if it deletes nothing, or else
 *  `container`. */
export function holdFocus(container) {
  const held = document.activeElement;
  if (held === container || !container.contains(held)) return () => {};
  const [action, row] = [actionOf(held), rowOf(held)];
  const find = () => {
    const all = controlsIn(container);
    return [all.filter((control) => actionOf(control) === action), all];
  };
  const places = find().map((controls) => controls.indexOf(held));
  return () => {
    // Still on the control, or moved on by the user.
    if (document.activeElement !== document.body) return;
    const found = find();
    const sameRow = row && found[0].find((control) => rowOf(control) === row);
    const [next, other] = found.map((controls, at) => controls[Math.min(places[at], controls.length - 1)]);
    const control = sameRow || next || (other?.matches(".danger, .remove") ? null : other);
    if (!control) container.tabIndex = -1;
    (control ?? container).focus({ preventScroll: true });
  };
}

export const $ = (id) => document.getElementById(id);

const PATHS = {
  moon: "M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  expand: "M8 4H4v4M16 4h4v4M20 16v4h-4M4 16v4h4",
  camera: "M4 8h3l2-3h6l2 3h3a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V9a1 1 0 0 1 1-1zM12 10a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z",
  record: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  panel: "M4 5h16v14H4zM14 5v14",
  bell: "M6 16V11a6 6 0 1 1 12 0v5l1.500 2h-15zM10 21h4",
  chevron: "M6 9l6 6 6-6",
  back: "M15 6l-6 6 6 6",
  mirror: "M12 4v16M8 8l-4 4 4 4M16 8l4 4-4 4",
  cross: "M6 6l12 12M18 6L6 18",
  search: "M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM20 20l-4.500-4.500",
};

/** An icon, by default 20 pixels wide. */
export function icon(name, size = 20) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const attributes = {
    viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 1.8,
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** An SVG element with attributes. */
export function shape(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A share as a whole percentage. */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** A probability as a whole percentage, never 100, since no comparison of faces is certain. */
export const certainty = (chance) => percent(Math.min(chance, 0.99));

/** A likeness from 0 to 1 as filled dots of five. It is not a probability. */
export function dots(likeness) {
  const filled = Math.round(Math.min(Math.max(likeness, 0), 1) * 5);
  return "●".repeat(filled) + "○".repeat(5 - filled);
}

/** The text beside a person's name: identified, with the probability, or only similar, with dots. */
export function verdict(found) {
  if (!found.same_person) return `looks like ${dots(found.likeness)}`;
  return found.identified === undefined ? "identified" : `identified ${certainty(found.identified)}`;
}

/** A time (Unix time in seconds) in hours and minutes. */
export const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** How long ago a time (Unix time in seconds) is, in words. */
export function ago(time) {
  const seconds = Math.max(0, Date.now() / 1000 - time);
  for (const [unit, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    const count = Math.floor(seconds / unit);
    if (count >= 1) return `${count} ${name}${count === 1 ? "" : "s"} ago`;
  }
  return "just now";
}
