/* Strokes on the cells of a layer: applied to activations, undone and redone, and written into an address or a file. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  /* {brush, units, values, strength, cells}: units are mixed with values; cells are sorted numbers, null for all */
  app.applyStroke = (activations, stroke, shape) => {
    const [rows, columns, margin] = shape;
    const wide = columns + 2 * margin;
    const area = (rows + 2 * margin) * wide;
    const cells =
      stroke.cells && stroke.cells.map((c) => (Math.floor(c / columns) + margin) * wide + margin + (c % columns));
    stroke.units.forEach((unit, k) => {
      const mix = (at) => {
        const before = activations[unit * area + at];
        activations[unit * area + at] = before * (1 - stroke.strength) + stroke.values[k] * stroke.strength;
      };
      if (cells) cells.forEach(mix);
      else for (let at = 0; at < area; at++) mix(at);
    });
  };

  app.strokeHistory = (changed) => {
    let done = [];
    let undone = [];
    const tell = () => changed(done);
    return {
      get all() {
        return done;
      },
      get canUndo() {
        return done.length > 0;
      },
      get canRedo() {
        return undone.length > 0;
      },
      add: (stroke) => {
        done = [...done, stroke];
        undone = [];
        tell();
      },
      /* a stroke that is still being drawn */
      extend: (stroke) => {
        done = [...done.slice(0, -1), stroke];
        tell();
      },
      undo: () => {
        if (done.length) undone.push(done.pop());
        done = done.slice();
        tell();
      },
      redo: () => {
        if (undone.length) done = [...done, undone.pop()];
        tell();
      },
      replace: (strokes) => {
        done = strokes;
        undone = [];
        tell();
      },
    };
  };

  /* cells as runs: "3-5.9" is 3, 4, 5 and 9 */
  const runs = (cells) => {
    const parts = [];
    cells.forEach((cell, k) => {
      if (k && cell === cells[k - 1] + 1) parts[parts.length - 1][1] = cell;
      else parts.push([cell, cell]);
    });
    return parts.map(([first, last]) => (first === last ? String(first) : first + "-" + last)).join(".");
  };
  const cellsOf = (words, count) => {
    const cells = new Set();
    words.split(".").forEach((part) => {
      const [first, last] = part.split("-").map(Number);
      for (let c = first; c <= (last === undefined ? first : last) && c < count; c++) cells.add(c);
    });
    return Array.from(cells)
      .filter((c) => Number.isInteger(c) && c >= 0)
      .sort((a, b) => a - b);
  };

  /* brush: b0 a concept's, u12 a unit, r1.2.3 other units; then d or e, strength in percent, cells */
  const nameOf = (brush) => (brush.kind === "r" ? "r" + brush.units.join(".") : brush.kind + brush.at);
  app.strokesInWords = (strokes) =>
    strokes
      .map((one) =>
        [nameOf(one.brush), one.erases ? "e" : "d", Math.round(one.strength * 100), runs(one.cells)].join("_"),
      )
      .join("~");
  app.strokesOf = (words, brushOf, count) =>
    (words || "")
      .split("~")
      .filter(Boolean)
      .map((part) => {
        const [name, mode, percent, where] = part.split("_");
        const brush = brushOf(name || "");
        const cells = cellsOf(where || "", count);
        const strength = Number(percent) / 100;
        if (!brush || !cells.length || !(strength > 0 && strength <= 1)) return null;
        return app.strokeOf(brush, mode === "e", strength, cells);
      })
      .filter(Boolean);
  app.strokeOf = (brush, erases, strength, cells) => ({
    brush,
    erases,
    strength,
    cells,
    units: brush.units,
    values: erases ? brush.units.map(() => 0) : brush.values,
  });

  /* what can be painted with: causal sets of concepts, single units at their levels, and sets of units */
  app.brushes = (data) => {
    const levels = new Float32Array(Uint8Array.from(atob(data.levels), (sign) => sign.charCodeAt(0)).buffer);
    const ofUnits = (kind, units, name) => ({ kind, at: units[0], units, values: units.map((u) => levels[u]), name });
    const brushOf = (name) => {
      const numbers = name.slice(1).split(".").map(Number);
      const brush = name[0] === "b" && data.brushes[numbers[0]];
      if (brush) return { kind: "b", at: numbers[0], name: brush.concept, ...brush };
      if (!numbers.every((n) => Number.isInteger(n) && n >= 0 && n < data.units)) return null;
      if (name[0] === "u") return ofUnits("u", numbers.slice(0, 1), "unit " + numbers[0]);
      const units = Array.from(new Set(numbers));
      return name[0] === "r" ? ofUnits("r", units, units.length + " random units") : null;
    };
    return { brushOf, brushName: nameOf };
  };

  app.saveFile = (content, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  /* the file that `dissectreport edit` reads; with strokes on a photo it is given the photo, too */
  app.strokesAsFile = (data, sample, repair, strokes) => ({
    edits: 2,
    model: data.model,
    identity: data.identity,
    layer: data.layer,
    height: data.cells[0],
    width: data.cells[1],
    seed: data.seed,
    latent: Math.max(0, sample),
    strokes: [
      ...(repair ? [{ units: data.repair, values: data.repair.map(() => 0), strength: 1, cells: null }] : []),
      ...strokes.map(({ units, values, strength, cells }) => ({ units, values, strength, cells })),
    ],
  });
})(window.dissectreport);
