// Small charts, drawn as SVG.

import { h, percent, shape } from "./dom.js";

const line = (values, width, height, most) =>
  values.map((value, at) => `${at ? "L" : "M"}${((at / Math.max(values.length - 1, 1)) * width).toFixed(2)} ${(height - (value / most) * height).toFixed(2)}`).join("");

/** A line chart of the last values, from 0 up. */
export function sparkline(values, label) {
  const [width, height] = [84, 26];
  const most = Math.max(...values, 1e-9) * 1.1;
  const path = line(values, width, height, most);
  return shape("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    shape("path", { class: "area", d: `${path}L${width} ${height}L0 ${height}Z` }), shape("path", { d: path }));
}

/** The probability of each year of age, with the mean. */
export function ages(shares, mean) {
  const [width, height] = [202, 96];
  const most = Math.max(...shares, 1e-9);
  const bars = shares.map((share, year) => {
    const tall = (share / most) * height;
    return shape("rect", { x: year * 2, y: height - tall, width: 1.5, height: tall });
  });
  const svg = shape("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `Ages, most likely around ${Math.round(mean)}` },
    ...bars, shape("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }),
    shape("line", { class: "mean", x1: mean * 2, x2: mean * 2, y1: 0, y2: height }));
  return h("div", {}, svg, h("div", { class: "ticks" }, ...[0, 20, 40, 60, 80, 100].map((year) => h("span", {}, String(year)))));
}

/** A line chart of a share over the last `seconds`: `samples` are [time, share]. */
export function course(samples, seconds, now) {
  const [width, height] = [200, 96];
  const points = samples.map(([time, share], at) => `${at ? "L" : "M"}${(width - ((now - time) / seconds) * width).toFixed(1)} ${((1 - share) * height).toFixed(1)}`);
  const svg = shape("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "Probability of a smile in the last half minute" },
    shape("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }),
    shape("line", { class: "threshold", x1: 0, x2: width, y1: height / 2, y2: height / 2 }),
    shape("path", { d: points.join("") }));
  return h("div", {}, svg, h("div", { class: "ticks" }, h("span", {}, `${seconds} s ago`), h("span", {}, "now")));
}

/** A bar for each share. */
export const shares = (all) => h("ul", { class: "found bars" }, all.map(({ name, share }) => {
  const bar = h("i");
  bar.style.width = `${Math.round(share * 100)}%`;
  return h("li", {}, h("span", { class: "name" }, name), h("span", { class: "number" }, percent(share)), h("span", { class: "meter" }, bar));
}));
