/* The arms that readers choose, for all figures and tables of the page, and the cell whose curve is
   highlighted; the address remembers both. */
(() => {
  "use strict";
  const page = (window.fgtune = window.fgtune || {});
  const menu = document.getElementById("arms-menu");
  const arms = JSON.parse(document.getElementById("arms-data")?.textContent || "[]");
  const byName = new Map(arms.map((arm) => [arm.name, arm]));
  const others = arms.filter((arm) => !arm.baseline);

  /* The address: #SECTION&arms=A,B shows these, #SECTION&without=A,B all but these; &cell=ID highlights a cell. */
  const parts = () => location.hash.slice(1).split("&");
  const fromAddress = () => {
    for (const part of parts()) {
      const [key, text] = part.split("=");
      if (text === undefined || (key !== "arms" && key !== "without")) continue; /* "arms" alone is a section */
      let named;
      try { named = new Set(text.split(",").map(decodeURIComponent)); } catch { continue; }
      return new Set(others.map((arm) => arm.name).filter((name) => named.has(name) === (key === "arms")));
    }
    return null;
  };
  const address = (section, chosen) => {
    const names = (list) => list.map((arm) => encodeURIComponent(arm.name)).join(",");
    const shown = others.filter((arm) => !chosen || chosen.has(arm.name));
    const hidden = others.filter((arm) => chosen && !chosen.has(arm.name));
    const choice = !hidden.length ? "" : shown.length <= hidden.length ? `arms=${names(shown)}` : `without=${names(hidden)}`;
    return `#${[section, choice, page.cell && `cell=${page.cell}`].filter(Boolean).join("&")}`;
  };
  const section = () => parts().find((part) => part && !part.includes("=")) || "";
  const remember = (to) => {
    try { history.replaceState(history.state, "", to); } catch { location.replace(to); }
  };
  /* Links are followed as a browser does it: "back" leads back, here to the link, wherever in the page it then is.
     Entries of the history have a number for that; an address that a reader typed has none. */
  const left = new Map();
  let entries = history.state?.entry ?? 0;
  const numbered = () => { try { history.replaceState({ entry: entries += 1 }, ""); } catch { /* then without it */ } };
  const follow = (to, link) => {
    if (to === location.hash) return;
    if (link.closest("main")) left.set(history.state?.entry, link);
    try { history.pushState({ entry: entries += 1 }, "", to); } catch { location.assign(to); }
  };

  /* Everything that is about arms: rows of tables and whole figures. Figures redraw themselves. */
  const marked = [...document.querySelectorAll("[data-arm], [data-arms]")].map((element) => [
    element, element.dataset.arms ? JSON.parse(element.dataset.arms) : [element.dataset.arm],
  ]);
  let chosen = null;
  const fromHash = () => {
    chosen = others.length ? fromAddress() : null;
    if (chosen && chosen.size === others.length) chosen = null;
    page.cell = parts().find((part) => part.startsWith("cell="))?.slice("cell=".length) || null;
  };
  const apply = () => {
    page.chosen = chosen && new Set([...chosen, ...arms.filter((arm) => arm.baseline).map((arm) => arm.name)]);
    marked.forEach(([element, names]) => {
      const known = names.filter((name) => byName.has(name));
      element.classList.toggle("off", Boolean(page.chosen && known.length && !known.some((name) => page.chosen.has(name))));
    });
    show();
    page.redraw?.();
  };
  page.choose = (names) => { /* null: all */
    chosen = names && names.size < others.length ? names : null;
    page.cell = null;
    remember(address(section(), chosen));
    apply();
  };

  page.clearCell = () => { /* the arms stay chosen */
    page.cell = null;
    remember(address(section(), chosen));
    apply();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && page.cell && !event.target.closest?.("input, details.menu")) page.clearCell();
  });

  /* The selector. */
  const made = (tag, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(...children);
    return element;
  };
  const boxes = new Map();
  const groups = new Map();
  const status = made("p", { className: "picked" });
  status.setAttribute("role", "status");
  const matching = () => others.filter((arm) => !boxes.get(arm.name).closest("label").hidden);
  const current = () => new Set(others.map((arm) => arm.name).filter((name) => !chosen || chosen.has(name)));
  const change = (list, on) => {
    const names = current();
    list.forEach((arm) => (on ? names.add(arm.name) : names.delete(arm.name)));
    page.choose(names);
  };
  const only = (list) => page.choose(new Set(list.map((arm) => arm.name)));
  const button = (text, act) => {
    const element = made("button", { type: "button", textContent: text });
    element.addEventListener("click", act);
    return element;
  };
  const show = () => {
    if (!boxes.size) return;
    const names = current();
    boxes.forEach((box, name) => { box.checked = byName.get(name).baseline || names.has(name); });
    groups.forEach((box, group) => {
      const inside = others.filter((arm) => (arm.group || "") === group);
      const on = inside.filter((arm) => names.has(arm.name)).length;
      box.checked = on === inside.length;
      box.indeterminate = on > 0 && on < inside.length;
    });
    const all = names.size === others.length;
    menu.querySelector("summary span").textContent = all ? "all" : `${names.size} of ${others.length}`;
    menu.classList.toggle("partly", !all);
    status.textContent = all ? "All arms are shown." : `${names.size} of ${others.length} arms are shown. Verdicts and checks are about all.`;
    const note = document.getElementById("arms-note");
    note.hidden = all;
    note.textContent = all ? "" : `Figures and tables show ${names.size} of ${others.length} arms beside the baseline: ${
      others.filter((arm) => names.has(arm.name)).map((arm) => arm.label).join(", ") || "none"}.`;
  };
  /* Long names break after their signs, not within a word. */
  const breakable = (text) => {
    const span = document.createElement("span");
    span.append(...text.split(/(?<=[@_=/])/).flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part])));
    return span;
  };
  const row = (arm) => {
    const box = made("input", { type: "checkbox", checked: true, disabled: Boolean(arm.baseline) });
    box.addEventListener("change", () => change([arm], box.checked));
    boxes.set(arm.name, box);
    const swatch = made("span", { className: "swatch" });
    if (arm.color) swatch.style.background = arm.color;
    else swatch.hidden = true;
    swatch.setAttribute("aria-hidden", "true");
    const label = made("label", { title: arm.hint || "" }, box, swatch, breakable(arm.label));
    if (arm.baseline || arm.verdict) label.append(made("small", { textContent: arm.baseline ? "baseline" : arm.verdict }));
    return label;
  };
  const build = () => {
    const find = made("input", { type: "search", placeholder: "Find arms" });
    find.setAttribute("aria-label", "Find arms");
    find.addEventListener("input", () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      arms.forEach((arm) => {
        const text = `${arm.label} ${arm.hint || ""} ${arm.group || ""} ${arm.verdict || ""}`.toLowerCase();
        boxes.get(arm.name).closest("label").hidden = !words.every((word) => text.includes(word));
      });
    });
    const buttons = made("div", { className: "buttons" },
      button("All", () => change(matching(), true)), button("None", () => change(matching(), false)));
    const decided = others.filter((arm) => arm.verdict && arm.verdict !== "undecided");
    if (others.some((arm) => arm.verdict)) {
      const element = button("Only decided", () => only(decided));
      element.title = "Arms that help, hurt or are equivalent";
      element.disabled = !decided.length;
      buttons.append(element);
    }
    const best = others.filter((arm) => arm.rank);
    if (best.length) buttons.append(button(`Best ${best.length}`, () => only(best)));
    const list = made("div", { className: "arms" });
    arms.filter((arm) => arm.baseline).forEach((arm) => list.append(row(arm)));
    const named = [...new Set(others.map((arm) => arm.group || ""))];
    named.forEach((group) => {
      const inside = others.filter((arm) => (arm.group || "") === group);
      const part = made("div");
      part.setAttribute("role", "group");
      part.setAttribute("aria-label", group || "Arms");
      if (named.length > 1) {
        const box = made("input", { type: "checkbox" });
        box.addEventListener("change", () => change(inside, box.checked));
        groups.set(group, box);
        part.append(made("label", { className: "group" }, box, made("b", { textContent: group || "others" })));
      }
      part.append(...inside.map(row));
      list.append(part);
    });
    menu.append(made("div", { className: "picking" }, find, buttons, status, list));
    menu.hidden = false;
  };
  if (menu && arms.length) build();

  /* Links to a section keep the choice; links to an arm change it. */
  const reach = () => {
    const head = section() && document.getElementById(section());
    if (!head) return null;
    for (let part = head.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    head.scrollIntoView();
    return head;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    const target = link.getAttribute("href");
    if (/[&#](arms|without)=/.test(target)) {
      follow(target, link);
      fromHash();
      apply();
    } else follow(address(target.slice(1), chosen), link);
    const head = reach();
    if (!head) return;
    if (head.tabIndex < 0) head.tabIndex = -1; /* the next Tab goes on from there, as after any link that a browser follows itself */
    head.focus({ preventScroll: true });
  });
  addEventListener("hashchange", () => {
    fromHash();
    apply();
    const link = left.get(history.state?.entry);
    if (!history.state) numbered();
    if (!link) reach();
    link?.scrollIntoView({ block: "center" });
    link?.focus({ preventScroll: true });
  });
  if (!history.state) numbered();
  fromHash();
  apply();
  /* Figures take their place before they are drawn, so a link lands where it should at once. */
  if (location.hash.includes("&") || (location.hash && chosen)) reach();
})();
