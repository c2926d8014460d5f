/* Marking units by eye: the marks stay in this browser, leave as a file, and come back from one. */
(function (app) {
  "use strict";
  const KINDS = ["artifact", "fine", "unsure"];
  const data = app.data("review-data");
  const cards = Array.from(document.querySelectorAll("#sheet > .sheet-card"));
  const field = (id) => document.getElementById(id);
  const shows = Array.from(document.querySelectorAll("[data-show]"));
  const key = ["review", data.model, data.layer, data.identity].join("|");
  let marks = new Map();
  const past = [];
  let current = -1;
  let show = "";
  let exported = true;

  const kept = (() => {
    try {
      localStorage.setItem("dissectreport-try", "1");
      localStorage.removeItem("dissectreport-try");
      return true;
    } catch {
      return false;
    }
  })();
  const valid = (found) =>
    Object.entries(found || {})
      .map(([unit, kind]) => [Number(unit), kind])
      .filter(([unit, kind]) => data.units.includes(unit) && KINDS.includes(kind));
  const read = () => {
    try {
      marks = new Map(valid(JSON.parse(app.remember(key) || "{}")));
    } catch {
      marks = new Map();
    }
  };
  const plain = () =>
    Object.fromEntries(data.units.filter((unit) => marks.has(unit)).map((unit) => [unit, marks.get(unit)]));
  const count = (kind) => Array.from(marks.values()).filter((each) => each === kind).length;
  const fits = (i) => !show || (show === "unmarked" ? !marks.has(data.units[i]) : marks.get(data.units[i]) === show);

  const draw = () => {
    cards.forEach((card, i) => {
      const kind = marks.get(data.units[i]) || "";
      card.dataset.mark = kind;
      card
        .querySelectorAll("[data-mark-as]")
        .forEach((button) => button.setAttribute("aria-pressed", button.dataset.markAs === kind));
      /* the one in hand stays in sight until another is taken */
      card.hidden = !fits(i) && i !== current;
    });
    field("progress").max = cards.length;
    field("progress").value = marks.size;
    field("marked").textContent = marks.size + " of " + cards.length + " marked";
    shows.forEach((chip) => {
      chip.setAttribute("aria-pressed", chip.dataset.show === show);
      const number =
        chip.dataset.show === ""
          ? cards.length
          : chip.dataset.show === "unmarked"
            ? cards.length - marks.size
            : count(chip.dataset.show);
      chip.querySelector("small").textContent = number;
    });
    field("undo").disabled = !past.length;
    field("none").hidden = cards.some((card) => !card.hidden);
  };
  const keep = () => {
    app.remember(key, JSON.stringify(plain()));
    exported = false;
    draw();
  };
  const point = (i) => {
    current = i;
    cards.forEach((card, j) => card.classList.toggle("here", j === i));
    draw();
    if (i < 0) return;
    cards[i].focus({ preventScroll: true });
    cards[i].scrollIntoView({ block: "center" });
  };
  const step = (by) => {
    for (let i = current + by; i >= 0 && i < cards.length; i += by)
      if (fits(i)) {
        point(i);
        return true;
      }
    return false;
  };
  const told = (i) =>
    "unit " + data.units[i] + " " + (marks.get(data.units[i]) || "unmarked") + ", " + field("marked").textContent;
  const mark = (i, kind, onward) => {
    const unit = data.units[i];
    past.push([unit, marks.get(unit)]);
    if (marks.get(unit) === kind && !onward) marks.delete(unit);
    else marks.set(unit, kind);
    keep();
    app.say(told(i));
    if (onward && !step(1)) point(i);
  };
  const take = (kind) => {
    if (current < 0) step(1);
    else mark(current, kind, true);
  };
  const undo = () => {
    if (!past.length) return;
    const [unit, before] = past.pop();
    if (before) marks.set(unit, before);
    else marks.delete(unit);
    keep();
    point(data.units.indexOf(unit));
    app.say("undone: " + told(current));
  };

  /* leaving and coming back as a file */
  const leave = () => {
    const units = data.units.filter((unit) => marks.get(unit) === "artifact");
    const words = JSON.stringify(
      { model: data.model, layer: data.layer, identity: data.identity, units: units, marks: plain() },
      null,
      1,
    );
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([words + "\n"], { type: "application/json" }));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 5000);
    exported = true;
    app.say(units.length + " artifact units exported");
  };
  const answer = (words) => {
    field("answer").textContent = words;
    app.say(words);
  };
  const come = (name, words) => {
    let found = null;
    try {
      found = JSON.parse(words);
    } catch {
      answer(name + " is not JSON: choose a file that this page exported.");
      return;
    }
    const strange = ["model", "layer", "identity"].find((fact) => !found || found[fact] !== data[fact]);
    if (strange) {
      const [given, wanted] = [found && found[strange], data[strange]].map((word) => String(word).slice(0, 40));
      answer(
        name +
          " contains marks of another " +
          (strange === "identity" ? "version of the model" : strange) +
          " (" +
          given +
          "; this page is of " +
          wanted +
          ").",
      );
      return;
    }
    const fresh = new Map(valid(found.marks));
    if (!fresh.size) {
      answer(name + " contains no marks.");
      return;
    }
    fresh.forEach((kind, unit) => {
      past.push([unit, marks.get(unit)]);
      marks.set(unit, kind);
    });
    keep();
    answer(fresh.size + " marks imported from " + name + ".");
  };
  field("import").addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (!file) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => come(file.name, reader.result));
    reader.addEventListener("error", () => answer(file.name + " cannot be read."));
    reader.readAsText(file);
    event.target.value = "";
  });

  /* whole images in the place of strips, made when they are asked for */
  const whole = (card, i) => {
    const row = document.createElement("span");
    row.className = "whole";
    row.style.setProperty("--n", data.samples[i].length);
    data.samples[i].forEach((sample, at) => {
      const image = document.createElement("img");
      image.loading = "lazy";
      image.width = data.tile;
      image.height = 128;
      image.src = data.folder + sample + ".webp";
      image.alt =
        "unit " + data.units[i] + ", image " + (at + 1) + " of " + data.samples[i].length + ", without its mask";
      row.append(image);
    });
    card.querySelector(".strip").after(row);
  };
  const masks = field("masks");
  masks.addEventListener("click", () => {
    const on = masks.getAttribute("aria-pressed") !== "true";
    masks.setAttribute("aria-pressed", on);
    cards.forEach((card, i) => {
      if (!on && !card.querySelector(".whole")) whole(card, i);
      card.querySelector(".strip").hidden = !on;
      if (card.querySelector(".whole")) card.querySelector(".whole").hidden = on;
    });
    app.say(on ? "masks shown" : "masks hidden");
  });

  cards.forEach((card, i) => {
    card.addEventListener("focusin", () => {
      if (current !== i) {
        current = i;
        cards.forEach((c, j) => c.classList.toggle("here", j === i));
      }
    });
    card
      .querySelectorAll("[data-mark-as]")
      .forEach((button) => button.addEventListener("click", () => mark(i, button.dataset.markAs, false)));
  });
  document
    .querySelectorAll("[data-take]")
    .forEach((button) => button.addEventListener("click", () => take(button.dataset.take)));
  document
    .querySelectorAll("[data-step]")
    .forEach((button) => button.addEventListener("click", () => step(Number(button.dataset.step))));
  shows.forEach((chip) =>
    chip.addEventListener("click", () => {
      show = chip.dataset.show === show ? "" : chip.dataset.show;
      point(-1);
    }),
  );
  field("only").addEventListener("click", () => {
    show = show === "unmarked" ? "" : "unmarked";
    point(-1);
  });
  field("undo").addEventListener("click", undo);
  field("export").addEventListener("click", leave);
  field("lost").hidden = kept;
  addEventListener("beforeunload", (event) => {
    if (!kept && marks.size && !exported) event.preventDefault();
  });
  addEventListener("storage", (event) => {
    if (event.key === "dissectreport-" + key) {
      read();
      draw();
    }
  });
  read();
  draw();
})(window.dissectreport);
