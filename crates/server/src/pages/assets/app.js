// What pages do beyond HTML: times in the viewer's zone, rows that arrive by themselves, keys.
// Every page works without it.
"use strict";

const two = (number) => String(number).padStart(2, "0");
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function localTime(moment) {
  const time = new Date(moment);
  if (Number.isNaN(time.getTime())) return null;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  const today = time.toDateString() === new Date().toDateString();
  if (today) return clock;
  const year = time.getFullYear() === new Date().getFullYear() ? "" : ` ${time.getFullYear()}`;
  return `${time.getDate()} ${months[time.getMonth()]}${year} ${clock}`;
}

function localise(root) {
  for (const element of root.querySelectorAll("time")) {
    const text = localTime(element.dateTime);
    if (text) element.textContent = text;
  }
}

// What the server last said of an element: what the script made of it since is no change.
const said = new WeakMap();

function remember(root) {
  for (const element of root.querySelectorAll("[data-live]")) {
    said.set(element, element.outerHTML);
    for (const row of element.children) said.set(row, row.outerHTML);
  }
}

function replaceRows(old, fresh) {
  const kept = new Map([...old.children].map((row) => [row.id, row]));
  const rows = [...fresh.children];
  const ids = new Set(rows.map((row) => row.id));
  const last = rows.length > 0 ? rows[rows.length - 1].id : "";
  let place = old.firstElementChild;
  for (const row of rows) {
    const known = kept.get(row.id);
    const html = row.outerHTML;
    if (!known) {
      row.classList.add("new");
      old.insertBefore(row, place);
      said.set(row, html);
    } else if (said.get(known) !== html) {
      const had = known.contains(document.activeElement);
      if (place === known) place = known.nextElementSibling;
      known.replaceWith(row);
      said.set(row, html);
      if (had) row.querySelector("a.row")?.focus();
    } else {
      place = known.nextElementSibling;
    }
  }
  // What fell out of the list between its first and its last row is there no longer.
  for (const [id, row] of kept) if (id > last && !ids.has(id)) row.remove();
  localise(old);
}

function swap(old, fresh) {
  const html = fresh.outerHTML;
  if (said.get(old) === html || old.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) return;
  const open = [...old.querySelectorAll("details[id][open]")].map((element) => element.id);
  const focused = document.activeElement?.closest?.("[id]")?.id;
  old.replaceWith(fresh);
  said.set(fresh, html);
  for (const row of fresh.children) said.set(row, row.outerHTML);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused && !document.activeElement?.id) document.getElementById(focused)?.focus?.();
  localise(fresh);
}

let busy = false;
let took = 0;
async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  const began = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (!fresh) continue;
      const rows = old.dataset.live === "rows" && fresh.dataset.live === "rows";
      if (rows) replaceRows(old, document.adoptNode(fresh));
      else if (fresh.tagName === old.tagName) swap(old, document.adoptNode(fresh));
      else location.reload();
    }
    document.querySelector(".live")?.classList.remove("off");
  } catch {
    const live = document.querySelector(".live");
    if (live) { live.classList.add("off"); live.title = "The gateway does not answer"; }
  } finally {
    took = performance.now() - began;
    busy = false;
  }
}

// A page asks again each second, and less often where answers take long: whoever watches takes at
// most a tenth of the gateway's time from those who send.
function watch() {
  if (!document.querySelector("[data-live]")) return;
  const again = async () => {
    await refresh();
    setTimeout(again, Math.max(1000, 10 * took));
  };
  setTimeout(again, 1000);
  document.addEventListener("visibilitychange", refresh);
}

// Older rows come when the end of the list comes into sight. Where a look found nothing, the next one
// is for a person to ask for.
function endless() {
  const place = document.getElementById("older");
  if (!place || !document.getElementById("rows") || !("IntersectionObserver" in window)) return;
  let loading = false;
  const load = async () => {
    const link = place.querySelector("a[data-older]");
    if (!link || loading) return;
    loading = true;
    link.textContent = "Looking…";
    try {
      const answer = await fetch(link.href);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const rows = document.adoptNode(page.getElementById("rows"));
      const list = document.getElementById("rows");
      for (const row of [...(rows?.children ?? [])]) if (row.id && !document.getElementById(row.id)) {
        said.set(row, row.outerHTML);
        list.append(row);
      }
      localise(list);
      place.replaceChildren(...(page.getElementById("older")?.childNodes ?? []));
    } catch {
      link.textContent = "The gateway does not answer. Try again";
      link.dataset.older = "0";
    } finally {
      loading = false;
    }
  };
  place.addEventListener("click", (event) => {
    if (!event.target.closest("a[data-older]")) return;
    event.preventDefault();
    load();
  });
  new IntersectionObserver((entries) => {
    const link = place.querySelector("a[data-older]");
    if (link && link.dataset.older !== "0" && entries.some((entry) => entry.isIntersecting)) load();
  }, { rootMargin: "200px" }).observe(place);
}

function move(step) {
  const links = [...document.querySelectorAll(".rows a.row")];
  if (links.length === 0) return;
  const here = links.indexOf(document.activeElement?.closest?.("tr")?.querySelector("a.row"));
  const next = here < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(here + step, 0), links.length - 1);
  links[next].focus();
}

// A key rule is tried on what is stored while somebody writes it.
function tryRules() {
  const form = document.querySelector("form[data-try]");
  if (!form) return;
  const parts = ["locations", "mode", "missing_key", "bind_body", "window_seconds"];
  let timer = 0;
  form.addEventListener("input", (event) => {
    if (!parts.includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.dataset.try, { method: "POST", body });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("trial");
      if (!fresh) return;
      localise(fresh);
      document.getElementById("trial").replaceChildren(...document.adoptNode(fresh).childNodes);
    }, 400);
  });
}

let before = "";
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const last = before;
  before = event.key;
  if (last === "g") {
    const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) { before = ""; event.preventDefault(); link.click(); return; }
  }
  switch (event.key) {
    case "j": move(1); break;
    case "k": move(-1); break;
    case "/": {
      const search = document.getElementById("search");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
      break;
    }
    case "u": document.querySelector("[data-up]")?.click(); break;
    case "?": document.getElementById("help")?.showModal(); break;
    default:
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    const label = button.textContent;
    const done = (text) => { button.textContent = text; setTimeout(() => { button.textContent = label; }, 1500); };
    navigator.clipboard?.writeText(button.dataset.copy).then(() => done("Copied"), () => done("Not allowed"));
    if (!navigator.clipboard) done("Needs https or localhost");
    return;
  }
  const row = event.target.closest(".rows tbody tr");
  if (row && !event.target.closest("a, button, input, summary") && !getSelection().toString()) row.querySelector("a.row")?.click();
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// A form that filters leaves out what says nothing, so that its address can be read.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => { for (const field of document.querySelectorAll(".filters [name]")) field.disabled = false; });

remember(document);
localise(document);
watch();
endless();
tryRules();
document.documentElement.dataset.ready = "";
