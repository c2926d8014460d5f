/* The controls with which models, rules and layers are chosen. */
(function (comparison) {
  "use strict";
  const { page, el, modelSign, unique } = comparison;
  const field = (id) => document.getElementById(id);

  /* Elements stay, and get what fresh ones have: whoever types the name of a model is not interrupted by what it draws. */
  const attributes = (old, fresh) => {
    Array.from(old.attributes).forEach(({ name }) => {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    });
    Array.from(fresh.attributes).forEach(({ name, value }) => {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    });
  };
  const select = (old, fresh) => {
    const options = (one) =>
      Array.from(one.options)
        .map((option) => option.value + " " + option.text)
        .join();
    const value = fresh.value;
    if (options(old) !== options(fresh)) old.replaceChildren(...fresh.childNodes);
    old.value = value;
  };
  const morph = (old, fresh) => {
    if (old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
    } else {
      attributes(old, fresh);
      if (old.tagName === "SELECT") select(old, fresh);
      else if (old.childNodes.length !== fresh.childNodes.length) old.replaceChildren(...fresh.childNodes);
      else {
        const pairs = Array.from(fresh.childNodes);
        Array.from(old.childNodes).forEach((child, i) => morph(child, pairs[i]));
      }
    }
  };

  const options = (rows, chosen) =>
    rows.map(([value, words]) => el("option", { value, selected: value === chosen }, words));
  const labelled = (words, choice) => el("label", {}, el("span", {}, words), choice);
  const models = Array.from(new Map(page.models.map((one) => [one.model, one])).values());
  const titled = (one) => {
    const twice = models.some((other) => other !== one && other.title === one.title) && one.title !== one.model;
    return twice ? one.title + " (" + one.model + ")" : one.title;
  };
  const picker = (kind, i, label, rows, chosen) =>
    el("select", { "data-focus": kind + "-" + i, "aria-label": label + (i + 1) }, options(rows, chosen));

  /* what a slot does when something is chosen: `change(i, home, layerName)`, `changeLayer(i, folder)`, `remove(i)` */
  const slot = (chosen, i, actions) => {
    const member = chosen.members[i];
    const own = page.models.find((one) => one.home === member.home);
    const rules = page.models.filter((one) => one.model === own.model);
    const model = picker(
      "model",
      i,
      "Model ",
      models.map((one) => [one.model, titled(one)]),
      own.model,
    );
    const rule = picker(
      "rule",
      i,
      "Rule of model ",
      rules.map((one) => [one.home, one.rule]),
      own.home,
    );
    const layers = member.model.layers.map(([name, folder]) => [folder, name]);
    const layer = picker("layer", i, "Layer of model ", layers, member.folder);
    const remove = el("button", { type: "button", class: "quiet", "aria-label": "Remove " + member.label }, "remove");
    /* the slots stay when others are removed, so each asks the page for what it shows now */
    model.addEventListener("change", () => actions.changeModel(i, model.value));
    rule.addEventListener("change", () => actions.change(i, rule.value));
    layer.addEventListener("change", () => actions.changeLayer(i, layer.value));
    remove.addEventListener("click", () => actions.remove(i));
    const facts = [member.layer.fact, ...member.model.facts.slice(2).map((fact) => fact[1])].filter(
      (words) => words !== "–",
    );
    const title = el("b", {}, modelSign(i), el("a", { href: member.home + "/index.html" }, member.label));
    const images = own.band ? el("img", { class: "band", src: own.band, alt: "Images of " + member.label }) : null;
    return el(
      "li",
      {},
      el("div", { class: "slot" }, title, chosen.members.length > 2 ? remove : null),
      images,
      el("div", { class: "sub" }, labelled("model", model), labelled("rule", rule), labelled("layer", layer)),
      el("span", { class: "id" }, facts.join(" · ")),
    );
  };

  /* the names of the layers that all chosen models have */
  const common = (members) => {
    const [first, ...others] = members.map((member) => member.model.layers.map(([name]) => name));
    return first.filter((name) => others.every((names) => names.includes(name)));
  };
  const together = (members) => {
    const names = members.length ? common(members) : [];
    const same = unique(members.map((member) => member.layerName)).length === 1;
    const rows = names.map((name) => [name, name]);
    field("together").hidden = names.length < 2;
    field("layer").replaceChildren(...options(same ? rows : [["", "–"], ...rows], same ? members[0].layerName : ""));
  };

  comparison.showChoice = (chosen, actions) => {
    const focused =
      document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.focus : null;
    const list = chosen.members.map((_, i) => slot(chosen, i, actions));
    const there = Array.from(field("chosen").children);
    if (there.length === list.length) there.forEach((one, i) => morph(one, list[i]));
    else field("chosen").replaceChildren(...list);
    field("add").disabled = chosen.members.length >= page.most || !chosen.members.length;
    together(chosen.members);
    const again = focused && document.querySelector('[data-focus="' + focused + '"]');
    if (again) again.focus({ preventScroll: true });
  };
})(window.dissectreport.comparison);
