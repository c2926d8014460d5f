/* Search over models, layers, units, concepts, pages and terms; loaded with what it knows when somebody searches. */
(function (app) {
  "use strict";
  const MOST = 40;
  const top = new URL("./", document.querySelector(".brand").href);
  const models = [];
  let sites = [];

  const squash = (words) => words.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
  const entry = (kind, name, href, note, more) => ({
    kind,
    name,
    href,
    note: note || "",
    key: (name + " " + (more || "")).toLowerCase(),
    weight: 0,
  });
  const percent = (hundredths) => (hundredths / 100).toFixed(2);

  /* what a model's script says, as entries with whole addresses; units are made when they are asked for */
  const read = (index) => {
    const to = (href) => new URL(index.home + "/" + href, top).href;
    const named = Object.fromEntries(index.concepts.map((row, i) => [row[0], i]));
    const counts = (layer) => {
      const units = new Map();
      layer.labels.forEach((label, unit) => {
        if (layer.sure[unit] === "1") units.set(label, (units.get(label) || 0) + 1);
      });
      return units;
    };
    const layers = index.layers.map((layer) => ({ ...layer, squashed: squash(layer.name), counts: counts(layer) }));
    const entries = [
      ...index.pages.map(([words, href]) => entry("page", words, to(href), index.model)),
      ...layers.map((layer) =>
        entry("layer", layer.name, to(layer.folder + "index.html"), layer.labels.length + " units", "layer"),
      ),
      ...layers.map((layer) =>
        entry("page", "numbers of " + layer.name, to(layer.folder + "table.html"), "table", "table csv download"),
      ),
      ...index.concepts
        .filter(([, category]) => category && category !== "-")
        .map(([name, category, href, studied]) =>
          entry("concept", name, to(href), studied ? category + " · causal effects" : category),
        ),
      ...index.terms.map(([name, href, meaning]) => entry("term", name, to(href), meaning)),
      ...layers.flatMap((layer) =>
        Array.from(layer.counts, ([label, units]) =>
          entry(
            "layer",
            index.concepts[label][0] + " units in " + layer.name,
            to(layer.folder + "index.html#c=" + encodeURIComponent(index.concepts[label][0])),
            units + (units === 1 ? " unit" : " units"),
          ),
        ),
      ),
    ];
    models.push({ ...index, layers, entries, named, to });
  };
  app.searchable = (index) => {
    if (index.models) sites = index.models;
    else read(index);
  };

  const unitEntry = (model, layer, unit) => {
    const [concept] = model.concepts[layer.labels[unit]];
    const sure = layer.sure[unit] === "1";
    const label = sure ? concept : concept && concept !== "nothing" ? "weak match with " + concept : "no label";
    const artifact = model.artifacts[0] === layer.name && model.artifacts[1].includes(unit);
    const formula = layer.formulas[unit];
    return entry(
      "unit",
      layer.name + " unit " + unit,
      model.to(layer.folder + layer.unit.join(unit)),
      label +
        " · IoU " +
        percent(layer.iou[unit]) +
        (formula ? " · " + formula : "") +
        (layer.words[unit] ? " · word: " + layer.words[unit] : "") +
        (artifact ? " · artifact unit" : ""),
    );
  };
  const strongest = (model, fits, most) =>
    model.layers
      .flatMap((layer) => layer.labels.map((_, unit) => [layer, unit]))
      .filter(([layer, unit]) => fits(layer, unit))
      .sort((a, b) => b[0].sure[b[1]] - a[0].sure[a[1]] || b[0].iou[b[1]] - a[0].iou[a[1]])
      .slice(0, most)
      .map(([layer, unit]) => unitEntry(model, layer, unit));

  /* "layer6 unit 44", "layer 6 #44", "unit 44", "44": the units of that number, in the layer if one is named */
  const byNumber = (words) => {
    const found = /^(.*?)[\s:/,.-]*(?:\b(?:units?|u)|#)?\s*(\d+)$/i.exec(words.trim());
    if (!found) return [];
    const [before, number] = [squash(found[1]).replace(/units?$/, ""), Number(found[2])];
    const here = (layer) => number < layer.labels.length && (!before || layer.squashed.includes(before));
    return models.flatMap((model) =>
      model.layers
        .filter(here)
        .sort((a, b) => (b.squashed === before) - (a.squashed === before))
        .map((layer) => unitEntry(model, layer, number)),
    );
  };
  /* "tree AND NOT sky" as its words by operator; the order of what OR, AND or AND NOT joins does not matter */
  const OPERATOR = /\s+(and not|and|or)\s+/;
  const canonical = (formula) => {
    const [first, ...rest] = formula.toLowerCase().trim().split(OPERATOR);
    const terms = [[rest[0] === "or" ? "or" : "and", first]];
    for (let i = 0; i < rest.length; i += 2) terms.push([rest[i], rest[i + 1]]);
    const runs = [];
    terms.forEach(([operator, term]) => {
      const [kind, last] = [operator.slice(0, 3), runs[runs.length - 1]];
      if (last && last.kind === kind) last.terms.push(operator + " " + term);
      else runs.push({ kind, terms: [operator + " " + term] });
    });
    return runs.map((run) => run.terms.sort().join(" ")).join(" | ");
  };
  const hasFormula = (formula, words) =>
    formula.toLowerCase().includes(words) || (OPERATOR.test(words) && canonical(formula) === canonical(words));
  /* the units that a word of the list predicts: words that are the query first, then those that begin with it */
  const byVocabulary = (words) =>
    models.flatMap((model) =>
      Object.entries(model.vocabulary)
        .filter(([word]) => word.toLowerCase().startsWith(words))
        .sort(([a], [b]) => (b.toLowerCase() === words) - (a.toLowerCase() === words))
        .slice(0, 3)
        .flatMap(([word, units]) =>
          units.map(([layer, unit, area]) => {
            const found = unitEntry(model, model.layers[layer], unit);
            return { ...found, note: found.note + " · " + word + ": AUC " + percent(area) };
          }),
        ),
    );
  const once = (found) => {
    const seen = new Set();
    return found.filter((one) => one.kind !== "unit" || (!seen.has(one.href) && seen.add(one.href)));
  };
  /* what the vocabulary says about a query that finds nothing */
  const ofVocabulary = (words) => {
    const lists = models.map((model) => Object.keys(model.vocabulary)).filter((list) => list.length);
    if (!lists.length) return "";
    if (lists.some((list) => list.some((word) => word.toLowerCase() === words)))
      return " “" + words + "” is in the list of words, but no unit beats random words for it.";
    return " Of words, only the " + Math.max(...lists.map((list) => list.length)) + " of the site’s list are known.";
  };
  /* the units whose label is the word, those whose formula ("tree AND NOT sky") or word has it, and
     artifact units */
  const byWord = (words) =>
    models.flatMap((model) => {
      const label = model.named[words];
      const artifact = words.length > 3 && "artifact units".startsWith(words) && model.artifacts.length;
      return [
        ...(label
          ? strongest(model, (layer, unit) => layer.labels[unit] === label && layer.sure[unit] === "1", 8)
          : []),
        ...strongest(model, (layer, unit) => hasFormula(layer.formulas[unit] || "", words), 8),
        ...strongest(model, (layer, unit) => (layer.words[unit] || "").toLowerCase().includes(words), 8),
        ...(artifact
          ? model.artifacts[1].map((unit) => {
              const layer = model.layers.find((one) => one.name === model.artifacts[0]);
              return unitEntry(model, layer, unit);
            })
          : []),
      ];
    });
  const score = (one, words) => {
    const name = one.name.toLowerCase();
    if (name === words) return 0;
    return name.startsWith(words) ? 1 : one.key.includes(words) ? 2 : 3;
  };
  const kinds = ["concept", "page", "layer", "model", "term", "unit"];
  const named = (words) => {
    const parts = words.split(/\s+/);
    const every = [
      ...sites.map(([title, rule, home]) =>
        entry("model", title, new URL(home + "/index.html", top).href, "rule " + rule, "model"),
      ),
      ...models.flatMap((model) => model.entries),
    ];
    return every
      .filter((one) => parts.every((part) => one.key.includes(part)))
      .sort((a, b) => score(a, words) - score(b, words) || kinds.indexOf(a.kind) - kinds.indexOf(b.kind));
  };
  app.found = (text) => {
    const words = text.toLowerCase().trim().replace(/\s+/g, " ");
    if (!words) return models.flatMap((model) => model.entries.filter((one) => one.kind === "page")).slice(0, MOST);
    const exact = named(words);
    const numbered = byNumber(words);
    const layered = exact.filter((one) => one.kind === "layer" && one.name.toLowerCase() === words);
    return once([
      ...layered,
      ...numbered,
      ...exact.filter((one) => !layered.includes(one)),
      ...byWord(words),
      ...byVocabulary(words),
    ]).slice(0, MOST);
  };

  /* ---- the box ---- */
  const make = (tag, attributes, ...inside) => {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...inside);
    return made;
  };
  const field = make("input", {
    type: "search",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": "Search",
    "aria-expanded": "true",
    "aria-controls": "found-list",
    "aria-autocomplete": "list",
    placeholder: "layer6 unit 44, tree, artifact …",
  });
  const list = make("ul", { id: "found-list", role: "listbox", "aria-label": "Results" });
  const state = make("p", { class: "key", role: "status" });
  const close = make("button", { type: "button", class: "quiet" }, "close");
  const head = make("div", { class: "asking" }, field, close);
  const box = make("dialog", { id: "search-box", class: "search-box", "aria-label": "Search" }, head, list, state);
  document.body.append(box);

  let options = [];
  let at = 0;
  const point = (next) => {
    at = next;
    options.forEach((option, i) => option.setAttribute("aria-selected", i === at));
    if (!options[at]) {
      field.removeAttribute("aria-activedescendant");
      return;
    }
    field.setAttribute("aria-activedescendant", options[at].id);
    options[at].scrollIntoView({ block: "nearest" });
  };
  const show = () => {
    const found = app.found(field.value);
    options = found.map((one, i) => {
      const option = make(
        "li",
        { role: "option", id: "found-" + i, "data-href": one.href },
        make("span", { class: "sort" }, one.kind),
        make("b", {}, one.name),
        make("span", { class: "note-of" }, one.note),
      );
      option.addEventListener("click", () => follow(option));
      return option;
    });
    list.replaceChildren(...options);
    list.hidden = !options.length;
    state.textContent = options.length
      ? options.length + (options.length === 1 ? " result" : " results") + ". Arrow keys choose, Enter opens."
      : "Nothing found. Try a concept, a layer, or “unit 44”." + ofVocabulary(field.value.toLowerCase().trim());
    point(0);
  };
  const follow = (option) => {
    box.close();
    location.href = option.dataset.href;
  };
  field.addEventListener("input", show);
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) {
      event.preventDefault();
      point((at + step + options.length) % options.length);
    } else if (event.key === "Enter" && options[at]) {
      event.preventDefault();
      follow(options[at]);
    } else if (event.key === "Escape") {
      /* browsers would only empty the field */
      event.preventDefault();
      box.close();
    }
  });
  close.addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
  });

  const load = (address) =>
    new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = address;
      script.addEventListener("load", resolve);
      script.addEventListener("error", resolve);
      document.head.append(script);
    });
  /* a page of a model knows that model; one of the site loads all of them */
  app.openSearch = async (known) => {
    if (!box.open) box.showModal();
    field.focus();
    field.select();
    if (!models.length) {
      state.textContent = "Loading …";
      for (const address of known) await load(address);
      const others = models.length ? [] : sites.filter((site) => site[3]);
      for (const [, , home] of others) await load(new URL(home + "/search.js", top).href);
    }
    show();
  };
})(window.dissectreport);
