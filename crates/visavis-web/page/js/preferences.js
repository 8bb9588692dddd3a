// What this browser remembers: nothing that others need to know.

const KEY = "visavis";
const DEFAULTS = {
  theme: "system",
  panel: "networks",
  bare: false,
  sound: true,
  layers: { brackets: true, age: true, gender: true, smile: true, likeness: true, keypoints: false },
};

function load() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return { ...DEFAULTS, ...stored, layers: { ...DEFAULTS.layers, ...stored.layers } };
  } catch {
    return structuredClone(DEFAULTS);
  }
}

export const preferences = load();

export function remember(change) {
  Object.assign(preferences, change);
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // A browser that stores nothing forgets with the page.
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** The theme in force: "dark" or "light". */
export const theme = () => (preferences.theme === "system" ? (dark.matches ? "dark" : "light") : preferences.theme);

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
  document.querySelector('meta[name="theme-color"]').content = theme() === "dark" ? "#0e1116" : "#f3f5f8";
}
dark.addEventListener("change", applyTheme);

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
