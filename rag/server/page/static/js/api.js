// The server's REST interface: one place that knows addresses, the key and the shape of errors.

import { sentence } from "./text.js";

const KEY = "clincite.key";

/** What went wrong, as one sentence for people; `status` is 0 where the server was not reached. */
export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

async function send(path, { method = "GET", body, accept = "application/json", signal } = {}) {
  const headers = { Accept: accept };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  const form = body instanceof FormData;
  if (body !== undefined && !form) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path.replace(/^\//, ""), document.baseURI), {
      method, headers, signal, body: body === undefined || form ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached. Is it still running?", 0);
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  let found = {};
  try {
    found = await response.json();
  } catch {
    // not JSON: a proxy's page, perhaps
  }
  const said = typeof found.detail === "string" ? found.detail : found.title;
  const wait = response.headers.get("Retry-After");
  const later = response.status === 429 && wait ? ` Try again in ${wait} s.` : "";
  const problem = new Problem(sentence(said || `the server refused this (status ${response.status})`) + later, response.status);
  if (response.status === 401) document.dispatchEvent(new CustomEvent("key-needed", { detail: problem.message }));
  return problem;
}

/** A problem of an `error` event. */
export const problemIn = (data) => new Problem(sentence(data.detail || data.title || "the server stopped answering"), data.status || 500);

export const get = async (path, options) => (await send(path, options)).json();
export const post = async (path, body, options) => (await send(path, { ...options, method: "POST", body })).json();

/** Server-sent events of a request, as they come: `{event, data}`, data parsed. */
export async function* events(path, { body, signal } = {}) {
  const method = body === undefined ? "GET" : "POST";
  const response = await send(path, { method, body, signal, accept: "text/event-stream" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replace(/\r\n/g, "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) yield event;
    }
  }
}

function parsed(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length ? { event, data: JSON.parse(data.join("\n")) } : null;
}

/** A path with more of a query. @param {Record<string, string | number>} more */
export const withQuery = (path, more) => `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams(more)}`;

/** A response as it is: of pixels, say. */
export const raw = (path, options) => send(path, { accept: "*/*", ...options });

/** An image or a report behind the key, as an address that <img> and <a> can use. */
export async function blobUrl(path) {
  return URL.createObjectURL(await (await send(path, { accept: "*/*" })).blob());
}
