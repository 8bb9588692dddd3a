// The stream of pictures and messages. Reconnects for as long as the page is open.

import { socket } from "./api.js";

const decoder = new TextDecoder();
const LONGEST_WAIT = 5000;
/** The program sends something every second. After this many milliseconds without a message the connection counts as lost. */
const SILENT = 6000;

/** Emits `frame` ({ scene, bitmap }), `link` (true or false) and every message by its type: `status`, `statistics`, `event`,
 *  `alarm`, `sighting`, `gallery_changed`, `sightings_changed`. */
export class Link extends EventTarget {
  #socket;
  #wait = 250;
  #heard = 0;
  #address;

  /** `address`: of the stream; that of the camera to which the page belongs if it is left out. */
  constructor(address = socket("live")) {
    super();
    this.#address = address;
    setInterval(() => {
      if (this.#socket && performance.now() - this.#heard > SILENT) this.#lost();
    }, 1000);
  }

  open() {
    const connection = new WebSocket(this.#address);
    this.#socket = connection;
    this.#heard = performance.now();
    connection.binaryType = "arraybuffer";
    connection.onopen = () => {
      this.#heard = performance.now();
      this.#wait = 250;
      this.#tell("link", true);
    };
    connection.onmessage = ({ data }) => {
      this.#heard = performance.now();
      if (typeof data === "string") this.#news(data);
      else this.#picture(data);
    };
    connection.onclose = () => this.#lost();
  }

  /** Reconnects after a pause. A silent connection is closed, since it may never report that it is broken. */
  #lost() {
    const connection = this.#socket;
    if (!connection) return;
    this.#socket = null;
    connection.onopen = connection.onmessage = connection.onclose = null;
    connection.close();
    this.#tell("link", false);
    setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #news(text) {
    const message = JSON.parse(text);
    this.#tell(message.type, message);
  }

  async #picture(buffer) {
    const from = this.#socket;
    try {
      const length = new DataView(buffer).getUint32(0, true);
      const scene = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
      const bitmap = await createImageBitmap(new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }));
      this.#tell("frame", { scene, bitmap });
    } finally {
      // Acknowledged only after drawing, so that a slow client gets fewer pictures, always the newest.
      if (from?.readyState === WebSocket.OPEN) from.send("seen");
    }
  }
}
