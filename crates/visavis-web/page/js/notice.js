// Short messages at the bottom of the page.

import { $, h, holdFocus } from "./dom.js";

const SHOWN = 4500;
const MOST = 3;

/** Shows `text`; with `action` ({ label, run, seconds }) and a button for some seconds. */
export function notice(text, { bad = false, action } = {}) {
  const box = h("div", { class: bad ? "notice bad" : "notice" }, h("span", {}, text));
  const timer = setTimeout(() => box.remove(), action ? action.seconds * 1000 : SHOWN);
  if (action) {
    const run = () => {
      clearTimeout(timer);
      box.remove();
      action.run();
    };
    box.append(h("button", { onclick: run }, action.label));
  }
  const all = $("notices");
  all.append(box);
  while (all.children.length > MOST) all.firstChild.remove();
}

/** Runs a function and shows its error if it fails. Returns whether it succeeded. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    notice(error.message, { bad: true });
    return false;
  }
}

/** Asks for a name. Resolves to the name, or to null if it was cancelled. */
export function askName(title, { value = "", action = "Save" } = {}) {
  return new Promise((resolve) => {
    // The list with the button that was pressed may be rebuilt while the name is typed.
    const keepFocus = holdFocus($("sheet"));
    const input = h("input", { type: "text", value, maxLength: 100, required: true, "aria-label": "Name", placeholder: "Name", autocomplete: "off" });
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      keepFocus();
      resolve(answer);
    };
    const form = h("form", { method: "dialog" },
      h("h2", {}, title), input,
      h("div", { class: "row" },
        h("button", { type: "button", class: "plain", onclick: () => close(null) }, "Cancel"),
        h("button", { type: "submit", class: "main" }, action)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value.trim()) close(input.value.trim());
    });
    const dialog = h("dialog", { oncancel: () => close(null) }, form);
    document.body.append(dialog);
    dialog.showModal();
    input.select();
  });
}
