/* Charts of several models, put together from what Python drew for each: dissectreport/report/compare/charts.py does the
   same for the pages that need no script. */
(function (comparison) {
  "use strict";
  const { svg, placed, drawn } = comparison;
  const WIDTH = 560;
  const [LEFT, RIGHT, ROW_RIGHT, TOP] = [116, 150, 174, 8];
  const [LANE, GAP] = [13, 12];
  const [HEAP, HEAP_BELOW, HEAP_GAP] = [62, 22, 16];
  const HEIGHT = 300;
  const SHIFT = 5;

  const line = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
  const text = (x, y, words, kind, anchor) => svg("text", { x, y, class: kind, "text-anchor": anchor }, words);
  const short = (name) => (name.length <= 16 ? name : name.slice(0, 15) + "…");
  const drawing = (height, id, title, description, inside) =>
    svg(
      "svg",
      {
        viewBox: "0 0 " + WIDTH + " " + height,
        role: "img",
        "aria-labelledby": id + "-t",
        "aria-describedby": id + "-d",
        id,
        class: "drawn",
        style: "--w:" + WIDTH + "px",
      },
      svg("title", { id: id + "-t" }, title),
      svg("desc", { id: id + "-d" }, description),
      inside,
    );
  const vertical = (axis, floor, words) => [
    axis.map((mark) => line(mark.at, TOP, mark.at, floor, mark.zero ? "axis" : "grid")),
    axis.map((mark) => text(mark.at, words, mark.words, "tick", "middle")),
  ];

  comparison.rowsChart = (id, title, description, rows, axis) => {
    const tall = LANE * Math.max(1, ...rows.map((row) => row.lanes.length)) + GAP;
    const floor = TOP + tall * rows.length;
    const inside = vertical(axis, floor, floor + 18);
    rows.forEach((row, i) => {
      const top = TOP + tall * i;
      inside.push(text(LEFT - 12, top + tall / 2 + 4, short(row.name), "name", "end"));
      row.lanes.forEach((lane, j) => {
        const y = top + GAP / 2 + LANE * (j + 0.5);
        inside.push(placed(lane.part, lane.place, 0, y));
        if (lane.words)
          inside.push(text(WIDTH - ROW_RIGHT + 12, y + 4, lane.words, lane.significant ? "value sure" : "tick"));
      });
    });
    return drawing(floor + 30, id, title, description, inside);
  };

  comparison.linesChart = (id, title, description, models, grid, marks) => {
    const inside = [drawn(grid), drawn(marks)];
    models.forEach((model, i) => {
      inside.push(placed(model.part, model.place, SHIFT * (i - (models.length - 1) / 2), 0));
      inside.push(placed("{sign}", model.place, WIDTH - RIGHT + 18, 30 + 19 * i));
      inside.push(text(WIDTH - RIGHT + 30, 34 + 19 * i, model.name, "end"));
    });
    return drawing(HEIGHT, id, title, description, inside);
  };

  const joined = (spots) => {
    const known = spots.filter(([, y]) => y !== null).map(([x, y]) => x + " " + y);
    return known.length ? "M" + known.join("L") : "";
  };
  comparison.trendChart = (id, title, description, points, grid, marks) => {
    const path = (name, kind) =>
      svg("path", { d: joined(points.map((one) => [one.x, one[name]])), class: kind + " model-line-0" });
    const parts = points.map((one) => placed(one.part, one.place, 0, 0));
    return drawing(HEIGHT, id, title, description, [
      drawn(grid),
      drawn(marks),
      path("chance_level", "chance"),
      path("y", "model-line"),
      parts,
    ]);
  };

  comparison.heapsChart = (id, title, description, models, axis) => {
    const tall = HEAP + HEAP_BELOW + HEAP_GAP;
    const floor = TOP + tall * models.length;
    const inside = vertical(axis, floor - 10, floor + 8);
    models.forEach((model, i) => {
      const base = TOP + tall * i + HEAP;
      inside.push(placed(model.part, model.place, 0, base), placed("{sign}", model.place, 6, base - 5));
      const name = text(18, base - 1, model.name, "name");
      /* a long name ends before the bars beside it */
      if (model.name.length > 12) {
        name.setAttribute("textLength", LEFT - 26);
        name.setAttribute("lengthAdjust", "spacingAndGlyphs");
      }
      inside.push(name, text(18, base + 15, model.layer, "tick"));
    });
    return drawing(floor + 20, id, title, description, inside);
  };
})(window.dissectreport.comparison);
