// Places labels and cards beside their faces: inside the picture, without covering each other or other faces. Pure geometry.

const overlap = (a, b) => {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
};

/** The possible places of a label, card or name of `size` around `face`, best first. */
function spots(face, size, gap, kind) {
  const middle = { x: face.x + (face.width - size.width) / 2, y: face.y + (face.height - size.height) / 2 };
  const below = { x: middle.x, y: face.y + face.height + gap };
  const above = { x: middle.x, y: face.y - size.height - gap };
  const right = { x: face.x + face.width + gap, y: middle.y };
  const left = { x: face.x - size.width - gap, y: middle.y };
  const rightTop = { x: right.x, y: face.y };
  const leftTop = { x: left.x, y: face.y };
  const rightBottom = { x: right.x, y: face.y + face.height - size.height };
  const leftBottom = { x: left.x, y: face.y + face.height - size.height };
  return kind === "label"
    ? [below, above, rightBottom, leftBottom]
    : [rightTop, leftTop, right, left, rightBottom, leftBottom, above, below];
}

/** Places labels, cards and names. A name may cover its own face. `wishes` are { key, face, size, kind, unless }, most important first;
 *  one is left out if the wish with the key `unless` was placed. `held` maps keys to the previous places and is updated. Returns a
 *  map from keys to { x, y, width, height }; those without enough room are missing. */
export function place(wishes, faces, bounds, held, gap) {
  const placed = new Map();
  const taken = [];
  for (const { key, face, size, kind, unless } of wishes) {
    if (placed.has(unless)) {
      held.delete(key);
      continue;
    }
    let best;
    for (const [number, spot] of spots(face, size, gap, kind).entries()) {
      const box = {
        x: Math.min(Math.max(spot.x, bounds.x), bounds.x + bounds.width - size.width),
        y: Math.min(Math.max(spot.y, bounds.y), bounds.y + bounds.height - size.height),
        width: size.width,
        height: size.height,
      };
      const area = size.width * size.height;
      const moved = Math.hypot(box.x - spot.x, box.y - spot.y) / Math.hypot(size.width, size.height);
      const onPlates = taken.reduce((sum, other) => sum + overlap(box, other), 0) / area;
      const onOwn = overlap(box, face) / area;
      const onOthers = faces.reduce((sum, other) => sum + (other === face ? 0 : overlap(box, other)), 0) / area;
      const onFaces = onOwn * 1.5 + onOthers;
      // A name that covers its face covers the least in a corner of the picture, however far it is moved for that.
      const far = kind === "name" ? 0 : moved * 2;
      // The previous place has a small advantage, so that labels do not jump.
      const cost = onPlates * 8 + onFaces * 4 + far + number * 0.06 - (held.get(key) === number ? 0.25 : 0);
      if (best && cost >= best.cost) continue;
      // A card that is shown already may cover a bit more, so that it does not flicker.
      const slack = held.has(key) ? 1.4 : 1;
      const crowded = {
        label: onPlates > 0.1,
        card: onPlates > 0.01 || onFaces > 0.25 * slack || moved > 0.6 * slack,
        name: onPlates > 0.1 || onOthers > 0.1,
      }[kind];
      best = { cost, box, number, crowded };
    }
    if (!best || best.crowded) {
      held.delete(key);
      continue;
    }
    held.set(key, best.number);
    taken.push(best.box);
    placed.set(key, best.box);
  }
  return placed;
}
