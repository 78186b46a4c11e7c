// Keeps the parts of a page that have data-live up to date, by asking for the same page again. Without this script every
// page works as well and stands still.
"use strict";

(() => {
  const { name, every, process } = document.documentElement.dataset;
  const announcer = document.getElementById("announcer");
  const address = location.pathname + location.search.replace(/[?&]done=[a-z]+$/, "");
  // What was just done is told once.
  history.replaceState(null, "", address + location.hash);

  // As the server wrote them: what people open and select is theirs.
  const written = new Map();
  for (const part of document.querySelectorAll("[data-live]")) written.set(part.id, part.outerHTML);
  if (written.size === 0) return;

  const state = document.createElement("span");
  state.className = "state";
  const button = document.createElement("button");
  button.id = "pause";
  button.type = "button";
  document.getElementById("live").append(state, button);

  let paused = sessionStorage.getItem("paused") === "yes";
  let tag = "";
  let answers = true;

  function show(word) {
    const text = paused ? "Paused" : word;
    if (state.textContent !== text) state.textContent = text;
    state.dataset.state = paused ? "paused" : answers ? "live" : "lost";
    button.textContent = paused ? "Go on" : "Pause";
  }

  button.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    show("Live");
    if (!paused) update();
  });

  // Whoever writes, chooses or selects in a part is not disturbed.
  function isBusy(part) {
    const active = document.activeElement;
    if (part.contains(active) && active.matches("input, select, textarea")) return true;
    const selection = getSelection();
    return !selection.isCollapsed && selection.rangeCount > 0 && selection.getRangeAt(0).intersectsNode(part);
  }

  function replace(part, next) {
    const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const told = new Map();
    for (const one of part.querySelectorAll("[data-announce]")) told.set(one.id, one.dataset.announce);
    part.replaceWith(document.importNode(next, true));
    const now = document.getElementById(next.id);
    for (const id of open) {
      const details = document.getElementById(id);
      if (details && now.contains(details)) details.open = true;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    for (const one of now.querySelectorAll("[data-announce]")) {
      const before = told.get(one.id);
      if (before !== undefined && before !== one.dataset.announce) announcer.textContent = one.dataset.announce;
    }
  }

  function take(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    if (page.documentElement.dataset.process !== process) {
      // Another process, which knows none of these forms.
      location.reload();
      return;
    }
    for (const next of page.querySelectorAll("[data-live]")) {
      const part = document.getElementById(next.id);
      const html = next.outerHTML;
      if (!part || written.get(next.id) === html || isBusy(part)) continue;
      written.set(next.id, html);
      replace(part, next);
    }
  }

  async function ask() {
    const headers = tag ? { "if-none-match": tag } : {};
    const answer = await fetch(address, { headers, cache: "no-store" });
    if (answer.ok) {
      tag = answer.headers.get("etag") ?? "";
      take(await answer.text());
    }
    return answer.status;
  }

  let asking = false;
  async function update() {
    if (paused || asking || document.hidden) return;
    asking = true;
    try {
      const status = await ask();
      answers = status === 200 || status === 304;
      show(answers ? "Live" : "Not there any more");
    } catch {
      if (answers) announcer.textContent = `${name} does not answer`;
      answers = false;
      show(`${name} does not answer`);
    }
    asking = false;
  }

  document.addEventListener("visibilitychange", update);
  setInterval(update, Number(every));
  show("Live");
})();
