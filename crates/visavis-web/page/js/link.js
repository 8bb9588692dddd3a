// The stream of pictures and news, kept up for as long as the page is open.

import { socket } from "./api.js";

const decoder = new TextDecoder();
const LONGEST_WAIT = 5000;

/** Tells `frame` ({ scene, bitmap }), `link` (true or false) and every message by its type: `status`, `statistics`, `event`,
 *  `alarm`, `gallery_changed`. */
export class Link extends EventTarget {
  #socket;
  #wait = 250;

  open() {
    this.#socket = new WebSocket(socket("live"));
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#wait = 250;
      this.#tell("link", true);
    };
    this.#socket.onmessage = ({ data }) => (typeof data === "string" ? this.#news(data) : this.#picture(data));
    this.#socket.onclose = () => {
      this.#tell("link", false);
      setTimeout(() => this.open(), this.#wait);
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
    };
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
      // Answered only now: whoever draws slowly is sent fewer pictures, always the newest.
      if (from.readyState === WebSocket.OPEN) from.send("seen");
    }
  }
}
