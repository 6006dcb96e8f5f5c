/* Tables of the page: sorted by column (tablesort does that), filtered by text, copied, downloaded. */
(() => {
  "use strict";
  const FEW = 8; /* rows that need no filter */
  const NUMBER = /[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?/i;

  /* What a cell says, on one line: minus signs and spaces as programs know them, without marks for the eye. */
  const textOf = (cell) => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll("[aria-hidden]").forEach((mark) => mark.remove());
    copy.querySelectorAll("br").forEach((end) => end.replaceWith(" "));
    return copy.textContent.replaceAll("\u2212", "-").replace(/\s+/g, " ").trim();
  };
  const numberOf = (text) => {
    const found = NUMBER.exec(text.replaceAll("\u2212", "-"));
    return found ? Number(found[0].replaceAll(",", "")) : NaN;
  };
  const parsed = (text) => (text.trim() === "" ? NaN : Number(text));
  /* Cells without a number come last in ascending order. Tablesort wants the larger one first. */
  Tablesort.extend("number", () => false, (a, b) => {
    const [left, right] = [parsed(a), parsed(b)];
    return Number.isNaN(left) || Number.isNaN(right) ? Number.isNaN(right) - Number.isNaN(left) : right - left;
  });

  /* A head that has the focus is whole: browsers scroll for none that is partly seen, and know of no column that stays. */
  const inSight = (head, first) => {
    const box = head.closest(".table");
    const [place, seen] = [head.getBoundingClientRect(), box.getBoundingClientRect()];
    const kept = head !== first && getComputedStyle(first).position === "sticky" ? first.offsetWidth : 0;
    const [before, after] = [place.left - seen.left - kept, place.right - seen.right];
    if (before < 0 || after > 0) box.scrollLeft += before < 0 ? before : Math.min(before, after);
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head) => {
      if (head.classList.contains("n")) head.dataset.sortMethod = "number";
      head.title = "Sort by this column";
      head.addEventListener("focus", () => inSight(head, heads[0]));
      head.addEventListener("keydown", (event) => {
        if (event.key !== " ") return;
        event.preventDefault(); /* tablesort knows Enter alone, and the page would scroll */
        head.click();
      });
    });
    table.querySelectorAll("tbody tr.baseline").forEach((row) => { row.dataset.sortMethod = "none"; });
    /* Where cells span columns, the place of a cell in its row is not its column, and tablesort has to be told that. */
    const spanned = table.querySelector("tbody [colspan]") !== null;
    if (spanned) heads.forEach((head, at) => { head.dataset.sortColumnKey = at; });
    let keyed = false;
    table.addEventListener("beforeSort", () => {
      if (keyed) return;
      keyed = true;
      for (const row of table.tBodies[0].rows) {
        let at = 0;
        for (const cell of row.cells) {
          const number = heads[at].classList.contains("n");
          if (spanned) cell.dataset.sortColumnKey = at;
          at += cell.colSpan;
          if (cell.colSpan > 1) cell.dataset.sort = " "; /* words in place of several values */
          if (cell.dataset.sort !== undefined) continue;
          const value = number ? numberOf(cell.textContent) : textOf(cell);
          cell.dataset.sort = number ? (Number.isNaN(value) ? " " : String(value)) : value || " ";
        }
      }
    });
    new Tablesort(table);
  };

  const seen = (table) => [...table.rows].filter((row) => !row.matches(".off, .unlike"));
  const grid = (table) => seen(table).map((row) => [...row.cells].flatMap((cell) => [textOf(cell), ...Array(cell.colSpan - 1).fill("")]));
  /* A text that a spreadsheet would run as a formula is quoted. */
  const inert = (text) => (/^[=+\-@\t]/.test(text) && !/^[-+]?[\d.]/.test(text) ? `'${text}` : text);
  const csv = (rows) => rows.map((row) => row.map((text) => {
    const safe = inert(text);
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }).join(",")).join("\r\n");
  const tsv = (rows) => rows.map((row) => row.map(inert).join("\t")).join("\n");

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { /* no permission, or a page opened from a file in a browser that asks for https */
      const before = document.activeElement;
      const area = document.createElement("textarea");
      area.value = text;
      area.setAttribute("readonly", "");
      area.style.cssText = "position: fixed; opacity: 0";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      before?.focus();
      return done;
    }
  };
  const saved = (text, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };
  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", () => act(made));
    return made;
  };
  const told = (made, text) => {
    const before = made.dataset.text || (made.dataset.text = made.textContent);
    const heard = made.parentElement.querySelector(".heard"); /* the button's own name stays what it does */
    made.textContent = heard.textContent = text;
    setTimeout(() => { made.textContent = before; heard.textContent = ""; }, 1500);
  };
  const filter = (table, label, count) => {
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "Filter rows";
    field.setAttribute("aria-label", `Filter the rows of ${label}`);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...table.tBodies[0].rows];
      rows.forEach((row) => {
        const text = textOf(row).toLowerCase();
        row.classList.toggle("unlike", !words.every((word) => text.includes(word)));
      });
      const left = rows.filter((row) => !row.classList.contains("unlike")).length;
      count.textContent = words.length ? `${left} of ${rows.length} rows` : "";
    });
    return field;
  };
  const slug = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

  document.querySelectorAll(".table > table").forEach((table) => {
    const box = table.parentElement;
    const label = box.getAttribute("aria-label");
    const rows = table.tBodies[0]?.rows.length || 0;
    if (!table.tHead || !rows) return;
    const tools = document.createElement("div");
    tools.className = "tools";
    const count = document.createElement("span");
    count.setAttribute("role", "status");
    if (rows > FEW) tools.append(filter(table, label, count), count);
    const heard = document.createElement("span");
    heard.className = "heard";
    heard.setAttribute("role", "status");
    tools.append(
      heard,
      button("Copy", `Copy the table ${label}`, async (made) => {
        told(made, (await copied(tsv(grid(table)))) ? "Copied" : "Not allowed here");
      }),
      button("CSV", `Download the table ${label} as CSV`, () => {
        saved(csv(grid(table)), `${slug(document.title.split(" – ")[0])}-${slug(label)}.csv`);
      }),
    );
    box.before(tools);
    if (rows > 1) sortable(table);
  });
})();
