// Completion of a study's name from the index: a native list of suggestions.

import { get } from "./api.js";
import { h } from "./dom.js";

const PAUSE_MS = 150; // after the last letter

/** @param {HTMLInputElement} input @param {() => string} index the name of the index that is asked */
export function completeStudies(input, index) {
  const list = h("datalist", { id: `${input.id}-known` });
  let waiting = null;
  input.setAttribute("list", list.id);
  input.after(list);
  const look = async () => {
    if (!index()) return;
    const query = new URLSearchParams({ starting: input.value.trim(), limit: "12" });
    const found = await get(`v1/indexes/${encodeURIComponent(index())}/studies?${query}`).catch(() => ({ studies: [] }));
    list.replaceChildren(...found.studies.map((id) => h("option", { value: id })));
  };
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, PAUSE_MS);
  });
  input.addEventListener("focus", look);
}
