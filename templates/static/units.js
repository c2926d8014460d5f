/* A layer's cards: search, filter and sort; the state lives in the address after #. */
(function (app) {
  "use strict";
  const cards = Array.from(document.querySelectorAll("#cards > .card"));
  const holder = document.getElementById("cards");
  const form = document.getElementById("filters");
  const data = app.data("units-data");
  const field = (id) => document.getElementById(id);
  const chips = Array.from(form.querySelectorAll("[data-category]"));
  const sure = form.querySelector("[data-sure]");
  const sorts = {
    "": (i) => i,
    iou: (i) => (data.iou[i] === null ? null : -data.iou[i]),
    lift: (i) => (data.lift[i] === null ? null : -data.lift[i]),
    unit: (i) => data.unit[i],
    concept: (i) => data.concept[i] || null,
  };
  let current = -1;
  let order = cards.map((_, i) => i);

  const fromAddress = () => new URLSearchParams(location.hash.slice(1));
  const fromForm = () => {
    const state = new URLSearchParams();
    ["q", "c", "sort", "iou", "lift"].forEach((id) => { if (field(id).value) state.set(id, field(id).value); });
    const pressed = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.category);
    if (pressed.length) state.set("cat", pressed.join(","));
    if (sure.getAttribute("aria-pressed") === "true") state.set("sure", "1");
    return state;
  };
  const toForm = (state) => {
    ["q", "c", "sort", "iou", "lift"].forEach((id) => { field(id).value = state.get(id) || ""; });
    const pressed = (state.get("cat") || "").split(",");
    chips.forEach((chip) => chip.setAttribute("aria-pressed", pressed.includes(chip.dataset.category)));
    sure.setAttribute("aria-pressed", state.get("sure") === "1");
  };

  const fits = (state) => {
    const words = (state.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const categories = (state.get("cat") || "").split(",").filter(Boolean);
    const least = (name) => parseFloat(state.get(name));
    return (i) =>
      words.every((word) => /^#?\d+$/.test(word) ? data.unit[i] === Number(word.replace("#", ""))
        : (data.labels[i].flat().join(" ") + " " + data.state[i]).toLowerCase().includes(word)) &&
      (!state.get("c") || data.labels[i].some((label) => label[0] === state.get("c"))) &&
      (!categories.length || data.labels[i].some((label) => categories.includes(label[1]))) &&
      (state.get("sure") !== "1" || data.sure[i]) &&
      ["iou", "lift"].every((name) => Number.isNaN(least(name)) || (data[name][i] !== null && data[name][i] >= least(name)));
  };

  const show = (state) => {
    const key = sorts[state.get("sort") || ""] || sorts[""];
    const fit = fits(state);
    order = cards.map((_, i) => i);
    order.sort((a, b) => app.compare(key(a), key(b), false) || a - b);
    holder.append(...order.map((i) => cards[i]));
    order = order.filter(fit);
    const visible = new Set(order);
    cards.forEach((card, i) => { card.hidden = !visible.has(i); });
    field("shown").textContent = order.length === cards.length ? cards.length + " units" : order.length + " of " + cards.length + " units";
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

  const write = (replace) => {
    const state = fromForm().toString();
    const address = state ? "#" + state : location.pathname + location.search;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    show(fromForm());
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
  [...chips, sure].forEach((chip) => chip.addEventListener("click", () => {
    chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true");
    write(false);
  }));
  const clear = () => { toForm(new URLSearchParams()); write(false); };
  document.querySelectorAll("[data-clear]").forEach((button) => button.addEventListener("click", clear));
  document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => {
    const focused = cards.indexOf(document.activeElement);
    if (focused >= 0) current = order.indexOf(focused);
    const next = current + Number(button.dataset.step);
    if (next < 0 || next >= order.length) return;
    current = next;
    point(order[current]);
  }));
  addEventListener("hashchange", read);
  addEventListener("popstate", read);
  read(location.hash ? new Event("load") : null);
})(window.dissectreport);
