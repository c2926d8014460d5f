/* Blind choices: order and sides come from a seed of this browser's own; which image is repaired is told at the end. */
(function (app) {
  "use strict";
  const data = app.data("preference-data");
  const field = (id) => document.getElementById(id);
  if (!data.pairs.length) return;
  const key = ["preference", data.model, data.identity, data.edit].join("|");

  const kept = (() => {
    try {
      localStorage.setItem("dissectreport-try", "1");
      localStorage.removeItem("dissectreport-try");
      return true;
    } catch {
      return false;
    }
  })();
  const drawn = () => Math.floor(Math.random() * 4294967296);
  /* who begins again is the same person, and no longer blind: both are told with the choices */
  const fresh = (before) => {
    const seed = drawn();
    return {
      seed: seed,
      person: before ? before.person : seed,
      again: before ? before.again + Number(before.ended) : 0,
      pairs: data.key,
      choices: [],
      ended: false,
    };
  };
  const read = () => {
    try {
      const found = JSON.parse(app.remember(key));
      /* choices between other pictures are of no use here */
      if (
        found &&
        found.pairs === data.key &&
        Array.isArray(found.choices) &&
        found.choices.length <= data.pairs.length
      )
        return { person: found.seed, again: 0, ...found };
    } catch {
      /* begun anew */
    }
    return fresh();
  };

  /* mulberry32: the same seed, the same order on every machine */
  const stream = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const dealt = (seed) => {
    const random = stream(seed);
    const order = data.pairs.map((_, i) => i);
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order.map((pair) => ({ pair: pair, sides: random() < 0.5 ? [0, 1] : [1, 0] }));
  };
  let state = read();
  let deal = dealt(state.seed);

  const address = (pair, side) => data.folder + data.pairs[pair][side] + ".webp";
  const repaired = (pair) => (atob(data.key).charCodeAt(pair >> 3) >> (7 - (pair & 7))) & 1;
  /* a choice is kept as what was clicked: 0 for left, 1 for right, "tie" */
  const opened = () =>
    state.choices.map((choice, at) => {
      const { pair, sides } = deal[at];
      return {
        pair: pair,
        sample: data.samples[pair],
        chosen: choice === "tie" ? "tie" : sides[choice] === repaired(pair) ? "after" : "before",
      };
    });

  const percent = (share) => (100 * share).toFixed(0) + "%";
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  /* intervals and verdicts come with the page: they are computed where the command line computes them */
  const outcome = (number) => data.outcomes[number.after + number.before][number.after];
  const sentence = (number) => {
    const decided = number.after + number.before;
    const ties = number.tie ? filled(data.texts.ties, { ties: number.tie }) : "";
    if (!decided) return filled(data.texts.nothing, { ties });
    const [low, high, verdict] = outcome(number);
    return filled(data.texts.result, {
      after: number.after,
      decided,
      ties,
      share: percent(number.after / decided),
      low: percent(low),
      high: percent(high),
      verdict: data.texts.verdicts[verdict],
    });
  };

  const image = (pair, side, words) => {
    const made = document.createElement("img");
    made.loading = "lazy";
    made.src = address(pair, side);
    made.alt = words;
    return made;
  };
  const row = (one) => {
    const item = document.createElement("li");
    [
      ["before", 1 - repaired(one.pair)],
      ["after", repaired(one.pair)],
    ].forEach(([words, side]) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = words + (one.chosen === words ? " · chosen" : "");
      if (one.chosen === words) figure.className = "chosen";
      figure.append(image(one.pair, side, "sample " + one.sample + " " + words), caption);
      item.append(figure);
    });
    return item;
  };
  const result = () => {
    const every = opened();
    const number = { before: 0, after: 0, tie: 0 };
    every.forEach((one) => {
      number[one.chosen] += 1;
    });
    field("told").textContent = sentence(number);
    const decided = number.after + number.before;
    field("bar").hidden = !decided;
    if (decided) {
      const [low, high] = outcome(number);
      const [bar, span] = field("bar").children;
      bar.style.width = (100 * number.after) / decided + "%";
      span.style.left = 100 * low + "%";
      span.style.width = 100 * (high - low) + "%";
    }
    field("export").disabled = !every.length;
    field("revealed").replaceChildren(...every.map(row));
  };

  const show = () => {
    const at = state.choices.length;
    const over = state.ended || at === deal.length;
    ["blind", "doing", "hint"].forEach((id) => {
      field(id).hidden = over;
    });
    field("result").hidden = !over;
    field("progress").value = at;
    field("chosen").textContent = at + " of " + deal.length;
    field("back").disabled = !at;
    if (over) {
      result();
      return;
    }
    const { pair, sides } = deal[at];
    [
      ["left", 0],
      ["right", 1],
    ].forEach(([id, side]) => {
      field(id).src = address(pair, sides[side]);
      field(id).alt = id + " image of pair " + (at + 1);
    });
    /* the next pair is there when it is wanted */
    if (at + 1 < deal.length)
      deal[at + 1].sides.forEach((side) => {
        new Image().src = address(deal[at + 1].pair, side);
      });
  };
  const keep = () => {
    app.remember(key, JSON.stringify(state));
    show();
  };
  const finish = () => {
    state.ended = true;
    keep();
    field("result").focus();
    app.say(field("told").textContent);
  };
  const choose = (what) => {
    if (state.ended || state.choices.length === deal.length) return;
    state.choices.push(what === "tie" ? "tie" : Number(what));
    if (state.choices.length === deal.length) {
      finish();
      return;
    }
    keep();
    app.say("pair " + (state.choices.length + 1) + " of " + deal.length);
  };
  document
    .querySelectorAll("[data-choose]")
    .forEach((button) => button.addEventListener("click", () => choose(button.dataset.choose)));
  field("back").addEventListener("click", () => {
    if (!state.ended && state.choices.length) {
      state.choices.pop();
      keep();
    }
  });
  field("end").addEventListener("click", finish);
  field("again").addEventListener("click", () => {
    state = fresh(state);
    deal = dealt(state.seed);
    keep();
    field("main").focus();
  });
  field("export").addEventListener("click", () => {
    const choices = opened().map((one) => ({ sample: one.sample, chosen: one.chosen }));
    const words = {
      kind: "preference",
      model: data.model,
      identity: data.identity,
      edit: data.edit,
      pairs: data.pairs.length,
      seed: state.seed,
      person: state.person,
      again: state.again,
      choices: choices,
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(words, null, 1) + "\n"], { type: "application/json" }));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  });
  field("lost").hidden = kept;
  if (kept) app.remember(key, JSON.stringify(state));
  show();
})(window.dissectreport);
