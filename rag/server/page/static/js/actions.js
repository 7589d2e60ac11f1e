// What buttons do: work that may fail, and files that need the key to be fetched.

import { raw } from "./api.js";
import { h } from "./dom.js";

const KEPT_MS = 10_000; // the browser has read the file by then

export async function download(path, name) {
  save(await (await raw(path)).blob(), name);
}

/** Gives the reader a file. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}

/** Runs what a button starts; it cannot be started twice, and what goes wrong is told. */
export async function whileBusy(button, work, failed) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (problem) {
    failed(problem);
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}
