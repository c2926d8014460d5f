/* A unit: masks on and off, and a threshold that the images follow. */
(function (app) {
  "use strict";
  const examples = document.getElementById("examples");
  const mask = document.getElementById("mask");
  const asked = app.view.get();
  const cover = (on) => {
    examples.classList.toggle("masked", on);
    mask.setAttribute("aria-pressed", on);
  };
  if (mask) {
    mask.addEventListener("click", () => {
      const on = !examples.classList.contains("masked");
      cover(on);
      app.view.set({ masks: on ? null : "off" });
      app.say(on ? "masks shown" : "masks hidden");
    });
    if (asked.get("masks") === "off") cover(false);
  }

  const slide = document.getElementById("slide");
  if (!slide) return;
  const data = app.data("curve-data");
  const [count, rows, columns] = data.shape;
  const codes = Uint8Array.from(atob(data.maps), (c) => c.charCodeAt(0));
  const pictures = Array.from(examples.querySelectorAll(".picture")).slice(0, count);
  const WIDE = 2 * data.tile;
  const TALL = 256;
  const short = app.share;

  /* an IoU with its interval; where none was computed, the chance-corrected IoU */
  const agreement = (i) =>
    data.low[i] === null
      ? ["chance-corrected IoU", short(data.corrected_iou[i])]
      : ["IoU", short(data.iou[i]) + " " + interval(i)];
  const interval = (i) => (data.low[i] === null ? "" : "[" + short(data.low[i]) + ", " + short(data.high[i]) + "]");

  /* beyond the border a rule repeats the outermost activation, or finds 0, which has a code of its own */
  const scale = 255 / (data.most - data.least || 1);
  const fades = data.edge === "zero";
  const beyond = -data.least * scale;
  const weights = (source, target) =>
    Array.from({ length: target }, (_, i) => {
      const centre = ((i + 0.5) * source) / target - 0.5;
      const at = fades ? centre : Math.min(Math.max(centre, 0), source - 1);
      const low = Math.floor(at);
      return [low, fades ? low + 1 : Math.min(low + 1, source - 1), at - low];
    });
  const down = weights(rows, TALL);
  const across = weights(columns, WIDE);
  const veil = (canvas, number, code) => {
    const context = canvas.getContext("2d");
    const image = context.createImageData(WIDE, TALL);
    const on = new Uint8Array(WIDE * TALL);
    const base = number * rows * columns;
    const read = (row, column) =>
      row < 0 || column < 0 || row >= rows || column >= columns ? beyond : codes[base + row * columns + column];
    for (let y = 0; y < TALL; y++) {
      const [a, b, t] = down[y];
      for (let x = 0; x < WIDE; x++) {
        const [c, d, s] = across[x];
        const top = read(a, c) * (1 - s) + read(a, d) * s;
        const bottom = read(b, c) * (1 - s) + read(b, d) * s;
        on[y * WIDE + x] = top * (1 - t) + bottom * t > code ? 1 : 0;
      }
    }
    const pixels = image.data;
    const differs = (i, x, y) =>
      (x > 1 && on[i - 2] !== on[i]) ||
      (x < WIDE - 2 && on[i + 2] !== on[i]) ||
      (y > 1 && on[i - 2 * WIDE] !== on[i]) ||
      (y < TALL - 2 && on[i + 2 * WIDE] !== on[i]);
    for (let i = 0; i < on.length; i++) {
      const p = 4 * i;
      if (differs(i, i % WIDE, Math.floor(i / WIDE))) {
        pixels[p] = 255;
        pixels[p + 1] = 222;
        pixels[p + 2] = 58;
        pixels[p + 3] = 255;
      } else if (!on[i]) {
        pixels[p] = 12;
        pixels[p + 1] = 12;
        pixels[p + 2] = 16;
        pixels[p + 3] = 178;
      }
    }
    context.putImageData(image, 0, 0);
  };

  const canvases = [];
  const cursor = document.querySelector(".cursor-group");
  const out = document.getElementById("cut-out");
  const tell = (pairs) => {
    out.replaceChildren(
      ...pairs.map(([words, value]) => {
        const span = document.createElement("span");
        const bold = document.createElement("b");
        bold.textContent = value;
        span.append(words, bold);
        return span;
      }),
    );
  };
  const show = (redraw) => {
    const i = Number(slide.value);
    tell([
      ["threshold", data.threshold[i].toPrecision(3)],
      ["on-fraction", data.on[i]],
      agreement(i),
      ["chance level", short(data.chance_level[i])],
    ]);
    slide.setAttribute(
      "aria-valuetext",
      "on in " + data.on[i] + ", " + agreement(i).join(" ") + ", chance level " + short(data.chance_level[i]),
    );
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("transform", "translate(" + data.x[i] + " 0)");
    if (!redraw) return;
    if (!canvases.length)
      pictures.forEach((picture) => {
        const canvas = document.createElement("canvas");
        canvas.width = WIDE;
        canvas.height = TALL;
        picture.append(canvas);
        picture.querySelector(".veil").hidden = true;
        canvases.push(canvas);
      });
    const code = (data.threshold[i] - data.least) * scale;
    canvases.forEach((canvas, number) => veil(canvas, number, code));
  };
  slide.addEventListener("input", () => {
    show(true);
    app.view.set({ threshold: Number(slide.value) === data.own ? null : data.threshold[slide.value] });
  });
  /* the threshold of a link is a value, so that it means the same when more images were measured */
  const wanted = parseFloat(asked.get("threshold"));
  if (!Number.isNaN(wanted)) {
    const distance = (i) => Math.abs(data.threshold[i] - wanted);
    slide.value = data.threshold.reduce((best, _, i) => (distance(i) < distance(best) ? i : best), 0);
  }
  show(Number(slide.value) !== data.own);
})(window.dissectreport);
