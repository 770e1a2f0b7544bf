"use strict";
(() => {
  const root = document.documentElement;
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const data = JSON.parse($("#data").textContent);
  let language = root.dataset.language;
  root.classList.add("js");

  const remember = (name, value) => { try { localStorage.setItem("hostmend-" + name, value); } catch (error) { /* no storage: not kept */ } };
  const remembered = (name) => { try { return localStorage.getItem("hostmend-" + name); } catch (error) { return null; } };

  // Language: only textContent is ever set, so nothing that came from a host can become markup.
  const say = (key, values) => {
    let text = (data.words[key] || {})[language] || key;
    const bar = text.indexOf(" | ");
    if (bar >= 0) text = values && values.n === 1 ? text.slice(0, bar) : text.slice(bar + 3);
    for (const [name, value] of Object.entries(values || {})) text = text.split("{" + name + "}").join(value);
    return text;
  };
  const speak = (chosen) => {
    language = chosen;
    root.lang = chosen === "zh_TW" ? "zh-Hant-TW" : "en";
    for (const node of $$("[data-t]")) node.textContent = say(node.dataset.t, node.dataset.v ? JSON.parse(node.dataset.v) : null);
    for (const node of $$("[data-f]")) {
      const check = data.checks[node.dataset.c];
      if (check) node.textContent = check[node.dataset.f][language];
    }
    for (const node of $$("[data-ph]")) node.placeholder = say(node.dataset.ph);
    for (const node of $$("[data-lang]")) node.setAttribute("aria-pressed", String(node.dataset.lang === language));
    for (const item of items) item.text = null;
    count();
  };

  // Filter. The text of a finding is gathered once, when it is first searched.
  const hosts = $$(".host").map((element) => ({ element, name: element.dataset.h, rest: $(".rest", element), items: [], groups: [] }));
  const items = [];
  for (const host of hosts) {
    for (const element of $$(".f", host.element)) {
      const item = { element, host, status: element.dataset.s, grade: element.dataset.g, kind: element.dataset.k, text: null, shown: true };
      host.items.push(item);
      items.push(item);
    }
    for (const element of $$(".alike", host.element)) {
      const inside = new Set($$(".f", element));
      host.groups.push({ element, items: host.items.filter((item) => inside.has(item.element)) });
    }
  }
  const form = $(".filter");
  const chosen = (set) => new Set($$(`[data-set="${set}"] input:checked`).map((input) => input.value));
  const textOf = (item) => item.text || (item.text = (item.host.name + " " + item.kind + " " + item.element.textContent).toLowerCase());
  let shown = 0;
  const count = () => { $("#shown").textContent = say("filter.shown", { n: shown, t: items.length }); };
  const apply = () => {
    const terms = $("#q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = $("#class").value;
    const name = $("#host") ? $("#host").value : "";
    const statuses = chosen("s");
    const grades = chosen("g");
    const narrowed = terms.length > 0 || kind || name || grades.size > 0;
    shown = 0;
    for (const host of hosts) {
      let here = 0;
      let rest = 0;
      for (const item of host.items) {
        const show = (!name || host.name === name) && statuses.has(item.status) && (!kind || item.kind === kind) &&
          (!grades.size || grades.has(item.grade)) && (!terms.length || terms.every((term) => textOf(item).includes(term)));
        if (show !== item.shown) { item.element.hidden = !show; item.shown = show; }
        if (show) { here += 1; if (item.element.classList.contains("p")) rest += 1; }
      }
      host.here = here;
      for (const group of host.groups) {
        const left = group.items.filter((item) => item.shown).length;
        group.element.hidden = left === 0;
        if (terms.length && left && left < group.items.length) group.element.open = true;
      }
      if (host.rest) { host.rest.hidden = rest === 0; if (rest && narrowed && rest <= 100) host.rest.open = true; }
      host.element.hidden = (name && host.name !== name) || (narrowed && here === 0 && !(name && host.name === name));
      shown += here;
    }
    if (narrowed && shown <= 400) for (const host of hosts) if (host.here) host.element.open = true;
    $("#nothing").hidden = shown > 0 || !narrowed;
    count();
  };
  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(apply, items.length > 3000 ? 180 : 40); };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", soon);
  form.addEventListener("reset", () => setTimeout(apply));

  const unfold = (open) => {
    const visible = items.filter((item) => item.shown && item.element.tagName === "DETAILS");
    for (const host of hosts) if (!host.element.hidden) host.element.open = open || hosts.length === 1;
    for (const host of hosts) for (const group of host.groups) group.element.open = open;
    for (const item of visible.slice(0, open ? 2000 : visible.length)) item.element.open = open;
  };
  $("#expand").addEventListener("click", () => unfold(true));
  $("#collapse").addEventListener("click", () => unfold(false));

  // Links into a folded part open it; a check in the list of first things is searched for.
  const reveal = () => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch (error) { return; }
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target && target.classList.contains("host")) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-q]");
    if (link) { form.reset(); setTimeout(() => { $("#q").value = link.dataset.q; apply(); }, 0); }
    const copy = event.target.closest(".copy");
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText($("code", copy.parentElement).textContent).then(() => {
        copy.textContent = say("fix.copied");
        setTimeout(() => { copy.textContent = say("fix.copy"); }, 1500);
      }, () => {});
    }
    const tongue = event.target.closest("[data-lang]");
    if (tongue) { speak(tongue.dataset.lang); remember("language", language); }
  });

  // Light or dark: the system's choice until one is made here.
  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  $("#theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remember("theme", root.dataset.theme);
  });

  // Paper gets everything, whatever is folded on the screen.
  let folded = [];
  addEventListener("beforeprint", () => { folded = $$("details:not([open])"); for (const one of folded) one.open = true; });
  addEventListener("afterprint", () => { for (const one of folded) one.open = false; });

  const tongue = remembered("language");
  if ((tongue === "en" || tongue === "zh_TW") && tongue !== language) speak(tongue);
  else for (const node of $$("[data-lang]")) node.setAttribute("aria-pressed", String(node.dataset.lang === language));
  apply();
  reveal();
})();
