/* Unpacks Plotly, draws every figure of the page from the JSON beside it; opens folded parts for printing. */
(() => {
  "use strict";
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: false,
    scrollZoom: false,
    doubleClick: false,
  };
  const plots = [...document.querySelectorAll("div.plot")];
  const draw = (plot) => {
    const figure = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
    return Plotly.newPlot(plot, figure.data, figure.layout, config);
  };
  const say = (text) => {
    plots.forEach((plot) => { plot.textContent = text; plot.style.minHeight = "0"; });
  };
  /* The script is run as an inline one, which the page's policy allows by its digest. */
  const plotly = async () => {
    const packed = document.getElementById("plotly-gz").textContent;
    const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };
  const start = async () => {
    if (plots.length && typeof DecompressionStream === "undefined") {
      say("This figure needs a browser of 2023 or later; the tables have its numbers.");
      return;
    }
    if (plots.length) {
      await plotly();
      await Promise.all(plots.map(draw));
    }
    document.documentElement.dataset.figures = String(plots.length);
  };
  start();
  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = folded();
    opened.forEach((part) => { part.open = true; });
    plots.forEach((plot) => Plotly.Plots.resize(plot));
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((part) => { part.open = false; });
  });
})();
