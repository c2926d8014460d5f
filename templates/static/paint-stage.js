/* The picture that is painted on: canvases over each other, the grid of cells, pointers and keys. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  const CELL = 32;
  const SIGNS = { works: ["rgba(39,150,86,.18)", "+"], refused: ["rgba(176,58,46,.18)", "×"] };

  /* `painted` is told the cells of a stroke and whether it goes on; `size` gives the side of the brush in cells */
  app.paintStage = (data, { size, painted }) => {
    const [rows, columns] = data.cells;
    const stage = document.getElementById("stage");
    const shown = document.getElementById("image");
    const original = document.getElementById("original");
    const segments = document.getElementById("segments");
    const grid = document.getElementById("grid");
    const context = grid.getContext("2d");
    grid.width = columns * CELL;
    grid.height = rows * CELL;
    let cursor = null;
    let stroke = null;
    let patches = null;

    const around = (cell) => {
      const side = size();
      const cells = [];
      const top = Math.floor(cell / columns) - Math.floor((side - 1) / 2);
      const left = (cell % columns) - Math.floor((side - 1) / 2);
      for (let r = Math.max(0, top); r < Math.min(rows, top + side); r++) {
        for (let c = Math.max(0, left); c < Math.min(columns, left + side); c++) cells.push(r * columns + c);
      }
      return cells;
    };
    const fill = (cells, style) => {
      context.fillStyle = style;
      cells.forEach((c) => context.fillRect((c % columns) * CELL, Math.floor(c / columns) * CELL, CELL, CELL));
    };
    const drawPatches = () => {
      const [high, wide] = [grid.height / patches.rows, grid.width / patches.columns];
      context.font = "600 " + Math.round(high * 0.42) + "px sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      patches.kinds.forEach((kind, p) => {
        if (!SIGNS[kind]) return;
        const [left, top] = [(p % patches.columns) * wide, Math.floor(p / patches.columns) * high];
        context.fillStyle = SIGNS[kind][0];
        context.fillRect(left, top, wide, high);
        context.fillStyle = "#fff";
        context.strokeStyle = "rgba(0,0,0,.7)";
        context.lineWidth = 4;
        context.strokeText(SIGNS[kind][1], left + wide / 2, top + high / 2);
        context.fillText(SIGNS[kind][1], left + wide / 2, top + high / 2);
      });
    };
    const drawGrid = () => {
      context.strokeStyle = "rgba(255,255,255,.24)";
      context.lineWidth = 1;
      context.beginPath();
      for (let c = 1; c < columns; c++) context.rect(c * CELL - 0.5, 0, 0, grid.height);
      for (let r = 1; r < rows; r++) context.rect(0, r * CELL - 0.5, grid.width, 0);
      context.stroke();
      fill(around(cursor), "rgba(255,222,58,.38)");
    };
    const redraw = () => {
      context.clearRect(0, 0, grid.width, grid.height);
      if (patches) drawPatches();
      if (stroke) fill(stroke, "rgba(255,222,58,.3)");
      if (cursor !== null) drawGrid();
    };

    const cellAt = (event) => {
      const box = stage.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      if (x < 0 || y < 0 || x >= 1 || y >= 1) return null;
      return Math.floor(y * rows) * columns + Math.floor(x * columns);
    };
    const reach = (cell, goesOn) => {
      const cells = new Set([...(goesOn ? stroke : []), ...around(cell)]);
      const more = !goesOn || cells.size > stroke.length;
      stroke = Array.from(cells).sort((a, b) => a - b);
      if (more) painted(stroke, goesOn);
    };
    stage.addEventListener("pointerdown", (event) => {
      cursor = cellAt(event);
      if (cursor === null || event.button) return;
      stage.setPointerCapture(event.pointerId);
      stroke = null;
      reach(cursor, false);
      redraw();
    });
    stage.addEventListener("pointermove", (event) => {
      cursor = cellAt(event);
      if (stroke && cursor !== null) reach(cursor, true);
      redraw();
    });
    const end = () => {
      stroke = null;
      redraw();
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
    stage.addEventListener("pointerleave", () => {
      cursor = null;
      redraw();
    });
    stage.addEventListener("blur", () => {
      cursor = null;
      redraw();
    });
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    stage.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        if (cursor === null) cursor = Math.floor(rows / 2) * columns + Math.floor(columns / 2);
        reach(cursor, false);
        stroke = null;
      } else if (steps[event.key]) {
        event.preventDefault();
        const at = cursor === null ? Math.floor(rows / 2) * columns + Math.floor(columns / 2) : cursor;
        const [down, right] = cursor === null ? [0, 0] : steps[event.key];
        const row = Math.min(Math.max(Math.floor(at / columns) + down, 0), rows - 1);
        cursor = row * columns + Math.min(Math.max((at % columns) + right, 0), columns - 1);
        app.say("row " + (row + 1) + ", column " + ((cursor % columns) + 1));
      } else return;
      redraw();
    });

    const put = (canvas, values) => app.putImage(canvas, values, data.image);
    return {
      element: stage,
      shown,
      drawEdited: (values) => put(shown, values),
      drawOriginal: (values) => put(original, values),
      clear: () => [shown, original, segments].forEach((canvas) => (canvas.hidden = true)),
      /* the share of the picture, from the left, that is shown without edits */
      wipe: (share) => {
        original.style.clipPath = "inset(0 " + (100 - share) + "% 0 0)";
        segments.style.clipPath = "inset(0 0 0 " + share + "%)";
      },
      drawSegments: (labels, [, , high, wide], visible) => {
        segments.hidden = !visible;
        if (!visible) return;
        segments.width = wide;
        segments.height = high;
        const picture = new ImageData(wide, high);
        const codes = data.colours.map((colour) => parseInt(colour.slice(1), 16));
        for (let i = 0; i < wide * high; i++) {
          const code = codes[labels[i]];
          picture.data.set([code >> 16, (code >> 8) & 255, code & 255, labels[i] ? 255 : 0], 4 * i);
        }
        segments.getContext("2d").putImageData(picture, 0, 0);
      },
      setPatches: (value) => {
        patches = value;
        redraw();
      },
    };
  };
})(window.dissectreport);
