/* The numbers beside the picture: areas of concepts before and after, and insertion by context against what happened. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  const ROWS = 10;
  const percent = (share) => (share && share < 0.001 ? "<0.1%" : (100 * share).toFixed(1) + "%");
  const signed = (value, words) => (value > 0 ? "+" : value < 0 ? "−" : "") + words(Math.abs(value));

  app.brushInWords = (data, brush) => {
    if (brush.kind === "b")
      return brush.units.length + " causal units of " + brush.concept + ": " + brush.units.join(", ");
    if (brush.kind === "r") return brush.name + ": " + brush.units.join(", ");
    return brush.name + (data.labels[brush.at] ? ", labelled " + data.labels[brush.at] : "");
  };

  /* (1, slots, h, w) labels -> pixels of every concept; one in several slots of a pixel counts once */
  app.areasOf = (labels, [, slots, high, wide], concepts) => {
    const pixels = Array.from({ length: concepts }, () => 0);
    const area = high * wide;
    for (let i = 0; i < area; i++) {
      for (let s = 0; s < slots; s++) {
        const label = labels[s * area + i];
        let again = false;
        for (let t = 0; t < s; t++) again ||= labels[t * area + i] === label;
        if (label && !again) pixels[label]++;
      }
    }
    return pixels;
  };

  /* the context at the middle of every patch, as insertions were measured: the largest number among the slots */
  app.contextsOf = (labels, [, slots, high, wide], patches, known) =>
    Array.from({ length: patches.rows * patches.columns }, (_, p) => {
      const row = Math.floor(((Math.floor(p / patches.columns) + 0.5) * high) / patches.rows);
      const column = Math.floor((((p % patches.columns) + 0.5) * wide) / patches.columns);
      let context = 0;
      for (let s = 0; s < slots; s++) {
        const label = labels[s * high * wide + row * wide + column];
        if (known.has(label)) context = Math.max(context, label);
      }
      return context;
    });

  /* for every patch whether inserting the brush was measured to work on what stands there */
  app.insertionKinds = (brush, contexts) =>
    contexts.map((context) => {
      const gain = brush.gains && brush.gains[context];
      if (!gain) return "";
      return gain[1] > 0 ? "works" : "refused";
    });

  /* the number of the brush with which single insertions into an image were measured to add most */
  app.strongestBrush = (data, contexts) => {
    const added = data.brushes.map((brush) =>
      contexts.reduce((sum, context) => sum + Math.max(0, (brush.gains[context] || [0])[0]), 0),
    );
    return added.indexOf(Math.max(...added));
  };

  /* pixels that the strokes of a brush would add if patches added up as measured one by one */
  app.expectedGain = (brush, contexts, strokes, data, patches) => {
    const [rows, columns] = data.cells;
    const cells = new Set(
      strokes.filter((one) => !one.erases && one.brush.concept === brush.concept).flatMap((one) => one.cells),
    );
    if (!cells.size || !brush.gains) return null;
    let total = 0;
    let unknown = 0;
    const share = (patches.rows * patches.columns) / (rows * columns);
    cells.forEach((cell) => {
      const row = Math.floor((Math.floor(cell / columns) * patches.rows) / rows);
      const column = Math.floor(((cell % columns) * patches.columns) / columns);
      const gain = brush.gains[contexts[row * patches.columns + column]];
      if (gain) total += gain[0] * share;
      else unknown += share;
    });
    return { total, unknown };
  };

  /* the sentence about one brush, and the table of areas */
  app.showAreas = (data, brush, before, after, expected) => {
    const table = document.getElementById("areas");
    const order = data.concepts.map((_, n) => n).filter((n) => n && (before[n] || after[n]));
    const change = (n) => after[n] - before[n];
    const first = brush && brush.number;
    order.sort(
      (a, b) => (b === first) - (a === first) || Math.abs(change(b)) - Math.abs(change(a)) || after[b] - after[a],
    );
    table.tBodies[0].replaceChildren(
      ...order.slice(0, ROWS).map((n) => {
        const row = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        head.textContent = data.concepts[n];
        const cells = [
          percent(before[n] / data.pixels),
          percent(after[n] / data.pixels),
          signed(change(n), (pixels) => pixels.toLocaleString("en")),
        ].map((words) => {
          const cell = document.createElement("td");
          cell.className = "n";
          cell.textContent = words;
          return cell;
        });
        row.append(head, ...cells);
        return row;
      }),
    );
    table.hidden = false;
    const line = document.getElementById("gain");
    line.textContent = "";
    if (!brush || !brush.number) return;
    const gained = signed(change(brush.number), (pixels) => pixels.toLocaleString("en") + " pixels");
    const parts = [brush.concept + ": " + gained];
    if (expected) {
      parts.push(
        "expected " +
          signed(Math.round(expected.total), (pixels) => pixels.toLocaleString("en")) +
          " by the measured insertions in the same contexts",
      );
      if (expected.unknown >= 0.5)
        parts.push(Math.round(expected.unknown) + " painted patches have contexts that were not measured");
    }
    line.textContent = parts.join("; ") + ".";
  };
})(window.dissectreport);
