/* Models compared in the browser: the choice lives in the address after #, the figures come from the models' own folders.
   What is computed and said here is what dissectreport/analysis/comparing.py and report/compare_words.py do for the page
   that needs no script; a test holds both to the same words. */
(function (app) {
  "use strict";
  const field = (id) => document.getElementById(id);
  const page = app.data("compare-data");
  const entries = new Map(page.models.map((one) => [one.home, one]));

  /* ---- elements: text is always text, never markup ---- */
  const SVG = "http://www.w3.org/2000/svg";
  const made = (element, attributes, children) => {
    Object.entries(attributes).forEach(([name, value]) => {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    });
    element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  };
  const el = (tag, attributes, ...children) => made(document.createElement(tag), attributes || {}, children);
  const svg = (tag, attributes, ...children) => made(document.createElementNS(SVG, tag), attributes || {}, children);
  const msign = (number) => el("i", { class: "msign msign-" + (number + 1), "aria-hidden": "true" });

  /* ---- figures ---- */
  const figure = ([value, low, high]) => ({ value: number(value), low: number(low), high: number(high) });
  const number = (value) => (value === null ? NaN : value);
  const NONE = { value: 0, low: 0, high: 0 };
  const UNKNOWN = { value: NaN, low: NaN, high: NaN };
  const known = (found) => !Number.isNaN(found.value);
  const beside = (a, b) => Math.sqrt(a * a + b * b);
  const difference = (one, other) => {
    if (Number.isNaN(one.value + one.low + one.high + other.value + other.low + other.high)) return UNKNOWN;
    const value = other.value - one.value;
    return {
      value,
      low: value - beside(other.value - other.low, one.high - one.value),
      high: value + beside(other.high - other.value, one.value - one.low),
    };
  };
  const outwards = (found, step) => ({ value: found.value, low: Math.floor(found.low / step) * step, high: -Math.floor(-found.high / step) * step });
  const scaled = (found, by) => ({ value: found.value * by, low: found.low * by, high: found.high * by });
  const apart = (found) => found.low > 0 || found.high < 0;

  /* ---- words ---- */
  const DASH = "–";
  /* halves go to the even neighbour, as they do in Python */
  const fixed = (value, digits) => {
    const times = value * 10 ** digits;
    const floor = Math.floor(times);
    if (times - floor === 0.5) return ((floor % 2 === 0 ? floor : floor + 1) / 10 ** digits).toFixed(digits);
    return value.toFixed(digits);
  };
  const whole = (value) => (Number.isNaN(value) ? DASH : String(Math.trunc(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f"));
  const share = (value) => app.share(Number.isNaN(value) ? null : value);
  const halfUp = (value, by) => Math.floor(value * by + 0.5) / by;
  const tenths = (value) => (Number.isNaN(value) ? DASH : halfUp(value, 10).toFixed(1).replace("-", "−"));
  const thousandths = (value) => (Number.isNaN(value) ? DASH : halfUp(value, 1000).toFixed(3));
  const more = (told, value) => {
    const words = told(Math.abs(value));
    return ["0", "0.0", DASH].includes(words) ? words : (value > 0 ? "+" : "−") + words;
  };
  const signedInterval = (found, told) => (known(found)
    ? more(told, found.value) + " [" + more(told, found.low) + ", " + more(told, found.high) + "]" : DASH);
  const interval = (found, told) => (known(found) ? told(found.value) + " [" + told(found.low) + ", " + told(found.high) + "]" : DASH);
  const percent = (value) => {
    if (Number.isNaN(value)) return DASH;
    if (value === 0 || value === 1) return 100 * value + " %";
    const hundredths = 100 * value;
    if (hundredths < 0.01) return "<0.01 %";
    if (hundredths > 99.9) return ">99.9 %";
    return fixed(hundredths, hundredths >= 10 ? 0 : hundredths >= 1 ? 1 : 2) + " %";
  };
  const removed = (value) => {
    if (Number.isNaN(value)) return DASH;
    const [size, sign] = [Math.abs(value), value < 0 ? "−" : ""];
    if (size > 0 && size < 0.0005) return value > 0 ? "<0.1 %" : ">−0.1 %";
    if (size >= 0.9995 && size < 1) return value > 0 ? ">99.9 %" : "<−99.9 %";
    const fine = (size > 0 && size < 0.0995) || (size >= 0.995 && size < 1);
    return sign + fixed(100 * size, fine ? 1 : 0) + " %";
  };
  const plain = (value) => String(Number(value.toPrecision(6)));
  const compact = (value) => value >= 10000 ? Math.floor(value / 1000 + 0.5) + "k"
    : value >= 1000 ? Math.floor(value / 100 + 0.5) / 10 + "k" : plain(value);
  const listed = (words) => (words.length <= 12 ? words.join(", ") : words.slice(0, 12).join(", ") + " and " + whole(words.length - 12) + " more");
  const capital = (words) => words[0].toUpperCase() + words.slice(1);
  const both = (words) => (words.length === 1 ? words[0] : words.slice(0, -1).join(", ") + " and " + words[words.length - 1]);

  /* ---- profiles, as the models' files hold them ---- */
  const key = (name, category) => name + "\n" + category;
  const nameOf = (concept) => concept.split("\n")[0];
  const categoryOf = (concept) => concept.split("\n")[1];
  const layerOf = (held, names) => ({
    name: held.name, folder: held.folder, units: held.units, size: held.size,
    counts: Object.fromEntries(Object.entries(held.counts).map(([control, [units, concepts]]) => [control, { units: figure(units), concepts: figure(concepts) }])),
    categories: held.categories,
    concepts: new Map(held.concepts.map((row) => [names[row[0]], { measured: figure(row.slice(1, 4)), null: figure(row.slice(4, 7)) }])),
    spread: held.spread,
    meanIou: held.mean_iou ? figure(held.mean_iou) : UNKNOWN,
    labels: held.labels.map((number) => (number < 0 ? null : names[number])),
    best: new Map(held.best.map((row) => [names[row[0]], {
      unit: row[1], sure: row[2] === 1, iou: figure(row.slice(3, 6)), null: row[6], excess: figure(row.slice(7, 10)), lift: row[10], samples: row[11],
    }])),
  });
  const parsed = (held) => {
    const names = held.concepts.map((row) => key(row[0], row[1]));
    const [family, variant, images, steps] = held.training;
    return {
      ...held, names,
      unitEnds: held.unit_ends || ["unit-", ".html"],
      marks: new Map(held.concepts.map((row) => [row[1], row[2]])),
      vocabulary: new Set(names),
      areas: new Map(held.concepts.map((row, i) => [names[i], number(row[4])])),
      tested: new Set(names.filter((_, i) => held.concepts[i][3])),
      layers: held.layers.map((layer) => layerOf(layer, names)),
      training: { family, variant, images: number(images), steps: number(steps) },
      effects: held.causes && new Map(held.causes.effects.map((row) => [names[row[0]], {
        order: row[1], units: row[2], removed: figure(row.slice(3, 6)), random: figure(row.slice(6, 9)), beyond: figure(row.slice(9, 12)),
      }])),
      measures: held.quality && held.quality[1].map((row) => ({ name: row[0], estimate: figure(row.slice(1, 4)), less: row[4] === 1 })),
    };
  };
  const VERSION = 1;
  const profiles = new Map();
  app.profile = (held) => { if (held.version === VERSION) profiles.set(held.home, parsed(held)); };
  const loading = new Map();
  const load = (home) => {
    if (!loading.has(home)) {
      loading.set(home, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = entries.get(home).script;
        script.onload = script.onerror = resolve;
        document.head.append(script);
      }));
    }
    return loading.get(home);
  };

  /* ---- what is compared ---- */
  const unitsOf = (layer, concept) => layer.concepts.get(concept) || { measured: NONE, null: NONE };
  const scaleOf = (chosen) => {
    const perHundred = new Set(chosen.map((one) => one.layer.units)).size > 1;
    return {
      perHundred,
      units: (found, of) => (perHundred ? scaled(found, 100 / of) : found),
      step: perHundred ? 0.1 : 1,
      one: perHundred ? tenths : whole,
      per: perHundred ? " per 100" : "",
    };
  };
  const sharedOf = (chosen) => chosen[0].profile.names.filter((concept) => chosen.every((one) => one.profile.vocabulary.has(concept)));
  const comparableOf = (chosen) => sharedOf(chosen).filter((concept) => chosen.every((one) => one.profile.tested.has(concept)));
  const untestedOf = (chosen) => sharedOf(chosen).filter((concept) => {
    const tests = chosen.map((one) => one.profile.tested.has(concept));
    return tests.includes(true) && tests.includes(false);
  });
  const sameVocabulary = (chosen) => chosen.every((one) => one.profile.vocabulary.size === chosen[0].profile.vocabulary.size
    && chosen[0].profile.names.every((concept) => one.profile.vocabulary.has(concept)));
  const sameLatents = (chosen) => new Set(chosen.map((one) => one.profile.seed + " " + one.profile.latents)).size === 1;
  const oneTraining = (chosen) => {
    const families = new Set(chosen.map((one) => one.profile.training.family || one.profile.model));
    return families.size === 1 && sameLatents(chosen);
  };
  const correspondingOf = (chosen) => chosen.map((_, i) => i).filter((i) => i === 0 || oneTraining([chosen[0], chosen[i]]));
  const measuredAs = (one) => [one.profile.training.variant, one.profile.rule, one.profile.segmenter[1]];
  const changes = (one, other, concepts, scale) => concepts.map((concept) => {
    const units = (of) => scale.units(unitsOf(of.layer, concept).measured, of.layer.units);
    return { concept, difference: outwards(difference(units(one), units(other)), scale.step) };
  });
  const agreementChange = (one, other) => (sameVocabulary([one, other]) ? difference(one.layer.meanIou, other.layer.meanIou) : UNKNOWN);
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const totalOf = (layer, concepts, control, of) => figure(["value", "low", "high"].map((end) =>
    sum(concepts.map((concept) => (of || Number)(unitsOf(layer, concept)[control][end])))));
  const totalsOf = (one, layer, chosen, control) => {
    if (sameVocabulary(chosen)) return layer.counts[control] || { units: UNKNOWN, concepts: UNKNOWN };
    const concepts = comparableOf(chosen);
    if (!concepts.length) return { units: UNKNOWN, concepts: UNKNOWN };
    return { units: totalOf(layer, concepts, control), concepts: totalOf(layer, concepts, control, (v) => (v > 0 ? 1 : 0)) };
  };
  const only = (chosen, at) => {
    const others = chosen.filter((_, i) => i !== at);
    return comparableOf(chosen).map((concept) => ({ concept, units: unitsOf(chosen[at].layer, concept).measured }))
      .filter(({ concept, units }) => units.value > 0 && others.every((other) => unitsOf(other.layer, concept).measured.value === 0))
      .map((one) => ({ ...one, sure: others.every((other) => apart(outwards(difference(unitsOf(other.layer, one.concept).measured, one.units), 1))) }))
      .sort((a, b) => b.units.value - a.units.value);
  };
  const trendOf = (chosen) => {
    const runs = new Map();
    chosen.forEach((one, i) => {
      const run = JSON.stringify([one.profile.training.family, one.layer.name, ...measuredAs(one)]);
      if (one.profile.training.family) runs.set(run, (runs.get(run) || []).concat(i));
    });
    let best = null;
    runs.forEach((at) => {
      for (const told of ["images", "steps"]) {
        const far = at.map((i) => chosen[i].profile.training[told]);
        if (far.some(Number.isNaN) || new Set(far).size < 2) continue;
        /* a checkpoint that was chosen twice is one point */
        const order = at.filter((_, k) => far.indexOf(far[k]) === k).sort((a, b) => chosen[a].profile.training[told] - chosen[b].profile.training[told]);
        if (!best || order.length > best.at.length) best = { told, at: order, far: order.map((i) => chosen[i].profile.training[told]) };
        return;
      }
    });
    return best;
  };
  const rowsOf = (chosen) => {
    const order = Array.from(new Set(chosen[0].profile.names.map(categoryOf)));
    const most = (concept) => Math.max(...chosen.map((one) => unitsOf(one.layer, concept).measured.value / one.layer.units));
    return sharedOf(chosen).map((concept, i) => ({ concept, i }))
      .filter(({ concept }) => chosen.some((one) => unitsOf(one.layer, concept).measured.high > 0))
      .sort((a, b) => order.indexOf(categoryOf(a.concept)) - order.indexOf(categoryOf(b.concept)) || most(b.concept) - most(a.concept) || a.i - b.i)
      .map(({ concept }) => concept);
  };
  /* units of checkpoints correspond: how many keep their label, and how many would if labels were dealt out at random */
  const kept = (one, other) => {
    const alike = one.layer.name === other.layer.name && one.layer.units === other.layer.units && one.profile.training.family !== ""
      && JSON.stringify(measuredAs(one)) === JSON.stringify(measuredAs(other));
    if (!alike || one.profile === other.profile || !oneTraining([one, other])) return null;
    const pairs = one.layer.labels.map((a, i) => [a, other.layer.labels[i]]).filter(([a, b]) => a !== null && b !== null);
    const n = pairs.length;
    if (n < 2) return null;
    const [ours, theirs] = [0, 1].map((side) => one.profile.names.map((concept) => pairs.filter((pair) => pair[side] === concept).length));
    const mean = sum(ours.map((a, c) => a * theirs[c])) / n;
    let total = 0;
    ours.forEach((a, c) => theirs.forEach((b, d) => {
      if (!a || !b) return;
      const gap = (c === d ? 1 : 0) - theirs[c] / n - ours[d] / n + mean / n;
      total += a * b * gap * gap;
    }));
    const deviation = Math.sqrt(total / (n - 1));
    return {
      both: n, same: pairs.filter(([a, b]) => a === b).length,
      low: Math.max(Math.floor(mean - 2 * deviation), 0), high: Math.min(-Math.floor(-mean - 2 * deviation), n),
    };
  };
  const effectChanges = (one, other) => {
    const [mine, others] = [one.profile.effects, other.profile.effects];
    if (!mine || !others) return [];
    return Array.from(mine.keys()).filter((concept) => others.has(concept) && others.get(concept).units === mine.get(concept).units)
      .map((concept) => ({ concept, difference: outwards(scaled(difference(mine.get(concept).beyond, others.get(concept).beyond), 100), 0.1) }))
      .filter((change) => known(change.difference));
  };
  const qualityChanges = (one, other) => {
    const [mine, others] = [one.profile.quality, other.profile.quality];
    if (!mine || !others || mine[0] !== others[0]) return [];
    return one.profile.measures.filter((m) => other.profile.measures.some((o) => o.name === m.name))
      .map((m) => ({ name: m.name, less: m.less, difference: difference(m.estimate, other.profile.measures.find((o) => o.name === m.name).estimate) }));
  };

  /* ---- what it is called ---- */
  const titlesOf = (chosen) => {
    const models = Array.from(new Map(chosen.map((one) => [one.profile.home, one.profile])).values());
    return chosen.map(({ profile }) => {
      const rules = models.filter((other) => other.title === profile.title).map((other) => other.rule);
      if (rules.length < 2) return profile.title;
      return profile.title + " (" + (new Set(rules).size === rules.length ? profile.rule : profile.home) + ")";
    });
  };
  const labelsOf = (chosen) => {
    const several = new Set(chosen.map((one) => one.layer.name)).size > 1;
    const names = titlesOf(chosen).map((name, i) => (several ? name + " " + chosen[i].layer.name : name));
    return names.map((name, i) => (names.indexOf(name) === i ? name : name + " (" + (i + 1) + ")"));
  };

  /* ---- what is said ---- */
  const partsOf = (variant) => variant.split(",").map((part) => part.trim()).filter(Boolean);
  const variantOf = (first, other, gained, lost) => {
    const having = [...(gained.length ? ["with " + both(gained)] : []), ...(lost.length ? ["without " + both(lost)] : [])].join(" and ");
    return "Variants of one training: " + other + " was trained " + having + ", unlike " + first + ". "
      + (gained.length + lost.length === 1 ? "Each was trained once, so that chance in training is part of every difference."
        : "These are confounded: which of them makes a difference cannot be told from this pair.");
  };
  const variantsOf = (chosen, names) => {
    const first = chosen[0].profile.training;
    return chosen.flatMap(({ profile: { training } }, i) => {
      const [mine, others] = [partsOf(first.variant), partsOf(training.variant)];
      const [gained, lost] = [others.filter((part) => !mine.includes(part)), mine.filter((part) => !others.includes(part))];
      const told = first.family && first.family === training.family && gained.length + lost.length;
      return told ? [variantOf(names[0], names[i], gained, lost)] : [];
    });
  };
  const warningsOf = (chosen, names) => {
    const found = [];
    const differ = (values, words, before, after) => {
      if (new Set(values).size > 1) found.push(before + ": " + both(words.map((word, i) => word + " for " + names[i])) + ". " + after);
    };
    const of = (pick) => chosen.map(pick);
    differ(of((o) => o.profile.rule), of((o) => o.profile.rule), "Judged by different rules", "What is called interpretable is not the same thing.");
    differ(of((o) => o.profile.scoring), of((o) => whole(o.profile.scoring) + " images"), "Scored on different numbers of images",
      "More images find weaker agreement, so that counts of units are not quite alike.");
    differ(of((o) => o.profile.segmenter[1]), of((o) => o.profile.segmenter[0] || "unnamed"), "Seen by different segmenters",
      "A concept of the same name may be drawn differently.");
    differ(of((o) => o.profile.grid), of((o) => String(o.profile.grid)), "Compared on grids of different sides", "Small things count for more on finer grids.");
    differ(of((o) => o.layer.units), of((o) => whole(o.layer.units) + " units"), "Layers of different size", "Units are told per 100.");
    const seen = of((o) => (o.profile.quality ? o.profile.quality[0] : ""));
    if (new Set(seen.filter(Boolean)).size > 1) differ(seen, seen.map((words) => words || "nothing"), "Quality told by different features or images", "Its figures do not compare.");
    const off = of((o) => (o.profile.causes ? o.profile.causes.layer : ""));
    if (new Set(off.filter(Boolean)).size > 1) differ(off, off.map((words) => words || "none"), "Units turned off in different layers", "What they remove is not that of one layer.");
    found.push(...variantsOf(chosen, names));
    if (!sameVocabulary(chosen)) {
      const shared = new Set(sharedOf(chosen));
      const own = names.map((name, i) => [name, chosen[i].profile.names.filter((concept) => !shared.has(concept)).map(nameOf)]);
      const rest = own.filter(([, mine]) => mine.length).map(([name, mine]) => "Not in all: " + listed(mine) + " (" + name + ").").join(" ");
      found.push(shared.size ? "The vocabularies differ; compared on the " + whole(shared.size) + " concepts that all share. " + rest
        : "The vocabularies have no concept in common. " + rest);
    }
    const rare = untestedOf(chosen).map(nameOf);
    if (rare.length) found.push("Not compared, because too rare in the images of some: " + listed(rare) + ".");
    new Set(chosen.flatMap((one) => one.profile.notes)).forEach((note) => {
      const having = names.filter((_, i) => chosen[i].profile.notes.includes(note));
      found.push((having.length === names.length ? "All" : both(having)) + ": " + note);
    });
    return found;
  };
  const intervalsOf = (chosen) => "A difference has the interval that follows from the intervals of both figures as if they were independent"
    + " (Zou and Donner 2008), rounded outwards; where it includes 0, the two are not told apart. " + pairingOf(chosen)
    + " The intervals are over images: another training of the same network would differ by more.";
  const pairingOf = (chosen) => {
    const odd = "what an odd latent does to both alike would cancel in a paired comparison, so that these intervals are mostly"
      + " too wide rather than too narrow.";
    const together = correspondingOf(chosen).length;
    if (together === chosen.length) return "Images of the same number come from the same latents of one training. " + capital(odd);
    if (together > 1) return "Where images come from the same latents of one training: " + odd + " Others are independent.";
    if (sameLatents(chosen)) return "The same latents make unrelated images in other trainings, so that the measurements are independent.";
    return "They used different latents, so that the measurements are independent.";
  };
  const said = (kind, words) => ({ kind, words, about: "" });
  const summaryOf = (chosen, names) => {
    const scale = scaleOf(chosen);
    const told = chosen.map((one, i) => countsOf(one, names[i]));
    chosen.slice(1).forEach((other, i) => {
      const about = chosen.length > 2 ? names[i + 1] + " against " + names[0] : "";
      told.push(...againstOf(chosen[0], other, [names[0], names[i + 1]], chosen, scale).map((one) => ({ ...one, about })));
    });
    const rest = [...names.flatMap((name, i) => onlyOf(chosen, i, name)), ...overTraining(chosen, scale)];
    const units = comparableOf(chosen).length;
    const compared = sum(chosen.slice(1).map((other) => (units && units + 2) + (known(agreementChange(chosen[0], other)) ? 1 : 0) + effectChanges(chosen[0], other).length + qualityChanges(chosen[0], other).length));
    if (compared >= 20) {
      rest.push(said("told", "Of " + whole(compared) + " differences with 95 % intervals, about " + whole(Math.floor(compared / 20 + 0.5))
        + " would leave out 0 by chance alone if nothing differed."));
    }
    return told.concat(chosen.length > 2 ? rest.map((one) => ({ ...one, about: "Among all" })) : rest);
  };
  const countsOf = (one, name) => {
    const [own, chance] = [one.layer.counts.measured, one.layer.counts.null];
    if (!own || !known(own.units)) return said("told", name + ": cannot tell: too few images.");
    return said("told", name + ": " + interval(own.units, whole) + " of the " + whole(one.layer.units) + " units of " + one.layer.name
      + " are interpretable, with " + interval(own.concepts, whole) + " different concepts"
      + (chance && known(chance.units) ? "; by chance alone " + whole(chance.units.value) : "") + ".");
  };
  const againstOf = (one, other, names, chosen, scale) => {
    const rest = [...keptOf(one, other, names), ...causesOf(one, other, names), ...qualityOf(one, other, names)];
    if (!comparableOf(chosen).length) {
      return [said("same", "The units of " + names[0] + " and " + names[1] + " do not compare: no concept can be a label in all models."), ...rest];
    }
    const [mine, others] = [one, other].map((each) => totalsOf(each, each.layer, chosen, "measured"));
    const same = sameVocabulary(chosen);
    const words = same ? "" : " for shared concepts";
    const units = outwards(difference(scale.units(mine.units, one.layer.units), scale.units(others.units, other.layer.units)), scale.step);
    const concepts = outwards(difference(mine.concepts, others.concepts), 1);
    return [
      differenceOf(units, (same ? "interpretable units" : "labels of units") + words + scale.per, names, (found) => signedInterval(found, scale.one)),
      differenceOf(concepts, "different concepts" + words, names, (found) => signedInterval(found, whole)),
      ...gainedOf(changes(one, other, comparableOf(chosen), scale), names, scale),
      ...agreementOfUnits(one, other, names),
      ...rest,
    ];
  };
  const differenceOf = (found, what, [one, other], told) => {
    if (!known(found)) return said("same", "Nothing can be said of the number of " + what + " between " + one + " and " + other + ".");
    if (!apart(found)) return said("same", one + " and " + other + " are not told apart by the number of " + what + ": " + told(found) + ".");
    return said("differs", other + " has " + (found.value > 0 ? "more " : "fewer ") + what + " than " + one + ": " + told(found) + ".");
  };
  const largest = (found) => found.slice().sort((a, b) => Math.abs(b.difference.value) - Math.abs(a.difference.value));
  const sureOf = (found, sign) => largest(found.filter((change) => apart(change.difference) && change.difference.value * sign > 0));
  const gainedOf = (found, [one, other], scale) => {
    if (!found.length) return [];
    const told = [["gain", 1], ["lose", -1]].filter(([, sign]) => sureOf(found, sign).length).map(([verb, sign]) => {
      const some = sureOf(found, sign);
      const each = listed(some.map((change) => nameOf(change.concept) + " " + signedInterval(change.difference, scale.one)));
      return said("differs", "From " + one + " to " + other + ", " + (some.length === 1 ? "one concept " + verb + "s" : whole(some.length) + " concepts " + verb)
        + " units" + scale.per + ": " + each + ".");
    });
    const rest = found.filter((change) => !apart(change.difference)).length;
    if (!told.length) {
      return [said("same", "From " + one + " to " + other + ", no concept surely gains or loses units: for all " + whole(found.length) + ", the interval of the difference includes 0.")];
    }
    if (rest) told.push(said("same", "For the other " + whole(rest) + " of " + whole(found.length) + " concepts, the interval of the difference includes 0."));
    return told;
  };
  const agreementOfUnits = (one, other, names) => {
    const found = agreementChange(one, other);
    if (!known(found)) return [];
    if (!apart(found)) return [said("same", names[0] + " and " + names[1] + " are not told apart by the mean IoU of their interpretable units: " + measureGap(found) + ".")];
    return [said("differs", "Interpretable units of " + names[1] + " agree " + (found.value > 0 ? "better" : "worse") + " with their labels than those of " + names[0] + ", by mean IoU: " + measureGap(found) + ".")];
  };
  const causesOf = (one, other, names) => {
    const found = effectChanges(one, other);
    if (!found.length) return [];
    const [mine, others] = [one.profile.causes.layer, other.profile.causes.layer];
    const turning = "turning off a concept's leading " + whole(one.profile.effects.get(found[0].concept).units) + " units of "
      + (mine === others ? mine : mine + " in " + names[0] + " and " + others + " in " + names[1]) + ", each model's by its best order,";
    const points = (changed) => listed(changed.map((c) => nameOf(c.concept) + " " + signedInterval(c.difference, tenths) + " points"));
    const told = [["more", 1], ["less", -1]].filter(([, sign]) => sureOf(found, sign).length).map(([word, sign]) => said("differs",
      capital(turning) + " removes " + word + " of it in " + names[1] + " than in " + names[0] + ", beyond random units: " + points(sureOf(found, sign)) + "."));
    const rest = found.filter((change) => !apart(change.difference));
    if (rest.length) told.push(said("same", names[0] + " and " + names[1] + " are not told apart by what " + turning + " removes of it, beyond random units: " + points(rest) + "."));
    return told;
  };
  const keptOf = (one, other, names) => {
    const found = kept(one, other);
    return found ? [said("told", "Of the " + whole(found.both) + " units that are interpretable in both, " + whole(found.same) + " keep their concept from "
      + names[0] + " to " + names[1] + "; dealt out at random, " + whole(found.low) + " to " + whole(found.high) + " would.")] : [];
  };
  const measureGap = (found) => more(thousandths, found.value) + " [" + more(thousandths, found.low) + ", " + more(thousandths, found.high) + "]";
  const qualityOf = (one, other, names) => qualityChanges(one, other).map(({ name, less, difference: gap }) => {
    const spoken = name.replaceAll("_", " ");
    if (!apart(gap)) return said("same", names[0] + " and " + names[1] + " are not told apart by " + spoken + ": " + measureGap(gap) + ".");
    return said("differs", "The images of " + names[1] + " are " + ((gap.value < 0) === less ? "better" : "worse") + " than those of " + names[0] + " by " + spoken + ": " + measureGap(gap) + ".");
  });
  const onlyOf = (chosen, at, name) => {
    const found = chosen.length > 1 ? only(chosen, at) : [];
    const named = (some) => listed(some.map((one) => nameOf(one.concept) + " " + interval(one.units, whole)));
    const [sure, unsure] = [found.filter((one) => one.sure), found.filter((one) => !one.sure)];
    return [
      ...(sure.length ? [said("differs", "Only " + name + " has units for " + named(sure) + ".")] : []),
      ...(unsure.length ? [said("same", "Only " + name + " has units for " + named(unsure) + ", but so few that their intervals include 0.")] : []),
    ];
  };
  const overTraining = (chosen, scale) => {
    const found = trendOf(chosen);
    if (!found || found.at.length < 3) return [];
    const [first, last] = [found.at[0], found.at[found.at.length - 1]].map((i) => chosen[i]);
    const [one, other] = [first, last].map((each) => scale.units(totalsOf(each, each.layer, chosen, "measured").units, each.layer.units));
    const gap = outwards(difference(one, other), scale.step);
    const before = "Over " + whole(found.at.length) + " checkpoints of one training, from " + whole(found.far[0]) + " to " + whole(found.far[found.far.length - 1])
      + " " + found.told + ", interpretable units" + scale.per;
    if (!known(gap) || !apart(gap)) return [said("same", before + " do not change surely: " + signedInterval(gap, scale.one) + ".")];
    return [said("differs", before + (gap.value > 0 ? " rise: " : " fall: ") + signedInterval(gap, scale.one) + ".")];
  };

  /* ---- charts: the same as dissectreport/report/compare_charts.py draws ---- */
  const WIDTH = 560;
  const linear = (low, high, start, end) => (value) => start + ((end - start) * (value - low)) / (high - low);
  const step = (span, about) => {
    const power = 10 ** Math.floor(Math.log10(span / about));
    return [1, 2, 5, 10].map((m) => m * power).find((m) => m >= (span / about) * 0.999);
  };
  const roundNumbers = (low, high, about) => {
    const by = step(high - low, about);
    const [first, last] = [Math.ceil(low / by - 1e-9), Math.floor(high / by + 1e-9)];
    return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * by);
  };
  const ticks = (top) => (top > 0 ? roundNumbers(0, top, 5) : [0]);
  const at = (value) => value.toFixed(1);
  const line = (x1, y1, x2, y2, kind) => svg("line", { x1: at(x1), y1: at(y1), x2: at(x2), y2: at(y2), class: kind });
  const rect = (x, y, width, height, kind, rx) => svg("rect", { x: at(x), y: at(y), width: at(width), height: at(height), class: kind, rx });
  const text = (x, y, words, anchor, kind) => svg("text", { x: at(x), y: at(y), "text-anchor": anchor === "start" ? null : anchor, class: kind }, words);
  const path = (points, kind) => {
    let [words, pen] = ["", "M"];
    points.forEach(([x, y]) => {
      if (Number.isNaN(x) || Number.isNaN(y)) { pen = "M"; return; }
      words += pen + at(x) + " " + at(y);
      pen = "L";
    });
    return svg("path", { d: words, class: kind });
  };
  const short = (name, most) => (name.length <= most ? name : name.slice(0, most - 1) + "…");
  const CORNERS = {
    1: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]], 2: [[0, -1.2], [1.15, 0.85], [-1.15, 0.85]],
    3: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]], 4: [[-1.15, -0.85], [1.15, -0.85], [0, 1.2]],
  };
  const sign = (model, x, y, size) => {
    const kind = "mark mark-" + (model + 1);
    if (model === 0) return svg("circle", { cx: at(x), cy: at(y), r: size, class: kind });
    if (model === 5) {
      const [arm, side] = [size * 0.8, at(size * 1.6)];
      return svg("path", { d: "M" + at(x - arm) + " " + at(y - arm) + "l" + side + " " + side + "m0 -" + side + "l-" + side + " " + side, class: kind + " open" });
    }
    return svg("path", { d: "M" + CORNERS[model].map(([a, b]) => at(x + a * size) + " " + at(y + b * size)).join("L") + "z", class: kind });
  };
  const drawing = (height, id, title, description, inside) => svg("svg", {
    viewBox: "0 0 " + WIDTH + " " + Math.round(height), role: "img", "aria-labelledby": id + "-t", "aria-describedby": id + "-d", id, class: "drawn", style: "--w:" + WIDTH + "px",
  }, svg("title", { id: id + "-t" }, title), svg("desc", { id: id + "-d" }, description), inside);
  const moved = (ends, gap, lowest) => {
    const placed = [];
    ends.slice().sort((a, b) => a[0] - b[0]).forEach(([up, name]) => placed.push([placed.length ? Math.max(up, placed[placed.length - 1][0] + gap) : up, name]));
    const over = placed.length ? placed[placed.length - 1][0] - lowest : 0;
    for (let i = placed.length - 1; i >= 0 && over > 0; i -= 1) {
      placed[i][0] = Math.min(placed[i][0], i + 1 < placed.length ? placed[i + 1][0] - gap : lowest);
    }
    return placed;
  };
  const finite = (values) => values.filter((v) => !Number.isNaN(v));

  const rowsChart = (id, title, description, found, told, most) => {
    const [models, longest] = [Math.max(1, ...found.map((row) => row.estimates.length)), Math.max(0, ...found.map((row) => row.words.length))];
    const [left, right, top] = [116, longest ? Math.max(118, 14 + 7.6 * longest) : 22, 8];
    const height = 10 * models + 13;
    const floor = top + height * found.length;
    const shown = finite(found.flatMap((row) => [...row.estimates.flatMap((e) => [e.value, e.low, e.high]), ...row.beside]));
    let [low, high] = [Math.max(Math.min(...shown, 0), -most), Math.min(Math.max(...shown, 0), most)];
    if (high - low <= 0) high = low + 1;
    const x = linear(low, high, left, WIDTH - right);
    const inner = (v) => x(Math.min(Math.max(v, low), high));
    const marks = roundNumbers(low, high, 4);
    const inside = [
      ...marks.map((m) => line(x(m), top, x(m), floor, Math.abs(m) > 1e-9 ? "grid" : "axis")),
      ...marks.map((m) => text(x(m), floor + 18, told(m), "middle", "tick")),
    ];
    found.forEach((row, i) => {
      const up = top + height * i;
      inside.push(text(left - 12, up + height / 2 + 4, short(row.name, 16), "end", "name"));
      row.estimates.forEach((one, lane) => {
        const y = up + 6.5 + 10 * (lane + 0.5);
        if (known(one)) {
          const [start, end] = [inner(0), inner(one.value)].sort((a, b) => a - b);
          if (!Number.isNaN(one.low + one.high)) inside.push(rect(inner(one.low), y - 4, inner(one.high) - inner(one.low), 8, "reach model-" + (lane + 1), 2));
          inside.push(rect(start, y - 1.2, end - start, 2.4, "bar model-" + (lane + 1)), sign(lane, inner(one.value), y, 4.6));
        }
        if (!Number.isNaN(row.beside[lane])) inside.push(line(inner(row.beside[lane]), y - 4.5, inner(row.beside[lane]), y + 4.5, "null"));
      });
      if (row.words) inside.push(text(WIDTH - right + 12, up + height / 2 + 4, row.words, "start", row.sure ? "value sure" : "tick"));
    });
    return drawing(floor + 30, id, title, description, inside);
  };

  const linesChart = (id, title, description, found, marks, told, least) => {
    const [height, left, right, top, bottom] = [300, 62, 150, 14, 40];
    const highest = Math.max(least, ...finite(found.flatMap((one) => one.estimates.flatMap((e) => [e.value, e.high]))));
    const [y, x] = [linear(0, highest * 1.02, height - bottom, top), linear(0, 1, left + 14, WIDTH - right - 10)];
    const scale = ticks(highest);
    const inside = [
      ...scale.map((m) => line(left, y(m), WIDTH - right, y(m), m ? "grid" : "axis")),
      ...scale.map((m) => text(left - 8, y(m) + 4, told(m), "end", "tick")),
      ...marks.map(([place, words]) => text(x(place), height - 14, short(words, 12), "middle", "tick")),
    ];
    const ends = [];
    found.forEach((one, i) => {
      const shift = (i - (found.length - 1) / 2) * 5;
      const spots = one.estimates.map((e, k) => [x(one.at[k]) + shift, y(e.value)]);
      const own = one.signs ? 0 : one.model + 1;
      inside.push(path(spots.map(([across], k) => [across, y(one.null[k])]), "chance model-line-" + own));
      inside.push(path(spots, "model-line model-line-" + own));
      one.estimates.forEach((e, k) => {
        if (!known(e)) return;
        const model = one.signs ? one.signs[k] : one.model;
        inside.push(line(spots[k][0], y(e.low), spots[k][0], y(e.high), "whisker model-line-" + (model + 1)), sign(model, ...spots[k], 5));
      });
      const seen = spots.filter((_, k) => known(one.estimates[k]));
      if (seen.length && !one.signs) ends.push([seen[seen.length - 1][1], one]);
    });
    moved(ends, 19, height - bottom + 4).forEach(([up, one]) => inside.push(
      sign(one.model, WIDTH - right + 18, up, 5), text(WIDTH - right + 30, up + 4, short(one.name, 18), "start", "end")));
    return drawing(height, id, title, description, inside);
  };

  const BINS = 32;
  const median = (values) => {
    const ordered = values.slice().sort((a, b) => a - b);
    const half = Math.floor(values.length / 2);
    return !values.length ? NaN : values.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
  };
  const quantile = (values, share) => (values.length
    ? values.slice().sort((a, b) => a - b)[Math.min(Math.floor(share * values.length), values.length - 1)] : NaN);
  const heapsChart = (id, title, description, found) => {
    const [left, right, top, up, down] = [116, 22, 6, 62, 22];
    const highest = Math.max(0.05, ...found.flatMap((heap) => heap.units.flatMap(([iou, chance]) => [iou, chance])));
    const x = linear(0, highest, left, WIDTH - right);
    const bin = (value) => Math.min(Math.max(Math.trunc((value / highest) * BINS), 0), BINS - 1);
    const columns = found.map((heap) => {
      const [sure, rest, chance] = [0, 0, 0].map(() => new Array(BINS).fill(0));
      const each = 1 / Math.max(heap.units.length, 1);
      heap.units.forEach(([iou, none, good]) => { (good ? sure : rest)[bin(iou)] += each; chance[bin(none)] += each; });
      return [sure, rest, chance];
    });
    const tallest = Math.max(1e-9, ...columns.flatMap(([sure, rest]) => sure.map((v, b) => v + rest[b])));
    const deepest = Math.max(1e-9, ...columns.flatMap(([, , chance]) => chance));
    const scale = Math.min(up / tallest, (down / deepest) * 4);
    const row = up + down + 16;
    const floor = top + row * found.length;
    const inside = ticks(highest).flatMap((m) => [
      line(x(m), top, x(m), floor - 10, m ? "grid" : "axis"),
      text(x(m), floor + 8, m === 0 ? "0" : m.toFixed(2).replace(/0+$/, "").replace("0.", "."), "middle", "tick")]);
    const wide = (WIDTH - right - left) / BINS;
    found.forEach((heap, i) => {
      const base = top + row * i + up;
      const [sure, rest, chance] = columns[i];
      inside.push(line(left, base, WIDTH - right, base, "axis"), sign(heap.model, 6, base - 5, 5), text(18, base - 1, short(heap.name, 12), "start", "name"));
      for (let b = 0; b < BINS; b += 1) {
        const start = left + wide * b + 0.5;
        [[0, sure[b], ""], [sure[b], rest[b], " faint"]].forEach(([from, size, kind]) => {
          if (size) inside.push(rect(start, base - (from + size) * scale, wide - 1, size * scale, "bar model-" + (heap.model + 1) + kind));
        });
        if (chance[b]) inside.push(rect(start, base + 1, wide - 1, Math.min(chance[b] * scale, down), "bar fill-quiet"));
      }
      const middle = median(heap.units.filter((unit) => unit[2]).map((unit) => unit[0]));
      if (!Number.isNaN(middle)) inside.push(line(x(middle), base - up * 0.9, x(middle), base, "null"));
    });
    return drawing(floor + 20, id, title, description, inside);
  };

  /* ---- parts of the page ---- */
  const table = (heads, rows) => el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head, i) => el("th", { scope: "col", class: i ? "n" : null }, head)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => (i ? el("td", { class: "n" }, cell) : el("th", { scope: "row" }, cell)))))));
  const scroller = (label, inside, kind) => el("div", { class: "scroll" + (kind || ""), tabindex: "0", role: "group", "aria-label": label }, inside);
  const drawn = (id, title, words, chart, heads, rows) => {
    const save = el("button", { type: "button", class: "quiet", "data-save": id, "aria-label": "Save as SVG: " + title }, "Save SVG");
    save.addEventListener("click", () => app.save(save));
    return el("figure", { class: "chart", id: id + "-figure" },
      el("figcaption", {}, el("h3", {}, title), words ? el("p", {}, words) : null),
      el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": title }, chart),
      el("div", { class: "chart-tools" }, save, el("details", {}, el("summary", {}, "Table"), scroller(title + ", as a table", table(heads, rows)))));
  };
  const section = (id, title, ...inside) => el("section", { id }, el("h2", {}, title), inside);
  const lede = (...words) => el("p", { class: "lede" }, words);
  const tick = () => el("b", { class: "tick-sign", "aria-hidden": "true" });
  const keyOf = (names) => el("p", { class: "mkey" }, names.map((name, i) => el("span", {}, msign(i), name)));
  const TABLE = "; the table below has the numbers.";
  const against = (names) => names.slice(1).map((name) => name + " − " + names[0]);

  const findings = (sentences) => sentences.reduce((runs, one) => {
    if (!runs.length || runs[runs.length - 1].about !== one.about) runs.push({ about: one.about, each: [] });
    runs[runs.length - 1].each.push(one);
    return runs;
  }, []).map(({ about, each }) => [about ? el("h3", {}, about) : null, el("ul", { class: "findings" }, each.map((one) => el("li", { class: one.kind }, one.words)))]);

  const conceptsPart = (chosen, names) => {
    const [scale, rows, tested, same] = [scaleOf(chosen), rowsOf(chosen), new Set(comparableOf(chosen)), sameVocabulary(chosen)];
    const figures = Array.from(new Set(rows.map(categoryOf))).map((category, number) => {
      const lines = rows.filter((concept) => categoryOf(concept) === category).map((concept) => {
        const units = chosen.map((one) => scale.units(unitsOf(one.layer, concept).measured, one.layer.units));
        const chance = chosen.map((one) => scale.units(unitsOf(one.layer, concept).null, one.layer.units).value);
        const gaps = chosen.slice(1).map((other) => (tested.has(concept) ? changes(chosen[0], other, [concept], scale)[0].difference : UNKNOWN));
        const words = gaps.map((gap) => signedInterval(gap, scale.one));
        return {
          name: nameOf(concept), estimates: units, beside: chance, words: gaps.length === 1 && known(gaps[0]) ? words[0] : "", sure: gaps.some(apart),
          cells: [nameOf(concept), ...units.flatMap((u, i) => [interval(u, scale.one), scale.one(chance[i]), percent(chosen[i].profile.areas.get(concept))]), ...words],
        };
      });
      const told = chosen.map((one, i) => {
        const found = one.layer.categories[category] || {};
        const [own, none] = ["measured", "null"].map((control) => scale.units(same ? figure(found[control] || [null, null, null])
          : totalOf(one.layer, rows.filter((concept) => categoryOf(concept) === category), control), one.layer.units));
        return names[i] + " " + interval(own, scale.one) + ", null " + scale.one(none.value);
      });
      const id = "concepts-" + number;
      const listedRows = lines.filter((row, i) => i < 24 || row.sure);
      const rest = lines.length - listedRows.length;
      return drawn(id, category, "Units" + scale.per + ": " + told.join("; ") + "." + (rest ? " " + whole(rest) + " more concepts are in the table." : ""),
        rowsChart(id, "Units per concept: " + category, "A row for each concept, a lane for each of " + names.join(", ") + TABLE, listedRows, plain, Infinity),
        ["concept", ...names.flatMap((name) => [name, "null", "area"]), ...against(names)], lines.map((row) => row.cells));
    });
    return section("concepts", "Units per concept",
      lede("By each unit's label within the category. Line and sign: interpretable units; pale: their 95 % interval; ", tick(), " units that the null labels.",
        names.length === 2 ? " At the right, the difference: " + names[1] + " less " + names[0] + "; bold where its interval leaves out 0." : null),
      keyOf(names), figures.length ? el("div", { class: "two tops" }, figures) : el("p", { class: "note" }, "No shared concept has units."));
  };

  const measured = (one, layer, chosen, which) => {
    const [own, chance] = ["measured", "null"].map((control) => totalsOf(one, layer, chosen, control)[which ? "concepts" : "units"]);
    return which ? [own, chance] : [scaled(own, 1 / layer.units), scaled(chance, 1 / layer.units)];
  };
  const LABELS = "Labels of shared concepts";
  /* labels a unit can pass one, so that they are no shares */
  const kindsOf = (chosen) => [["units", sameVocabulary(chosen) ? percent : thousandths, 0.05], ["concepts", whole, 1]];
  const endsOf = (chosen) => (sameVocabulary(chosen) ? "95 % intervals" : "the widest that the concepts' 95 % intervals allow");
  const depthPart = (chosen, names) => {
    if (!comparableOf(chosen).length) return section("depth", "Over the layers", keyOf(names), el("p", { class: "note" }, "No concept can be a label in all models."));
    const titles = titlesOf(chosen);
    const layers = chosen.map((one) => one.profile.layers.map((layer) => layer.name));
    const longest = layers.reduce((a, b) => (b.length > a.length ? b : a));
    const byName = layers.every((each) => each.every((name) => longest.includes(name)));
    const place = (each, name) => (byName ? longest.indexOf(name) / Math.max(longest.length - 1, 1) : each.indexOf(name) / Math.max(each.length - 1, 1));
    const marks = byName ? longest.map((name) => [place(longest, name), name]) : [[0, "first"], [1, "last"]];
    const figures = kindsOf(chosen).map(([kind, told, least], which) => {
      const rows = [];
      const lines = chosen.map((one, i) => ({ one, i })).filter(({ i }) => titles.indexOf(titles[i]) === i).map(({ one, i }) => {
        const points = one.profile.layers.map((layer) => measured(one, layer, chosen, which));
        points.forEach(([own, chance], k) => rows.push([titles[i], layers[i][k], interval(own, told), told(chance.value)]));
        return { name: titles[i], model: i, at: layers[i].map((name) => place(layers[i], name)), estimates: points.map((p) => p[0]), null: points.map((p) => p[1].value) };
      });
      const same = sameVocabulary(chosen);
      const [id, title] = ["depth-" + kind, which ? "Different concepts by layer" : same ? "Interpretable units by layer" : LABELS + " by layer"];
      return drawn(id, title, (which ? "Among their labels" : same ? "Share of each layer's units" : "Labels per unit, which can have one in each category") + "; " + endsOf(chosen) + "; dots: what the null labels.",
        linesChart(id, title, "A line for each model over its layers, with " + endsOf(chosen) + TABLE, lines, marks, told === percent ? percent : plain, least),
        ["model", "layer", kind, "null"], rows);
    });
    return section("depth", "Over the layers", keyOf(names), el("div", { class: "two" }, figures));
  };

  const trendPart = (chosen, names) => {
    const found = trendOf(chosen);
    if (!found || !comparableOf(chosen).length) return null;
    const places = found.far.map((far) => (far - found.far[0]) / (found.far[found.far.length - 1] - found.far[0]));
    const figures = kindsOf(chosen).map(([kind, told, least], which) => {
      const points = found.at.map((i) => measured(chosen[i], chosen[i].layer, chosen, which));
      const [id, title] = ["trend-" + kind, which ? "Different concepts over training" : (sameVocabulary(chosen) ? "Interpretable units" : LABELS) + " over training"];
      return drawn(id, title, "Checkpoints of one training, by the " + found.told + " it had seen; " + endsOf(chosen) + "; dots: what the null labels.",
        linesChart(id, title, "Over the " + found.told + " that the training had seen" + TABLE,
          [{ name: "", model: 0, at: places, estimates: points.map((p) => p[0]), null: points.map((p) => p[1].value), signs: found.at }],
          places.map((place, i) => [place, compact(found.far[i])]), told === percent ? percent : plain, least),
        ["model", found.told, kind, "null"],
        points.map(([own, chance], i) => [names[found.at[i]], whole(found.far[i]), interval(own, told), told(chance.value)]));
    });
    return section("trend", "Over training", keyOf(names), el("div", { class: "two" }, figures));
  };

  const strengthPart = (chosen, names) => {
    const heaps = chosen.map((one, i) => ({ name: names[i], model: i, units: one.layer.spread }));
    const gaps = chosen.map((other, i) => (i ? agreementChange(chosen[0], other) : UNKNOWN));
    const rows = heaps.map((heap, i) => {
      const good = heap.units.filter((unit) => unit[2]);
      const ious = good.map((unit) => unit[0]);
      return [heap.name, whole(heap.units.length), whole(good.length), interval(chosen[i].layer.meanIou, share), known(gaps[i]) ? measureGap(gaps[i]) : DASH, ...[0.1, 0.25, 0.5, 0.75, 0.9].map((q) => share(quantile(ious, q))), share(median(good.map((unit) => unit[1])))];
    });
    const figures = [drawn("heaps", "How well units agree",
      "Units by IoU with their label; faint: not interpretable; turned down, in grey: the null of the same units. The line is the median of the interpretable ones.",
      heapsChart("heaps", "Units by IoU with their label", "A heap for each model, its null below; the table has quantiles.", heaps),
      ["model", "units", "interpretable", "mean", "mean − " + names[0], "10 %", "25 %", "median", "75 %", "90 %", "median of null"], rows)];
    const causes = causesFigure(chosen, names);
    if (causes) figures.push(causes);
    return section("strength", "How well, and what for", keyOf(names), el("div", { class: "two tops" }, figures));
  };
  const ORDERS = { "first-order": "first order", alpha: "learned mask" };
  const causesFigure = (chosen, names) => {
    const concepts = Array.from(new Set(chosen.flatMap((one) => Array.from((one.profile.effects || new Map()).keys()))));
    if (!concepts.length) return null;
    const gaps = chosen.slice(1).map((other) => new Map(effectChanges(chosen[0], other).map((change) => [change.concept, change.difference])));
    const lines = concepts.map((concept) => {
      const effects = chosen.map((one) => (one.profile.effects && one.profile.effects.get(concept)) || null);
      const words = gaps.map((found) => (found.has(concept) ? signedInterval(found.get(concept), tenths) : DASH));
      const pair = gaps.length === 1 && gaps[0].get(concept);
      return {
        name: nameOf(concept), estimates: effects.map((e) => (e ? e.removed : UNKNOWN)), beside: effects.map((e) => (e ? e.random.value : NaN)),
        words: pair ? words[0] : "", sure: Boolean(pair) && apart(pair),
        cells: [nameOf(concept), ...effects.flatMap((e) => (e ? [interval(e.removed, removed), interval(e.beyond, removed), ORDERS[e.order] || e.order] : [DASH, DASH, DASH])), ...words],
      };
    });
    const units = Array.from(new Set(chosen.flatMap((one) => (one.profile.effects ? Array.from(one.profile.effects.values()).map((e) => e.units) : [])))).sort((a, b) => a - b);
    const where = chosen.map((one, i) => names[i] + ": " + (one.profile.causes ? one.profile.causes.layer + ", " + whole(one.profile.causes.samples) + " images" : "not measured"));
    return drawn("causes", "What units cause",
      "Share of a concept's area that goes when its leading " + units.join(" or ") + " units are turned off, each model's by the order that removed most on other latents; tick: random units; differences are of what goes beyond these, in points. "
      + where.join("; ") + ".",
      rowsChart("causes", "Area removed per concept", "A row for each concept, a lane for each model" + TABLE, lines, removed, 1),
      ["concept", ...names.flatMap((name) => [name, "beyond random", "order"]), ...against(names).map((words) => words + ", points")], lines.map((row) => row.cells));
  };

  const qualityPart = (chosen, names) => {
    const measures = Array.from(new Set(chosen.flatMap((one) => (one.profile.measures || []).map((m) => m.name))));
    if (!measures.length) return null;
    const gaps = chosen.slice(1).map((other) => new Map(qualityChanges(chosen[0], other).map((change) => [change.name, change.difference])));
    const rows = measures.map((name) => [name.replaceAll("_", " "),
      ...chosen.map((one) => { const held = (one.profile.measures || []).find((m) => m.name === name); return held ? interval(held.estimate, thousandths) : DASH; }),
      ...gaps.map((found) => (found.has(name) ? measureGap(found.get(name)) : DASH))]);
    const told = chosen.flatMap((one, i) => (one.profile.quality ? [[names[i], one.profile.quality[0]]] : []));
    const every = Array.from(new Set(told.map(([, features]) => features)));
    const words = told.length === chosen.length && every.length === 1 ? "All by " + every[0] + "."
      : every.map((features) => both(told.filter(([, by]) => by === features).map(([name]) => name)) + ": by " + features + ".").join(" ");
    return section("quality", "How good the images are", lede(words), scroller("Quality", table(["measure", ...names, ...against(names)], rows)));
  };

  const agreementOf = (best) => {
    const value = el("data", { class: "iou", value: best.iou.value.toFixed(4) }, share(best.iou.value));
    return el("span", { class: "agree" }, "IoU ", value, " ", el("span", { class: "ci" }, "[" + share(best.iou.low) + ", " + share(best.iou.high) + "]"),
      " ", el("span", { class: "null" }, "null " + share(number(best.null))));
  };
  const gaugeOf = (best, mark) => {
    const part = (v) => (100 * (Number.isNaN(v) ? 0 : v)).toFixed(1) + "%";
    return el("span", { class: "gauge", "aria-hidden": "true" }, el("i", { class: "fill-" + mark, style: "width:" + part(best.iou.value) }),
      el("b", { style: "left:" + part(best.iou.low) + ";width:" + part(best.iou.high - best.iou.low) }), el("u", { style: "left:" + part(number(best.null)) }));
  };
  const bestCard = (one, name, i, concept, plainly) => {
    const [best, layer] = [one.layer.best.get(concept), one.layer];
    const title = el("span", { class: "name" }, msign(i), name);
    if (!best) return el("div", { class: "card weak" }, el("span", { class: "cap" }, title, el("span", { class: "id" }, "no unit comes near in " + layer.name)));
    const place = one.profile.home + "/" + layer.folder;
    const words = layer.name + " unit " + best.unit;
    const tile = one.profile.tile;
    return el("div", { class: "rival" },
      el("a", { class: "card" + (best.sure ? "" : " weak"), href: place + "/" + one.profile.unitEnds.join(best.unit) },
        el("img", { loading: "lazy", src: place + "/img/" + best.unit + ".webp", width: String(6 * tile), height: "128", alt: name + ", " + words + ", the images where it fires most: " + nameOf(concept) }),
        gaugeOf(best, one.profile.marks.get(categoryOf(concept))),
        el("span", { class: "cap" }, title, el("span", { class: "id" }, words), best.sure ? null : el("span", { class: "state" }, "not interpretable for it"),
          el("span", { class: "nums" }, agreementOf(best), el("span", { class: "lift", title: "IoU divided by the null" }, "lift " + app.times(best.lift))))),
      plainly ? el("p", { class: "plain-images" }, best.samples.filter((n) => one.profile.pictures.includes(n)).map((n) =>
        el("img", { loading: "lazy", src: one.profile.home + "/img/" + n + ".webp", width: "128", height: "128", alt: name + ", image " + n }))) : null);
  };
  let concept = "";
  const bestPart = (chosen, names) => {
    const rows = rowsOf(chosen);
    if (!rows.length) return null;
    const scale = scaleOf(chosen);
    const sure = chosen.slice(1).flatMap((other) => sureOf(changes(chosen[0], other, comparableOf(chosen), scale), 1).concat(sureOf(changes(chosen[0], other, comparableOf(chosen), scale), -1)));
    if (!rows.includes(concept)) concept = sure.length ? largest(sure)[0].concept : rows[0];
    const plainly = !oneTraining(chosen);
    const pick = el("select", { "aria-label": "Concept", id: "concept" }, Array.from(new Set(rows.map(categoryOf))).map((category) =>
      el("optgroup", { label: category }, rows.filter((each) => categoryOf(each) === category).map((each) =>
        el("option", { value: each, selected: each === concept }, nameOf(each) + " (" + chosen.map((one) => whole(unitsOf(one.layer, each).measured.value)).join(", ") + ")")))));
    pick.addEventListener("change", () => {
      concept = pick.value;
      history.pushState(null, "", address());
      field("best").replaceWith(bestPart(chosen, names));
      field("concept").focus({ preventScroll: true });
      app.say("the surest unit of each for " + nameOf(concept));
    });
    return section("best", "The surest unit of each",
      lede("Where each unit fires most: bright, inside the yellow line" + (plainly ? "; under it the same images plain, matched by concept and not by latent." : ".")),
      el("p", { class: "filters" }, pick),
      el("div", { class: "grid rivals-" + chosen.length }, chosen.map((one, i) => bestCard(one, names[i], i, concept, plainly))));
  };
  const imagesPart = (chosen, names) => {
    const at = correspondingOf(chosen);
    if (at.length < 2) return null;
    const numbers = chosen[0].profile.pictures.filter((n) => at.every((i) => chosen[i].profile.pictures.includes(n))).slice(0, 12);
    if (!numbers.length) return null;
    return section("latents", "The same latents", lede("Checkpoints or variants of one training, or one model: images in a column come from the same latent."),
      scroller("The same latents in each model", el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "model"), numbers.map((n) => el("th", { scope: "col", class: "n" }, String(n))))),
        el("tbody", {}, at.map((i) => el("tr", {}, el("th", { scope: "row" }, msign(i), names[i]), numbers.map((n) =>
          el("td", {}, el("img", { loading: "lazy", src: chosen[i].profile.home + "/img/" + n + ".webp", width: "128", height: "128", alt: names[i] + ", image " + n })))))))
      , " latents"));
  };

  /* ---- the choice ---- */
  let state = [];
  const notes = [];
  const read = () => {
    notes.length = 0;
    const pairs = location.hash.slice(1).split("&").map((part) => part.split("=")).filter((pair) => pair.length === 2);
    const plainly = (words) => { try { return decodeURIComponent(words); } catch (error) { return words; } };
    const asked = pairs.filter(([name]) => name === "m").map(([, value]) => plainly(value).split("/"));
    const wanted = pairs.find(([name]) => name === "c");
    if (wanted) { const [category, name] = wanted[1].split("/").map(plainly); concept = key(name || "", category); }
    const here = asked.filter(([home]) => entries.has(home));
    asked.filter(([home]) => !entries.has(home)).forEach(([home]) => notes.push("There is no model " + home + " on this site."));
    if (here.length > page.most) notes.push(here.length + " models were asked for; these are the first " + page.most + ".");
    state = here.slice(0, page.most).map(([home, folder]) => ({ home, folder: folder || "" }));
    page.models.forEach((one) => { if (state.length < 2 && !state.some((each) => each.home === one.home)) state.push({ home: one.home, folder: "" }); });
    if (state.length > 1) draw();
    else show([]);
  };
  const address = () => "#" + state.map((one) => "m=" + one.home + (one.folder ? "/" + one.folder : "")).join("&")
    + (concept ? "&c=" + encodeURIComponent(categoryOf(concept)) + "/" + encodeURIComponent(nameOf(concept)) : "");
  const write = () => {
    notes.length = 0;
    history.pushState(null, "", address());
    draw().then(() => app.say("compared: " + labelsOf(chosenNow()).join(", ")));
  };
  const leading = () => {
    const models = state.map((one) => profiles.get(one.home)).filter(Boolean);
    const common = models[0].layers.map((layer) => layer.name).filter((name) => models.every((one) => one.layers.some((layer) => layer.name === name)));
    const best = (one, among) => {
      let [at, top] = [null, null];
      one.layers.filter((layer) => among(layer.name)).forEach((layer) => {
        const ends = [layer.counts.measured.concepts.value, layer.counts.measured.units.value].map((v) => (Number.isNaN(v) ? -1 : v));
        if (!top || ends[0] > top[0] || (ends[0] === top[0] && ends[1] > top[1])) [at, top] = [layer, ends];
      });
      return at;
    };
    const lead = common.length ? best(models[0], (name) => common.includes(name)).name : null;
    return (one) => (lead ? one.layers.find((layer) => layer.name === lead) : best(one, () => true));
  };
  const chosenNow = () => {
    const lead = leading();
    return state.filter((one) => profiles.has(one.home)).map((one) => {
      const profile = profiles.get(one.home);
      return { profile, layer: profile.layers.find((layer) => layer.folder === one.folder) || lead(profile) };
    });
  };
  let turn = 0;
  const draw = () => {
    turn += 1;
    const mine = turn;
    return Promise.all(state.map((one) => load(one.home))).then(() => {
      if (mine !== turn) return;
      const missing = state.filter((one) => !profiles.has(one.home));
      missing.forEach((one) => notes.push("The figures of " + one.home + " cannot be read; draw it again with this version of dissectreport."));
      state = state.filter((one) => profiles.has(one.home));
      if (!state.length) { show([]); return; }
      const chosen = chosenNow();
      state.forEach((one, i) => {
        if (one.folder && chosen[i].layer.folder !== one.folder) notes.push("There is no layer " + one.folder + " on the pages of " + one.home + "; " + chosen[i].layer.name + " is shown.");
        one.folder = chosen[i].layer.folder;
      });
      show(chosen);
      history.replaceState(null, "", address());
    });
  };

  let drawnNow = [];
  const show = (chosen) => {
    drawnNow = chosen;
    const names = chosen.length ? labelsOf(chosen) : [];
    slots(chosen, names);
    field("notes").replaceChildren(...notes.concat(chosen.length > 1 ? warningsOf(chosen, names) : []).map((words) => el("p", { class: "note" }, words)));
    if (chosen.length < 2) { field("compared").replaceChildren(); return; }
    const parts = [
      section("summary", "What differs", findings(summaryOf(chosen, names)), el("p", { class: "key" }, intervalsOf(chosen))),
      conceptsPart(chosen, names), depthPart(chosen, names), trendPart(chosen, names), strengthPart(chosen, names), qualityPart(chosen, names),
      bestPart(chosen, names), imagesPart(chosen, names),
      section("keep", "Keep this page", lede("One file that needs neither this site nor scripts, for a supplement:"), el("p", {}, el("code", {},
        "dissectreport compare " + chosen.map((one) => one.profile.home).join(" ") + " --layers " + (new Set(chosen.map((one) => one.layer.name)).size > 1 ? chosen : chosen.slice(0, 1)).map((one) => one.layer.name).join(",")))),
    ];
    field("compared").replaceChildren(...parts.filter(Boolean));
    document.title = "Compare " + names.join(" and ") + " · dissectreport";
  };

  /* Elements stay, and get what fresh ones have: whoever types the name of a model is not interrupted by what it draws. */
  const morph = (old, fresh) => {
    if (old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
    if (old.nodeType !== Node.ELEMENT_NODE) { old.data = fresh.data; return; }
    Array.from(old.attributes).forEach(({ name }) => { if (!fresh.hasAttribute(name)) old.removeAttribute(name); });
    Array.from(fresh.attributes).forEach(({ name, value }) => { if (old.getAttribute(name) !== value) old.setAttribute(name, value); });
    if (old.tagName === "SELECT") {
      const values = (select) => Array.from(select.options).map((option) => option.value + " " + option.text).join();
      const chosen = fresh.value;
      if (values(old) !== values(fresh)) old.replaceChildren(...fresh.childNodes);
      old.value = chosen;
    } else if (old.childNodes.length === fresh.childNodes.length) {
      const pairs = Array.from(fresh.childNodes);
      Array.from(old.childNodes).forEach((child, k) => morph(child, pairs[k]));
    } else old.replaceChildren(...fresh.childNodes);
  };
  const optionsOf = (rows, chosen) => rows.map(([value, words]) => el("option", { value, selected: value === chosen }, words));
  const labelled = (words, select) => el("label", {}, el("span", {}, words), select);
  const slots = (chosen, names) => {
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.focus : null;
    const models = Array.from(new Map(page.models.map((one) => [one.model, one])).values());
    const twice = (one) => models.filter((other) => other.title === one.title).length > 1 && one.title !== one.model;
    const list = chosen.map(({ profile, layer }, i) => {
      const rules = page.models.filter((one) => one.model === profile.model);
      const pickModel = el("select", { "data-focus": "model-" + i, "aria-label": "Model " + (i + 1) }, optionsOf(models.map((one) => [one.model, twice(one) ? one.title + " (" + one.model + ")" : one.title]), profile.model));
      const pickRule = el("select", { "data-focus": "rule-" + i, "aria-label": "Rule of model " + (i + 1) }, optionsOf(rules.map((one) => [one.home, one.rule]), profile.home));
      const pickLayer = el("select", { "data-focus": "layer-" + i, "aria-label": "Layer of model " + (i + 1) }, optionsOf(profile.layers.map((one) => [one.folder, one.name]), layer.folder));
      const drop = el("button", { type: "button", class: "quiet", "aria-label": "Remove " + names[i], disabled: state.length < 3 }, "remove");
      pickModel.addEventListener("change", () => {
        const found = page.models.filter((one) => one.model === pickModel.value);
        state[i] = { home: (found.find((one) => one.rule === drawnNow[i].profile.rule) || found[0]).home, folder: "" };
        keepLayer(i, drawnNow[i].layer.name);
      });
      pickRule.addEventListener("change", () => { state[i] = { home: pickRule.value, folder: "" }; keepLayer(i, drawnNow[i].layer.name); });
      pickLayer.addEventListener("change", () => { state[i].folder = pickLayer.value; write(); });
      drop.addEventListener("click", () => { state.splice(i, 1); write(); });
      const facts = [whole(layer.units) + " units at " + layer.size.join(" × "), whole(profile.scoring) + " images", profile.segmenter[0],
        Number.isNaN(profile.training.images) ? "" : "trained on " + compact(profile.training.images) + " images",
        profile.training.variant && "trained with " + profile.training.variant].filter(Boolean).join(" · ");
      return el("li", {}, el("div", { class: "slot" }, el("b", {}, msign(i), el("a", { href: profile.home + "/index.html" }, names[i])), state.length > 2 ? drop : null),
        labelled("model", pickModel), el("div", { class: "sub" }, labelled("rule", pickRule), labelled("layer", pickLayer)), el("span", { class: "id" }, facts));
    });
    const there = Array.from(field("chosen").children);
    if (there.length === list.length) there.forEach((one, i) => morph(one, list[i]));
    else field("chosen").replaceChildren(...list);
    field("add").disabled = state.length >= page.most || !chosen.length;
    const common = chosen.length ? chosen[0].profile.layers.filter((layer) => chosen.every((one) => one.profile.layers.some((other) => other.name === layer.name))) : [];
    const same = new Set(chosen.map((one) => one.layer.name)).size === 1;
    field("together").hidden = common.length < 2;
    field("layer").replaceChildren(...optionsOf([...(same ? [] : [["", "–"]]), ...common.map((layer) => [layer.name, layer.name])], same ? chosen[0].layer.name : ""));
    const again = focused && document.querySelector('[data-focus="' + focused + '"]');
    if (again) again.focus({ preventScroll: true });
  };
  /* another model keeps the layer of the same name where it has one */
  const keepLayer = (i, name) => load(state[i].home).then(() => {
    const found = profiles.has(state[i].home) && profiles.get(state[i].home).layers.find((layer) => layer.name === name);
    if (found) state[i].folder = found.folder;
    write();
  });

  field("add").addEventListener("click", () => {
    const next = page.models.find((one) => !state.some((each) => each.home === one.home)) || page.models[0];
    state.push({ home: next.home, folder: "" });
    keepLayer(state.length - 1, chosenNow()[0].layer.name);
  });
  field("layer").addEventListener("change", () => {
    const name = field("layer").value;
    if (!name) return;
    state.forEach((one) => { one.folder = profiles.get(one.home).layers.find((layer) => layer.name === name).folder; });
    write();
  });
  field("picker").addEventListener("submit", (event) => event.preventDefault());
  const copy = document.querySelector("[data-copy-view]");
  copy.addEventListener("click", () => app.copy(location.href, copy));
  addEventListener("popstate", read);
  read();
})(window.dissectreport);
