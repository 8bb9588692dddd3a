// Shows a message over an old picture, since a frozen picture looks like one in which nothing happens.

import { $ } from "./dom.js";

/** A picture is old after this many milliseconds and this many times the usual pause between two pictures. */
const OLD = 1000;
const PAUSES = 4;

export class Freshness {
  #last = null;
  #pause = null;

  constructor() {
    setInterval(() => this.#say(), 250);
  }

  /** A picture arrived. A picture of a stalled source is the old one again. */
  note(scene) {
    const now = performance.now();
    if (scene.stalled_since) {
      // The page was opened while the source is stalled, so it has shown no newer picture.
      this.#last ??= now - Math.max(0, Date.now() - Date.parse(scene.stalled_since));
      this.#say();
      return;
    }
    if (this.#last !== null) {
      const pause = now - this.#last;
      this.#pause = this.#pause === null ? pause : this.#pause * 0.9 + pause * 0.1;
    }
    this.#last = now;
    this.#say();
  }

  /** Forgets the usual pause, since the source or the connection has changed. */
  reset() {
    [this.#last, this.#pause] = [null, null];
    this.#say();
  }

  #say() {
    const age = this.#last === null ? 0 : performance.now() - this.#last;
    const old = age > Math.max(OLD, (this.#pause ?? 0) * PAUSES);
    $("stale").hidden = !old;
    if (old) $("stale").textContent = `No new picture for ${Math.round(age / 1000)} s`;
  }
}
