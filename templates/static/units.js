/* A layer's cards: search, filter and sort; the state lives in the address after #. */
(function (app) {
  "use strict";
  const AT_ONCE = 24;
  const cards = Array.from(document.querySelectorAll("#cards > .card"));
  const holder = document.getElementById("cards");
  const form = document.getElementById("filters");
  const data = app.data("units-data");
  const field = (id) => document.getElementById(id);
  const chips = Array.from(form.querySelectorAll("[data-category]"));
  const kinds = Array.from(form.querySelectorAll("[data-kind]"));
  const sure = form.querySelector("[data-sure]");
  const marks = Object.fromEntries(chips.map((chip) => [chip.dataset.category, chip.dataset.mark]));
  const { CONCEPT, CATEGORY, IOU, LIFT, CORRECTED_IOU, SELECTION_SCORE, KIND, INTERPRETABLE } = app.labelFields;
  /* the label that a card shows: its own, which comes first, or the one that was asked for, with its own figures */
  let shown = cards.map(() => 0);
  /* what stands on each card: the number of the label that was asked for, or -1 as the page came */
  const written = cards.map(() => -1);
  let filtered = false;
  const figure = (i, at) => {
    const label = data.labels[i][shown[i]];
    return label && label[at] !== null ? label[at] : null;
  };
  const falling = (at) => (i) => (figure(i, at) === null ? null : -figure(i, at));
  const strongest = (i) => {
    const label = data.labels[i][shown[i]];
    return !label || label[SELECTION_SCORE] === null ? null : (label[INTERPRETABLE] ? 0 : 10) - label[SELECTION_SCORE];
  };
  const sorts = {
    "": (i) => (filtered ? strongest(i) : i),
    iou: falling(IOU),
    corrected_iou: falling(CORRECTED_IOU),
    lift: falling(LIFT),
    effect: (i) => (data.removed[i] === null ? null : -data.removed[i]),
    unit: (i) => data.unit[i],
    concept: (i) => figure(i, CONCEPT),
  };
  let current = -1;
  let order = cards.map((_, i) => i);

  const fromAddress = () => app.view.get();
  const fromForm = () => {
    const state = new URLSearchParams();
    ["q", "c", "sort", "iou", "lift"].forEach((id) => {
      if (field(id).value) state.set(id, field(id).value);
    });
    const pressed = (buttons, name) =>
      buttons.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset[name]);
    if (pressed(chips, "category").length) state.set("cat", pressed(chips, "category").join(","));
    if (pressed(kinds, "kind").length) state.set("kind", pressed(kinds, "kind").join(","));
    if (sure.getAttribute("aria-pressed") === "true") state.set("sure", "1");
    return state;
  };
  const toForm = (state) => {
    ["q", "c", "sort", "iou", "lift"].forEach((id) => {
      field(id).value = state.get(id) || "";
    });
    const among = (name) => (state.get(name) || "").split(",");
    chips.forEach((chip) => chip.setAttribute("aria-pressed", among("cat").includes(chip.dataset.category)));
    kinds.forEach((chip) => chip.setAttribute("aria-pressed", among("kind").includes(chip.dataset.kind)));
    sure.setAttribute("aria-pressed", state.get("sure") === "1");
  };

  const terms = (state) => ({
    words: (state.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean),
    categories: (state.get("cat") || "").split(",").filter(Boolean),
    concept: state.get("c"),
  });
  const isNumber = (word) => /^#?\d+$/.test(word);
  const names = new Map();
  const named = (label) => {
    if (!names.has(label)) names.set(label, (label[CONCEPT] + " " + label[CATEGORY]).toLowerCase());
    return names.get(label);
  };
  const asked = (state) => {
    const { words, categories, concept } = terms(state);
    const of = (label) =>
      (!concept || label[CONCEPT] === concept) && (!categories.length || categories.includes(label[CATEGORY]));
    const exactly = (label) => of(label) && words.every((word) => isNumber(word) || named(label).includes(word));
    return (i) => {
      const found = [
        (label) => exactly(label) && label[INTERPRETABLE],
        exactly,
        (label) => of(label) && label[INTERPRETABLE],
        of,
      ];
      return Math.max(
        0,
        ...found
          .map((test) => data.labels[i].findIndex(test))
          .filter((at) => at >= 0)
          .slice(0, 1),
      );
    };
  };
  const fits = (state) => {
    const { words, categories, concept } = terms(state);
    const enough = (name, at, i) => {
      const least = parseFloat(state.get(name));
      return Number.isNaN(least) || (figure(i, at) !== null && figure(i, at) >= least);
    };
    return (i) =>
      words.every((word) =>
        isNumber(word)
          ? data.unit[i] === Number(word.replace("#", ""))
          : (data.labels[i].map(named).join(" ") + " " + data.state[i]).toLowerCase().includes(word),
      ) &&
      /* the units of a concept are those that the chart counts: units that the rule calls interpretable for it */
      (!concept || data.labels[i].some((label) => label[CONCEPT] === concept && label[INTERPRETABLE])) &&
      (!categories.length || data.labels[i].some((label) => categories.includes(label[CATEGORY]))) &&
      (!state.get("kind") || state.get("kind").split(",").includes(figure(i, KIND))) &&
      (state.get("sure") !== "1" || (filtered ? figure(i, INTERPRETABLE) : data.sure[i])) &&
      enough("iou", IOU, i) &&
      enough("lift", LIFT, i);
  };

  const writeCard = app.unitLabels(cards, data.labels, marks);
  /* the cards of `order` come first, in this order; the others are hidden. Only what changes is touched */
  const place = () => {
    const visible = new Set(order);
    cards.forEach((card, i) => {
      if (card.hidden === visible.has(i)) card.hidden = !visible.has(i);
    });
    let at = holder.firstElementChild;
    order.forEach((i) => {
      while (at && at.hidden) at = at.nextElementSibling;
      if (cards[i] === at) at = at.nextElementSibling;
      else holder.insertBefore(cards[i], at);
    });
  };
  /* the first cards are written at once, the others when the page has been drawn */
  let writing = 0;
  const writeFrom = (first) => {
    order.slice(first, first + AT_ONCE).forEach((i) => {
      const label = filtered ? shown[i] : -1;
      if (written[i] !== label) writeCard(i, shown[i], filtered);
      written[i] = label;
    });
    if (first + AT_ONCE < order.length) writing = setTimeout(writeFrom, 20, first + AT_ONCE);
  };
  const show = (state) => {
    const key = sorts[state.get("sort") || ""] || sorts[""];
    shown = cards.map((_, i) => i).map(asked(state));
    const { words, categories, concept } = terms(state);
    filtered = Boolean(concept || categories.length || words.some((word) => !isNumber(word)));
    field("others").hidden = !filtered;
    order = cards.map((_, i) => i).filter(fits(state));
    const keys = new Map(order.map((i) => [i, key(i)]));
    order.sort((a, b) => app.compare(keys.get(a), keys.get(b), false) || a - b);
    place();
    clearTimeout(writing);
    writeFrom(0);
    field("shown").textContent =
      order.length === cards.length ? cards.length + " units" : order.length + " of " + cards.length + " units";
    field("empty").hidden = order.length > 0;
    field("clear").hidden = !fromForm().toString();
    current = -1;
  };
  const point = (i) => {
    cards.forEach((card) => card.classList.remove("here"));
    const card = cards[i];
    card.classList.add("here");
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "center" });
  };

  /* what was asked for is on the screen, whatever stands above it */
  const reveal = () => {
    const first = order.length ? cards[order[0]] : field("empty");
    const { top } = first.getBoundingClientRect();
    if (top < form.getBoundingClientRect().bottom || top > innerHeight * 0.6)
      document.getElementById("units").scrollIntoView();
  };

  const write = (replace) => {
    const state = fromForm().toString();
    const address = state ? "#" + state : location.pathname + location.search;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    show(fromForm());
    reveal();
  };
  const read = (event) => {
    const state = fromAddress();
    toForm(state);
    show(state);
    const unit = data.unit.indexOf(Number(state.get("u") || NaN));
    if (unit >= 0) requestAnimationFrame(() => point(unit));
    else if (event && state.toString()) document.getElementById("units").scrollIntoView();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  ["q", "iou", "lift"].forEach((id) => field(id).addEventListener("input", () => write(true)));
  ["c", "sort"].forEach((id) => field(id).addEventListener("change", () => write(false)));
  [...chips, ...kinds, sure].forEach((chip) =>
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
      write(false);
    }),
  );
  const clear = () => {
    toForm(new URLSearchParams());
    write(false);
  };
  document.querySelectorAll("[data-clear]").forEach((button) => button.addEventListener("click", clear));
  document.querySelectorAll("[data-step]").forEach((button) =>
    button.addEventListener("click", () => {
      const focused = cards.indexOf(document.activeElement);
      if (focused >= 0) current = order.indexOf(focused);
      const next = current + Number(button.dataset.step);
      if (next < 0 || next >= order.length) return;
      current = next;
      point(order[current]);
    }),
  );
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  read(location.hash ? new Event("load") : null);
})(window.dissectreport);
