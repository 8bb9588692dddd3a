// Settings of this browser, stored in the browser only.

const KEY = "visavis";
const DEFAULTS = {
  theme: "system",
  panel: "networks",
  bare: false,
  sound: true,
  camera: null,
  layers: { brackets: true, age: true, gender: true, smile: true, expression: true, likeness: true, keypoints: false },
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
    // Without storage, the settings last until the page is closed.
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/** The current theme: "dark" or "light". */
export const theme = () => (preferences.theme === "system" ? (dark.matches ? "dark" : "light") : preferences.theme);

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
  document.querySelector('meta[name="theme-color"]').content = theme() === "dark" ? "#0e1116" : "#f3f5f8";
}
dark.addEventListener("change", applyTheme);

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
