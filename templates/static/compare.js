/* Models compared in the browser: the choice lives in the address after #, and the files of what was chosen are loaded as
   scripts, so that the page works from a folder. */
(function (app, comparison) {
  "use strict";
  const { page, el, unique, phrase, figures, sections } = comparison;
  const field = (id) => document.getElementById(id);
  const homes = page.models.map((one) => one.home);

  /* ---- files ---- */
  const files = new Map();
  const loading = new Map();
  app.received = (name, content) => files.set(name, content);
  const load = (name) => {
    if (!loading.has(name)) {
      const arrived = new Promise((resolve) => {
        const script = document.createElement("script");
        script.addEventListener("load", resolve);
        script.addEventListener("error", resolve);
        script.src = page.folder + "/" + name + ".js";
        document.head.append(script);
      });
      loading.set(name, arrived);
    }
    return loading.get(name).then(() => files.get(name));
  };
  const loadAll = (names) => Promise.all(names.map(load));
  const modelOf = (home) => files.get(home + "/model");
  const pairName = (first, other) => other.home + "/against/" + first.home;

  /* ---- what is chosen ---- */
  let state = [];
  let concept = "";
  let shown = { members: [], against: [], checkpoints: [], training: null };
  const notes = [];

  const layerOf = (home, folder) => modelOf(home).layers.find((layer) => layer[1] === folder);
  const folderOf = (home, name) => (modelOf(home).layers.find((layer) => layer[0] === name) || [name, ""])[1];
  /* the layers by which models are compared if none is asked for */
  const leading = () => {
    const models = state.map((one) => modelOf(one.home));
    const everywhere = (name) => models.every((model) => model.layers.some((layer) => layer[0] === name));
    const shared = models[0].ranking.find(everywhere);
    return (home) => folderOf(home, shared || modelOf(home).ranking[0]);
  };
  const resolveLayers = () => {
    const lead = leading();
    state.forEach((one) => {
      if (layerOf(one.home, one.folder)) return;
      const [asked, folder] = [one.folder, lead(one.home)];
      const name = layerOf(one.home, folder)[0];
      if (asked) notes.push(phrase(page.texts.no_layer, { layer: asked, model: one.home, shown: name }));
      one.folder = folder;
    });
  };
  const membersOf = () => {
    const several = unique(state.map((one) => layerOf(one.home, one.folder)[0])).length > 1;
    return state.map(({ home, folder }, place) => {
      const [model, layer] = [modelOf(home), files.get(home + "/layers/" + folder)];
      const layerName = layerOf(home, folder)[0];
      const label = several ? model.name + " " + layerName : model.name;
      const areas = new Map(model.concepts.map(([key, , area]) => [key, area]));
      const testable = new Set(model.concepts.filter((row) => row[3]).map(([key]) => key));
      const marks = new Map(model.concepts.map(([key, mark]) => [key, mark]));
      return { place, home, folder, model, layer, layerName, label, areas, marks, testable };
    });
  };
  const againstOf = (first, other) => {
    const pair = files.get(pairName(first, other));
    const layers = pair.layers[first.folder + " " + other.folder] || null;
    const differences = new Map();
    (layers ? layers.concepts : []).forEach(([words, significant, places]) => {
      places.forEach((place) => differences.set(pair.compared[place], [words, significant]));
    });
    return { first, other, pair, layers, differences };
  };
  /* the members that are checkpoints of one training, in its order; a checkpoint that was chosen twice is one point */
  const checkpointsOf = (members) => {
    const series = new Map();
    members
      .filter((member) => member.layer.trend)
      .forEach((member) => {
        const { series: name, progress } = member.layer.trend;
        if (!series.has(name)) series.set(name, new Map());
        if (!series.get(name).has(progress)) series.get(name).set(progress, member);
      });
    const longest = Array.from(series.values()).reduce((a, b) => (b.size > a.size ? b : a), new Map());
    const ordered = Array.from(longest.values()).sort((a, b) => a.layer.trend.progress - b.layer.trend.progress);
    return ordered.length > 1 ? ordered : [];
  };
  const needed = (members) => members.slice(1).map((other) => pairName(members[0], other));
  const ends = (checkpoints) => (checkpoints.length > 2 ? [checkpoints[0], checkpoints[checkpoints.length - 1]] : []);

  /* ---- the address ---- */
  const plainly = (words) => {
    try {
      return decodeURIComponent(words);
    } catch {
      return words;
    }
  };
  const address = () => {
    const models = state.map((one) => "m=" + one.home + (one.folder ? "/" + one.folder : ""));
    return "#" + models.concat(concept ? "c=" + encodeURIComponent(concept) : []).join("&");
  };
  const read = () => {
    notes.length = 0;
    const parts = app.view
      .words()
      .split("&")
      .map((part) => part.split("="))
      .filter((pair) => pair.length === 2);
    const asked = parts.filter(([name]) => name === "m").map(([, value]) => plainly(value).split("/"));
    const wanted = parts.find(([name]) => name === "c");
    concept = wanted ? plainly(wanted[1]) : "";
    const here = asked.filter(([home]) => homes.includes(home));
    asked
      .filter(([home]) => !homes.includes(home))
      .forEach(([home]) => notes.push(phrase(page.texts.no_model, { model: home })));
    if (here.length > page.most) notes.push(phrase(page.texts.too_many, { count: here.length, most: page.most }));
    state = here.slice(0, page.most).map(([home, folder]) => ({ home, folder: folder || "" }));
    homes.forEach((home) => {
      if (state.length < 2 && !state.some((one) => one.home === home)) state.push({ home, folder: "" });
    });
    if (state.length) draw();
    else show({ members: [], against: [], checkpoints: [], training: null });
  };
  const write = () => {
    notes.length = 0;
    history.pushState(null, "", address());
    draw().then(() => app.say("compared: " + shown.members.map((member) => member.label).join(", ")));
  };

  /* ---- drawing ---- */
  let turn = 0;
  const dropUnread = (unread) => {
    unread.forEach((home) =>
      notes.push("The data of " + home + " cannot be read; render it again with this version of dissectreport."),
    );
    state = state.filter((one) => !unread.includes(one.home));
  };
  /* the only model of a site is compared with itself, by another layer */
  const addLayer = () => {
    resolveLayers();
    const [{ home, folder }] = state;
    const other = modelOf(home).layers.find((layer) => layer[1] !== folder);
    if (!other) return;
    state.push({ home, folder: other[1] });
    notes.push(page.texts.one_model);
  };
  const draw = async () => {
    turn += 1;
    const mine = turn;
    await loadAll(state.map((one) => one.home + "/model"));
    if (mine !== turn) return;
    dropUnread(unique(state.map((one) => one.home)).filter((home) => !modelOf(home)));
    if (state.length === 1) addLayer();
    if (state.length < 2) {
      show({ members: [], against: [], checkpoints: [], training: null });
      return;
    }
    resolveLayers();
    await loadAll(state.map((one) => one.home + "/layers/" + one.folder).concat(needed(state)));
    if (mine !== turn) return;
    const members = membersOf();
    const checkpoints = checkpointsOf(members);
    const [first, last] = ends(checkpoints);
    if (first) await load(pairName(first, last));
    if (mine !== turn) return;
    const training = first ? againstOf(first, last).layers.training : null;
    show({ members, against: members.slice(1).map((other) => againstOf(members[0], other)), checkpoints, training });
    history.replaceState(null, "", address());
  };

  const chooseConcept = (key) => {
    concept = key;
    history.pushState(null, "", address());
    field("best").replaceWith(sections.best(shown, concept, chooseConcept));
    field("concept").focus({ preventScroll: true });
    app.say("strongest units for " + comparison.nameOf(concept));
  };
  const show = (chosen) => {
    shown = chosen;
    const enough = chosen.members.length > 1;
    comparison.showChoice(chosen, actions);
    const words = notes.map((note) => el("p", { class: "note" }, note));
    field("notes").replaceChildren(...words, ...(enough ? comparison.warnings(chosen) : []));
    if (!enough) {
      field("compared").replaceChildren();
      return;
    }
    concept = comparison.conceptOf(chosen, concept);
    const parts = [
      sections.summary(chosen),
      figures.concepts(chosen),
      figures.depth(chosen),
      figures.trend(chosen),
      figures.match(chosen),
      sections.quality(chosen),
      sections.best(chosen, concept, chooseConcept),
      sections.latents(chosen),
      sections.keep(chosen),
    ];
    field("compared").replaceChildren(...parts.filter(Boolean));
    document.title = "Compare " + chosen.members.map((member) => member.label).join(" and ") + " · dissectreport";
  };

  /* ---- what the controls do ---- */
  /* another model keeps the layer of the same name where it has one */
  const choose = (i, home, layerName) =>
    load(home + "/model").then((model) => {
      state[i] = { home, folder: model ? folderOf(home, layerName) : "" };
      write();
    });
  const actions = {
    change: (i, home) => choose(i, home, shown.members[i].layerName),
    changeModel: (i, model) => {
      const rule = page.models.find((one) => one.home === shown.members[i].home).rule;
      const own = page.models.filter((one) => one.model === model);
      choose(i, (own.find((one) => one.rule === rule) || own[0]).home, shown.members[i].layerName);
    },
    changeLayer: (i, folder) => {
      state[i].folder = folder;
      write();
    },
    remove: (i) => {
      state.splice(i, 1);
      write();
    },
  };
  field("add").addEventListener("click", () => {
    const next = homes.find((home) => !state.some((one) => one.home === home)) || homes[0];
    choose(state.length, next, shown.members[0].layerName);
  });
  field("layer").addEventListener("change", () => {
    const name = field("layer").value;
    if (!name) return;
    state.forEach((one) => {
      one.folder = folderOf(one.home, name);
    });
    write();
  });
  field("picker").addEventListener("submit", (event) => event.preventDefault());
  const copy = document.querySelector("[data-copy-view]");
  copy.addEventListener("click", () => app.copyLink(copy));
  addEventListener("popstate", read);
  read();
})(window.dissectreport, window.dissectreport.comparison);
