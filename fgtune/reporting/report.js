/* Draws every figure of the page from the JSON beside it; opens folded parts for printing. */
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
  Promise.all(plots.map(draw)).then(() => {
    document.documentElement.dataset.figures = String(plots.length);
  });
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
