// Requests to the program. A refusal becomes an Error with the words of its problem document.

const ROOT = "/api/v1/";

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
    throw new Error(problem.detail ?? answer.statusText);
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
  /** Sends a file as it is. */
  upload: (path, file) => ask("POST", path, file, "application/octet-stream"),
};

/** The address of a WebSocket of the program. */
export const socket = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${ROOT}${path}`;

/** The photo that shows a person best. */
export const portrait = (person) => `${ROOT}people/${person}/portrait`;
export const photo = (id) => `${ROOT}photos/${id}`;
export const alarmCrop = (id) => `${ROOT}alarms/${id}/crop`;
