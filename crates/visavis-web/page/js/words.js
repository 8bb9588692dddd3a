// A scene in words.

import { percent } from "./dom.js";

function inWordsOf(face) {
  const words = [];
  if (face.age !== undefined) words.push(`about ${Math.round(face.age)} years`);
  if (face.female !== undefined) words.push(face.female >= 0.5 ? "woman" : "man");
  if (face.smiling !== undefined) words.push(face.smiling ? "smiling" : "not smiling");
  const like = face.resembles;
  if (like) words.push(`${like.same_person ? "recognised as" : "resembles"} ${like.name} (${percent(like.similarity)})`);
  return words.length ? words.join(", ") : "a face";
}

/** Everybody in view, from left to right. */
export function inWords(scene) {
  if (!scene?.faces.length) return "Nobody is in view.";
  return [...scene.faces].sort((a, b) => a.box[0] - b.box[0]).map(inWordsOf).join("; ");
}
