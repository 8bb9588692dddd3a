// This browser's camera as the source of the program.

import { socket } from "./api.js";
import { notice } from "./notice.js";

const WIDTH = 1280;
const HEIGHT = 720;
const RATE = 30;
const QUALITY = 0.8;
/** Pictures under way; of more, the newer ones wait for their turn. */
const MOST_UNSEEN = 2;

export class BrowserCamera extends EventTarget {
  #stream = null;
  #socket = null;

  get runs() {
    return this.#stream !== null;
  }

  /** Why there can be none here; null where there can. */
  static hindrance() {
    if (navigator.mediaDevices?.getUserMedia) return null;
    return isSecureContext ? "This browser gives no camera." : "Browsers give their camera to pages on localhost or behind https only.";
  }

  async start() {
    if (this.runs) return;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: RATE } } });
    } catch (error) {
      const words = { NotAllowedError: "The browser was not allowed to use its camera.", NotFoundError: "This device has no camera." };
      notice(words[error.name] ?? error.message, { bad: true });
      return;
    }
    this.#stream = stream;
    this.#tell();
    const video = document.createElement("video");
    [video.srcObject, video.muted, video.playsInline] = [stream, true, true];
    await video.play();
    const connection = new WebSocket(socket("camera"));
    this.#socket = connection;
    let unseen = 0;
    const canvas = document.createElement("canvas");
    const send = () => {
      if (this.#socket !== connection || connection.readyState > WebSocket.OPEN) return;
      if (connection.readyState === WebSocket.OPEN && unseen < MOST_UNSEEN && video.videoWidth) {
        unseen += 1;
        [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
        canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0);
        canvas.toBlob((picture) => connection.readyState === WebSocket.OPEN && connection.send(picture), "image/jpeg", QUALITY);
      }
      next();
    };
    // Not tied to what is painted: a page in the background goes on filming.
    const next = () => (video.requestVideoFrameCallback && !document.hidden ? video.requestVideoFrameCallback(send) : setTimeout(send, 1000 / RATE));
    connection.onmessage = () => (unseen = Math.max(0, unseen - 1));
    connection.onopen = next;
    connection.onclose = () => this.#socket === connection && this.stop();
    stream.getVideoTracks()[0].onended = () => this.stop();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    const connection = this.#socket;
    [this.#stream, this.#socket] = [null, null];
    connection?.close();
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
