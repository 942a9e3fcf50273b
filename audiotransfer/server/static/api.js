// Requests to the server. The token is in the page's address, and is sent with each request.
const token = new URLSearchParams(location.search).get("token") || "";

export const GONE = "The server does not answer. If it was stopped, start it again and open the address that it prints.";

export class Refused extends Error {}

// A path of the API with the token, for links and sounds, which carry no headers.
export const link = (path) => `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}`;

async function ask(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(GONE);
  }
}

// The reason of a refusal, from the text of its answer.
function reason(status, text) {
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : detail.map((one) => `${one.loc.slice(1).join(".")}: ${one.msg}`).join("; ");
  } catch {
    return `${status}: ${text.slice(0, 200)}`;
  }
}

async function answer(response) {
  if (response.ok) return response;
  throw new Refused(reason(response.status, await response.text()));
}

export async function call(method, path, body, signal) {
  const response = await ask(path, {
    method,
    signal,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? body : JSON.stringify(body),
  });
  return (await answer(response)).json();
}

// Sends a file; `show` is called with the share that is sent.
export function upload(path, file, show, signal) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far it is
    request.open("POST", path);
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => show(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      if (request.status < 300) done(JSON.parse(request.responseText));
      else failed(new Refused(reason(request.status, request.responseText)));
    };
    request.onerror = () => failed(new Refused(`${file.name} could not be sent: a folder or a file that cannot be read, or the server does not answer.`));
    request.onabort = () => failed(new Refused("Cancelled."));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

export async function bytes(path, signal) {
  const response = await ask(path, { signal, headers: { Authorization: `Bearer ${token}` } });
  return (await answer(response)).arrayBuffer();
}

// Calls `show` with each state of a job until it has ended, and `lost` with whether the server has no
// such job, or does not answer; returns a function that stops watching.
export function watch(id, show, lost) {
  const source = new EventSource(link(`api/jobs/${id}/events`));
  source.onmessage = (event) => {
    const job = JSON.parse(event.data);
    if (["done", "failed", "cancelled"].includes(job.state)) source.close();
    show(job);
  };
  source.onerror = () => {
    // The browser connects again by itself, unless the server refused.
    lost(source.readyState === EventSource.CLOSED);
  };
  return () => source.close();
}

// Has what the page no longer shows removed; works while the page is being closed.
export function release(ids) {
  navigator.sendBeacon(link("api/closed"), new Blob([JSON.stringify({ ids })], { type: "application/json" }));
}
