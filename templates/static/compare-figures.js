/* The figures of a comparison: which rows and columns they have for the chosen models. */
(function (comparison) {
  "use strict";
  const { page, el, key, lede, note, section, figure, phrase, DASH } = comparison;
  const { texts, axes } = page;

  const nameOf = (concept) => concept.slice(concept.indexOf("/") + 1);
  const categoryOf = (concept) => concept.slice(0, concept.indexOf("/"));
  const unique = (values) => Array.from(new Set(values));
  const alike = (chosen, name) => unique(chosen.members.map((member) => member.model[name])).length === 1;

  /* the shared concepts that have units: by category, those with most units first */
  const conceptsOf = (chosen) => {
    const concepts = chosen.members.map((member) => member.layer.concepts);
    const order = unique(chosen.members[0].model.concepts.map(([concept]) => categoryOf(concept)));
    const most = (concept) => Math.max(0, ...concepts.map((own) => (own[concept] ? own[concept].share : 0)));
    return chosen.members[0].model.concepts
      .map(([concept]) => concept)
      .filter((concept) => chosen.members.every((member) => member.areas.has(concept)))
      .filter((concept) => concepts.some((own) => own[concept] && own[concept].present))
      .map((concept) => ({ concept, place: order.indexOf(categoryOf(concept)), share: most(concept) }))
      .sort((a, b) => a.place - b.place || b.share - a.share)
      .map(({ concept }) => concept);
  };
  /* the difference in the units of a concept; none where one of the two cannot have it as a label */
  const differenceOf = ({ first, other, layers, differences }, concept) => {
    if (!layers || !first.testable.has(concept) || !other.testable.has(concept)) return [DASH, 0];
    return differences.get(concept) || [layers.none, 0];
  };
  const headsOf = (chosen) =>
    chosen.members
      .slice(1)
      .map((member) => phrase(texts.difference_head, { other: member.label, first: chosen.members[0].label }));
  const lanesOf = (chosen, parts, differences) =>
    chosen.members.map((member, i) => {
      const [words, significant] = i ? differences[i - 1] : ["", 0];
      return { place: member.place, part: parts[i] ? parts[i].part : "", words, significant };
    });

  const category = (chosen, concepts, name, number) => {
    const rows = concepts.map((concept) => {
      const parts = chosen.members.map((member) => member.layer.concepts[concept]);
      const differences = chosen.against.map((against) => differenceOf(against, concept));
      const own = chosen.members.flatMap((member, i) => [
        ...(parts[i] ? parts[i].cells : ["0", "0"]),
        member.areas.get(concept),
      ]);
      return {
        name: nameOf(concept),
        lanes: lanesOf(chosen, parts, differences),
        significant: differences.some((difference) => difference[1]),
        cells: [nameOf(concept), ...own, ...differences.map(([words]) => words)],
      };
    });
    const shown = rows.filter((row, i) => i < page.rows || row.significant);
    const counts = chosen.members.map((member) => member.label + " " + (member.layer.categories[name] || DASH));
    const id = "concepts-" + number;
    const heads = chosen.members.flatMap((member) => [member.label, texts.chance_head, texts.area_head]);
    return figure(
      id,
      name,
      counts.join("; ") + "." + (shown.length < rows.length ? " " + texts.more_concepts : ""),
      comparison.rowsChart(id, texts.concepts + ": " + name, texts.concepts_chart, shown, axes.units[name]),
      [texts.concept_head, ...heads, ...headsOf(chosen)],
      rows.map((row) => row.cells),
    );
  };
  const concepts = (chosen) => {
    const every = conceptsOf(chosen);
    const figures = unique(every.map(categoryOf)).map((name, number) =>
      category(
        chosen,
        every.filter((concept) => categoryOf(concept) === name),
        name,
        number,
      ),
    );
    const inside = figures.length ? el("div", { class: "two tops" }, figures) : note(texts.no_concepts);
    return section("concepts", texts.concepts, lede(texts.concepts_lede), key(chosen.members), inside);
  };

  const depthFigure = (members, kind, marks, caption) => {
    const [id, title, grid] = [
      "depth-" + kind,
      texts["depth_" + kind],
      kind === "units" ? axes.interpretable : axes.labels,
    ];
    const rowsOf = (depth) => (kind === "units" ? depth.unit_rows : depth.label_rows);
    const models = members.map(({ place, model }) => ({ place, part: model.depth[kind], name: model.short }));
    return figure(
      id,
      title,
      caption,
      comparison.linesChart(id, title, texts.depth_chart, models, grid, marks),
      [texts.model_head, texts.layer_head, title, texts.chance_head],
      members.flatMap(({ model }) => rowsOf(model.depth).map((row) => [model.name, ...row])),
    );
  };
  const depth = (chosen) => {
    const members = chosen.members.filter(
      (one, i) => chosen.members.findIndex((other) => other.home === one.home) === i,
    );
    const marks = unique(members.map((member) => member.model.depth.axis));
    const caption = texts.depth_caption + (alike(chosen, "vocabulary") ? "" : " " + texts.vocabularies);
    const figures = ["units", "labels"].map((kind) =>
      depthFigure(members, kind, marks.length > 1 ? axes.depth : marks[0], caption),
    );
    return section("depth", texts.depth, key(chosen.members), el("div", { class: "two" }, figures));
  };

  const trendFigure = (checkpoints, kind) => {
    const [id, title, grid] = [
      "trend-" + kind,
      texts["trend_" + kind],
      kind === "units" ? axes.interpretable : axes.labels,
    ];
    const points = checkpoints.map(({ place, layer }) => ({ place, x: layer.trend.x, ...layer.trend[kind] }));
    const marks = checkpoints.map(({ layer }) => layer.trend.mark).join("");
    return figure(
      id,
      title,
      texts.trend_caption,
      comparison.trendChart(id, title, texts.trend_chart, points, grid, marks),
      [texts.model_head, checkpoints[0].layer.trend.unit, title, texts.chance_head],
      checkpoints.map(({ label, layer }) => [label, layer.trend.words, ...layer.trend[kind].cells]),
    );
  };
  const trend = (chosen) => {
    if (!chosen.checkpoints.length) return null;
    const figures = ["units", "labels"].map((kind) => trendFigure(chosen.checkpoints, kind));
    return section("trend", texts.trend, key(chosen.members), el("div", { class: "two" }, figures));
  };

  const heaps = (chosen) => {
    const models = chosen.members.map(({ place, model, layer, layerName }) => ({
      place,
      part: layer.heap,
      name: model.short,
      layer: layerName,
    }));
    const differences = [
      DASH,
      ...chosen.against.map((against) => (against.layers ? against.layers.mean_corrected_iou : DASH)),
    ];
    return figure(
      "heaps",
      texts.heaps,
      texts.heaps_caption,
      comparison.heapsChart("heaps", texts.heaps, texts.heaps_chart, models, axes.iou),
      [texts.model_head, ...page.heads, phrase(texts.mean_corrected_iou_head, { first: chosen.members[0].label })],
      chosen.members.map((member, i) => [member.label, ...member.layer.heap_cells, differences[i]]),
    );
  };
  const causes = (chosen) => {
    const every = chosen.members.map((member) => (member.model.causes ? member.model.causes.effects : {}));
    const rows = unique(every.flatMap((effects) => Object.keys(effects))).map((concept) => {
      const parts = every.map((effects) => effects[concept]);
      const differences = chosen.against.map((against) => against.pair.causes[concept] || [DASH, 0]);
      const cells = parts.flatMap((part) => (part ? part.cells : [DASH, DASH, DASH]));
      return {
        name: nameOf(concept),
        lanes: lanesOf(chosen, parts, differences),
        cells: [nameOf(concept), ...cells, ...differences.map(([words]) => words)],
      };
    });
    if (!rows.length) return null;
    const where = chosen.members.map(
      ({ label, model }) => label + ": " + (model.causes ? model.causes.words : texts.not_measured),
    );
    const heads = chosen.members.flatMap((member) => [member.label, texts.random_head, texts.ranking_head]);
    return figure(
      "causes",
      texts.causes,
      texts.causes_caption + " " + where.join("; ") + ".",
      comparison.rowsChart("causes", texts.causes, texts.causes_chart, rows, axes.removed),
      [texts.concept_head, ...heads, ...headsOf(chosen).map((head) => phrase(texts.points_head, { head }))],
      rows.map((row) => row.cells),
    );
  };
  const match = (chosen) =>
    section("match", texts.match, key(chosen.members), el("div", { class: "two tops" }, heaps(chosen), causes(chosen)));

  Object.assign(comparison, {
    nameOf,
    categoryOf,
    unique,
    alike,
    conceptsOf,
    headsOf,
    figures: { concepts, depth, trend, match },
  });
})(window.dissectreport.comparison);
