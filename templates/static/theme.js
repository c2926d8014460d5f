/* Runs before the page is drawn: that scripts run, the theme that was chosen, and fonts before the style asks for them. */
(function (root) {
  "use strict";
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("dissectreport-theme");
    if (theme) root.dataset.theme = theme;
  } catch {
    /* private windows keep nothing */
  }
  /* a page that was opened from a folder may not fetch fonts in advance; it waits for them, which takes no time, so
     that no word moves */
  const served = location.protocol.startsWith("http");
  if (!served) {
    const show = () => root.classList.remove("waiting");
    root.classList.add("waiting");
    Promise.all(Array.from(document.fonts, (font) => font.load())).then(show, show);
    setTimeout(show, 400);
  }
  const fonts = served && root.dataset.fonts ? root.dataset.fonts.split(" ") : [];
  fonts.forEach((address) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "preload", as: "font", type: "font/woff2", crossOrigin: "", href: address });
    document.head.append(link);
  });
})(document.documentElement);
