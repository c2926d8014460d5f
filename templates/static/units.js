/* A layer's cards: search, filter and sort; the state lives in the address after #. */
(function (app) {
  "use strict";
  const cards = Array.from(document.querySelectorAll("#cards > .card"));
  const holder = document.getElementById("cards");
  const form = document.getElementById("filters");
  const data = app.data("units-data");
  const field = (id) => document.getElementById(id);
  const chips = Array.from(form.querySelectorAll("[data-category]"));
  const kinds = Array.from(form.querySelectorAll("[data-kind]"));
  const sure = form.querySelector("[data-sure]");
  const marks = Object.fromEntries(chips.map((chip) => [chip.dataset.category, chip.dataset.mark]));
  const [
    CONCEPT,
    CATEGORY,
    IOU,
    LOW,
    HIGH,
    CHANCE_LEVEL,
    LIFT,
    CORRECTED_IOU,
    SELECTION_SCORE,
    THRESHOLD,
    KIND,
    SHADES,
    INTERPRETABLE,
  ] = Array(13).keys();
  /* the label that a card shows: its own, which comes first, or the one that was asked for, with its own figures */
  let shown = cards.map(() => 0);
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

  const fromAddress = () => new URLSearchParams(location.hash.slice(1));
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
  const named = (label) => (label[CONCEPT] + " " + label[CATEGORY]).toLowerCase();
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

  /* a card that was asked for by another of its labels shows that label's figures, all of them */
  const element = (tag, name, words) => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = words;
    return made;
  };
  const figures = (label) => {
    const value = element("data", "iou", app.share(label[IOU]));
    value.value = label[IOU].toFixed(4);
    const all = element("span", "agree", "IoU ");
    all.append(
      value,
      " ",
      element("span", "ci", "[" + app.share(label[LOW]) + ", " + app.share(label[HIGH]) + "]"),
      " ",
      element("span", "chance_level", "chance " + app.share(label[CHANCE_LEVEL])),
    );
    const lift = element("span", "lift", label[LIFT] === null ? "" : "lift " + app.times(label[LIFT]));
    lift.title = "IoU divided by the chance level";
    const threshold = element("span", "threshold", "threshold " + (label[THRESHOLD] === null ? "–" : label[THRESHOLD]));
    const kind = label[KIND] ? [element("span", "kind", label[KIND])] : [];
    return [
      all,
      element("span", "corrected_iou", "chance-corrected " + app.share(label[CORRECTED_IOU])),
      threshold,
      lift,
      ...kind,
    ];
  };
  const caption = (i, at) => {
    const cap = cards[i].querySelector(".cap");
    const name = element("span", "name", data.labels[i][at][CONCEPT]);
    const sign = element("i", "sign sign-" + marks[data.labels[i][at][CATEGORY]], "");
    sign.setAttribute("aria-hidden", "true");
    name.prepend(sign);
    const nums = element("span", "nums", "");
    nums.append(...figures(data.labels[i][at]));
    const overall = at > 0 ? [element("span", "overall", "overall label " + data.labels[i][0][CONCEPT])] : [];
    /* what is below its baseline is so for the overall label */
    const remarks = Array.from(cap.querySelectorAll(".state, .effect"));
    const kept = at > 0 ? remarks.filter((one) => !one.textContent.startsWith("below")) : remarks;
    return [name, cap.querySelector(".id"), ...overall, ...kept, nums];
  };
  const draw = (gauge, label) => {
    const [bar, span, tick] = gauge.children;
    const at = (v) => (100 * v).toFixed(1) + "%";
    bar.className = "fill-" + marks[label[CATEGORY]];
    bar.style.width = at(label[IOU]);
    span.style.left = at(label[LOW]);
    span.style.width = at(label[HIGH] - label[LOW]);
    tick.style.left = at(label[CHANCE_LEVEL]);
  };
  const shade = (shades, label) => {
    shades.className = "iou-parts ink-" + marks[label[CATEGORY]];
    ["--a", "--b", "--c", "--d"].forEach((part, at) => {
      shades.style.setProperty(part, (label[SHADES][at] || 0) + "%");
    });
  };
  const own = new Map();
  const fill = (i, at) => {
    const [cap, gauge] = [cards[i].querySelector(".cap"), cards[i].querySelector(".gauge")];
    const shades = cards[i].querySelector(".iou-parts");
    if (!gauge) return;
    if (!own.has(i)) own.set(i, [Array.from(cap.childNodes), gauge.innerHTML, cards[i].classList.contains("weak")]);
    const [words, bars, weak] = own.get(i);
    if (shades) shade(shades, data.labels[i][at]);
    cap.replaceChildren(...words);
    gauge.innerHTML = bars;
    cards[i].classList.toggle("other", at > 0);
    cards[i].classList.toggle("weak", filtered ? !data.labels[i][at][INTERPRETABLE] : weak);
    if (!filtered) return;
    cap.replaceChildren(...caption(i, at));
    draw(gauge, data.labels[i][at]);
  };

  const show = (state) => {
    const key = sorts[state.get("sort") || ""] || sorts[""];
    const next = cards.map((_, i) => i).map(asked(state));
    const { words, categories, concept } = terms(state);
    const before = filtered;
    filtered = Boolean(concept || categories.length || words.some((word) => !isNumber(word)));
    next.forEach((at, i) => {
      if (at !== shown[i] || filtered !== before) fill(i, at);
    });
    shown = next;
    field("others").hidden = !filtered;
    const fit = fits(state);
    order = cards.map((_, i) => i);
    order.sort((a, b) => app.compare(key(a), key(b), false) || a - b);
    holder.append(...order.map((i) => cards[i]));
    order = order.filter(fit);
    const visible = new Set(order);
    cards.forEach((card, i) => {
      card.hidden = !visible.has(i);
    });
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
