/* A concept: one image with and without its units, wiped by a slider, a key or a pointer. */
(function (app) {
  "use strict";
  const compare = document.getElementById("compare");
  if (!compare) return;
  const slide = document.getElementById("wipe");
  const flip = document.getElementById("flip");
  const shades = document.getElementById("compare-shades");
  const rows = Array.from(document.querySelectorAll(".ablated > li"));
  const thumbs = Array.from(compare.querySelectorAll("[data-row]"));
  let at = 0;

  const show = () => {
    const off = Number(slide.value);
    compare.style.setProperty("--off", off + "%");
    flip.setAttribute("aria-pressed", off === 100);
    slide.setAttribute("aria-valuetext", off + "% of the image with " + compare.dataset.off);
  };
  const keep = () => app.view.set({ off: slide.value === "50" ? null : slide.value });
  const choose = (number, link) => {
    at = number;
    compare.querySelectorAll("[data-show]").forEach((image) => {
      const from = rows[at].querySelector('[data-part="' + image.dataset.show + '"]');
      image.src = from.getAttribute("src");
      image.alt = from.alt;
    });
    shades.innerHTML = rows[at].querySelector(".shades").innerHTML;
    thumbs.forEach((thumb, i) => thumb.setAttribute("aria-pressed", i === at));
    if (link) {
      app.view.set({ s: rows[at].id.slice(1) });
      app.say("image " + rows[at].id.slice(1));
    }
  };
  thumbs.forEach((thumb, i) => thumb.addEventListener("click", () => choose(i, true)));
  slide.addEventListener("input", () => {
    show();
    keep();
  });
  flip.addEventListener("click", () => {
    slide.value = Number(slide.value) === 100 ? 0 : 100;
    show();
    keep();
    app.say(Number(slide.value) ? "units off" : "units on");
  });
  compare.querySelectorAll("[data-wipe]").forEach((stage) => {
    const follow = (event) => {
      const box = stage.getBoundingClientRect();
      slide.value = (100 * (event.clientX - box.left)) / box.width;
      show();
    };
    stage.addEventListener("pointerdown", (event) => {
      stage.setPointerCapture(event.pointerId);
      follow(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (event.buttons) follow(event);
    });
    stage.addEventListener("pointerup", keep);
  });

  const asked = () => {
    const state = app.view.get();
    const number = rows.findIndex((row) => row.id === "s" + state.get("s"));
    if (state.has("off")) slide.value = state.get("off");
    choose(number < 0 ? Number(compare.dataset.opens) : number, false);
    show();
    return number >= 0 || state.has("off");
  };
  window.addEventListener("hashchange", () => {
    if (asked()) compare.scrollIntoView({ block: "start" });
  });
  if (asked()) compare.scrollIntoView({ block: "start" });
})(window.dissectreport);
