/* The models of a site: search, and choose some to compare. */
(function (app) {
  "use strict";
  const table = document.getElementById("models-table");
  if (!table) return;
  const field = (id) => document.getElementById(id);
  const rows = Array.from(table.tBodies[0].rows);
  const link = field("compare");
  const start = link.getAttribute("href");
  const most = Number(link.dataset.most);
  const boxes = rows.map((row) => row.querySelector("[type=checkbox]")).filter(Boolean);
  /* the order in which models were chosen is the order in which they are compared */
  let chosen = [];

  const search = (words) => {
    const asked = words.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !asked.every((word) => text.includes(word));
    });
    const shown = rows.filter((row) => !row.hidden).length;
    field("shown").textContent = (shown === rows.length ? "" : shown + " of ") + rows.length + " models";
    field("empty").hidden = shown > 0;
  };
  const read = () => {
    field("q").value = app.view.get().get("q") || "";
    search(field("q").value);
  };
  const choose = () => {
    link.href = start + (chosen.length ? "#" + chosen.map((home) => "m=" + home).join("&") : "");
    link.textContent = chosen.length ? "Compare " + chosen.length + " chosen" : "Compare models";
    boxes.forEach((box) => {
      box.disabled = !box.checked && chosen.length >= most;
    });
  };
  boxes.forEach((box) => {
    box.checked = false;
    box.addEventListener("change", () => {
      chosen = chosen.filter((home) => home !== box.value).concat(box.checked ? [box.value] : []);
      choose();
    });
  });
  field("search").addEventListener("submit", (event) => event.preventDefault());
  field("q").addEventListener("input", () => {
    const words = field("q").value;
    app.view.set({ q: words || null });
    search(words);
  });
  addEventListener("hashchange", read);
  choose();
  read();
})(window.dissectreport);
