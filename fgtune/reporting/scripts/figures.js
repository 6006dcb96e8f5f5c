/* Unpacks Plotly and draws every figure of the page from the JSON beside it, again for chosen arms and for paper. */
(() => {
  "use strict";
  const page = (window.fgtune = window.fgtune || {});
  const root = document.documentElement;
  const plots = [...document.querySelectorAll("div.plot")];
  const fine = window.matchMedia("(hover: hover) and (pointer: fine)").matches; /* a touch that scrolls must not zoom */
  const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: "reset" };
  const LEAST = 150; /* pixels, of a figure most of whose rows are hidden */
  const pause = () => new Promise((done) => setTimeout(done, 0));
  /* Runs say once for a whole line which arm it is: an arm and a text for each of its points, and none for the gap.
     Where points have texts of their own, these follow the line's name. */
  const spread = (trace) => {
    const { runs, brush } = trace.meta || {};
    const arms = (lines) => lines.flatMap(([arm, size]) => [...Array(size).fill(arm), null]);
    if (brush) return { ...trace, meta: { brush: arms(brush) } };
    if (!runs) return trace;
    const texts = ([, size, text]) =>
      Array.isArray(text) ? text.slice(1).map((each) => `${text[0]}: ${each}`) : Array(size).fill(text);
    return { ...trace, meta: { arms: arms(runs) }, text: runs.flatMap((run) => [...texts(run), null]) };
  };
  /* The highlighted cell as lines of its own over all others, which step back; its name is told above them. */
  const linesOfCell = (data) => data.flatMap((trace) => {
    let next = 0;
    return (trace.meta?.runs || []).flatMap((run) => {
      const [from, to] = [next, next + run[1]];
      next = to + 1;
      if (!page.cell || run[3] !== page.cell) return [];
      const [line, marker] = [{ ...trace.line, width: 3, dash: "solid" }, { ...trace.marker, size: 6 }];
      const [x, y] = [trace.x.slice(from, to), trace.y.slice(from, to)];
      return [{ ...trace, mode: "lines+markers", x, y, line, marker, opacity: 1, meta: { runs: [run] } }];
    });
  });
  const note = document.getElementById("highlighted");
  note?.querySelector("button").addEventListener("click", () => page.clearCell());
  const signs = { lt: "<", gt: ">", amp: "&" };
  const plain = (text) => text.replace(/&(lt|gt|amp);/g, (_, name) => signs[name]); /* what Plotly reads is escaped */
  const highlighted = (data) => {
    if (!note || !data.some((trace) => trace.meta?.runs?.[0].length > 3)) return data;
    const found = linesOfCell(data);
    note.hidden = !found.length;
    note.querySelector("span").textContent = found.length ? `Highlighted: ${plain(found[0].meta.runs[0][2])}.` : "";
    return found.length ? [...data.map((trace) => ({ ...trace, opacity: trace.opacity / 1.5 })), ...found] : data;
  };
  const unpacked = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const texts = new Map(); /* the JSON of every figure */
  let template; /* what all figures have in common */
  const read = (plot) => {
    template ??= JSON.parse(document.getElementById("figure-look").textContent);
    const figure = JSON.parse(texts.get(plot));
    return { ...figure, data: highlighted(figure.data).map(spread), layout: { ...figure.layout, template } };
  };

  /* Where the rows of shown arms go: their new position by the old one, and how many there are. */
  const moved = (arms, shows) => {
    const places = new Map();
    arms.forEach((arm, row) => { if (shows(arm)) places.set(row, places.size); });
    return places;
  };
  const closedUp = (figure, layout, shows) => {
    const { rows, row: step } = figure.layout.meta;
    const places = moved(rows, shows);
    const texts = figure.layout.yaxis.ticktext.filter((_, row) => places.has(row));
    layout.height = Math.max(LEAST, figure.layout.height - step * (rows.length - places.size));
    layout.yaxis = {
      ...figure.layout.yaxis, ticktext: texts, tickvals: [...texts.keys()], range: [texts.length - 0.4, -0.6],
    };
    return (y) => y + places.get(Math.round(y)) - Math.round(y);
  };
  const traceOf = (trace, shows, place) => {
    const { arm, arms, cells } = trace.meta || {};
    if (cells) {
      const kept = (rows) => rows.map((row, y) => row.map((value, x) => (shows(cells[y][x]) ? value : null)));
      return { ...trace, z: kept(trace.z), text: kept(trace.text), hovertext: kept(trace.hovertext) };
    }
    if (arm !== undefined && !shows(arm)) return { ...trace, visible: false };
    if (arms) {
      const shown = (y, at) => (!shows(arms[at]) ? null : place && y !== null ? place(y) : y);
      return { ...trace, y: [...trace.y].map(shown) };
    }
    return arm !== undefined && place ? { ...trace, y: [...trace.y].map(place) } : trace;
  };
  const layoutOf = (figure, shows) => {
    const layout = { ...figure.layout, uirevision: "kept" };
    const { notes } = figure.layout.meta || {};
    if (notes) layout.annotations = (layout.annotations || []).filter((_, at) => shows(notes[at] ?? null));
    if (!fine) {
      layout.dragmode = false;
      Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).forEach((key) => {
        layout[key] = { ...layout[key], fixedrange: true };
      });
    }
    return layout;
  };
  const draw = (plot) => {
    const figure = read(plot);
    const shows = (arm) => arm === null || !page.chosen || [arm].flat().some((name) => page.chosen.has(name));
    const layout = layoutOf(figure, shows);
    const place = figure.layout.meta?.rows ? closedUp(figure, layout, shows) : null;
    plot.style.minHeight = `${layout.height}px`;
    return Plotly.react(plot, figure.data.map((trace) => traceOf(trace, shows, place)), layout, config);
  };

  const zoomable = (plot) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "reset";
    button.textContent = "Reset zoom";
    button.setAttribute("aria-label", `Reset zoom of ${plot.parentElement.querySelector("h2, h3, h4").textContent}`);
    button.hidden = true;
    button.addEventListener("click", () => {
      const reset = {};
      Object.entries(read(plot).layout).filter(([key]) => /^[xy]axis/.test(key)).forEach(([key, axis]) => {
        if (axis.range) reset[`${key}.range`] = axis.range;
        else reset[`${key}.autorange`] = true;
      });
      Plotly.relayout(plot, reset);
      button.hidden = true;
    });
    plot.before(button);
    plot.on("plotly_relayout", (change) => {
      if (Object.keys(change).some((key) => /\.range\[/.test(key))) button.hidden = false;
    });
    plot.on("plotly_doubleclick", () => { button.hidden = true; });
  };

  /* A box over axes of parallel coordinates keeps the arms that cross all of these inside it. */
  const brushable = (plot) => {
    plot.on("plotly_selected", (event) => {
      if (!event?.range) return;
      const { x, y, meta } = read(plot).data[0];
      const [[left, right], [low, high]] = [event.range.x, event.range.y].map((ends) => [...ends].sort((a, b) => a - b));
      const places = [...new Set(x.filter((place) => place !== null))];
      const middle = (left + right) / 2;
      const nearest = places.reduce((one, two) => (Math.abs(two - middle) < Math.abs(one - middle) ? two : one));
      const inside = places.filter((place) => left <= place && place <= right);
      const held = new Set(inside.length ? inside : [nearest]);
      const names = new Set(meta.brush.filter((arm) => arm !== null && (!page.chosen || page.chosen.has(arm))));
      meta.brush.forEach((arm, at) => { if (held.has(x[at]) && (y[at] < low || y[at] > high)) names.delete(arm); });
      if (names.size) page.choose(names);
    });
    plot.on("plotly_deselect", () => page.choose(null));
  };

  /* Draws those in sight first; a newer call ends an older one. */
  let latest = 0;
  page.redraw = async () => {
    const mine = (latest += 1);
    const sight = (plot) => { const { top, bottom } = plot.getBoundingClientRect(); return bottom > 0 && top < innerHeight; };
    const touched = plots.filter((plot) => (
      plot.data && plot.offsetParent && /"(arms?|cells|rows|runs|notes)":/.test(texts.get(plot))));
    for (const plot of [...touched.filter(sight), ...touched.filter((plot) => !sight(plot))]) {
      if (mine !== latest) return;
      await draw(plot);
      await pause();
    }
    root.dataset.drawn = String((Number(root.dataset.drawn) || 0) + 1);
  };

  /* The script is run as an inline one, which the page's policy allows by its digest. */
  const plotly = async () => {
    const script = document.createElement("script");
    script.textContent = await unpacked(document.getElementById("plotly-gz"));
    document.head.append(script);
  };
  const start = async () => {
    if (plots.length && typeof DecompressionStream === "undefined") {
      plots.forEach((plot) => {
        plot.textContent = "This figure needs a browser of 2023 or later; the tables have its numbers.";
        plot.style.minHeight = "0";
      });
      return;
    }
    for (const plot of plots) {
      const data = document.getElementById(`${plot.id}-data`);
      texts.set(plot, data.type === "application/gzip" ? await unpacked(data) : data.textContent);
    }
    if (plots.length) await plotly();
    for (const plot of plots) {
      await draw(plot);
      /* Read aloud is the figure's description, not each of its marks and ticks. */
      [...plot.children].forEach((part) => part.setAttribute("aria-hidden", "true"));
      if (plot.layout.meta?.brush) brushable(plot);
      else zoomable(plot);
      await pause();
    }
    document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
    root.dataset.figures = String(plots.length);
  };
  start();

  /* On paper: figures as wide as their place there, tall ones drawn smaller so that they end on the sheet on which they
     begin, and what readers should not miss unfolded. */
  const SHEET = 790; /* pixels, of a figure below headings on Letter, which is lower than A4 */
  const SMALLEST = 0.5; /* letters of less than 4.5 points are not read: what is taller than that is torn */
  let opened = [];
  const zooms = CSS.supports("zoom", "0.5"); /* Firefox since 2024 */
  const shrunk = (height) => (!zooms || height * SMALLEST > SHEET ? 1 : Math.min(1, SHEET / height));
  const resized = (size) => plots.filter((plot) => plot.data && plot.offsetParent).forEach((plot) => {
    plot.style.zoom = ""; /* also of a page that is printed twice */
    Plotly.relayout(plot, size(plot));
  });
  window.addEventListener("beforeprint", () => {
    root.classList.add("paper");
    opened = [...document.querySelectorAll("details.printed:not([open])")];
    opened.forEach((part) => { part.open = true; });
    if (window.Plotly) plots.filter((plot) => !plot.data).forEach(draw); /* whoever prints early misses none */
    resized((plot) => {
      const [width, zoom] = [plot.clientWidth, shrunk(plot.clientHeight)]; /* once resized, it has no height of its own */
      plot.style.zoom = zoom;
      return { width: width / zoom, autosize: false };
    });
  });
  window.addEventListener("afterprint", () => {
    root.classList.remove("paper");
    resized(() => ({ width: null, autosize: true }));
    opened.forEach((part) => { part.open = false; });
  });
})();
