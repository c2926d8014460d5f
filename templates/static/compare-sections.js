/* The other parts of a comparison: what it says, image quality, the strongest units, and images from the same latents. */
(function (app, comparison) {
  "use strict";
  const { page, el, modelSign, lede, note, section, scroller, table, phrase, DASH } = comparison;
  const { nameOf, categoryOf, unique, alike, conceptsOf, headsOf } = comparison;
  const { texts } = page;

  const findings = (about, sentences, pairing) => [
    about ? el("h3", {}, about) : null,
    el(
      "ul",
      { class: "findings" },
      sentences.map(([kind, words]) => el("li", { class: kind }, words)),
    ),
    pairing ? el("p", { class: "key" }, pairing) : null,
  ];
  /* Sentences of a pair have two characters where the names of the models go. */
  const named = (words, first, other) =>
    words.replace(/[\ue000\ue001]/g, (sign) => (sign === "\ue000" ? first : other));
  const ofModels = ({ first, other }, words) => named(words, first.model.name, other.model.name);
  const ofLayers = ({ first, other }, words) => named(words, first.label, other.label);
  const ORDER = ["differs", "same", "fact"];
  const differencesFirst = (sentences) =>
    sentences.slice().sort(([one], [other]) => ORDER.indexOf(one) - ORDER.indexOf(other));
  const sentencesOf = (against) => {
    const models = against.pair.sentences.map(([kind, words]) => [kind, ofModels(against, words)]);
    if (!against.layers) return differencesFirst(models);
    const layers = against.layers.sentences.map(([kind, words]) => [kind, ofLayers(against, words)]);
    return differencesFirst([...layers, ...models, ...against.layers.by_chance]);
  };
  const summary = (chosen) => {
    const [first, ...others] = chosen.members;
    const groups = [
      findings(
        "",
        chosen.members.map((member) => member.layer.sentence),
      ),
    ];
    chosen.against.forEach((against, i) => {
      const sentences = sentencesOf(against);
      const about = others.length > 1 ? phrase(texts.pair_heading, { other: others[i].label, first: first.label }) : "";
      if (sentences.length) groups.push(findings(about, sentences, against.pair.pairing));
    });
    if (chosen.training) groups.push(findings(texts.trend, [chosen.training]));
    return section("summary", texts.summary, groups, el("p", { class: "key" }, texts.intervals));
  };

  const warningsOf = (chosen) => {
    const pairs = chosen.against.flatMap((against) => {
      const { pair, layers } = against;
      if (!layers) return [texts.twice];
      return [
        ...pair.warnings.map((words) => ofModels(against, words)),
        ...layers.warnings.map((words) => ofLayers(against, words)),
      ];
    });
    const notes = unique(chosen.members.flatMap((member) => member.model.notes)).map((words) => {
      const having = chosen.members.filter((member) => member.model.notes.includes(words));
      return having.map((member) => member.label).join(", ") + ": " + words;
    });
    return unique(pairs).concat(notes);
  };

  const quality = (chosen) => {
    const measures = chosen.members.map((member) => (member.model.quality ? member.model.quality.measures : {}));
    const names = unique(measures.flatMap((own) => Object.keys(own)));
    if (!names.length) return null;
    const rows = names.map((name) => [
      name,
      ...measures.map((own) => own[name] || DASH),
      ...chosen.against.map(({ pair }) => pair.quality[name] || DASH),
    ]);
    const measured = chosen.members.filter((member) => member.model.quality);
    const words = unique(measured.map((member) => member.model.quality.features)).map((features) => {
      const same = measured.filter((member) => member.model.quality.features === features);
      return same.map((member) => member.label).join(", ") + ": " + features + ".";
    });
    const heads = [texts.measure_head, ...chosen.members.map((member) => member.label), ...headsOf(chosen)];
    return section("quality", texts.quality, lede(words.join(" ")), scroller(texts.quality, table(heads, rows)));
  };

  const gauge = ([iou, low, width, chance], mark) =>
    el(
      "span",
      { class: "gauge", "aria-hidden": "true" },
      el("i", { class: "fill-" + mark, style: "width:" + iou }),
      el("b", { style: "left:" + low + ";width:" + width }),
      el("u", { style: "left:" + chance }),
    );
  const agreement = (best) =>
    el(
      "span",
      { class: "nums" },
      el(
        "span",
        { class: "agree" },
        "IoU ",
        el("data", { class: "iou", value: best.value }, best.iou),
        " ",
        el("span", { class: "ci" }, best.interval),
        " ",
        el("span", { class: "chance_level" }, "chance " + best.chance_level),
      ),
      el("span", { class: "lift", title: texts.lift_title }, "lift " + best.lift),
    );
  const picture = (member, number) =>
    el("img", {
      loading: "lazy",
      src: member.home + "/img/" + number + ".webp",
      width: "128",
      height: "128",
      alt: phrase(texts.image_name, { label: member.label, number }),
    });
  const bestCard = (member, concept, plainly) => {
    const best = member.layer.best[concept];
    const title = el("span", { class: "name" }, modelSign(member.place), member.label);
    if (!best) {
      const words = el("span", { class: "id" }, phrase(texts.no_unit_in, { layer: member.layerName }));
      return el("div", { class: "card weak" }, el("span", { class: "cap" }, title, words));
    }
    const [place, words] = [
      member.home + "/" + member.folder,
      phrase(texts.unit_name, { layer: member.layerName, unit: best.unit }),
    ];
    const strip = {
      loading: "lazy",
      src: place + "/img/" + best.unit + ".webp",
      width: String(member.model.strip_width),
      height: "128",
      alt: member.label + ", " + words,
    };
    const state = best.interpretable ? null : el("span", { class: "state" }, texts.weak);
    const shown = plainly ? best.samples.filter((number) => member.model.pictures.includes(number)) : [];
    return el(
      "div",
      { class: "rival" },
      el(
        "a",
        {
          class: "card" + (best.interpretable ? "" : " weak"),
          href: place + "/" + member.model.unit_ends.join(best.unit),
        },
        el("img", strip),
        gauge(best.gauge, member.marks.get(concept)),
        el("span", { class: "cap" }, title, el("span", { class: "id" }, words), state, agreement(best)),
      ),
      shown.length
        ? el(
            "p",
            { class: "plain-images" },
            shown.map((number) => picture(member, number)),
          )
        : null,
    );
  };
  const options = (chosen, concepts, selected) =>
    unique(concepts.map(categoryOf)).map((category) => {
      const units = (concept) =>
        chosen.members.map(({ layer }) =>
          layer.concepts[concept] ? layer.concepts[concept].cells[0].split(" ")[0] : "0",
        );
      const own = concepts.filter((concept) => categoryOf(concept) === category);
      const option = (concept) =>
        el(
          "option",
          { value: concept, selected: concept === selected },
          nameOf(concept) + " (" + units(concept).join(", ") + ")",
        );
      return el("optgroup", { label: category }, own.map(option));
    });
  /* the concept of the address, or the one that differs most, or the first */
  const conceptOf = (chosen, asked) => {
    const concepts = conceptsOf(chosen);
    const leads = chosen.against.map(({ layers }) => layers && layers.lead);
    return [asked, ...leads].find((concept) => concepts.includes(concept)) || concepts[0] || "";
  };
  const best = (chosen, concept, choose) => {
    const concepts = conceptsOf(chosen);
    if (!concepts.length) return null;
    const plainly = !alike(chosen, "images");
    const pick = el("select", { "aria-label": "Concept", id: "concept" }, options(chosen, concepts, concept));
    pick.addEventListener("change", () => choose(pick.value));
    const cards = chosen.members.map((member) => bestCard(member, concept, plainly));
    return section(
      "best",
      texts.best,
      lede(texts.best_lede, plainly ? " " + texts.best_plain : null),
      el("p", { class: "filters" }, pick),
      el("div", { class: "grid rivals-" + chosen.members.length }, cards),
    );
  };

  const SHOWN_IMAGES = 12;
  const latents = (chosen) => {
    const [first] = chosen.members;
    const members = chosen.members.filter((member) => member.model.images === first.model.images);
    const every = first.model.pictures.filter((number) =>
      members.every((member) => member.model.pictures.includes(number)),
    );
    const numbers = every.slice(0, SHOWN_IMAGES);
    if (members.length < 2 || !numbers.length) return null;
    const heads = numbers.map((number) => el("th", { scope: "col", class: "n" }, String(number)));
    const rows = members.map((member) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, modelSign(member.place), member.label),
        numbers.map((number) => el("td", {}, picture(member, number))),
      ),
    );
    const images = el(
      "table",
      {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, texts.model_head), heads)),
      el("tbody", {}, rows),
    );
    return section("latents", texts.latents, lede(texts.latents_lede), scroller(texts.latents, images, " latents"));
  };

  const keep = (chosen) => {
    const names = unique(chosen.members.map((member) => member.layerName));
    const layers = names.length > 1 ? chosen.members.map((member) => member.layerName) : names;
    const command = [
      "dissectreport compare",
      ...chosen.members.map((member) => member.home),
      "--layers",
      layers.join(","),
    ];
    return section("keep", texts.keep, lede(texts.keep_lede), el("p", {}, el("code", {}, command.join(" "))));
  };

  Object.assign(comparison, {
    sections: { summary, quality, best, latents, keep },
    conceptOf,
    warnings: (chosen) => warningsOf(chosen).map(note),
  });
})(window.dissectreport, window.dissectreport.comparison);
