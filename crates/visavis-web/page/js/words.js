// Describes a scene in words, for screen readers.

import { certainty } from "./dom.js";

function inWordsOf(face) {
  const words = [];
  if (face.age !== undefined) words.push(`about ${Math.round(face.age)} years`);
  if (face.female !== undefined) words.push(face.female >= 0.5 ? "woman" : "man");
  if (face.smiling !== undefined) words.push(face.smiling ? "smiling" : "not smiling");
  if (face.expression) words.push(`expression ${face.expression.name}`);
  const like = face.resembles;
  if (like?.same_person) {
    words.push(`identified as ${like.name}${like.identified === undefined ? "" : ` (${certainty(like.identified)})`}`);
  } else if (like) words.push(`looks like ${like.name}`);
  return words.length ? words.join(", ") : "a face";
}

/** All faces in view, from left to right. */
export function inWords(scene) {
  if (!scene?.faces.length) return "No face is in view.";
  return [...scene.faces].sort((a, b) => a.box[0] - b.box[0]).map(inWordsOf).join("; ");
}
