/* Reverse look-up: a point of an image, and the units that fire there. Maps arrive as classic scripts. */
(function (app) {
  "use strict";
  const data = app.data("lookup-data");
  const stage = document.getElementById("stage");
  const big = document.getElementById("big");
  const heat = document.getElementById("heat");
  const pin = document.getElementById("pin");
  const list = document.getElementById("found");
  const thumbs = Array.from(document.querySelectorAll("[data-sample]"));
  const layers = Array.from(document.querySelectorAll("[data-layer]"));
  const maps = new Map();
  const state = { ...data.start };
  /* without scripts the list is all there is; on phones it is folded below the image */
  document.querySelector(".listed").open = !matchMedia("(max-width: 760px)").matches;

  app.found = (layer, sample, words) =>
    maps.set(
      layer + "/" + sample,
      Uint8Array.from(atob(words), (c) => c.charCodeAt(0)),
    );
  const load = (layer, sample) =>
    new Promise((resolve, reject) => {
      const key = layer.name + "/" + sample;
      if (maps.has(key)) {
        resolve(maps.get(key));
        return;
      }
      const script = document.createElement("script");
      script.src = layer.scripts[sample];
      script.addEventListener("load", () => resolve(maps.get(key)));
      script.addEventListener("error", reject);
      document.head.append(script);
    });

  const glow = (codes, shape, unit) => {
    const [, rows, columns] = shape;
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    const context = small.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      const rank = codes[unit * rows * columns + i] / 255;
      image.data.set([255, 222, 58, 235 * Math.pow(rank, 6)], 4 * i);
    }
    context.putImageData(image, 0, 0);
    const large = heat.getContext("2d");
    large.clearRect(0, 0, heat.width, heat.height);
    large.fillStyle = "rgba(12,12,16,.55)";
    large.fillRect(0, 0, heat.width, heat.height);
    large.imageSmoothingQuality = "high";
    large.drawImage(small, 0, 0, heat.width, heat.height);
  };
  const dim = () => heat.getContext("2d").clearRect(0, 0, heat.width, heat.height);

  const row = (layer, codes, unit, rank) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = layer.folder + layer.unit.join(unit);
    if (!layer.sure[unit]) link.className = "weak";
    const words = document.createElement("span");
    const name = document.createElement("span");
    name.className = "name";
    const sign = document.createElement("i");
    sign.className = "sign sign-" + layer.marks[unit];
    sign.setAttribute("aria-hidden", "true");
    name.append(sign, layer.concepts[unit] || "no label");
    const small = document.createElement("small");
    small.textContent =
      "unit " + unit + " · top " + ((256 - rank) / 2.56).toFixed(rank > 250 ? 1 : 0) + "% of its activations";
    words.append(name, small);
    const strip = document.createElement("img");
    strip.src = layer.folder + "img/" + unit + ".webp";
    strip.loading = "lazy";
    strip.width = layer.strip;
    strip.height = 128;
    strip.alt = "";
    link.append(words, strip);
    /* without a pointer that hovers, the first tap shows where the unit is active, and the second opens it */
    link.addEventListener("click", (event) => {
      if (!matchMedia("(hover: none)").matches || link.classList.contains("shown")) return;
      event.preventDefault();
      list.querySelectorAll(".shown").forEach((other) => other.classList.remove("shown"));
      link.classList.add("shown");
      glow(codes, layer.shape, unit);
      stage.scrollIntoView({ block: "nearest" });
      app.say("unit " + unit + " is shown; tap again to open it");
    });
    link.addEventListener("mouseenter", () => glow(codes, layer.shape, unit));
    link.addEventListener("focus", () => glow(codes, layer.shape, unit));
    link.addEventListener("mouseleave", dim);
    link.addEventListener("blur", dim);
    item.append(link);
    return item;
  };

  const show = () => {
    const layer = data.layers[state.layer];
    pin.style.left = 100 * state.x + "%";
    pin.style.top = 100 * state.y + "%";
    load(layer, state.sample).then(
      (codes) => {
        const [units, rows, columns] = layer.shape;
        const at =
          Math.min(rows - 1, Math.floor(state.y * rows)) * columns +
          Math.min(columns - 1, Math.floor(state.x * columns));
        const ranked = Array.from({ length: units }, (_, unit) => [codes[unit * rows * columns + at], unit]);
        ranked.sort((a, b) => b[0] - a[0] || layer.sure[b[1]] - layer.sure[a[1]] || a[1] - b[1]);
        list.replaceChildren(...ranked.slice(0, 10).map(([rank, unit]) => row(layer, codes, unit, rank)));
        const high = ranked.filter(([rank]) => rank >= 243).length;
        document.getElementById("where").textContent =
          high + " of " + units + " units of " + layer.name + " have one of their top 5% activations here.";
      },
      () => app.say("the maps could not be loaded"),
    );
  };
  const write = () => {
    const words =
      "#" +
      new URLSearchParams({
        image: state.sample,
        layer: data.layers[state.layer].name,
        at: state.x.toFixed(3) + "," + state.y.toFixed(3),
      });
    history.replaceState(null, "", words);
  };
  const choose = () => {
    const chosen = thumbs.find((thumb) => Number(thumb.dataset.sample) === state.sample) || thumbs[0];
    if (!chosen) return;
    state.sample = Number(chosen.dataset.sample);
    thumbs.forEach((thumb) => thumb.setAttribute("aria-pressed", thumb === chosen));
    layers.forEach((layer, i) => layer.setAttribute("aria-pressed", i === state.layer));
    big.src = chosen.dataset.picture;
    big.alt = "sample " + state.sample;
    dim();
    show();
  };
  const read = () => {
    const words = app.view.get();
    if (words.get("image")) state.sample = Number(words.get("image"));
    const layer = data.layers.findIndex((one) => one.name === words.get("layer"));
    if (layer >= 0) state.layer = layer;
    const at = (words.get("at") || "").split(",").map(Number);
    if (at.length === 2 && at.every((v) => v >= 0 && v <= 1)) [state.x, state.y] = at;
    choose();
  };
  const move = (x, y) => {
    state.x = Math.min(Math.max(x, 0), 0.999);
    state.y = Math.min(Math.max(y, 0), 0.999);
    show();
    write();
  };
  thumbs.forEach((thumb) =>
    thumb.addEventListener("click", () => {
      state.sample = Number(thumb.dataset.sample);
      choose();
      write();
    }),
  );
  layers.forEach((layer, i) =>
    layer.addEventListener("click", () => {
      state.layer = i;
      choose();
      write();
    }),
  );
  stage.addEventListener("click", (event) => {
    const box = stage.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(state.x + step[0] / 16, state.y + step[1] / 16);
  });
  addEventListener("hashchange", read);
  read();
})(window.dissectreport);
