/* Runs before the page is drawn: that scripts run, and the theme that was chosen. */
(function (root) {
  "use strict";
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("dissectreport-theme");
    if (theme) root.dataset.theme = theme;
  } catch {
    /* private windows keep nothing */
  }
})(document.documentElement);
