/* Drawing again only what a stroke changes: the pixels of a cell depend on the cells that are `reach` around it. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  /* above this share of the map, all of it is drawn */
  const MOST = 0.8;

  /* the first and last number of an axis, with some more on both sides */
  const grown = ([first, last], more, count) => [Math.max(0, first - more), Math.min(count - 1, last + more)];
  const long = ([first, last]) => last - first + 1;

  /* rows and columns that have a cell in which two maps differ; null where none does */
  const changed = (before, after, [rows, columns]) => {
    const found = { rows: [rows, -1], columns: [columns, -1] };
    const take = (range, at) => {
      range[0] = Math.min(range[0], at);
      range[1] = Math.max(range[1], at);
    };
    for (let i = 0; i < after.length; i++) {
      if (before[i] === after[i]) continue;
      take(found.rows, Math.floor(i / columns) % rows);
      take(found.columns, i % columns);
    }
    return found.rows[1] < 0 ? null : found;
  };

  /* a window of maps */
  const cut = (maps, units, [rows, columns], window) => {
    const wide = long(window.columns);
    const values = new Float32Array(units * long(window.rows) * wide);
    for (let unit = 0, at = 0; unit < units; unit++) {
      for (let row = window.rows[0]; row <= window.rows[1]; row++, at += wide) {
        const from = (unit * rows + row) * columns + window.columns[0];
        values.set(maps.subarray(from, from + wide), at);
      }
    }
    return values;
  };

  /* an image in which the pixels of `inner` are those of a window that was drawn */
  const pasted = (image, part, { cells, size }, window, inner) => {
    const [high, wide] = [size[0] / cells[0], size[1] / cells[1]];
    const [partHigh, partWide] = [long(window.rows) * high, long(window.columns) * wide];
    const values = image.slice();
    const count = long(inner.columns) * wide;
    for (let channel = 0; channel < 3; channel++) {
      for (let y = inner.rows[0] * high; y < (inner.rows[1] + 1) * high; y++) {
        const from = (channel * partHigh + y - window.rows[0] * high) * partWide;
        const at = from + (inner.columns[0] - window.columns[0]) * wide;
        values.set(part.subarray(at, at + count), (channel * size[0] + y) * size[1] + inner.columns[0] * wide);
      }
    }
    return values;
  };

  /* a function that gives the image of activations: what is like in the image before, it does not compute again */
  app.drawsChanges = (data, run) => {
    const { cells, reach } = data;
    let last = null;
    const keep = (values, answer) => {
      last = { values, answer };
      return answer;
    };
    const around = (range, more) => ({
      rows: grown(range.rows, more, cells[0]),
      columns: grown(range.columns, more, cells[1]),
    });
    return (inputs) => {
      const values = inputs.activations.data;
      const whole = () => run("tail", inputs).then((answer) => keep(values, answer));
      if (!reach || !last) return whole();
      const before = last.answer;
      const range = changed(last.values, values, cells);
      if (!range) return Promise.resolve(before);
      const inner = around(range, reach);
      const window = around(range, 2 * reach);
      if (long(window.rows) * long(window.columns) > MOST * cells[0] * cells[1]) return whole();
      const shape = [1, data.units, long(window.rows), long(window.columns)];
      const activations = { data: cut(values, data.units, cells, window), shape };
      return run("tail", { activations }).then(({ outputs, milliseconds }) => {
        const { shape: full, data: image } = before.outputs.image;
        const drawn = pasted(image, outputs.image.data, { cells, size: data.image }, window, inner);
        return keep(values, { milliseconds, outputs: { image: { data: drawn, shape: full } } });
      });
    };
  };
})(window.dissectreport);
