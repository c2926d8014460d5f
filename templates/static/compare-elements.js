/* Elements of the page that compares models. Text is always text, never markup; only parts of charts that Python drew
   are put in as they are. Everything that the page says or draws was computed before; scripts choose and arrange it. */
window.dissectreport.comparison = {};
(function (app, comparison) {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";

  const filled = (element, attributes, children) => {
    Object.entries(attributes).forEach(([name, value]) => {
      if (value !== null && value !== undefined && value !== false)
        element.setAttribute(name, value === true ? "" : value);
    });
    element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  };
  /* a text of the page with the names in its braces filled in */
  const phrase = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const el = (tag, attributes, ...children) => filled(document.createElement(tag), attributes || {}, children);
  const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes || {}, children);

  /* what Python drew for one model, moved, with the colour and sign of its place among the models */
  const placed = (part, place, x, y) => {
    const group = svg("g", { class: "slot slot-" + (place + 1), transform: "translate(" + x + " " + y + ")" });
    group.innerHTML = part.replaceAll("{sign}", comparison.page.signs[place]);
    return group;
  };
  const drawn = (part) => {
    const group = svg("g", {});
    group.innerHTML = part;
    return group;
  };

  const modelSign = (place) => el("i", { class: "msign msign-" + (place + 1), "aria-hidden": "true" });
  const key = (members) =>
    el(
      "p",
      { class: "mkey" },
      members.map((member) => el("span", {}, modelSign(member.place), member.label)),
    );
  const lede = (...words) => el("p", { class: "lede" }, words);
  const note = (words) => el("p", { class: "note" }, words);
  const section = (id, title, ...inside) => el("section", { id }, el("h2", {}, title), inside);
  const scroller = (label, inside, kind) =>
    el("div", { class: "scroll" + (kind || ""), tabindex: "0", role: "group", "aria-label": label }, inside);

  const cell = (words, i) => (i ? el("td", { class: "n" }, words) : el("th", { scope: "row" }, words));
  const table = (heads, rows) =>
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((head, i) => el("th", { scope: "col", class: i ? "n" : null }, head)),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) => el("tr", {}, row.map(cell))),
      ),
    );
  const figure = (id, title, words, chart, heads, rows) => {
    const save = el(
      "button",
      { type: "button", class: "quiet", "data-save": id, "aria-label": "Save as SVG: " + title },
      "Save SVG",
    );
    save.addEventListener("click", () => app.save(save));
    const numbers = scroller(title + ", as a table", table(heads, rows));
    return el(
      "figure",
      { class: "chart", id: id + "-figure" },
      el("figcaption", {}, el("h3", {}, title), words ? el("p", {}, words) : null),
      el("div", { class: "plot", tabindex: "0", role: "group", "aria-label": title }, chart),
      el("div", { class: "chart-tools" }, save, el("details", {}, el("summary", {}, "Table"), numbers)),
    );
  };

  Object.assign(comparison, {
    page: app.data("compare-data"),
    DASH: "–",
    phrase,
    el,
    svg,
    placed,
    drawn,
    modelSign,
    key,
    lede,
    note,
    section,
    scroller,
    table,
    figure,
  });
})(window.dissectreport, window.dissectreport.comparison);
