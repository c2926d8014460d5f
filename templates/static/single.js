/* One document of many pages: the address after # says which is shown; a layer's units can be searched. */
(function () {
  "use strict";
  const leaves = Array.from(document.querySelectorAll(".leaf"));
  const doors = Array.from(document.querySelectorAll(".top nav a"));
  const asked = () => {
    try {
      return document.getElementById(decodeURIComponent(location.hash.slice(1)));
    } catch {
      return null;
    }
  };
  const show = () => {
    const target = asked();
    const leaf = (target && target.closest(".leaf")) || leaves[0];
    leaves.forEach((each) => {
      each.hidden = each !== leaf;
    });
    doors.forEach((door) => {
      if (door.getAttribute("href") === "#" + leaf.id) door.setAttribute("aria-current", "page");
      else door.removeAttribute("aria-current");
    });
    document.title = leaf.dataset.title + " · dissectreport";
    if (target && target !== leaf) target.scrollIntoView();
    else scrollTo(0, 0);
  };

  const filters = new Map();
  leaves.forEach((leaf) => {
    const cards = Array.from(leaf.querySelectorAll(".card[id]"));
    if (!cards.length) return;
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "concept, or unit number";
    field.setAttribute("aria-label", "Concept or unit number");
    const form = document.createElement("div");
    form.className = "filters";
    form.append(field);
    cards[0].parentElement.before(form);
    const filter = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      cards.forEach((card) => {
        const text = (" " + card.querySelector(".cap").textContent + " ").toLowerCase();
        card.hidden = !words.every((word) =>
          /^\d+$/.test(word) ? card.id.endsWith("-u" + word) : text.includes(word),
        );
      });
    };
    field.addEventListener("input", filter);
    filters.set(leaf, (words) => {
      field.value = words;
      filter();
    });
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const target = link && document.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)));
    const ask = target && filters.get(target.closest(".leaf"));
    if (ask && target.closest(".leaf") !== target) ask(link.dataset.words || "");
  });

  addEventListener("hashchange", show);
  show();
})();
