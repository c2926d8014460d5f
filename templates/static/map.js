/* The map of units: point at a unit or move with arrow keys to read of it, click or Enter to open it. */
(function (app) {
  "use strict";
  const data = app.data("map-data");
  const map = document.getElementById("map");
  const veil = map.querySelector("canvas");
  const frame = map.querySelector(".map-here");
  const about = document.getElementById("map-about");
  const field = (id) => document.getElementById("map-" + id);
  const causal = field("causal");
  const unitAt = new Map(data.cells.map((cell, i) => [cell, i]));
  let here = -1;

  const name = (i) => data.layers[data.layer[i]][0] + " unit " + data.units[i];
  const address = (i) => data.layers[data.layer[i]][1] + data.unit.join(data.units[i]);
  const words = (i) => {
    const label = data.names[data.labels[i]];
    const share =
      data.corrected[i] === null ? "" : " (chance-corrected IoU " + app.share(data.corrected[i] / 100) + ")";
    const match = data.sure[i] === "1" ? label : data.labels[i] ? "weak match with " + label : "no label";
    return name(i) + ": " + match + share + (data.effects[i] ? ", " + data.effects[i] : "");
  };
  const point = (i, speak) => {
    here = i;
    const [down, across] = [Math.floor(data.cells[i] / data.columns), data.cells[i] % data.columns];
    frame.hidden = false;
    frame.style.left = (100 * across) / data.columns + "%";
    frame.style.top = (100 * down) / data.rows + "%";
    frame.style.width = 100 / data.columns + "%";
    frame.style.height = 100 / data.rows + "%";
    const link = document.createElement("a");
    link.href = address(i);
    link.textContent = words(i);
    about.replaceChildren(link);
    if (speak) {
      frame.scrollIntoView({ block: "nearest", inline: "nearest" });
      app.view.set({ u: data.layer[i] + "." + data.units[i] });
    }
  };
  const under = (event) => {
    const box = map.getBoundingClientRect();
    const across = Math.floor(((event.clientX - box.left) / box.width) * data.columns);
    const down = Math.floor(((event.clientY - box.top) / box.height) * data.rows);
    return unitAt.get(down * data.columns + across);
  };
  map.addEventListener("pointermove", (event) => {
    const i = under(event);
    if (i !== undefined && i !== here && !event.target.closest("a")) point(i, false);
  });
  map.addEventListener("click", (event) => {
    if (event.target.closest("a")) return;
    const i = under(event);
    if (i !== undefined) location.href = address(i);
  });

  /* the nearest unit in a direction: along it first, then beside it */
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const next = ([right, downward]) => {
    const [x, y] = [data.cells[here] % data.columns, Math.floor(data.cells[here] / data.columns)];
    let best = here;
    let least = Infinity;
    fitting().forEach((i) => {
      const [dx, dy] = [(data.cells[i] % data.columns) - x, Math.floor(data.cells[i] / data.columns) - y];
      const along = right * dx + downward * dy;
      const away = along + 2.5 * Math.abs(right * dy + downward * dx);
      if (along > 0 && away < least) [best, least] = [i, away];
    });
    return best;
  };
  map.addEventListener("keydown", (event) => {
    if (event.target !== map) return;
    if (event.key === "Enter" && here >= 0) location.href = address(here);
    if (!steps[event.key]) return;
    event.preventDefault();
    const [first] = fitting();
    if (here >= 0) point(next(steps[event.key]), true);
    else if (first !== undefined) point(first, true);
  });

  const fits = (i) => {
    const [layer, asked] = [field("layer").value, field("words").value.trim().toLowerCase()];
    return (
      (layer === "" || data.layer[i] === Number(layer)) &&
      (!asked || (data.sure[i] === "1" && data.names[data.labels[i]].toLowerCase() === asked)) &&
      (!causal || causal.getAttribute("aria-pressed") !== "true" || data.effects[i])
    );
  };
  const fitting = () => data.cells.map((_, i) => i).filter(fits);
  const draw = () => {
    const shown = fitting();
    const all = shown.length === data.cells.length;
    [veil.width, veil.height] = [data.columns * 8, data.rows * 8];
    const paint = veil.getContext("2d");
    paint.globalAlpha = 0.82;
    paint.fillStyle = getComputedStyle(document.body).backgroundColor;
    if (!all) paint.fillRect(0, 0, veil.width, veil.height);
    if (!all)
      shown.forEach((i) =>
        paint.clearRect(8 * (data.cells[i] % data.columns), 8 * Math.floor(data.cells[i] / data.columns), 8, 8),
      );
    field("shown").textContent = all ? "" : shown.length + (shown.length === 1 ? " unit" : " units");
  };
  const keep = () => {
    app.view.set({
      layer: field("layer").value || null,
      c: field("words").value || null,
      causal: causal && causal.getAttribute("aria-pressed") === "true" ? "1" : null,
    });
    draw();
  };
  const press = (button) => button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  field("layer").addEventListener("change", keep);
  field("words").addEventListener("input", keep);
  field("filters").addEventListener("submit", (event) => event.preventDefault());
  if (causal)
    causal.addEventListener("click", () => {
      press(causal);
      keep();
    });
  field("large").addEventListener("click", () => {
    press(field("large"));
    map.classList.toggle("large", field("large").getAttribute("aria-pressed") === "true");
  });
  document.addEventListener("themechange", draw);

  const read = () => {
    const state = app.view.get();
    field("layer").value = state.get("layer") || "";
    field("words").value = state.get("c") || "";
    if (causal) causal.setAttribute("aria-pressed", String(state.get("causal") === "1"));
    draw();
    const found = data.units.findIndex((unit, i) => data.layer[i] + "." + unit === state.get("u"));
    if (found >= 0) point(found, false);
  };
  addEventListener("hashchange", read);
  read();
})(window.dissectreport);
