// Requests to the server. The token is in the page's address, and is sent with each request.
const token = new URLSearchParams(location.search).get("token") || "";

export class Refused extends Error {}

// A path of the API with the token, for links and sounds, which carry no headers.
export const link = (path) => `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}`;

async function answer(response) {
  if (response.ok) return response;
  let reason = `${response.status} ${response.statusText}`;
  try {
    const { detail } = await response.json();
    reason = typeof detail === "string" ? detail : detail.map((one) => `${one.loc.slice(1).join(".")}: ${one.msg}`).join("; ");
  } catch { /* no JSON */ }
  throw new Refused(reason);
}

export async function call(method, path, body, signal) {
  const raw = body instanceof Blob;
  const response = await fetch(path, {
    method,
    signal,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "Content-Type": raw ? "application/octet-stream" : "application/json" }),
    },
    body: body === undefined || raw ? body : JSON.stringify(body),
  });
  return (await answer(response)).json();
}

export async function bytes(path, signal) {
  const response = await fetch(path, { signal, headers: { Authorization: `Bearer ${token}` } });
  return (await answer(response)).arrayBuffer();
}

// Calls `show` with each state of a job until it has ended; returns a function that stops watching.
export function watch(id, show, lost) {
  const source = new EventSource(link(`api/jobs/${id}/events`));
  source.onmessage = (event) => {
    const job = JSON.parse(event.data);
    if (["done", "failed", "cancelled"].includes(job.state)) source.close();
    show(job);
  };
  source.onerror = () => {
    // The browser connects again by itself, unless the server refused.
    if (source.readyState === EventSource.CLOSED) lost();
  };
  return () => source.close();
}

// Has what the page no longer shows removed; works while the page is being closed.
export function release(ids) {
  navigator.sendBeacon(link("api/closed"), new Blob([JSON.stringify({ ids })], { type: "application/json" }));
}
