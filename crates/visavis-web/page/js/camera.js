// Sends pictures of a camera of this browser to the program, as its source.

import { socket } from "./api.js";
import { notice } from "./notice.js";
import { preferences, remember } from "./preferences.js";

const WIDTH = 1280;
const HEIGHT = 720;
const RATE = 30;
const QUALITY = 0.8;
/** Maximum number of pictures that were sent but not acknowledged. */
const MOST_UNSEEN = 2;
/** Milliseconds until the next attempt if the program does not answer or the camera is gone; doubled after each attempt. */
const [FIRST_WAIT, LONGEST_WAIT] = [500, 5000];
/** Code with which the program closes the connection when another source was chosen. */
const REPLACED = 4000;

const REFUSALS = {
  NotAllowedError: "The browser has no permission to use the camera.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "The camera is in use by another program.",
};

export class BrowserCamera extends EventTarget {
  #device = null;
  #stream = null;
  #socket = null;
  #video = null;
  #retry = 0;
  #wait = FIRST_WAIT;
  #wanted = false;

  /** Whether the camera should be in use. */
  get runs() {
    return this.#wanted;
  }

  /** The browser's id of the camera in use. */
  get device() {
    return this.#wanted ? this.#device : null;
  }

  /** Why no camera can be used; null if one can. */
  static hindrance() {
    if (navigator.mediaDevices?.getUserMedia) return null;
    return isSecureContext ? "This browser does not support cameras." : "Browsers allow cameras only on localhost and over https.";
  }

  /** The ids and names of the cameras of this device. They have no names before the browser was allowed to use one. */
  static async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId, label }) => ({ id: deviceId, name: label }));
  }

  /** Starts a camera, by default the one that was used last. */
  async start(device = preferences.camera) {
    if (this.#wanted && device === this.#device) return;
    this.#release();
    [this.#wanted, this.#device, this.#wait] = [true, device, FIRST_WAIT];
    this.#tell();
    const error = await this.#film();
    if (!error) return;
    notice(REFUSALS[error.name] ?? error.message, { bad: true });
    this.stop();
  }

  stop() {
    this.#wanted = false;
    this.#release();
    this.#tell();
  }

  #release() {
    clearTimeout(this.#retry);
    const [connection, stream] = [this.#socket, this.#stream];
    [this.#stream, this.#socket, this.#video] = [null, null, null];
    if (connection) {
      connection.onopen = connection.onmessage = connection.onclose = null;
      connection.close();
    }
    for (const track of stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
  }

  /** Opens the camera; returns the error if that fails. If the camera does not exist any more, any other is used. */
  async #film() {
    const video = { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: RATE } };
    if (this.#device) video.deviceId = { ideal: this.#device };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video });
    } catch (error) {
      return error;
    }
    if (!this.#wanted) {
      for (const track of stream.getTracks()) track.stop();
      return null;
    }
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    this.#device = track.getSettings().deviceId ?? null;
    remember({ camera: this.#device });
    track.onended = () => this.#again(true);
    this.#video = document.createElement("video");
    [this.#video.srcObject, this.#video.muted, this.#video.playsInline] = [stream, true, true];
    try {
      await this.#video.play();
    } catch {
      // It was stopped meanwhile.
      return null;
    }
    this.#tell();
    this.#connect();
    return null;
  }

  /** Tries again after a pause; `camera`: also reopens the camera, which was unplugged or blocked. */
  #again(camera) {
    if (!this.#wanted) return;
    const stream = this.#stream;
    if (camera) this.#release();
    this.#retry = setTimeout(async () => {
      if (!camera && stream === this.#stream) this.#connect();
      else if (await this.#film()) this.#again(true);
    }, this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT);
  }

  #connect() {
    const [video, canvas] = [this.#video, document.createElement("canvas")];
    if (!video) return;
    const connection = new WebSocket(socket("camera"));
    this.#socket = connection;
    let unseen = 0;
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
    // Independent of painting, so that a page in the background continues to send pictures.
    const next = () => (video.requestVideoFrameCallback && !document.hidden ? video.requestVideoFrameCallback(send) : setTimeout(send, 1000 / RATE));
    connection.onmessage = () => {
      unseen = Math.max(0, unseen - 1);
      this.#wait = FIRST_WAIT;
    };
    connection.onopen = next;
    connection.onclose = ({ code }) => {
      if (this.#socket !== connection) return;
      if (code === REPLACED) this.stop();
      else this.#again(false);
    };
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
