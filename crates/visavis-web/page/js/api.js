// Requests to the program. An error response becomes an Error with the text of its problem document.

/** The address of the API. It is relative to the page, so a proxy may serve both under any path. */
const ROOT = new URL("api/v1/", document.baseURI).href;

async function ask(method, path, body, type) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = type ? body : JSON.stringify(body);
    options.headers["Content-Type"] = type ?? "application/json";
  }
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch {
    throw new Error("visavis does not answer");
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail ?? answer.statusText), { flaws: problem.flaws ?? [] });
  }
  if (answer.status === 204 || answer.status === 202) return undefined;
  return answer.headers.get("Content-Type")?.startsWith("application/json") ? answer.json() : answer.blob();
}

export const api = {
  get: (path) => ask("GET", path),
  post: (path, body) => ask("POST", path, body),
  put: (path, body) => ask("PUT", path, body),
  patch: (path, body) => ask("PATCH", path, body),
  remove: (path) => ask("DELETE", path),
  /** Sends the bytes of a file. */
  upload: (path, file) => ask("POST", path, file, "application/octet-stream"),
};

/** The address of a WebSocket of the program. */
export const socket = (path) => ROOT.replace(/^http/, "ws") + path;

/** An address of the API as a link. */
export const address = (path) => ROOT + path;

/** The address of the best photo of a person. */
export const portrait = (person) => `${ROOT}people/${person}/portrait`;
export const photo = (id) => `${ROOT}photos/${id}`;
export const sightingCrop = (id) => `${ROOT}sightings/${id}/crop`;
export const alarmCrop = (id) => `${ROOT}alarms/${id}/crop`;
