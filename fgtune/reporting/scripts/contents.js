/* Contents beside the page on wide screens and in a menu on narrow ones, with the section in sight marked. */
(() => {
  "use strict";
  /* A page that loads itself again while the study runs shows what it showed: the place, and which parts were unfolded. */
  const refresh = Number(document.querySelector("meta[name='fgtune-refresh']")?.content);
  const again = refresh ? `fgtune ${location.pathname}` : "";
  if (again) {
    const parts = () => [...document.querySelectorAll("main details")];
    const name = (part) => part.querySelector("summary").textContent;
    /* The place is told from the head in sight: what is above it may be higher or lower the next time. */
    const inSight = () => [...document.querySelectorAll("main h2[id]")].findLast((head) => top(head) < innerHeight / 2);
    const top = (head) => head?.getBoundingClientRect().top ?? -scrollY;
    history.scrollRestoration = "manual";
    setTimeout(() => location.reload(), 1000 * refresh); /* of an address with a fragment, a meta element may not */
    addEventListener("pagehide", () => {
      const opened = parts().filter((part) => part.open).map(name);
      const head = inSight();
      const place = { head: head?.id, top: top(head) };
      try { sessionStorage.setItem(again, JSON.stringify({ ...place, opened })); } catch { /* none for this page */ }
    });
    let before = null;
    try { before = JSON.parse(sessionStorage.getItem(again)); } catch { /* the same */ }
    if (before) {
      parts().forEach((part) => { part.open = before.opened.includes(name(part)); });
      addEventListener("load", () => scrollBy(0, top(document.getElementById(before.head)) - before.top));
    }
  }
  const menus = [...document.querySelectorAll("details.menu")];
  if (!menus.length) return;
  const wide = window.matchMedia("(min-width: 1200px)");
  const adapt = () => menus.forEach((menu) => { menu.open = wide.matches; });
  wide.addEventListener("change", adapt);
  adapt();
  /* On narrow screens menus lie over the page: one at a time, closed by a click beside them, a choice, Escape, or a Tab
     out of them, which would lead to what they cover. */
  menus.forEach((menu) => {
    menu.addEventListener("toggle", () => {
      if (menu.open && !wide.matches) menus.forEach((other) => { if (other !== menu) other.open = false; });
    });
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) close();
    });
  });
  const close = () => { if (!wide.matches) menus.forEach((menu) => { menu.open = false; }); };
  document.addEventListener("click", (event) => { if (!event.target.closest("details.menu")) close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || wide.matches) return;
    const left = menus.find((menu) => menu.open && menu.contains(document.activeElement));
    close();
    left?.querySelector("summary").focus();
  });

  const links = [...document.querySelectorAll("#contents a")];
  const heads = links.map((link) => document.getElementById(link.hash.slice(1)));
  links.forEach((link) => link.addEventListener("click", close));
  let waiting = false;
  const mark = () => {
    waiting = false;
    const passed = heads.filter((head) => head.getBoundingClientRect().top < innerHeight / 3);
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const current = end ? heads.length - 1 : Math.max(0, passed.length - 1);
    links.forEach((link, at) => {
      if (at !== current) { link.removeAttribute("aria-current"); return; }
      if (!link.hasAttribute("aria-current") && wide.matches) {
        const side = link.closest(".side");
        const { top, bottom } = link.getBoundingClientRect();
        const seen = side.getBoundingClientRect();
        if (top < seen.top || bottom > seen.bottom) side.scrollTop += top - seen.top - seen.height / 3;
      }
      link.setAttribute("aria-current", "true");
    });
  };
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } };
  addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  mark();
})();
