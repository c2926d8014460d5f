/* Charts: saved as SVG, and interactive ones drawn by plotly on demand. */
(function (app) {
  "use strict";
  const root = document.documentElement;
  const all = app.all;

  /* charts leave as SVG files that look the same elsewhere */
  const kept = [
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "paint-order",
    "opacity",
    "font-family",
    "font-size",
    "font-weight",
    "visibility",
  ];
  app.standalone = (svg) => {
    const copy = svg.cloneNode(true);
    const from = [svg, ...all("*", svg)];
    [copy, ...all("*", copy)].forEach((element, i) => {
      const style = getComputedStyle(from[i]);
      kept.forEach((name) => {
        if (element.tagName !== "title" && element.tagName !== "desc")
          element.style.setProperty(name, style.getPropertyValue(name));
      });
      element.removeAttribute("class");
      if (element.tagName === "a") element.removeAttribute("href");
    });
    const box = svg.viewBox.baseVal;
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", box.width);
    copy.setAttribute("height", box.height);
    return new XMLSerializer().serializeToString(copy);
  };
  const download = (content, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = document.title.replace(/[^\p{L}\p{N}]+/gu, "-") + "-" + name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
  };
  app.save = (button) => {
    const svg = document.getElementById(button.dataset.save);
    download(new Blob([app.standalone(svg)], { type: "image/svg+xml" }), button.dataset.save + ".svg");
  };
  all("[data-save]").forEach((button) => button.addEventListener("click", () => app.save(button)));

  /* as PNG, twice as large, with title and caption above */
  const wrapped = (words, font, width) => {
    const paint = document.createElement("canvas").getContext("2d");
    paint.font = font;
    return words.split(/\s+/).reduce((lines, word) => {
      const longer = lines.length ? lines[lines.length - 1] + " " + word : word;
      if (lines.length && paint.measureText(longer).width <= width) lines[lines.length - 1] = longer;
      else lines.push(word);
      return lines;
    }, []);
  };
  app.savePicture = (button) => {
    const svg = document.getElementById(button.dataset.savePng);
    const [box, style] = [svg.viewBox.baseVal, getComputedStyle(document.body)];
    const said = (selector) =>
      (svg.closest("figure").querySelector(selector) || { textContent: "" }).textContent.trim();
    const family = style.fontFamily;
    const words = [
      ...wrapped(said("figcaption h3"), "600 17px " + family, box.width - 24).map((line) => ["600 17px ", 24, line]),
      ...wrapped(said("figcaption p"), "13px " + family, box.width - 24).map((line) => ["13px ", 18, line]),
    ].filter(([, , line]) => line);
    const above = 16 + words.reduce((sum, [, height]) => sum + height, 0);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * (box.width + 24), 2 * (box.height + above + 12)];
    const paint = canvas.getContext("2d");
    paint.scale(2, 2);
    paint.fillStyle = style.backgroundColor;
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.fillStyle = style.color;
    words.reduce((up, [font, height, line]) => {
      paint.font = font + family;
      paint.fillText(line, 12, up + height - 6);
      return up + height;
    }, 10);
    const picture = new Image();
    picture.addEventListener("load", () => {
      paint.drawImage(picture, 12, above, box.width, box.height);
      canvas.toBlob((content) => download(content, button.dataset.savePng + ".png"));
    });
    picture.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(app.standalone(svg));
  };
  all("[data-save-png]").forEach((button) => button.addEventListener("click", () => app.savePicture(button)));

  /* plotly: one bundle a site, fetched as a classic script when somebody asks for a chart */
  let plotly = null;
  const loadPlotly = () =>
    plotly ||
    (plotly = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = root.dataset.plotly;
      script.addEventListener("load", () => resolve(window.Plotly));
      script.addEventListener("error", reject);
      document.head.append(script);
    }));
  const coloured = (value, style) => {
    if (typeof value === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((v) => coloured(v, style));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, coloured(v, style)]));
    return value;
  };
  const draw = (host) =>
    loadPlotly().then((library) => {
      const figure = coloured(app.data(host.id + "-data"), getComputedStyle(root));
      host.dataset.drawn = "yes";
      const name = host.id;
      return library.react(host, figure.data, figure.layout, {
        responsive: true,
        displaylogo: false,
        toImageButtonOptions: { format: "svg", filename: name },
        modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
      });
    });
  all("[data-plot]").forEach((button) =>
    button.addEventListener("click", () => {
      button.disabled = true;
      draw(document.getElementById(button.dataset.plot)).then(
        () => button.parentElement.remove(),
        () => {
          button.disabled = false;
          app.say("the chart library could not be loaded");
        },
      );
    }),
  );
  document.addEventListener("themechange", () => all("[data-drawn]").forEach(draw));
})(window.dissectreport);
