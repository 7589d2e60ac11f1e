// Ties the views to their addresses (#/ask, #/answers/…, #/history, #/indexes/…), the keys and the theme.

import { AskView } from "./ask.js";
import { keyDialog } from "./dialogs.js";
import { byId } from "./dom.js";
import { HistoryView } from "./history.js";
import { IndexesView } from "./indexes.js";
import { RecordedView } from "./recorded.js";
import { listen } from "./shortcuts.js";
import { SourceView } from "./source.js";
import { StudiesView } from "./studies.js";

const ask = new AskView();
const recorded = new RecordedView(byId("view-answer"));
const history = new HistoryView(byId("view-history"));
const indexes = new IndexesView(byId("view-indexes"));
const source = new SourceView(byId("view-source"));
const studies = new StudiesView(byId("view-studies"));

const VIEWS = {
  ask: { title: "Ask", show: () => ask.question.focus({ preventScroll: true }) },
  answers: { title: "Recorded answer", section: "answer", tab: "history", show: (id) => recorded.show(decodeURIComponent(id)) },
  sources: { title: "Source", section: "source", tab: "history", show: (rest) => source.show(rest) },
  studies: { title: "Studies", show: (rest) => studies.show(rest) },
  history: { title: "History", show: () => history.show() },
  indexes: { title: "Indexes", show: (name) => indexes.show(name && decodeURIComponent(name)) },
};

function route(first = false) {
  const [, name, rest] = /^#\/(\w+)(?:\/(.+))?$/.exec(location.hash) || [null, "ask", null];
  const view = VIEWS[name] || VIEWS.ask;
  const id = view === VIEWS[name] ? name : "ask";
  for (const section of document.querySelectorAll("main > .view")) section.hidden = section.id !== `view-${view.section || id}`;
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === (view.tab || id)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.title} · ClinCite`;
  if (!first) {
    scrollTo(0, 0);
    document.querySelector(`#view-${view.section || id} h1`)?.focus?.({ preventScroll: true });
  }
  if (!(first && id === "ask" && matchMedia("(pointer: coarse)").matches)) view.show(rest || undefined);
}

const shown = () => (byId("view-ask").hidden ? (byId("view-answer").hidden ? null : recorded.view) : ask.view);

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("clincite.theme", root.dataset.theme);
  } catch {
    // storage is blocked: the choice lasts as long as the page
  }
  labelTheme();
}

function labelTheme() {
  const theme = document.documentElement.dataset.theme;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  byId("toggle-theme").setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
}

byId("toggle-theme").addEventListener("click", toggleTheme);
byId("open-key").addEventListener("click", () => keyDialog());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is for views
  byId("main").focus();
});
document.addEventListener("key-needed", (event) => keyDialog(event.detail));
document.addEventListener("key-changed", () => route(true));
addEventListener("hashchange", () => route());
listen({
  "/": () => {
    location.hash = "#/ask";
    route(); // at once: hashchange comes later, and what is typed meanwhile would be lost
  },
  j: () => shown()?.step(1),
  k: () => shown()?.step(-1),
  n: () => { if (!byId("view-source").hidden) source.step(1); },
  p: () => { if (!byId("view-source").hidden) source.step(-1); },
  o: () => shown()?.openSource(),
  s: () => { location.hash = "#/studies"; },
  h: () => { location.hash = "#/history"; },
  i: () => { location.hash = "#/indexes"; },
  t: toggleTheme,
  "?": () => byId("open-help").click(),
  digit: (n) => shown()?.pane.go(n),
  escape: () => { ask.stop(); shown()?.light(null); },
});
labelTheme();
route(true);
ask.loadIndexes();
