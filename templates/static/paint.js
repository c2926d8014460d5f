/* The Paint page: a scene, brushes, strokes, and the network that draws them. */
(function (app) {
  "use strict";
  const data = app.data("paint-data");
  const at = (id) => document.getElementById(id);
  const all = app.all;
  const [rows, columns] = data.cells;
  const patches = { rows: Math.min(8, rows), columns: Math.min(8, columns) };
  const known = new Set(data.brushes.flatMap((brush) => Object.keys(brush.gains).map(Number)));
  const chips = all("[data-brush]");
  const thumbs = all("[data-sample]");
  const state = { sample: data.samples[0], brush: null, erases: false, repair: false, segments: false, hints: false };
  /* milliseconds without a new image, after which the image is segmented: the brush does not wait for it */
  const REST = 80;
  let resting = 0;
  let scene = null;
  let network = null;

  const { brushOf, brushName } = app.brushes(data);
  const stage = app.paintStage(data, {
    size: () => Number(at("size").value),
    painted: (cells, goesOn) => {
      const stroke = app.strokeOf(state.brush, state.erases, Number(at("strength").value) / 100, cells);
      if (goesOn) strokes.extend(stroke);
      else strokes.add(stroke);
      if (!network) at("waiting").hidden = false;
    },
  });
  const buttons = { undo: at("undo"), redo: at("redo"), reset: at("reset") };
  const strokes = app.strokeHistory((done) => {
    buttons.undo.disabled = buttons.reset.disabled = !done.length;
    buttons.redo.disabled = !strokes.canRedo;
    write();
    delete stage.element.dataset.segmented;
    draw();
  });

  const isScene = (sample) =>
    data.samples.includes(sample) || (data.last >= sample && sample >= 0 && Number.isInteger(sample));
  const scenesInWords = data.last < 0 ? "" : ": numbers go from 0 to " + data.last.toLocaleString("en");
  const strongest = app.strongestBrush(data, data.contexts[0]);

  /* the address holds the scene and every stroke */
  const write = () =>
    app.view.set({
      s: state.sample,
      b: brushName(state.brush),
      r: state.repair ? 1 : null,
      e: app.strokesInWords(strokes.all) || null,
    });
  const read = () => {
    const view = app.view.get();
    const sample = view.has("s") ? Number(view.get("s")) : data.samples[0];
    const can = isScene(sample);
    if (!can) app.tell("There is no scene " + view.get("s") + scenesInWords);
    chooseBrush(brushOf(view.get("b") || "") || brushOf(data.brushes.length ? "b" + strongest : "u0"));
    state.repair = view.get("r") === "1" && data.repair.length > 0;
    if (at("repair")) at("repair").checked = state.repair;
    const words = view.get("e");
    openScene(can ? sample : data.samples[0]);
    strokes.replace(app.strokesOf(words, brushOf, rows * columns));
  };

  /* --- the network --- */
  const edited = () => {
    const values = scene.inputs.activations.data.slice();
    const shape = [rows, columns, data.margin];
    if (state.repair) {
      const zeros = data.repair.map(() => 0);
      app.applyStroke(values, { units: data.repair, values: zeros, strength: 1, cells: null }, shape);
    }
    strokes.all.forEach((stroke) => app.applyStroke(values, stroke, shape));
    return { ...scene.inputs, activations: { data: values, shape: scene.inputs.activations.shape } };
  };
  const segment = app.latest(({ of, image, painted }) =>
    network
      .run("labels", { image })
      .then(({ outputs }) => {
        if (of !== scene) return;
        of.after = outputs.labels;
        of.painted = painted;
        showNumbers();
      })
      .catch(fail),
  );
  const draw = app.latest(() => {
    const of = scene;
    if (!network || !of || !of.inputs) return Promise.resolve();
    const painted = strokes.all;
    const slow = setTimeout(() => (at("drawing").hidden = false), 400);
    return network
      .draw(edited())
      .then(({ outputs, milliseconds }) => {
        if (of !== scene) return;
        stage.drawEdited(outputs.image.data);
        stage.element.dataset.strokes = painted.length;
        stage.element.dataset.milliseconds = Math.round(milliseconds);
        at("time").textContent = "Drawn by the network in " + Math.round(milliseconds) + " ms.";
        clearTimeout(resting);
        if (network.segments) resting = setTimeout(segment, REST, { of, image: outputs.image, painted });
      })
      .catch(fail)
      .finally(() => {
        clearTimeout(slow);
        at("drawing").hidden = true;
      });
  });

  /* --- scenes --- */
  const nameOf = (sample) => (sample < 0 ? "photo " + data.photos[-sample - 1] : "scene " + sample);
  const openScene = (sample) => {
    const number = data.samples.indexOf(sample);
    state.sample = sample;
    scene = {
      sample,
      contexts: number < 0 ? null : data.contexts[number],
      before: number < 0 ? null : data.areas[number],
    };
    thumbs.forEach((thumb) => thumb.setAttribute("aria-pressed", Number(thumb.dataset.sample) === sample));
    stage.clear();
    ["scene", "strokes", "segmented"].forEach((name) => delete stage.element.dataset[name]);
    if (number >= 0) at("still").src = data.pictures[number];
    at("still").alt = nameOf(sample);
    if (at("scene")) at("scene").value = sample < 0 ? "" : sample;
    if (network) prepare(scene).catch(fail);
    showHints();
  };
  const prepare = (of) =>
    network
      .inputsOf(of.sample)
      .then((inputs) => {
        of.inputs = inputs;
        return network.draw(inputs);
      })
      .then(({ outputs }) => {
        if (of !== scene) return null;
        stage.drawOriginal(outputs.image.data);
        stage.wipe(at("before").getAttribute("aria-pressed") === "true" ? 100 : wiped());
        draw();
        stage.element.dataset.scene = of.sample;
        of.original = outputs.image;
        return look(of);
      });
  /* what stands in a scene that is not of the gallery */
  const look = (of) => {
    if (!network.segments || of.contexts) return null;
    return network.run("labels", { image: of.original }).then(({ outputs: { labels } }) => {
      of.contexts = app.contextsOf(labels.data, labels.shape, patches, known);
      of.before = app.areasOf(labels.data, labels.shape, data.concepts.length);
      showNumbers();
    });
  };
  const showNumbers = () => {
    showHints();
    if (!scene.after || !scene.before) return;
    const { data: labels, shape } = scene.after;
    stage.drawSegments(labels, shape, state.segments);
    const after = app.areasOf(labels, shape, data.concepts.length);
    const expected =
      state.brush.gains && scene.contexts && app.expectedGain(state.brush, scene.contexts, strokes.all, data, patches);
    app.showAreas(data, state.brush, scene.before, after, expected);
    /* strokes may have been added since */
    if (scene.painted === strokes.all) stage.element.dataset.segmented = strokes.all.length;
  };
  const showHints = () => {
    const can = state.hints && state.brush && state.brush.gains && scene && scene.contexts;
    stage.setPatches(can ? { ...patches, kinds: app.insertionKinds(state.brush, scene.contexts) } : null);
  };

  /* --- controls --- */
  const chooseBrush = (brush) => {
    state.brush = brush;
    chips.forEach((chip) =>
      chip.setAttribute("aria-pressed", brush.kind === "b" && Number(chip.dataset.brush) === brush.at),
    );
    at("random").setAttribute("aria-pressed", brush.kind === "r");
    at("chosen").textContent = app.brushInWords(data, brush);
    showHints();
    if (scene && scene.after) showNumbers();
  };
  const pick = (brush) => {
    chooseBrush(brush);
    write();
  };
  chips.forEach((chip) => chip.addEventListener("click", () => pick(brushOf("b" + chip.dataset.brush))));
  at("random").addEventListener("click", () => {
    const others = Array.from({ length: data.units }, (_, u) => u).filter((u) => !state.brush.units.includes(u));
    const count = Math.min(state.brush.kind === "u" ? 1 : state.brush.units.length, others.length);
    const units = Array.from({ length: count }, () => others.splice(Math.floor(Math.random() * others.length), 1)[0]);
    pick(brushOf("r" + units.sort((a, b) => a - b).join(".")));
  });
  at("unit").addEventListener("change", ({ target }) => {
    const words = target.value.trim().toLowerCase();
    const number = /^(?:unit )?(\d+)/.exec(words);
    const unit = number
      ? Number(number[1])
      : data.labels.findIndex((label) => words && label.toLowerCase().includes(words));
    const brush = unit < 0 ? null : brushOf("u" + unit);
    if (brush) pick(brush);
    else app.tell("no unit " + target.value + "; there are 0 to " + (data.units - 1));
  });
  const mode = (erases) => {
    state.erases = erases;
    at("draw").setAttribute("aria-pressed", !erases);
    at("erase").setAttribute("aria-pressed", erases);
  };
  at("draw").addEventListener("click", () => mode(false));
  at("erase").addEventListener("click", () => mode(true));
  buttons.undo.addEventListener("click", strokes.undo);
  buttons.redo.addEventListener("click", strokes.redo);
  buttons.reset.addEventListener("click", () => strokes.replace([]));
  const wiped = () => (at("wipe-on").checked ? Number(at("wipe").value) : 0);
  at("before").addEventListener("click", ({ currentTarget }) => {
    const on = currentTarget.getAttribute("aria-pressed") !== "true";
    currentTarget.setAttribute("aria-pressed", on);
    stage.wipe(on ? 100 : wiped());
  });
  at("wipe-on").addEventListener("change", () => {
    at("wiping").hidden = !at("wipe-on").checked;
    stage.wipe(wiped());
  });
  at("wipe").addEventListener("input", () => stage.wipe(wiped()));
  const toggle = (id, change) => at(id) && at(id).addEventListener("change", ({ target }) => change(target.checked));
  toggle("repair", (on) => {
    state.repair = on;
    write();
    draw();
  });
  toggle("show-segments", (on) => {
    state.segments = on;
    showNumbers();
  });
  toggle("hints", (on) => {
    state.hints = on;
    showHints();
  });
  const go = (sample) => {
    openScene(sample);
    strokes.replace([]);
  };
  thumbs.forEach((thumb) => thumb.addEventListener("click", () => go(Number(thumb.dataset.sample))));
  if (data.files.head) {
    at("new-scene").addEventListener("click", () => go(Math.floor(Math.random() * Math.min(10000, data.last + 1))));
    at("scene").addEventListener("change", ({ target }) => {
      const sample = Math.floor(Number(target.value));
      if (isScene(sample)) go(sample);
      else app.tell("There is no scene " + target.value + scenesInWords);
    });
  }
  at("save").addEventListener("click", () =>
    stage.shown.toBlob((picture) => app.saveFile(picture, "painted " + nameOf(state.sample) + ".png")),
  );
  at("save-edits").addEventListener("click", () => {
    const words = JSON.stringify(app.strokesAsFile(data, state.sample, state.repair, strokes.all), null, 1) + "\n";
    app.saveFile(new Blob([words], { type: "application/json" }), "edits.json");
  });
  addEventListener("hashchange", read);

  /* --- loading --- */
  function fail(error) {
    at("loading").hidden = true;
    at("failed").textContent = "The network does not run here: " + error.message;
    at("failed").hidden = false;
    stage.element.dataset.state = "failed";
  }
  const progress = (megabytes, total) => {
    at("progress").value = megabytes / total;
    at("loaded").textContent = megabytes.toFixed(1) + " of " + total.toFixed(1) + " MB";
  };
  const load = () => {
    at("load").hidden = true;
    at("loading").hidden = false;
    return app
      .loadPaint(data, progress)
      .then((ready) => {
        network = ready;
        at("waiting").hidden = true;
        stage.element.dataset.state = "ready";
        stage.element.dataset.processor = ready.processor;
        return prepare(scene);
      })
      .then(() => network.openSegmenter())
      .then(() => {
        at("loading").hidden = true;
        stage.element.dataset.state = "complete";
        draw();
        return look(scene);
      })
      .catch(fail);
  };
  read();
  const reason = app.cannotPaint();
  if (reason) fail(new Error(reason));
  else if (navigator.connection && navigator.connection.saveData) {
    at("load").hidden = false;
    at("load").addEventListener("click", load);
  } else load();
})(window.dissectreport);
