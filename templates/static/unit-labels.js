/* The figures on the cards of units, for the label that was asked for. */
(function (app) {
  "use strict";
  /* what a label of a unit consists of, as positions in a list */
  app.labelFields = Object.fromEntries(
    (
      "CONCEPT CATEGORY IOU LOW HIGH CHANCE_LEVEL LIFT " +
      "CORRECTED_IOU SELECTION_SCORE THRESHOLD KIND SHADES INTERPRETABLE"
    )
      .split(" ")
      .map((name, at) => [name, at]),
  );
  const {
    CONCEPT,
    CATEGORY,
    IOU,
    LOW,
    HIGH,
    CHANCE_LEVEL,
    LIFT,
    CORRECTED_IOU,
    THRESHOLD,
    KIND,
    SHADES,
    INTERPRETABLE,
  } = app.labelFields;

  /* a function that writes a label on a card, or, if none was asked for, what the page came with */
  app.unitLabels = (cards, labels, marks) => {
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
      const threshold = element(
        "span",
        "threshold",
        "threshold " + (label[THRESHOLD] === null ? "–" : label[THRESHOLD]),
      );
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
      const name = element("span", "name", labels[i][at][CONCEPT]);
      const sign = element("i", "sign sign-" + marks[labels[i][at][CATEGORY]], "");
      sign.setAttribute("aria-hidden", "true");
      name.prepend(sign);
      const nums = element("span", "nums", "");
      nums.append(...figures(labels[i][at]));
      const overall = at > 0 ? [element("span", "overall", "overall label " + labels[i][0][CONCEPT])] : [];
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
    const write = (i, at, filtered) => {
      const [cap, gauge] = [cards[i].querySelector(".cap"), cards[i].querySelector(".gauge")];
      const shades = cards[i].querySelector(".iou-parts");
      if (!gauge) return;
      if (!own.has(i)) own.set(i, [Array.from(cap.childNodes), gauge.innerHTML, cards[i].classList.contains("weak")]);
      const [words, bars, weak] = own.get(i);
      if (shades) shade(shades, labels[i][at]);
      cap.replaceChildren(...words);
      gauge.innerHTML = bars;
      cards[i].classList.toggle("other", at > 0);
      cards[i].classList.toggle("weak", filtered ? !labels[i][at][INTERPRETABLE] : weak);
      if (!filtered) return;
      cap.replaceChildren(...caption(i, at));
      draw(gauge, labels[i][at]);
    };
    return write;
  };
})(window.dissectreport);
