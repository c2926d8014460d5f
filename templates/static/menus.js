/* What opens and closes: the menus of the head, and folded parts of a page. */
(function (app) {
  "use strict";
  const all = app.all;

  /* what an address names is not folded, and nothing is on paper */
  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1) || "-");
    for (let part = target; part; part = part.parentElement) if (part.matches("details")) part.open = true;
    if (target && target.closest("details")) target.scrollIntoView();
  };
  if (!/[%=&]/.test(location.hash)) unfold();
  addEventListener("hashchange", () => /[%=&]/.test(location.hash) || unfold());
  addEventListener("beforeprint", () => {
    all(".more-about").forEach((part) => {
      part.dataset.folded = part.open ? "" : "yes";
      part.open = true;
    });
  });
  addEventListener("afterprint", () => {
    all(".more-about[data-folded='yes']").forEach((part) => (part.open = false));
  });
  /* the tab of this page is on the screen, however narrow it is */
  const tab = document.querySelector(".top .wrap > nav [aria-current]");
  if (tab) {
    const row = tab.parentElement;
    row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
  }
  all(".layers-menu").forEach((menu) => {
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
})(window.dissectreport);
